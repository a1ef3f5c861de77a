"""Filling a clip without learning: colours carried along the optical flow from other frames.

A missing pixel is tracked from frame to frame, into the past and into the future, until it comes to
where it is seen (see `inpaint.tracks`). Its colour is read there once, so nothing blurs on the way.
Frames are read one at a time. Shapes: `H W C`.

This is what a learnt result has to beat wherever the camera moves.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from inpaint.classical import membrane
from inpaint.clip import depth
from inpaint.tracks import STEP_ERROR, Pictures, Tracks, grey_of, tracks

GROWTH = 0.75  # power in which steps' errors add up: 1 if independent, 1/2 if they all drift alike,
# more if most of them is noise, of which a colour that is read once has no more
SHARPENING = 2  # the better of two candidates counts more than their errors ask for
ENOUGH_PX = 540  # so many rows and columns, at least, tell how much pixels differ
LEAST_FRAMES = 32  # before and after a stretch that may show it
MISSING_BYTES = 60  # held for a missing pixel of three channels while it is followed
HELD_BYTES = 1 << 32  # while a stretch is followed, about


@dataclass(frozen=True)
class Filled:
    """A frame without its hole, and how far it is to be trusted.

    Attributes:
        pixels: `(H, W, C)`, the dtype of the frame; known pixels as they were.
        hole: bool `(H, W)`.
        error: `(H, W)` float32 in [0, 1], the expected squared error where 1 is white; 0 where
            known. It ranks pixels and is mostly too small.
    """

    pixels: np.ndarray
    hole: np.ndarray
    error: np.ndarray


@dataclass(frozen=True)
class Candidate:
    """What one direction has found for a frame's `n` missing pixels, row by row.

    Attributes:
        colours: `(n, C)` float32 in the frame's values.
        error: `(n,)` float32, infinite where nothing was found.
    """

    colours: np.ndarray
    error: np.ndarray


@dataclass(frozen=True)
class Stretch:
    """A part of a clip that is followed at once.

    Attributes:
        core: the frames whose holes are filled.
        frames: those that may show them, the core among them.
    """

    core: range
    frames: range

    @classmethod
    def whole(cls, count: int) -> Stretch:
        return cls(range(count), range(count))

    @property
    def flows(self) -> int:
        """How many frames are gone through, forth and back."""
        return self.frames.stop - self.core.start + self.core.stop - self.frames.start


def stretches(missing_px: Sequence[int], frame_px: int) -> list[Stretch]:
    """Cut a clip so that about `HELD_BYTES` are held, however long it is.

    As many frames as a stretch fills may show them from before, and as many from after, so that a
    clip that is cut takes twice as many flows at most; but `LEAST_FRAMES` where those are more, and
    on to one that shows something.

    Args:
        missing_px: of each frame.
        frame_px: pixels of a frame, of whose holes a bit each is held.
    """
    count = len(missing_px)
    if count == 0:
        return []
    held = np.cumsum([MISSING_BYTES * each + 3 * frame_px / 8 for each in missing_px])
    parts = min(count, math.ceil(held[-1] / HELD_BYTES))
    ends = np.searchsorted(held, held[-1] * np.arange(1, parts) / parts).tolist()
    bounds = sorted({0, count, *(end + 1 for end in ends)})
    shown = [each < frame_px for each in missing_px]
    found = []
    for start, end in itertools.pairwise(bounds):
        beside = max(end - start, LEAST_FRAMES)
        first, stop = max(0, start - beside), min(end + beside, count)
        first -= next((n for n, some in enumerate(shown[first::-1]) if some), first)
        stop += next((n for n, some in enumerate(shown[stop - 1 :]) if some), count - stop)
        found.append(Stretch(range(start, end), range(first, stop)))
    return found


Found = Sequence[tuple[Candidate, Candidate]]
"""What the past and the future show of the holes of a stretch's core, frame by frame."""

Followed = Generator[tuple[int, int], None, Found]

T = TypeVar("T")


def finished(work: Generator[object, None, T]) -> T:
    """Run a generator to its end, and return what it returns."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def propagate(pictures: Pictures) -> Iterator[Filled]:
    """Fill each frame's hole with what the frames before and after show there.

    The same pictures give the same result. What lies in a hole has no influence.

    Source: the propagation of Xu et al., Deep Flow-Guided Video Inpainting, 2019, section 3.3,
    with a classical flow, one reading of the colour, and blending by expected error.
    """
    whole = Stretch.whole(len(pictures))
    yield from fill_with(pictures, whole, finished(follow(pictures, whole)))


def follow(pictures: Pictures, stretch: Stretch, growth: float = GROWTH) -> Followed:
    """Find what other frames show of each hole; yields the flows done and how many there are.

    The core's frames are read three times each (see `inpaint.tracks`), those beside it twice; some
    60 bytes are held for every missing pixel of the core.

    Args:
        growth: power in which the errors of steps add up.
    """
    shown, first = _Cut(pictures, stretch.frames), stretch.frames.start
    core, tracked = range(stretch.core.start - first, stretch.core.stop - first), list[Tracks]()
    for done, (t, each) in enumerate(tracks(shown, growth, core), 1):
        if t in core:
            tracked.append(each)
        yield done, stretch.flows
    colours = [np.zeros((len(each.frame), 1), np.float32) for each in tracked]
    for _ in _read(shown, tracked, colours):
        yield stretch.flows, stretch.flows
    found = [Candidate(c, each.error) for c, each in zip(colours, tracked, strict=True)]
    after, before = found[: len(core)], found[len(core) :]
    return list(zip(before, after[::-1], strict=True))


def fill_with(
    pictures: Pictures, stretch: Stretch, found: Found, start: int = 0
) -> Iterator[Filled]:
    """Fill a stretch's core with what was found and a membrane, each by its expected error.

    The membrane's is the mean squared difference of known pixels as far apart as the pixel is from
    the rim. What no frame shows is the membrane's alone.

    Args:
        start: the first frame wanted.
    """
    for t, candidates in zip(stretch.core, found, strict=True):
        if t >= start:
            yield _blended(*pictures[t], *candidates)


@dataclass(frozen=True)
class _Cut:
    """Some of the pictures."""

    pictures: Pictures
    frames: range

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, t: int) -> tuple[np.ndarray, np.ndarray]:
        return self.pictures[self.frames[t]]


def _read(
    pictures: Pictures, tracked: Sequence[Tracks], colours: list[np.ndarray]
) -> Iterator[None]:
    """Look colours `(n, C)` up where tracks lead, bilinear, going through the frames once.

    Those of pixels that are not seen stay 0.
    """
    leading = defaultdict[int, list[int]](list)
    for index, each in enumerate(tracked):
        for s in np.unique(each.frame[np.isfinite(each.error)]).tolist():
            leading[s].append(index)
    for s in sorted(leading):
        frame, hole = pictures[s]
        for index in leading[s]:
            each = tracked[index]
            if colours[index].shape[1] != frame.shape[2]:
                colours[index] = np.zeros((len(each.frame), frame.shape[2]), np.float32)
            here = (each.frame == s) & np.isfinite(each.error)
            colours[index][here] = _bilinear(frame, hole, each.place[here])
        yield


def _bilinear(frame: np.ndarray, hole: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Colours `(n, C)` float32 at places between known pixels."""
    colours = np.zeros((len(place), frame.shape[2]), np.float32)
    total = np.zeros((len(place), 1), np.float32)
    for y, x, weight in _corners(place, hole.shape):
        known = ~hole[y, x, None]
        colours += np.where(known, frame[y, x], 0) * weight[:, None]
        total += known * weight[:, None]
    return colours / np.where(total > 0, total, 1)


def _corners(
    place: np.ndarray, size: tuple[int, ...]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield row, column and bilinear weight `(n,)` float32 of the four pixels around."""
    height, width = size
    corner = np.floor(place).astype(int)
    part = place - corner
    for down in (0, 1):
        for right in (0, 1):
            y = (corner[:, 1] + down).clip(0, height - 1)
            x = (corner[:, 0] + right).clip(0, width - 1)
            weight = np.abs(1 - right - part[:, 0]) * np.abs(1 - down - part[:, 1])
            yield y, x, weight.astype(np.float32)


def _blended(frame: np.ndarray, hole: np.ndarray, before: Candidate, after: Candidate) -> Filled:
    """Put a frame's candidates together, each by its expected error."""
    filled, error = membrane(frame, hole), np.zeros(hole.shape, np.float32)
    alone = _membrane_error(frame, hole)
    candidates = [before, after, Candidate(filled[hole].astype(np.float32), alone)]
    weights = [np.maximum(c.error, STEP_ERROR) ** -SHARPENING for c in candidates]
    total = np.maximum(sum(weights), np.finfo(np.float32).tiny)
    mixed = sum(c.colours * (w / total)[:, None] for c, w in zip(candidates, weights, strict=True))
    rest = hole.copy()
    rest[hole] = np.isinf(before.error) & np.isinf(after.error)
    reached = hole & ~rest
    filled[reached] = _as(frame.dtype, mixed[reached[hole]])
    if reached.any():
        filled = membrane(filled, rest)
    error[hole] = np.minimum.reduce([*(c.error for c in candidates), np.ones_like(alone)])
    return Filled(filled, hole, error)


def _as(dtype: np.dtype, colours: np.ndarray) -> np.ndarray:
    return (colours.round().clip(0, 255) if dtype == np.uint8 else colours).astype(dtype)


def _membrane_error(frame: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """`(n,)` float32: what a missing pixel's distance from the rim lets expect.

    Known pixels at a distance from each other, in rows and columns, differ by so much (Matheron,
    Principles of Geostatistics, 1963: twice the variogram). Infinite where there are no two.
    """
    grey = grey_of(frame, hole)[..., 0]
    lags = [lag for lag in (1, 2, 4, 8, 16, 32, 64) if lag < max(hole.shape)]
    found = {lag: d for lag in lags if (d := _difference(grey, hole, lag)) is not None}
    if not found:
        return np.full(int(hole.sum()), np.inf, np.float32)
    return np.interp(depth(hole)[hole], list(found), list(found.values())).astype(np.float32)


def _difference(grey: np.ndarray, hole: np.ndarray, lag: int) -> float | None:
    """Mean squared difference of known pixels `lag` apart; None where there are no two.

    Of large frames some rows and columns are looked at, all where those say nothing.
    """
    some = max(1, min(hole.shape) // ENOUGH_PX)
    for every in sorted({some, 1}, reverse=True):
        lines = slice(None), slice(None, None, every)
        squares = [
            np.square(a[lag:] - a[:-lag])[~(h[lag:] | h[:-lag])]
            for a, h in ((grey[lines], hole[lines]), (grey.T[lines], hole.T[lines]))
            if lag < len(a)
        ]
        if (values := np.concatenate(squares)).size:
            return float(values.mean(dtype=np.float64))
    return None
