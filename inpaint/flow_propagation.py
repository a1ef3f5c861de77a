"""Filling a clip without learning: colours carried along the optical flow from other frames.

A missing pixel is followed from frame to frame, into the past and into the future, until it comes
to where it is seen. Its colour is read there once, so nothing blurs on the way. Frames are read one
at a time. Shapes: `H W C`.

This is what a learnt result has to beat wherever the camera moves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import cv2
import numpy as np

from inpaint.classical import telea
from inpaint.clip import shrunk, touched
from inpaint.flow import inside, places
from inpaint.hidden_motion import Step, hidden_motion

STEP_ERROR = (2 / 255) ** 2  # of a step whose flow seems perfect: its places are rounded
GROWTH = 0.75  # power in which steps' errors add up: 1 if independent, 1/2 if they all drift alike,
# more if most of them is noise, of which a colour that is read once has no more
SIDE_PX = 540  # shorter side at which the flow is estimated, at most
SHARPENING = 2  # the better of two candidates counts more than their errors ask for


class Pictures(Protocol):
    """Frames, and the hole of each, read when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, t: int) -> tuple[np.ndarray, np.ndarray]:
        """Return `(H, W, C)`, any C, uint8 or float in [0, 1], and its hole, bool `(H, W)`."""


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


Found = Sequence[tuple[Candidate, Candidate]]
"""What the past and the future show of each frame's hole."""

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
    yield from fill_with(pictures, finished(follow(pictures)))


def follow(pictures: Pictures, growth: float = GROWTH) -> Followed:
    """Find what other frames show of each hole; yields the flows done and how many there are.

    Flow runs between neighbouring frames, shrunk to `SIDE_PX`, on pictures whose holes Telea has
    filled; into a hole it is continued from around (see `inpaint.hidden_motion`). Each step adds
    the squared difference that the flow leaves between known pixels there, so a candidate comes
    with an expected error.

    Frames are read three times each, and two are held at once; of all frames a bit a pixel, and
    some 60 bytes for every missing one.

    Args:
        growth: power in which the errors of steps add up.
    """
    count, holes, trails = len(pictures), _Holes(len(pictures)), list[_Trail]()
    for order in (range(count)[::-1], range(count)):
        for trail in _walk(pictures, holes, order, growth):
            trails.append(trail)
            yield len(trails), 2 * count
    colours = [np.zeros((len(trail.frame), 1), np.float32) for trail in trails]
    for _ in _read(pictures, trails, colours):
        yield len(trails), 2 * count
    found = [Candidate(c, trail.error) for c, trail in zip(colours, trails, strict=True)]
    return list(zip(found[count:], found[:count][::-1], strict=True))


def fill_with(pictures: Pictures, found: Found, start: int = 0) -> Iterator[Filled]:
    """Fill frames with what was found of them and with Telea, each by its expected error.

    Telea's is the mean squared difference of known pixels as far apart as the pixel is from the
    rim. What no frame shows is Telea's alone.

    Args:
        start: the first frame wanted.
    """
    for t in range(start, len(pictures)):
        yield _blended(*pictures[t], *found[t])


@dataclass(frozen=True)
class _Trail:
    """Where pixels of a frame are seen: all, `(H, W)`, or the `n` that are missing, `(n,)`.

    Attributes:
        frame: int32, the index of the frame that shows it.
        place: `(…, 2)` float32, x and y there, in pixels.
        error: float32, expected squared error; infinite where it is not seen.
    """

    frame: np.ndarray
    place: np.ndarray
    error: np.ndarray

    def __getitem__(self, where: np.ndarray | tuple[np.ndarray, np.ndarray]) -> _Trail:
        return _Trail(self.frame[where], self.place[where], self.error[where])


class _Holes:
    """The holes of all frames that were gone through, a bit a pixel."""

    def __init__(self, count: int) -> None:
        self._count, self._bits = count, np.empty(0, np.uint8)

    def keep(self, t: int, hole: np.ndarray) -> None:
        bits = np.packbits(hole, axis=1)
        if not self._bits.size:
            self._bits = np.zeros((self._count, *bits.shape), np.uint8)
        self._bits[t] = bits

    def at(self, frame: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Bool `(n,)`: whether pixels of frames are missing."""
        return (self._bits[frame, y, x >> 3] >> (7 - (x & 7))) & 1 > 0


def _walk(pictures: Pictures, holes: _Holes, order: range, growth: float) -> Iterator[_Trail]:
    """Go through the frames in an order and yield where those gone through show what is missing."""
    last: tuple[_Trail, np.ndarray, np.ndarray] | None = None
    for t in order:
        frame, hole = pictures[t]
        (grey, missing), fresh = _shrunk(frame, hole), _own(t, hole)
        holes.keep(t, hole)
        if last is not None and hole.any():
            trail, behind, missing_behind = last
            step = hidden_motion(grey, behind, missing, missing_behind)
            _follow(fresh, trail, hole, _enlarged(step, hole.shape), holes, growth)
        last = fresh, grey, missing
        yield fresh[hole]


def _shrunk(frame: np.ndarray, hole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A frame as the flow sees it, and its hole: grey without a hole, and not too large."""
    if frame.shape[:2] != hole.shape:
        raise ValueError(f"a hole of shape {frame.shape[:2]}, not {hole.shape}")
    factor = max(1, min(hole.shape) / SIDE_PX)
    size = round(hole.shape[0] / factor), round(hole.shape[1] / factor)
    grey, missing = shrunk(_grey(frame, hole), size), touched(hole, size)
    return telea(grey, missing), missing


def _enlarged(step: Step, size: tuple[int, ...]) -> Step:
    """The motion of a frame that was shrunk."""
    small = step.error.shape
    if small == size:
        return step
    flow, error = (cv2.resize(each, size[::-1]) for each in (step.flow, step.error))
    return Step(flow * np.array([size[1] / small[1], size[0] / small[0]], np.float32), error)


def _grey(frame: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The mean over channels as `(H, W, 1)` float32 in [0, 1], 0 in the hole."""
    white = 255 if frame.dtype == np.uint8 else 1
    mean = frame.mean(axis=2, keepdims=True, dtype=np.float32) / white
    return np.where(hole[..., None], 0, mean)


def _own(t: int, hole: np.ndarray) -> _Trail:
    """The trail of a frame that nothing is known of but itself."""
    place = places(np.zeros((*hole.shape, 2), np.float32))
    error = np.where(hole, np.inf, 0).astype(np.float32)
    return _Trail(np.full(hole.shape, t, np.int32), place, error)


def _follow(
    fresh: _Trail, trail: _Trail, hole: np.ndarray, step: Step, holes: _Holes, growth: float
) -> None:
    """Write into `fresh` where its missing pixels are seen, one step on and then along `trail`.

    A trail is looked up at the nearest pixel and moved by the rest of the step, unless that would
    lead it into a hole.
    """
    missing = np.argwhere(hole & inside(step.flow))
    target = missing[:, ::-1] + step.flow[tuple(missing.T)]
    nearest = np.rint(target).astype(int)
    seen = np.isfinite(trail.error[nearest[:, 1], nearest[:, 0]])
    missing, target, nearest = missing[seen], target[seen], nearest[seen]
    here, behind = tuple(missing.T), trail[nearest[:, 1], nearest[:, 0]]
    moved = behind.place + (target - nearest)
    known = [
        np.where(holes.at(behind.frame, y, x), 0, weight)
        for y, x, weight in _corners(moved, hole.shape)
    ]
    fresh.frame[here] = behind.frame
    fresh.place[here] = np.where((np.sum(known, axis=0) > 0.5)[:, None], moved, behind.place)
    more = step.error[here].clip(0) + STEP_ERROR
    fresh.error[here] = (behind.error**growth + more**growth) ** (1 / growth)


def _read(
    pictures: Pictures, trails: Sequence[_Trail], colours: list[np.ndarray]
) -> Iterator[None]:
    """Look colours `(n, C)` up where trails lead, bilinear, going through the frames once.

    Those of pixels that are not seen stay 0.
    """
    leading = defaultdict[int, list[int]](list)
    for index, trail in enumerate(trails):
        for s in np.unique(trail.frame[np.isfinite(trail.error)]).tolist():
            leading[s].append(index)
    for s in sorted(leading):
        frame, hole = pictures[s]
        for index in leading[s]:
            trail = trails[index]
            if colours[index].shape[1] != frame.shape[2]:
                colours[index] = np.zeros((len(trail.frame), frame.shape[2]), np.float32)
            here = (trail.frame == s) & np.isfinite(trail.error)
            colours[index][here] = _bilinear(frame, hole, trail.place[here])
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
    filled, error = telea(frame, hole), np.zeros(hole.shape, np.float32)
    alone = _telea_error(frame, hole)
    candidates = [before, after, Candidate(filled[hole].astype(np.float32), alone)]
    weights = [np.maximum(c.error, STEP_ERROR) ** -SHARPENING for c in candidates]
    total = np.maximum(sum(weights), np.finfo(np.float32).tiny)
    mixed = sum(c.colours * (w / total)[:, None] for c, w in zip(candidates, weights, strict=True))
    rest = hole.copy()
    rest[hole] = np.isinf(before.error) & np.isinf(after.error)
    reached = hole & ~rest
    filled[reached] = _as(frame.dtype, mixed[reached[hole]])
    if reached.any():
        filled = telea(filled, rest)
    error[hole] = np.minimum.reduce([*(c.error for c in candidates), np.ones_like(alone)])
    return Filled(filled, hole, error)


def _as(dtype: np.dtype, colours: np.ndarray) -> np.ndarray:
    return (colours.round().clip(0, 255) if dtype == np.uint8 else colours).astype(dtype)


def _telea_error(frame: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """`(n,)` float32: what a missing pixel's distance from the rim lets expect.

    Known pixels at a distance from each other, in rows and columns, differ by so much (Matheron,
    Principles of Geostatistics, 1963: twice the variogram). Infinite where there are no two.
    """
    grey = _grey(frame, hole)[..., 0]
    lags = [lag for lag in (1, 2, 4, 8, 16, 32, 64) if lag < max(hole.shape)]
    differences = [d for lag in lags if (d := _difference(grey, hole, lag)) is not None]
    if not differences:
        return np.full(int(hole.sum()), np.inf, np.float32)
    distance = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.interp(distance[hole], lags[: len(differences)], differences).astype(np.float32)


def _difference(grey: np.ndarray, hole: np.ndarray, lag: int) -> float | None:
    """Mean squared difference of known pixels `lag` apart; None where there are no two."""
    squares = [
        np.square(a[lag:] - a[:-lag])[~(h[lag:] | h[:-lag])]
        for a, h in ((grey, hole), (grey.T, hole.T))
        if lag < len(a)
    ]
    values = np.concatenate(squares)
    return float(values.mean()) if values.size else None
