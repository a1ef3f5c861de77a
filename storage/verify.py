"""Whether everything an archive says it holds is there and whole: every chunk is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr

from storage.archive import Archive
from storage.arrays import open_array, stored_frames
from storage.shots import Shot, Version
from storage.sources import InputError
from storage.urls import plain_errors

CHECKSUM = "its bytes changed since they were written"
LOST = "it is missing"


@dataclass(frozen=True)
class Damage:
    """One thing that is wrong.

    Attributes:
        shot: name of the shot.
        where: `frames`, `hole`, … of the shot, or `<version>/filled`, …
        frame: the frame's own number; None where it concerns no single frame.
        reason: what is wrong.
    """

    shot: str
    where: str
    frame: int | None
    reason: str

    def __str__(self) -> str:
        frame = "" if self.frame is None else f", frame {self.frame}"
        return f"{self.shot}: {self.where}{frame}: {self.reason}"


def verify(archive: Archive, name: str | None = None) -> Iterator[Damage]:
    """Read all of an archive, or of one shot, and yield what is damaged.

    An unfinished ingest or version is no damage: its command goes on with it.
    """
    with plain_errors(archive.url):
        for shot_name in archive.shots() if name is None else [name]:
            try:
                shot = archive.shot(shot_name)
                if shot.complete:
                    yield from _of_shot(shot)
            except InputError as error:
                yield Damage(shot_name, "description", None, str(error))


def _of_shot(shot: Shot) -> Iterator[Damage]:
    numbers, reasons = _vector(shot.url, "numbers")
    yield from (Damage(shot.name, "numbers", None, reason) for reason in reasons)
    _, reasons = _vector(shot.url, "pts")
    yield from (Damage(shot.name, "pts", None, reason) for reason in reasons)
    if numbers is None:
        numbers = np.arange(len(shot))
    with_hole = np.zeros(len(shot), bool)
    for name in ("frames", "hole", "truth"):
        if name == "truth" and not shot.attrs.get("has_truth"):
            continue
        wanted = with_hole if name == "truth" else np.ones(len(shot), bool)
        for t, reason in _of_frames(shot.url, name, wanted, with_hole if name == "hole" else None):
            yield Damage(shot.name, name, None if t is None else int(numbers[t]), reason)
    for version in shot.versions():
        yield from _of_version(shot.version(version), numbers, with_hole)


def _of_version(version: Version, numbers: np.ndarray, with_hole: np.ndarray) -> Iterator[Damage]:
    where = f"{version.name}/"
    done, reasons = _vector(version.url, "done")
    yield from (Damage(version.shot.name, where + "done", None, reason) for reason in reasons)
    if done is None:
        return
    for name in ("filled", "confidence"):
        wanted = (done != 0) & with_hole if name == "filled" else np.zeros(len(done), bool)
        for t, reason in _of_frames(version.url, name, wanted):
            frame = None if t is None else int(numbers[t])
            yield Damage(version.shot.name, where + name, frame, reason)


def _of_frames(
    url: str, name: str, wanted: np.ndarray, any_set: np.ndarray | None = None
) -> Iterator[tuple[int | None, str]]:
    """Yield (frame index, reason) of an array that keeps one file a frame.

    Args:
        wanted: `(T,)` bool, the frames that must be stored.
        any_set: `(T,)` bool to fill in: whether anything in the frame is not zero; False where it
            cannot be read.
    """
    array, reason = _opened(url, name)
    if array is None:
        yield None, reason
        return
    stored = stored_frames(url, name)
    for t in range(len(wanted)):
        if t not in stored:
            if wanted[t]:
                yield t, LOST
            continue
        reason = ""
        try:
            values = np.asarray(array[t])
            if any_set is not None:
                any_set[t] = values.any()
        except (ValueError, RuntimeError, OSError) as error:
            reason = _unreadable(error)
        if reason:
            yield t, reason


def _vector(url: str, name: str) -> tuple[np.ndarray | None, list[str]]:
    """Return a `(T,)` array, or None with the reasons why it cannot be read."""
    array, reason = _opened(url, name)
    if array is None:
        return None, [reason]
    try:
        return np.asarray(array[:]), []
    except (ValueError, RuntimeError, OSError) as error:
        return None, [_unreadable(error)]


def _opened(url: str, name: str) -> tuple[zarr.Array | None, str]:
    try:
        return open_array(url, name), ""
    except FileNotFoundError:
        return None, LOST
    except (ValueError, KeyError, TypeError) as error:
        return None, f"its description is damaged ({_line(error)})"


def _unreadable(error: Exception) -> str:
    return f"{CHECKSUM} ({_line(error)})"


def _line(error: Any) -> str:
    return " ".join(str(error).split())
