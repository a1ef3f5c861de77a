"""The plan on a private Ray: the same results as in one process, whatever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from job_fakes import agenda_of, job

from cluster import on_ray
from cluster.actor import Work
from cluster.agenda import Agenda
from cluster.backlog import ShotSpec
from cluster.config import Config, load_config
from cluster.plan import Job, Note
from cluster.room import Need
from cluster.serial import run_serial
from storage import Archive, InputError, Version

SIZE = (24, 32)


def _paint(folder: Path, frames: int = 4, seed: int = 0) -> ShotSpec:
    """Write a small moving pattern with a square hole; return it as a shot."""
    random = np.random.default_rng(seed)
    wall = random.integers(0, 256, (SIZE[0], SIZE[1] * 2, 3), dtype=np.uint8)
    for name in ("frames", "masks"):
        (folder / name).mkdir(parents=True)
    for t in range(frames):
        mask = np.zeros(SIZE, np.uint8)
        mask[8:14, 4 * t : 4 * t + 6] = 255
        cv2.imwrite(str(folder / "frames" / f"{t:04d}.png"), wall[:, t : t + SIZE[1]])
        cv2.imwrite(str(folder / "masks" / f"{t:04d}.png"), mask)
    return ShotSpec(folder.name, str(folder / "frames"), str(folder / "masks"))


def _config(*words: str) -> Config:
    small = ["capacity=small", "fit.batch=2", "fit.report_every=1", "resources.cpus=1"]
    return load_config(None, [*small, "fit.steps=6", "checkpoint_every_s=0.001", *words])


def _agenda(shots: list[ShotSpec], archive: Path, config: Config) -> Agenda:
    Archive.open(str(archive), "a")
    return agenda_of(archive, config, *shots)


def _never() -> bool:
    return False


def _version(archive: Path, shot: str) -> Version:
    return Archive.open(str(archive)).shot(shot).version("v001")


def _last_checkpoint(version: Version) -> bytes | None:
    return version.files.read(max(n for n in version.files.names() if n.startswith("checkpoint")))


def _same(a: Version, b: Version) -> bool:
    filled = all(np.array_equal(a.result(t), b.result(t)) for t in range(len(a.shot)))
    return filled and _last_checkpoint(a) == _last_checkpoint(b)


def test_ray_and_the_serial_runner_give_identical_results(cluster: None, tmp_path: Path) -> None:
    shots = [_paint(tmp_path / "one", seed=1), _paint(tmp_path / "two", seed=2)]
    for name, run in (("serial", run_serial), ("ray", on_ray.run_on_ray)):
        agenda = _agenda(shots, tmp_path / name, _config())
        list(run(agenda, _never))
        assert not agenda.failed
    for shot in shots:
        assert _same(*(_version(tmp_path / name, shot.name) for name in ("serial", "ray")))


def test_scales_and_propagated_masks_are_the_same_on_ray(cluster: None, tmp_path: Path) -> None:
    shots = [_paint(tmp_path / "scaled"), _paint(tmp_path / "few")]
    shots[1] = replace(shots[1], mask=f"{shots[1].mask}/0000.png", few=True)
    finer = _config("size=16x16", "progressive.window_px=32", "propagate.steps=3")
    for name, run in (("serial", run_serial), ("ray", on_ray.run_on_ray)):
        agenda = _agenda(shots, tmp_path / name, finer)
        list(run(agenda, _never))
        assert not agenda.failed
        assert "inpaint few v001.16x16" in agenda.done
    for shot in shots:
        assert _same(*(_version(tmp_path / name, shot.name) for name in ("serial", "ray")))


def test_a_killed_actor_is_replaced_and_the_result_is_that_of_an_unbroken_run(
    cluster: None, tmp_path: Path
) -> None:
    shot = _paint(tmp_path / "shot")
    list(run_serial(_agenda([shot], tmp_path / "unbroken", _config()), _never))
    agenda = _agenda([shot], tmp_path / "broken", _config())
    killed = _kill_at_step(agenda, 3)
    assert killed == ["lost"]
    assert agenda.attempts["inpaint shot v001"] == 2
    assert _same(_version(tmp_path / "unbroken", "shot"), _version(tmp_path / "broken", "shot"))


def _kill_at_step(agenda: Agenda, step: int) -> list[str]:
    """Run the agenda, SIGKILL the fitting process once at this step; return what failed."""
    causes, process, killed = [], 0, False
    for note in on_ray.run_on_ray(agenda, _never):
        event = note.event
        process = event.get("pid", process)
        if event["kind"] == "failed":
            causes.append(event["cause"])
        if not killed and event.get("unit") == "steps" and event["done"] >= step:
            killed = True
            os.kill(process, signal.SIGKILL)
    return causes


def test_one_broken_shot_is_named_and_the_others_finish(cluster: None, tmp_path: Path) -> None:
    good, bad = _paint(tmp_path / "good"), _paint(tmp_path / "bad")
    (tmp_path / "bad" / "frames" / "0002.png").write_bytes(b"not a picture")
    agenda = _agenda([bad, good], tmp_path / "archive", _config())
    list(on_ray.run_on_ray(agenda, _never))
    assert set(agenda.failed) == {"bad"}
    assert "0002.png" in agenda.failed["bad"]
    assert _version(tmp_path / "archive", "good").attrs["status"] == "done"


def test_several_shots_run_at_once(cluster: None, tmp_path: Path) -> None:
    shots = [_paint(tmp_path / "one", seed=1), _paint(tmp_path / "two", seed=2)]
    agenda = _agenda(shots, tmp_path / "archive", _config("fit.steps=300", "checkpoint_every_s=60"))
    order = [note.job.shot.name for note in on_ray.run_on_ray(agenda, _never) if _fits(note)]
    assert order.index("two") < len(order) - 1 - order[::-1].index("one")
    assert order.index("one") < len(order) - 1 - order[::-1].index("two")


def _fits(note: Note) -> bool:
    return note.event.get("unit") == "steps"


def test_a_stopped_run_saves_and_goes_on_to_the_same_result(cluster: None, tmp_path: Path) -> None:
    shot = _paint(tmp_path / "shot")
    list(run_serial(_agenda([shot], tmp_path / "unbroken", _config("fit.steps=60")), _never))
    seen: list[Note] = []
    agenda = _agenda([shot], tmp_path / "broken", _config("fit.steps=60"))
    for note in on_ray.run_on_ray(agenda, lambda: any(map(_fits, seen))):
        seen.append(note)
    assert seen[-1].event["kind"] == "stopped"
    assert _version(tmp_path / "broken", "shot").attrs["status"] == "fitting"
    list(on_ray.run_on_ray(_agenda([shot], tmp_path / "broken", _config("fit.steps=60")), _never))
    assert _same(_version(tmp_path / "unbroken", "shot"), _version(tmp_path / "broken", "shot"))


def _pretending() -> Work:
    """Work that is done at once. Local, so that it travels to the actors by value."""

    def work(job: Job, device: str, stop: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        if job.shot.name == "bad":
            raise InputError("bad")
        yield {"kind": "done"}

    return work


def test_an_actor_goes_from_job_to_job_and_does_none_after_one_that_failed(cluster: None) -> None:
    whole = [replace(job(name), need=Need(cpus=2)) for name in ("one", "two", "bad", "four")]
    process = {}
    for note in on_ray.run_on_ray(Agenda(whole), _never, _pretending()):
        if note.event["kind"] == "started":
            process[note.job.shot.name] = note.event["pid"]
    assert process["one"] == process["two"] == process["bad"] != process["four"]


def _on_a_small_device() -> Work:
    """The real work, on a device that holds one sample at a time."""

    def work(job: Job, device: str, stop: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        import torch

        from cluster import jobs

        if job.kind == "inpaint" and job.config.fit.batch != 1:
            raise torch.OutOfMemoryError("the device is full")
        yield from jobs.run(job, device, stop)

    return work


def test_out_of_memory_a_shot_is_finished_with_half_the_batch(
    cluster: None, tmp_path: Path
) -> None:
    shot = _paint(tmp_path / "shot")
    agenda = _agenda([shot], tmp_path / "archive", _config())
    told = [note.event for note in on_ray.run_on_ray(agenda, _never, _on_a_small_device())]
    (failed,) = (event for event in told if event["kind"] == "failed")
    assert failed["again"]
    assert "out of memory" in failed["reason"]
    assert "now with a batch of 1" in failed["reason"]
    version = _version(tmp_path / "archive", "shot")
    assert (version.attrs["status"], version.attrs["batch"]) == ("done", 1)


def test_a_job_that_no_machine_is_large_enough_for_waits_and_says_so(cluster: None) -> None:
    lost, other = replace(job("lost"), need=Need(cpus=64)), job("other")
    notes: list[Note] = []
    agenda = Agenda([lost, other])
    for note in on_ray.run_on_ray(agenda, lambda: len(notes) == 3, _pretending()):
        notes.append(note)
    told = {(note.job.shot.name, note.event.get("text", note.event["kind"])) for note in notes}
    assert told == {
        ("lost", "waits for a machine with 0 GPUs, 64 cores"),
        ("other", "started"),
        ("other", "done"),
    }


def test_a_request_no_machine_can_meet_is_refused_and_not_waited_for(cluster: None) -> None:
    (machine,) = on_ray.machines()
    assert (machine.gpus, machine.cpus) == (0, 2)


def _launch(tmp_path: Path, archive: str) -> subprocess.Popen[bytes]:
    words = [
        *("capacity=small", "runner=serial", "fit.batch=2", "fit.report_every=5", "fit.steps=150"),
        *("checkpoint_every_s=0.2", "resources.cpus=1", f"archive={tmp_path / archive}"),
        *(f"source={tmp_path / 'shot' / 'frames'}", f"mask={tmp_path / 'shot' / 'masks'}"),
    ]
    return subprocess.Popen([sys.executable, "-m", "cluster.launch", *words])


def _after_first_checkpoint(tmp_path: Path, archive: str) -> None:
    """Wait until the fit has saved something."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if list((tmp_path / archive).rglob("checkpoint-*.pt")):
            return
        time.sleep(0.02)
    raise AssertionError("no checkpoint within a minute")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """The result of a run that nothing befell."""
    folder = tmp_path_factory.mktemp("unbroken")
    _paint(folder / "shot")
    assert _launch(folder, "archive").wait(timeout=120) == 0
    return _version(folder / "archive", "shot")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_driver_that_is_ended_goes_on_to_the_same_result(
    unbroken: Version, tmp_path: Path, number: signal.Signals
) -> None:
    _paint(tmp_path / "shot")
    driver = _launch(tmp_path, "broken")
    _after_first_checkpoint(tmp_path, "broken")
    driver.send_signal(number)
    ended_as = driver.wait(timeout=15)
    assert ended_as == (-signal.SIGKILL if number == signal.SIGKILL else 128 + number)
    assert _launch(tmp_path, "broken").wait(timeout=120) == 0
    assert _same(unbroken, _version(tmp_path / "broken", "shot"))
