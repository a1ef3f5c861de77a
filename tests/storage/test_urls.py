import errno
import threading

import pytest

from storage import urls
from storage.sources import InputError
from storage.urls import (
    Files,
    PlaceError,
    exists,
    folders,
    is_empty,
    plain_errors,
    remove_tree,
    resolve,
)


def test_a_local_place_becomes_an_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve("runs/a") == str(tmp_path / "runs" / "a")
    assert resolve(tmp_path / "b") == str(tmp_path / "b")
    assert resolve(f"file://{tmp_path}/c") == str(tmp_path / "c")


def test_a_url_stays_one_without_its_last_slash():
    assert resolve("memory://bucket/a/") == "memory://bucket/a"


def test_an_unknown_protocol_is_refused():
    with pytest.raises(InputError, match="cannot open carrier-pigeon://"):
        resolve("carrier-pigeon://loft")


def test_folders_are_listed_without_what_lies_deeper(place):
    files = Files(place)
    assert folders(place) == []
    assert is_empty(place)
    for name in ("b/x", "a/deep/y", "z"):
        files.write(name, b"1")
    assert folders(place) == ["a", "b"]
    assert not is_empty(place)
    remove_tree(place)
    remove_tree(place)
    assert not exists(place)


def test_a_reader_never_sees_half_a_file(tmp_path):
    files, seen = Files(str(tmp_path)), set()
    contents = [bytes([i]) * 200_000 for i in range(20)]
    files.write("state", contents[0])

    def read() -> None:
        while writing.is_alive():
            seen.add(files.read("state"))

    writing = threading.Thread(target=lambda: [files.write("state", data) for data in contents])
    writing.start()
    read()
    assert seen <= set(contents)
    assert files.names() == ["state"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    files = Files(str(tmp_path))
    files.write("state", b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(urls.os, "fsync", full)
    with pytest.raises(InputError, match="the disk is full"):
        files.write("state", b"new")
    assert files.read("state") == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


@pytest.mark.parametrize("name", ["", "/etc/x", "../x", "a/../../x"])
def test_a_file_cannot_lie_outside_its_place(tmp_path, name):
    with pytest.raises(ValueError, match="no name of a file"):
        Files(str(tmp_path)).write(name, b"")


def test_an_error_that_is_no_users_mistake_passes_through():
    with pytest.raises(ZeroDivisionError), plain_errors("here"):
        _ = 1 / 0
    with pytest.raises(ValueError, match="ours"), plain_errors("here"):
        raise ValueError("ours")


def test_a_busy_file_is_no_object_store(tmp_path):
    with (
        pytest.raises(PlaceError, match="the object store does not answer"),
        plain_errors("s3://b"),
    ):
        raise OSError(errno.EBUSY, "Please reduce your request rate")
    with pytest.raises(OSError, match="Device or resource busy"), plain_errors("s3://b"):
        raise OSError(errno.EBUSY, "Device or resource busy", str(tmp_path))


@pytest.mark.parametrize("links", [True, False])
def test_of_many_that_make_a_file_one_succeeds(tmp_path, monkeypatch, links):
    def no_link(*_: object) -> None:
        raise PermissionError(errno.EPERM, "this file system knows no links")

    if not links:
        monkeypatch.setattr(urls.os, "link", no_link)
    files, made = Files(str(tmp_path)), list[str]()

    def make(who: str) -> None:
        made.extend([who] if files.create("lease", who.encode()) else [])

    threads = [threading.Thread(target=make, args=[str(i)]) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [files.read("lease").decode()] == made
    assert [p.name for p in tmp_path.iterdir()] == ["lease"]


def test_a_file_that_is_there_is_not_made_again_on_any_store(place):
    files = Files(place)
    assert files.create("lease", b"first")
    assert not files.create("lease", b"second")
    assert files.read("lease") == b"first"
