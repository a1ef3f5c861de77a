"""Disks that fill, object stores that refuse, a second driver: nothing is lost or done twice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from job_fakes import QUICK, moving_hole, pixels, write_shot
from outage_fakes import RESET, Proxy

from cluster.launch import main
from storage import Archive, Files, PlaceError, Version
from storage.urls import be_patient
from storage.verify import verify

SIZE = (32, 32)
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """A current folder with a shot of four frames in `one`."""
    monkeypatch.chdir(tmp_path)
    write_shot(tmp_path / "one", pixels(4, *SIZE, 3), moving_hole(4, *SIZE))
    return tmp_path


def launch(archive: str, *words: str) -> int:
    places = ["source=one/frames", "mask=one/masks", f"archive={archive}", "report=r.html"]
    return main([*QUICK, *places, "tensorboard=t", *words])


def result(archive: str) -> Version:
    return Archive.open(archive).shot("one").version("v001")


def whole_and_as_unbroken(archive: str) -> bool:
    """Whether nothing is damaged, and the result is that of a run that nothing befell."""
    assert launch("unbroken") == 0
    made, unbroken = result(archive), result("unbroken")
    assert list(verify(Archive.open(archive))) == []
    return all(np.array_equal(made.result(t), unbroken.result(t)) for t in range(4))


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 1 MB in memory, that grows by `mount -o remount,size=…`."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user cannot mount a small file system")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_ends_a_run_by_name_and_more_room_lets_it_go_on(small_disk, here, capsys):
    archive = str(small_disk / "archive")
    assert launch(archive) == 1
    printed = capsys.readouterr()
    assert "one: FAILED: " in printed.out
    assert "the disk is full; free some space and run the same command again" in printed.out
    assert "Traceback" not in printed.out + printed.err
    assert list(verify(Archive.open(archive))) == []
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert launch(archive) == 0
    assert whole_and_as_unbroken(archive)


@pytest.fixture(scope="module")
def server() -> Iterator[Proxy]:
    """An S3 server with a bucket, behind a proxy that passes everything on."""
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
    behind = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    behind.start()
    proxy = Proxy(*behind.get_host_and_port())
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(fsspec.config.conf, "s3", {"endpoint_url": proxy.url})  # a client of its own
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")  # s3fs asks again by itself
        patch.setenv("no_proxy", "127.0.0.1")
        s3fs.S3FileSystem().mkdir("survival")
        yield proxy
    proxy.close()
    behind.stop()


@pytest.fixture
def store(server, here, monkeypatch) -> Proxy:
    """The proxy in order again, and s3fs as impatient as it comes."""
    s3fs = pytest.importorskip("s3fs")
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 5)
    monkeypatch.setattr(s3fs.core, "CUSTOM_ERROR_HANDLER", lambda _: False)
    server.failing, server.delay_s, server.failed, server.from_path = 0, 0.0, 0, ""
    return server


@pytest.mark.parametrize("answer", [500, 503, RESET])
def test_a_store_out_of_order_for_a_moment_is_asked_again(store, answer):
    files = Files("s3://survival/moment")
    be_patient(files.url)
    store.answer, store.failing = answer, 6  # one more than s3fs asks by itself
    files.write("state", b"kept")
    assert (store.failing, files.read("state")) == (0, b"kept")


@pytest.mark.parametrize("answer", [403, 500, RESET])
def test_a_store_that_goes_on_refusing_is_named_in_one_line(store, answer, capsys):
    store.answer, store.failing = answer, 10**6
    with pytest.raises(PlaceError, match=r"^s3://survival/refusing/state: "):
        Files("s3://survival/refusing").write("state", b"")
    assert launch("s3://survival/refusing") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: s3://survival/refusing")


@pytest.mark.slow
def test_a_run_in_a_slow_store_that_fails_for_a_while_is_as_one_that_nothing_befell(store):
    store.delay_s, store.answer = 0.002, 503
    store.from_path, store.after = "checkpoint-00000002", 6
    assert launch("s3://survival/slow") == 0
    assert store.failed == 6
    assert whole_and_as_unbroken("s3://survival/slow")


@pytest.mark.slow  # a second Python and many small requests
def test_a_store_that_refuses_for_good_ends_the_run_and_once_mended_it_goes_on(store, capsys):
    archive, store.answer = "s3://survival/revoked", 403
    store.from_path, store.after = "checkpoint-00000002", 10**6
    words = [f"archive={archive}", "source=one/frames", "mask=one/masks", "report=r.html"]
    command = [sys.executable, "-m", "cluster.launch", *QUICK, *words, "tensorboard=t"]
    there = os.environ | {"AWS_ENDPOINT_URL_S3": store.url, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, env=there, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    assert f"one: fitting FAILED: {archive}" in ended.stdout
    assert f"one: FAILED: {archive}" in ended.stdout
    assert ended.stderr.endswith(
        ": no permission to read or write here; choose another place or change its rights\n"
    )
    assert "Traceback" not in ended.stdout + ended.stderr
    store.failing = 0
    assert launch(archive) == 0
    assert "goes on from step 2" in capsys.readouterr().out
    assert whole_and_as_unbroken(archive)
