"""Whether everything an archive says it holds is there and whole: every chunk is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr

from storage.archive import Archive
from storage.arrays import open_array, stored_frames
from storage.boundary import counts
from storage.mask_versions import MaskVersion
from storage.shots import Shot, Version
from storage.sources import InputError
from storage.urls import plain_errors

CHECKSUM = "its bytes changed since they were written"
LOST = "it is missing"
UNLIKE = "it is not that of the hole"

Found = tuple[int | None, str]
"""Index of a frame, None where it is no single one, and what is wrong there."""


@dataclass(frozen=True)
class Damage:
    """One thing that is wrong.

    Attributes:
        shot: name of the shot.
        where: `frames`, `hole`, … of the shot, `masks/<version>/hole`, …, or `<version>/filled`, …
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
    names = _Names(shot.name, np.arange(len(shot)) if numbers is None else numbers)
    every = np.ones(len(shot), bool)
    yield from names.damage("frames", _of_frames(shot.url, "frames", every))
    with_hole = np.zeros(len(shot), bool)
    yield from _of_holes(shot, names, "", every, with_hole)
    if shot.attrs.get("has_truth"):
        wanted = with_hole if shot.given is None else every
        yield from names.damage("truth", _of_frames(shot.url, "truth", wanted))
    with_holes: dict[str | None, np.ndarray] = {None: with_hole}
    versions = [shot.version(name) for name in shot.versions()]
    used = {version.attrs.get("mask") for version in versions}
    for name in shot.masks():
        with_holes[name] = np.zeros(len(shot), bool)
        masks = shot.mask_version(name)
        yield from _of_mask_version(masks, names, name in used, with_holes[name])
    for version in versions:
        yield from _of_version(version, names, with_holes)


def _of_mask_version(
    masks: MaskVersion, names: _Names, used: bool, with_hole: np.ndarray
) -> Iterator[Damage]:
    where = f"masks/{masks.name}/"
    done, reasons = _vector(masks.url, "done")
    yield from names.damage(where + "done", ((None, reason) for reason in reasons))
    wanted = np.ones(len(with_hole), bool) if used or done is None else done != 0
    if done is not None and not done[wanted].all():  # a result was made, so they all were marked
        yield from names.damage(where + "done", [(None, LOST)])
    yield from _of_holes(masks, names, where, wanted, with_hole)


def _of_version(
    version: Version, names: _Names, with_holes: dict[str | None, np.ndarray]
) -> Iterator[Damage]:
    where = f"{version.name}/"
    done, reasons = _vector(version.url, "done")
    yield from names.damage(where + "done", ((None, reason) for reason in reasons))
    mask = version.attrs.get("mask")
    if mask not in with_holes:
        yield Damage(names.shot, f"masks/{mask}", None, LOST)
    if done is None or mask not in with_holes:
        return
    for name in ("filled", "confidence"):
        wanted = (done != 0) & with_holes[mask] & (name == "filled")
        yield from names.damage(where + name, _of_frames(version.url, name, wanted))


def _of_holes(
    group: Shot | MaskVersion, names: _Names, where: str, wanted: np.ndarray, with_hole: np.ndarray
) -> Iterator[Damage]:
    """Read the holes and the index of their boundaries, which must be that of the holes.

    Args:
        wanted: `(T,)` bool, the frames that must be stored.
        with_hole: `(T,)` bool to fill in: whether the frame has a hole; False where it cannot be
            read.
    """
    cell_px = group.attrs.get("cell_px", 0)  # 0 in archives of earlier releases: no index
    boundary, reasons = _vector(group.url, "boundary") if cell_px else (None, [])
    yield from names.damage(where + "boundary", ((None, reason) for reason in reasons))
    unlike: list[int] = []

    def look(t: int, hole: np.ndarray) -> None:
        with_hole[t] = hole.any()
        stale = boundary is not None and (boundary[t] != counts(hole, cell_px)).any()
        if stale and wanted[t]:
            unlike.append(t)

    yield from names.damage(where + "hole", _of_frames(group.url, "hole", wanted, look))
    if unlike:
        yield from names.damage(where + "boundary", [(unlike[0], UNLIKE)])


def _of_frames(
    url: str, name: str, wanted: np.ndarray, look: Callable[[int, np.ndarray], None] | None = None
) -> Iterator[Found]:
    """Yield what is wrong in an array that keeps one file a frame.

    Args:
        wanted: `(T,)` bool, the frames that must be stored.
        look: called with each frame's index and values.
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
        try:
            values = np.asarray(array[t])
        except (ValueError, RuntimeError, OSError) as error:
            yield t, _unreadable(error)
            continue
        if look is not None:
            look(t, values)


@dataclass(frozen=True)
class _Names:
    """What the damage of a shot is told by: the shot's name and its frames' own numbers."""

    shot: str
    numbers: np.ndarray

    def damage(self, where: str, found: Iterable[Found]) -> Iterator[Damage]:
        for t, reason in found:
            yield Damage(self.shot, where, None if t is None else int(self.numbers[t]), reason)


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
