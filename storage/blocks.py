"""Writing a shot, block by block, so that an interrupted write can go on where it stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from storage.arrays import create_array, cut, grown, write_every_chunk, write_inside
from storage.boundary import create_hole_arrays, write_holes
from storage.chunks import frame_layout, vector_layout
from storage.codecs import Shuffle
from storage.shots import Shot
from storage.sources import SourceInfo
from storage.urls import plain_errors, remove_tree


@dataclass(frozen=True)
class Block:
    """Consecutive frames on their way into a shot; the first axis of each array is T.

    Attributes:
        start: index in the shot of the first.
        frames: `(T, H, W, C)`;  hole: `(T, H, W)` bool;  numbers, pts: `(T,)` int64.
        truth: like frames, or None.
    """

    start: int
    frames: np.ndarray
    hole: np.ndarray
    numbers: np.ndarray
    pts: np.ndarray
    truth: np.ndarray | None = None


def create_shot_arrays(
    url: str, info: SourceInfo, count: int, shuffle: Shuffle, *, truth: bool
) -> None:
    """Make the arrays of a shot of about `count` frames, removing what a broken attempt left."""
    remove_tree(url)
    picture = (info.height, info.width, info.channels)
    for name in ("frames", "truth") if truth else ("frames",):
        create_array(url, name, (count, *picture), info.dtype, frame_layout(*picture), shuffle)
    create_hole_arrays(url, count, *picture[:2])
    for name in ("numbers", "pts"):
        create_array(url, name, (count,), "int64", vector_layout(), "shuffle")


def write_block(shot: Shot, block: Block) -> int:
    """Store the block, then say so in the shot's attributes; return how many frames there are."""
    start, stop = block.start, block.start + len(block.numbers)
    with plain_errors(shot.url):
        parts = {"frames": block.frames, "numbers": block.numbers, "pts": block.pts}
        for name, values in parts.items():
            write_every_chunk(grown(shot.url, name, stop), slice(start, stop), values)
        hole, boundary = (grown(shot.url, name, stop) for name in ("hole", "boundary"))
        write_holes(hole, boundary, start, block.hole)
        if block.truth is not None:
            _write_truth(shot, start, block.truth, block.hole)
        shot.update(stored=stop, missing_px=_missing_px(shot, start, block.hole))
    return stop


def finish_shot(shot: Shot, **attributes: Any) -> None:
    """Cut the arrays to what is stored and declare the shot complete."""
    with plain_errors(shot.url):
        names = ["frames", "hole", "boundary", "numbers", "pts"]
        for name in names + ["truth"] * (shot.truth is not None):
            cut(shot.url, name, len(shot))
        shot.update(complete=True, **attributes)


def _missing_px(shot: Shot, start: int, holes: np.ndarray) -> int | None:
    """Count what is missing up to this block's end; None where an earlier release began."""
    before = shot.attrs.get("missing_px") if start else 0
    return None if before is None else before + int(np.count_nonzero(holes))


def _write_truth(shot: Shot, start: int, truth: np.ndarray, holes: np.ndarray) -> None:
    """Store true pixels inside the hole; whole frames where the hole is yet to be made."""
    array = grown(shot.url, "truth", start + len(truth))
    if shot.given is not None:
        holes = np.ones_like(holes)
    for t, pixels in enumerate(truth):
        write_inside(array, start + t, pixels, holes[t])
