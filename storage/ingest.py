"""A source and its mask into a shot of the archive: streaming, and able to go on after a stop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np

from storage.archive import Archive
from storage.attributes import check_name
from storage.blocks import Block, finish_shot, write_block
from storage.chunks import batch_length
from storage.codecs import best_shuffle
from storage.images import ImageSequence
from storage.in_order import in_order
from storage.masks import Mask
from storage.origin import Origin
from storage.shots import Shot
from storage.sources import Frame, InputError, Source, SourceInfo
from storage.urls import PlaceError, plain_errors

FILE_NAMES = "names.json"
"""Among a shot's plain files: the names of a sequence's files, in order."""


def ingest(
    archive: Archive,
    name: str,
    source: Source,
    mask: Mask | None,
    *,
    first: int | None = None,
    last: int | None = None,
    truth: Source | None = None,
) -> Iterator[int]:
    """Store the source's frames `first` to `last` as a shot; yield the number stored so far.

    Memory holds a few blocks of frames at most. Stopped at any moment and called again, it goes on
    after the last block stored. A shot that is there already, from the same source, mask and range,
    is left as it is.

    Args:
        mask: where the hole is; None where nothing is missing.
        truth: the true pixels, for measuring: a source of the same size and dtype, matched as masks
            are; a grey one is the truth of every channel. They are kept inside the hole; whole
            where masks are given for a few frames.

    Raises:
        InputError: a frame cannot be used or does not fit the others, mask or truth do not fit the
            frames, or the shot exists and was made from something else.
    """
    check_name(name)
    origin = Origin(source, mask, truth, first, last)
    origin.check()
    with plain_errors(archive.url):
        shot = archive.shot(name) if name in archive else None
        if shot is not None and shot.complete:
            origin.check_unchanged(shot)
            yield len(shot)
            return
        if shot is not None and not origin.began(shot):
            archive.remove_shot(name)
            shot = None
        try:
            yield from _store(archive, name, origin, shot)
        except PlaceError:
            raise
        except InputError:
            if name in archive:
                archive.remove_shot(name)  # a source that cannot be used leaves nothing
            raise


def _store(archive: Archive, name: str, origin: Origin, shot: Shot | None) -> Iterator[int]:
    """Store all frames that an earlier call has not, then declare the shot complete."""
    source, start = origin.source, 0 if shot is None else len(shot)
    if shot is None or start == 0:
        frames = source.frames(origin.first, origin.last)
    else:  # from the last frame stored, which is read again: a range is never empty
        frames = islice(source.frames(int(shot.numbers[-1]), origin.last), 1, None)
    if shot is None:
        begun = next(frames, None)
        if begun is None:
            raise InputError(f"{source.info.path}: no frames in the range")
        shot = _create(archive, name, origin, begun)
        frames = chain([begun], frames)
    blocks = _blocks(source.info, frames, origin.holes(start), origin.truths(start), start)
    yield from in_order(partial(write_block, shot), blocks, 1)  # while the next block is read
    _check_end(source.info, shot, origin.last)
    _keep_names(source, shot)
    digest = None if origin.truth is None else origin.truth.sha256()
    finish_shot(shot, sha256=source.sha256(), truth_sha256=digest)


def _keep_names(source: Source, shot: Shot) -> None:
    """Store the names of a sequence's files, so that an export can give them back."""
    if isinstance(source, ImageSequence):
        numbers = Shot(shot.url).numbers
        names = [Path(source.files[int(number)]).name for number in numbers]
        shot.files.write(FILE_NAMES, json.dumps(names).encode())


def _create(archive: Archive, name: str, origin: Origin, begun: Frame) -> Shot:
    info = origin.source.info
    _check_frame(info, begun)
    return archive.create_shot(
        name,
        info,
        origin.source.fingerprint(),
        count=origin.expected_count(),
        shuffle=best_shuffle(begun.pixels),
        truth=origin.truth is not None,
        attrs={"settings": origin.settings(), "given": origin.given()},
    )


def _blocks(
    info: SourceInfo,
    frames: Iterator[Frame],
    holes: Iterator[np.ndarray | None],
    truths: Iterator[np.ndarray | None],
    start: int,
) -> Iterator[Block]:
    """Group frames with their holes, so many at a time as memory allows."""
    nothing = np.zeros((info.height, info.width), bool)
    frame_bytes = info.height * info.width * info.channels * np.dtype(info.dtype).itemsize
    length = batch_length(frame_bytes)
    while batch := list(islice(frames, length)):
        for frame in batch:
            _check_frame(info, frame)
        inside = _as_many(holes, batch, info, "mask")
        true = _as_many(truths, batch, info, "truth")
        yield Block(
            start=start,
            frames=np.stack([frame.pixels for frame in batch]),
            hole=np.stack([nothing if hole is None else hole for hole in inside]),
            numbers=np.array([frame.number for frame in batch], np.int64),
            pts=np.array(
                [start + i if f.pts is None else f.pts for i, f in enumerate(batch)], np.int64
            ),
            truth=None if true[0] is None else np.stack([t for t in true if t is not None]),
        )
        start += len(batch)


def _as_many(
    others: Iterator[np.ndarray | None], batch: list[Frame], info: SourceInfo, what: str
) -> list[np.ndarray | None]:
    """Take one of the others for each frame, all of the frames' size."""
    taken = list(islice(others, len(batch)))
    if len(taken) < len(batch):
        number = batch[len(taken)].number
        raise InputError(f"{info.path}: frame {number} has no {what}; give one for every frame")
    for frame, other in zip(batch, taken, strict=True):
        if other is not None and other.shape[:2] != (info.height, info.width):
            raise InputError(
                f"{info.path}: the {what} of frame {frame.number} is {_size(other.shape)}, "
                f"the frame {info.width}×{info.height}; they must be of one size"
            )
    return taken


def _check_frame(info: SourceInfo, frame: Frame) -> None:
    shape = (info.height, info.width, info.channels)
    if frame.pixels.shape != shape or frame.pixels.dtype != np.dtype(info.dtype):
        raise InputError(
            f"{info.path}: frame {frame.number} is {_size(frame.pixels.shape)} of "
            f"{frame.pixels.shape[-1]} channels, {frame.pixels.dtype}; the first is "
            f"{info.width}×{info.height} of {info.channels}, {info.dtype}; they must be alike"
        )


def _check_end(info: SourceInfo, shot: Shot, last: int | None) -> None:
    end = int(Shot(shot.url).numbers[-1])
    if last is not None and end != last:
        raise InputError(f"{info.path}: ends at frame {end}; there is no frame {last}")


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}×{shape[0]}"
