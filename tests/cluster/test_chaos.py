"""Machines and processes that die at random: every shot is finished, and as if nothing had been."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

import numpy as np
import pytest
import ray
from job_fakes import QUICK, agenda_of, moving_hole, pixels, quick, write_shot
from ray.cluster_utils import Cluster
from submitted_fakes import free_port

from cluster.agenda import Agenda
from cluster.backlog import ShotSpec
from cluster.head import GONE, RAY_WAITS
from cluster.launch import main as launch
from cluster.on_ray import run_on_ray
from cluster.plan import Note
from cluster.serial import run_serial
from storage import Archive
from storage.verify import verify

SIZE = (32, 32)
ROOT = Path(__file__).parents[2]
NODE = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": 80 * 2**20}


class Machines:
    """A head without cores and worker nodes with one each, all on this machine."""

    def __init__(self) -> None:
        soon = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500}
        soon |= {"health_check_failure_threshold": 3, "health_check_timeout_ms": 3000}
        head = NODE | {"num_cpus": 0, "include_dashboard": False, "_system_config": soon}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes = [self.cluster.add_node(**NODE) for _ in range(2)]
        ray.init(address=self.cluster.address, log_to_driver=False, logging_level="error")

    def add(self) -> None:
        self.nodes.append(self.cluster.add_node(wait=False, **NODE))

    def kill(self, number: int) -> None:
        """End a node outright, as when its power fails."""
        self.cluster.remove_node(self.nodes.pop(number), allow_graceful=False)


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    machines = Machines()
    yield machines
    ray.shutdown()
    machines.cluster.shutdown()


@pytest.fixture
def shots(tmp_path, request) -> list[ShotSpec]:
    """So many shots of three frames as the test asks for."""
    names = [f"s{i}" for i in range(getattr(request, "param", 2))]
    return [write_shot(tmp_path / n, pixels(3, *SIZE, 3), moving_hole(3, *SIZE)) for n in names]


def agenda(archive: Path, shots: list[ShotSpec], steps: int) -> Agenda:
    Archive.open(str(archive), "a")
    return agenda_of(archive, quick(f"fit.steps={steps}", "max_attempts=20"), *shots)


def run(agenda: Agenda, meanwhile: Callable[[Note], None]) -> list[Note]:
    """Run the agenda on the cluster; after every note something may happen."""
    notes = []
    for note in run_on_ray(agenda, lambda: False):
        notes.append(note)
        meanwhile(note)
    return notes


def check(agenda: Agenda, notes: list[Note], shots: list[ShotSpec]) -> None:
    """All are finished, none twice, and at most the step since the last checkpoint was lost."""
    assert agenda.failed == {}
    assert set(Counter(n.job.key for n in notes if n.event["kind"] == "done").values()) == {1}
    for shot in shots:
        told = (n.event for n in notes if n.job.key == f"inpaint {shot.name} v001")
        steps = [event["done"] for event in told if event.get("unit") == "steps"]
        assert all(after >= before for before, after in pairwise(steps))


def check_results(folder: Path, shots: list[ShotSpec], steps: int) -> None:
    """Nothing is damaged, and the bytes are those of a run that nothing befell."""
    archives = [Archive.open(str(folder / name), "a") for name in ("archive", "unbroken")]
    assert list(verify(archives[0])) == []
    todo = agenda_of(folder / "unbroken", quick(f"fit.steps={steps}"), *shots)
    list(run_serial(todo, lambda: False))
    for shot in shots:
        made, unbroken = (archive.shot(shot.name).version("v001") for archive in archives)
        assert made.attrs["status"] == "done"
        assert all(np.array_equal(made.result(t), unbroken.result(t)) for t in range(3))


def test_when_every_node_dies_those_that_come_do_the_work(machines, shots, tmp_path):
    steps, deaths = 20, list[Note]()

    def all_die(note: Note) -> None:
        if not deaths and note.event.get("unit") == "steps" and note.event["done"] >= 5:
            deaths.append(note)
            for _ in range(2):
                machines.kill(0)
                machines.add()

    todo = agenda(tmp_path / "archive", shots, steps)
    notes = run(todo, all_die)
    assert "lost" in {n.event["cause"] for n in notes if n.event["kind"] == "failed"}
    check(todo, notes, shots)
    check_results(tmp_path, shots, steps)


def launched(address: str, folder: Path, shot: ShotSpec, steps: int) -> Popen[str]:
    """Start a driver of its own on the cluster at this address."""
    places = [f"source={shot.source}", f"mask={shot.mask}", f"archive={folder / 'archive'}"]
    words = [*QUICK, *places, "runner=ray", f"fit.steps={steps}"]
    there = os.environ | {"RAY_ADDRESS": address}
    command = [sys.executable, "-m", "cluster.launch", *words]
    return Popen(command, env=there, cwd=ROOT, stdout=PIPE, stderr=PIPE, text=True)


def wait_for_port(address: str) -> None:
    host, port = address.split(":")
    end_s = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            assert time.monotonic() < end_s, f"nothing at {address}"
            time.sleep(0.2)


def wait_for_checkpoint(folder: Path, driver: Popen[str]) -> None:
    while not list(folder.rglob("checkpoint-*.pt")):
        assert driver.poll() is None, driver.communicate()
        time.sleep(0.05)


def test_a_driver_killed_outright_leaves_the_archive_to_the_next_and_to_no_second(
    machines, shots, tmp_path, capsys
):
    shot, steps = replace(shots[0], export=None), 60
    killed = launched(machines.cluster.address, tmp_path, shot, steps)
    wait_for_checkpoint(tmp_path, killed)
    words = [f"source={shot.source}", f"mask={shot.mask}", f"archive={tmp_path / 'archive'}"]
    assert launch([*QUICK, *words]) == 2
    assert f"(process {killed.pid}) since" in capsys.readouterr().err
    killed.kill()
    killed.communicate()
    following = launched(machines.cluster.address, tmp_path, shot, steps)
    said, complaints = following.communicate(timeout=120)
    assert (following.returncode, complaints) == (0, "")
    assert "goes on from step" in said
    check_results(tmp_path, [shot], steps)


@contextlib.contextmanager
def head() -> Iterator[str]:
    """A cluster of one machine in a process group of its own, and its address."""
    port = free_port()
    command = [
        str(Path(sys.executable).parent / "ray"),
        "start",
        "--head",
        "--block",
        "--num-cpus=1",
    ]
    command += [f"--port={port}", "--include-dashboard=false", "--num-gpus=0"]
    started = Popen(command, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()


@pytest.mark.slow
def test_a_run_whose_head_is_gone_ends_by_itself_and_goes_on_elsewhere(
    shots, tmp_path, monkeypatch
):
    monkeypatch.setenv(RAY_WAITS, "20")
    shot, steps = replace(shots[0], export=None), 60
    with head() as address:
        wait_for_port(address)
        driver = launched(address, tmp_path, shot, steps)
        wait_for_checkpoint(tmp_path, driver)
    (line,) = driver.communicate(timeout=60)[1].splitlines()
    assert driver.returncode == GONE
    assert line.startswith(f"error: the cluster's head at {address} is gone for ")
    words = [f"source={shot.source}", f"mask={shot.mask}", f"archive={tmp_path / 'archive'}"]
    assert launch([*QUICK, *words, f"fit.steps={steps}"]) == 0
    check_results(tmp_path, [shot], steps)


class Chaos:
    """Kills a process, or a node which another follows, each time some more steps were done."""

    def __init__(self, machines: Machines, *, steps: int, every_s: float, nodes: float) -> None:
        self.machines, self.random = machines, random.Random(5)
        self.steps, self.every_s, self.nodes = steps, every_s, nodes
        self.at_work: dict[str, int] = {}
        self.killed: list[str] = []
        self.since, self.last_s = 0, time.monotonic()

    def __call__(self, note: Note) -> None:
        if note.event["kind"] == "started":
            self.at_work[note.job.key] = note.event["pid"]
        elif note.event["kind"] in ("done", "failed"):
            self.at_work.pop(note.job.key, None)
        self.since += note.event.get("unit") == "steps"
        due = self.since >= self.steps and time.monotonic() - self.last_s >= self.every_s
        if due and self.at_work:
            self.since, self.last_s = 0, time.monotonic()
            self.kill()

    def kill(self) -> None:
        if self.random.random() < self.nodes:
            self.killed.append("node")
            self.machines.kill(self.random.randrange(len(self.machines.nodes)))
            self.machines.add()
            return
        self.killed.append("process")
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.random.choice(sorted(self.at_work.values())), signal.SIGKILL)


@pytest.mark.parametrize("shots", [3], indirect=True)
def test_whatever_process_dies_every_shot_is_finished_once_and_as_unbroken(
    machines, shots, tmp_path
):
    chaos = Chaos(machines, steps=7, every_s=0, nodes=0)
    todo = agenda(tmp_path / "archive", shots, steps=8)
    notes = run(todo, chaos)
    assert len(chaos.killed) >= 2
    check(todo, notes, shots)
    check_results(tmp_path, shots, steps=8)


@pytest.mark.slow
@pytest.mark.parametrize("shots", [20], indirect=True)
def test_twenty_shots_survive_what_dies_every_few_seconds(machines, shots, tmp_path):
    chaos = Chaos(machines, steps=10, every_s=4, nodes=0.3)
    todo = agenda(tmp_path / "archive", shots, steps=25)
    notes = run(todo, chaos)
    print(Counter(chaos.killed))
    assert {"node", "process"} == set(chaos.killed)
    check(todo, notes, shots)
    check_results(tmp_path, shots, steps=25)
