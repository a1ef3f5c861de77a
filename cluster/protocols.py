"""What is evaluated: the sequences of a folder, each under the holes of the field's protocols.

`fixed`: a rectangle of a quarter of the width and height, in the middle of every frame. `shuffle`:
the object masks of another sequence. Under both the clip itself is the truth. `own`: the clip's own
object masks, behind which there is none.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Several
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from cluster.backlog import ShotSpec
from cluster.failures import classify
from inpaint.clip import shrunk, touched
from inpaint.holes import centre_rectangle
from storage import InputError
from storage.masks import Mask, open_mask
from storage.media import open_source
from storage.sources import Source
from storage.stills import write_image

Protocol = Literal["fixed", "shuffle", "own"]

BOX_480 = 12
"""Side in pixels, at 480 rows, of the box by which object masks grow, as in the code of IIVI."""

ORIGIN = "origin.txt"
"""Beside the images of a folder that was made: what it was made of."""


@dataclass(frozen=True)
class Sequence:
    """A sequence of a data set: its folders of frames and of object masks."""

    name: str
    frames: str
    masks: str


@dataclass(frozen=True)
class Trial:
    """A sequence under one protocol.

    Attributes:
        shot: in the archive `<sequence>.<protocol>`, for `shuffle` with the masks' sequence after.
        refused: why it cannot be evaluated, else empty.
    """

    sequence: str
    protocol: Protocol
    shot: ShotSpec
    refused: str = ""


@dataclass(frozen=True)
class Trials:
    """All that is to be evaluated.

    Attributes:
        all: those refused, too.
        assignment: for `shuffle`, whose masks lie over each sequence's frames.
    """

    all: list[Trial]
    assignment: dict[str, str]

    @property
    def good(self) -> list[Trial]:
        return [trial for trial in self.all if not trial.refused]


def find_sequences(data: str, wanted: Several[str] | None = None) -> list[Sequence]:
    """Return the sequences of a folder, sorted by name.

    Args:
        data: a folder with `JPEGImages` and `Annotations` (and `480p` in them, where it is), as
            DAVIS has; one whose folders hold `frames` and `masks`; or how the paths of such folders
            begin, up to the sequence's name.
        wanted: names; None for all.

    Raises:
        InputError: there is none, or one that is wanted is not there.
    """
    found = {sequence.name: sequence for sequence in _sequences(Path(data), data)}
    if not found:
        raise InputError(
            f"{data}: no sequences; JPEGImages/480p/<name> with Annotations/480p/<name>, or "
            "<name>/frames with <name>/masks, are looked for"
        )
    for name in wanted or ():
        if name not in found:
            raise InputError(f"{data}: no sequence {name!r}; there are: {', '.join(sorted(found))}")
    return [found[name] for name in sorted(wanted or found)]


def lay_out(
    sequences: Several[Sequence],
    protocols: Several[Protocol],
    folder: Path,
    size: tuple[int, int],
    frames: int | None,
    seed: int,
) -> Trials:
    """Write the sequences as PNG at the size, with their masks, and name the shots made of them.

    Frames are averaged over areas. A pixel of a mask is set where any of its area was; object masks
    then grow by a box of `BOX_480` at 480 rows. What is there already is kept.

    Args:
        folder: of all clips of this size and number of frames.
        size: height and width.
        frames: how many of the first; None for all.
        seed: of the assignment.

    Raises:
        InputError: masks of one single sequence are to be shuffled.
    """
    shuffled = "shuffle" in protocols
    assignment = derangement([s.name for s in sequences], seed) if shuffled else {}
    counts, broken = {}, {}
    for sequence in sequences:
        try:
            counts[sequence.name] = _write_clip(sequence, folder / sequence.name, size, frames)
        except (InputError, OSError) as error:
            broken[sequence.name] = classify(error).reason
    trials = []
    for protocol in protocols:
        for name in [sequence.name for sequence in sequences]:
            donor = assignment[name] if protocol == "shuffle" else name
            trial = _trial(name, protocol, donor, folder)
            if name in broken or donor in broken:
                why = broken.get(name) or f"masks of {donor}: {broken[donor]}"
                trial = replace(trial, refused=why)
            else:
                _write_masks(trial, donor, folder, size, counts)
            trials.append(trial)
    return Trials(trials, assignment)


def derangement(names: Several[str], seed: int) -> dict[str, str]:
    """Give each name another one, every one once: all such assignments are equally likely.

    Raises:
        InputError: there is one name only.
    """
    if len(names) < 2:
        raise InputError("protocol shuffle: one sequence has no other whose masks to take")
    random = np.random.default_rng(seed)
    while True:
        others = random.permutation(len(names))
        if (others != np.arange(len(names))).all():
            return {name: names[other] for name, other in zip(names, others, strict=True)}


def back_and_forth(length: int, count: int) -> list[int]:
    """Return `count` indices below `length`: forwards, backwards, forwards …"""
    period = [*range(length), *reversed(range(length))]
    return [period[t % len(period)] for t in range(count)]


def grown(hole: np.ndarray) -> np.ndarray:
    """Grow an object's mask `(H, W)` bool by the box of IIVI's code, scaled with the height."""
    side = max(1, round(BOX_480 * hole.shape[0] / 480))
    return cv2.dilate(hole.astype(np.uint8), np.ones((side, side), np.uint8)) > 0


def _sequences(root: Path, prefix: str) -> Iterator[Sequence]:
    images = root / "JPEGImages"
    if images.is_dir():
        inner = Path("480p" if (images / "480p").is_dir() else "")
        for place in (images / inner).iterdir():
            masks = root / "Annotations" / inner / place.name
            if place.is_dir() and masks.is_dir():
                yield Sequence(place.name, str(place), str(masks))
        return
    parent, begins = (root, "") if root.is_dir() else (root.parent, Path(prefix).name)
    for place in parent.glob("*/frames"):
        name, masks = place.parent.name, place.parent / "masks"
        if name.startswith(begins) and name != begins and masks.is_dir():
            yield Sequence(name.removeprefix(begins), str(place), str(masks))


def _trial(sequence: str, protocol: Protocol, donor: str, folder: Path) -> Trial:
    frames = str(folder / sequence / "frames")
    masks = {
        "fixed": folder / "fixed.png",
        "shuffle": folder / f"{sequence}.shuffle-{donor}",
        "own": folder / sequence / "masks",
    }
    name = f"{sequence}.{protocol}" + (f"-{donor}" if protocol == "shuffle" else "")
    truth = None if protocol == "own" else frames
    return Trial(sequence, protocol, ShotSpec(name, frames, str(masks[protocol]), truth=truth))


def _write_clip(sequence: Sequence, place: Path, size: tuple[int, int], frames: int | None) -> int:
    """Write the frames and the grown masks of a sequence; return how many."""
    source = open_source(sequence.frames)
    mask = open_mask(sequence.masks, source)
    mask.check()
    height, width = source.info.height, source.info.width
    if height < size[0] or width < size[1]:
        raise InputError(
            f"{sequence.frames}: frames of {width}×{height} cannot be scaled down to "
            f"{size[1]}×{size[0]}; choose a smaller size"
        )
    origin = f"{source.fingerprint()} {mask.fingerprint()} {size} {frames}"
    _once(place, origin, lambda part: _shrink(source, mask, part, size, frames))
    return sum(1 for _ in (place / "frames").iterdir())


def _shrink(
    source: Source, mask: Mask, part: Path, size: tuple[int, int], frames: int | None
) -> None:
    pictures = enumerate(zip(source.frames(), mask.frames(), strict=True))
    for t, (frame, (_, hole)) in islice(pictures, frames):
        write_image(_numbered(part / "frames", t), shrunk(frame.pixels, size))
        _write_mask(_numbered(part / "masks", t), grown(touched(hole, size)))


def _write_masks(
    trial: Trial, donor: str, folder: Path, size: tuple[int, int], counts: dict[str, int]
) -> None:
    """Write the masks of a protocol that are not the sequence's own."""
    place = Path(trial.shot.mask)
    if trial.protocol == "fixed" and not place.exists():
        part = place.with_name(f".{place.name}")
        _write_mask(part, centre_rectangle(*size).numpy())
        part.rename(place)
    if trial.protocol == "shuffle":
        masks = folder / donor / "masks"
        order = back_and_forth(counts[donor], counts[trial.sequence])
        origin = f"{(folder / donor / ORIGIN).read_text()} {len(order)}"
        _once(place, origin, lambda part: _copy(masks, order, part))


def _copy(masks: Path, order: list[int], part: Path) -> None:
    for t, index in enumerate(order):
        shutil.copyfile(_numbered(masks, index), _numbered(part, t))


def _once(place: Path, origin: str, make: Callable[[Path], None]) -> None:
    """Make a folder, whole or not at all, unless it is there and made of the same."""
    known = place / ORIGIN
    if known.is_file() and known.read_text() == origin:
        return
    part = place.with_name(f".{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    make(part)
    (part / ORIGIN).write_text(origin)
    shutil.rmtree(place, ignore_errors=True)
    part.rename(place)


def _write_mask(file: Path, hole: np.ndarray) -> None:
    write_image(file, hole[..., None].astype(np.uint8) * 255)


def _numbered(folder: Path, t: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{t:05d}.png"
