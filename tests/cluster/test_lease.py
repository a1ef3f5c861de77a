"""Two drivers on one archive: who may write, who is told what, and who takes over from the dead."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from job_fakes import QUICK, moving_hole, pixels, write_shot

from cluster.launch import main
from cluster.lease import QUIET_S, Folder, Lease, held, latest, standing
from cluster.stop import Stop
from storage import Archive, Files, InputError
from storage.urls import join

OTHER = Lease("abc", "ana", "render07", 4711, "boot-a", "100", "restore-042", since=0, seen=1000)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive.open(str(tmp_path / "archive"), "a")


def leases(archive: Archive) -> Files:
    return Files(join(archive.files.url, "lease"))


def leave(archive: Archive, lease: Lease, number: int = 1) -> None:
    """Put a lease there as another driver would."""
    leases(archive).write(f"{number:08d}.json", json.dumps(lease.__dict__).encode())


@pytest.mark.parametrize(
    ("lease", "machine", "started", "stands"),
    [
        (None, "boot-a", "", "free"),
        (replace(OTHER, ended=True), "boot-b", "", "free"),
        (OTHER, "boot-a", "100", "held"),
        (OTHER, "boot-a", "", "free"),  # its process is gone
        (OTHER, "boot-a", "999", "free"),  # its number went to another process
        (OTHER, "boot-b", "", "held"),
        (replace(OTHER, machine=""), "", "", "held"),
        (replace(OTHER, seen=1001 - QUIET_S), "boot-b", "", "held"),
        (replace(OTHER, seen=1000 - QUIET_S), "boot-b", "", "silent"),
        (replace(OTHER, seen=1000 - QUIET_S), "boot-a", "100", "silent"),  # suspended
        (replace(OTHER, seen=1000 + QUIET_S), "boot-b", "", "silent"),  # its clock, or ours
    ],
)
def test_a_lease_stands_while_its_driver_lives(lease, machine, started, stands):
    assert standing(lease, 1000, machine, started) == stands


def test_a_second_driver_is_told_who_holds_the_archive_and_what_to_do(archive):
    leave(archive, replace(OTHER, since=time.time(), seen=time.time() - 4))
    with pytest.raises(InputError) as told, held(archive):
        pass
    said = str(told.value)
    assert f"{archive.url}: in use by ana on render07 (process 4711, job restore-042)" in said
    assert "4 s ago; wait for its end or stop it" in said
    assert "\n" not in said


def test_a_folder_has_a_lease_as_an_archive_has(tmp_path):
    folder = Folder(str(tmp_path / "sweep"))
    with held(folder), pytest.raises(InputError, match="sweep: in use by"), held(folder):
        pass
    with held(folder):
        pass


def test_a_lease_is_free_again_at_its_end_also_after_an_error(archive):
    with pytest.raises(KeyboardInterrupt), held(archive):
        raise KeyboardInterrupt
    with held(archive), pytest.raises(InputError, match=f"process {os.getpid()}"), held(archive):
        pass
    assert latest(leases(archive))[1].ended
    assert leases(archive).names() == ["00000002.json"]


def test_of_many_at_once_one_gets_the_lease(archive):
    barrier, done = threading.Barrier(8), threading.Event()

    def attempt(_: int) -> bool:
        barrier.wait()
        try:
            with held(archive):
                return done.wait(20)
        except InputError:
            return False

    leave(archive, replace(OTHER, ended=True))
    with ThreadPoolExecutor(8) as drivers:
        results = [drivers.submit(attempt, i) for i in range(8)]
        while sum(result.done() for result in results) < 7:
            time.sleep(0.01)
        done.set()
    assert sorted(result.result() for result in results) == [False] * 7 + [True]


@pytest.mark.parametrize("seen", [[], ["00000003.json"]])
def test_who_looked_before_a_lease_was_taken_does_not_get_a_lower_one(archive, monkeypatch, seen):
    leave(archive, replace(OTHER, seen=time.time()), number=5)
    looks, names, read = [seen], Files.names, Files.read
    ended = json.dumps(replace(OTHER, ended=True).__dict__).encode()

    def name(files: Files) -> list[str]:
        return looks.pop() if looks else names(files)

    def look(files: Files, one: str) -> bytes | None:
        return ended if one in seen else read(files, one)

    monkeypatch.setattr(Files, "names", name)
    monkeypatch.setattr(Files, "read", look)
    with pytest.raises(InputError, match="in use by ana"), held(archive):
        pass
    assert names(leases(archive)) == ["00000005.json"]


def test_a_dead_driver_of_this_machine_is_succeeded_at_once(archive, capsys):
    hold = "import sys, time; from cluster.lease import held; from storage import Archive\n"
    hold += "with held(Archive.open(sys.argv[1], 'a')): print('held', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", hold, archive.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as driver:
        assert driver.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match=f"process {driver.pid}"), held(archive):
            pass
        driver.kill()
        driver.wait()
    with held(archive):
        pass
    assert f"(process {driver.pid}), which gave no sign of life" in capsys.readouterr().out


def test_a_silent_driver_of_another_machine_is_watched_and_then_succeeded(archive, capsys):
    leave(archive, replace(OTHER, seen=time.time() - 61))
    with held(archive, beat_s=0.1):
        assert leases(archive).names() == ["00000002.json"]
    assert "taken over from ana on render07" in capsys.readouterr().out


def test_a_driver_whose_clock_is_wrong_is_not_taken_for_dead(archive):
    wrong = replace(OTHER, seen=time.time() - 3600)
    leave(archive, wrong)
    beat = threading.Timer(0.2, leave, [archive, replace(wrong, seen=wrong.seen + 10)])
    beat.start()
    with pytest.raises(InputError, match="in use by ana"), held(archive, beat_s=1):
        pass


@pytest.fixture
def stop() -> Iterator[Stop]:
    """Whether this process was asked to stop, as a run asks itself."""
    stop = Stop()
    with stop.caught():
        yield stop


def left_until(stop: Stop, archive: Archive, number: int) -> None:
    """Leave another driver's lease, again where a beat has just covered it."""
    deadline_s = time.monotonic() + 20
    while not stop() and time.monotonic() < deadline_s:
        leave(archive, OTHER, number)
        time.sleep(0.01)


def test_a_driver_that_slept_through_a_takeover_stops_and_leaves_the_lease_alone(
    archive, stop, capsys
):
    with held(archive, beat_s=0.05):
        left_until(stop, archive, number=2)
    assert stop.signal == signal.SIGTERM
    assert latest(leases(archive)) == (2, OTHER)
    assert "taken over by ana on render07 (process 4711" in capsys.readouterr().out


def test_two_that_a_simple_store_let_in_become_one(archive, stop):
    with held(archive, beat_s=0.05):
        left_until(stop, archive, number=1)  # written over ours: the last one has it
    assert stop()
    assert latest(leases(archive)) == (1, OTHER)


def test_a_holder_gives_signs_of_life(archive):
    with held(archive, beat_s=0.02):
        first = latest(leases(archive))[1]
        while latest(leases(archive))[1].seen == first.seen:
            time.sleep(0.01)
        assert latest(leases(archive))[1].since == first.since


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"owner": "somebody"}'])
def test_what_is_no_lease_is_refused_by_name_and_left_alone(archive, content):
    leases(archive).write("00000003.json", content)
    with pytest.raises(InputError, match="is no lease that this version can read; remove it"):
        held(archive).__enter__()
    assert leases(archive).read("00000003.json") == content


def test_other_files_beside_the_leases_do_not_matter(archive):
    leases(archive).write("notes.txt", b"hands off")
    with held(archive):
        assert leases(archive).names() == ["00000001.json", "notes.txt"]


def test_a_launch_into_an_archive_in_use_ends_with_2_before_any_work(tmp_path, capsys):
    write_shot(tmp_path / "one", pixels(3, 32, 32, 3), moving_hole(3, 32, 32))
    archive = Archive.open(str(tmp_path / "runs" / "archive"), "a")
    words = [f"source={tmp_path}/one/frames", f"mask={tmp_path}/one/masks"]
    with held(archive):
        assert main([*QUICK, *words, f"archive={archive.url}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {archive.url}: in use by ")
    assert archive.shots() == []
    assert main([*QUICK, *words, f"archive={archive.url}"]) == 0
