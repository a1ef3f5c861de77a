"""Filling a clip without learning: colours carried along the optical flow from other frames.

A missing pixel is followed from frame to frame, into the past and into the future, until it comes
to where it is seen. Its colour is read there once, so nothing blurs on the way. Frames are read one
at a time. Shapes: `H W C`.

This is what a learnt result has to beat wherever the camera moves.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import cv2
import numpy as np

from inpaint.classical import telea
from inpaint.clip import shrunk, touched
from inpaint.hidden_motion import Step, hidden_motion

STEP_ERROR = (2 / 255) ** 2  # of a step whose flow seems perfect: its places are rounded
GROWTH = 0.75  # power in which steps' errors add up: 1 if independent, 1/2 if they all drift alike,
# more if most of them is noise, of which a colour that is read once has no more
LEAST_PX = 180  # shorter side at which the flow is estimated; of smaller frames up to twice theirs
MOST_PX = 540
REACH = 8  # steps that a pixel is followed by before it takes over the trail of another
ROW = 1024
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

    Flow runs between neighbouring frames, brought to a size that suits it, on pictures whose holes
    Telea has filled; into a hole it is continued from around (see `inpaint.hidden_motion`). Each
    step adds the squared difference that the flow leaves between known pixels there, so a candidate
    comes with an expected error.

    Frames are read three times each, and two are held at once; of the last ones gone through their
    motion, of all a bit a pixel and some 60 bytes for every missing one.

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
    """Where the `n` missing pixels of a frame are seen, row by row.

    Attributes:
        frame: `(n,)` int32, the index of the frame that shows it.
        place: `(n, 2)` float32, x and y there, in pixels.
        error: `(n,)` float32, expected squared error; infinite where it is not seen.
    """

    frame: np.ndarray
    place: np.ndarray
    error: np.ndarray

    def __getitem__(self, where: np.ndarray) -> _Trail:
        return _Trail(self.frame[where], self.place[where], self.error[where])

    def __setitem__(self, where: np.ndarray, other: _Trail) -> None:
        self.frame[where], self.place[where] = other.frame, other.place
        self.error[where] = other.error


@dataclass(frozen=True)
class _Passed:
    """A frame `t` that was gone through.

    Attributes:
        missing: `(n,)` int64, rising: its missing pixels, counted row by row.
        trail: of these.
        step: `(h, w, 3)` float32, at any size: x and y of the motion to the frame gone through
            before, in pixels of the frame, and the error. None where nothing is to be followed.
    """

    t: int
    missing: np.ndarray
    trail: _Trail
    step: np.ndarray | None


class _Holes:
    """The holes of all frames that were gone through, a bit a pixel."""

    def __init__(self, count: int) -> None:
        self._count, self._bits, self._size = count, np.empty(0, np.uint8), (0, 0)

    def keep(self, t: int, hole: np.ndarray) -> None:
        bits = np.packbits(hole, axis=1)
        if not self._bits.size:
            self._bits, self._size = np.zeros((self._count, *bits.shape), np.uint8), hole.shape
        self._bits[t] = bits

    def show(self, frame: np.ndarray | int, place: np.ndarray) -> np.ndarray:
        """Bool `(n,)`: whether the pixels nearest to places are known."""
        y, x = np.divmod(_nearest(place, self._size), self._size[1])
        return (self._bits[frame, y, x >> 3] >> (7 - (x & 7))) & 1 == 0


def _walk(pictures: Pictures, holes: _Holes, order: range, growth: float) -> Iterator[_Trail]:
    """Go through the frames in an order and yield where those gone through show what is missing."""
    behind = deque[_Passed](maxlen=REACH)
    last: tuple[np.ndarray, np.ndarray] | None = None
    for t in order:
        frame, hole = pictures[t]
        holes.keep(t, hole)
        now, missing, step = _resized(frame, hole), np.flatnonzero(hole), None
        if last is not None and missing.size:
            step = _packed(hidden_motion(now[0], last[0], now[1], last[1]), hole.shape)
        trail = _follow(missing, hole.shape, step, behind, holes, growth)
        behind.appendleft(_Passed(t, missing, trail, step))
        last = now
        yield trail


def _resized(frame: np.ndarray, hole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A frame as the flow sees it, and its hole: grey without a hole, of a size that suits it."""
    if frame.shape[:2] != hole.shape:
        raise ValueError(f"a hole of shape {frame.shape[:2]}, not {hole.shape}")
    grey, side = _grey(frame, hole), min(hole.shape)
    factor = min(max(side, min(2 * side, LEAST_PX)), MOST_PX) / side
    height, width = size = round(hole.shape[0] * factor), round(hole.shape[1] * factor)
    if factor <= 1:
        grey, hole = shrunk(grey, size), touched(hole, size)
        return telea(grey, hole), hole
    large = cv2.resize(telea(grey, hole), (width, height), interpolation=cv2.INTER_CUBIC)
    hole = cv2.resize(hole.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    return large.reshape(*size, 1).clip(0, 1), hole


def _packed(step: Step, size: tuple[int, ...]) -> np.ndarray:
    """A step at the flow's size as `_Passed` has it, of frames of another size."""
    height, width = step.error.shape
    scale = np.array([size[1] / width, size[0] / height], np.float32)
    return np.dstack([step.flow * scale, step.error.clip(0)])


def _grey(frame: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The mean over channels as `(H, W, 1)` float32 in [0, 1], 0 in the hole."""
    white = 255 if frame.dtype == np.uint8 else 1
    mean = frame.mean(axis=2, keepdims=True, dtype=np.float32) / white
    return np.where(hole[..., None], 0, mean)


def _follow(
    missing: np.ndarray,
    size: tuple[int, ...],
    step: np.ndarray | None,
    behind: Sequence[_Passed],
    holes: _Holes,
    growth: float,
) -> _Trail:
    """Follow a frame's missing pixels to where they are seen: step by step, at last by a trail.

    A trail is taken over from the nearest pixel. If it were after every step, what moves by less
    than half a pixel a frame would never leave the pixel that it began at.
    """
    at = np.stack(np.divmod(missing, size[1])[::-1], axis=1).astype(np.float32)
    left, spent = np.arange(len(at)), np.zeros(len(at), np.float32)
    found = _Trail(np.zeros(len(at), np.int32), at.copy(), np.full(len(at), np.inf, np.float32))
    for passed in behind:
        if not left.size:
            return found
        assert step is not None
        moved = _sampled(step, at, size)
        at += moved[:, :2]
        spent += (moved[:, 2] + STEP_ERROR) ** growth
        inside = ((at >= 0) & (at <= np.array(size[::-1]) - 1)).all(axis=1)
        left, at, spent = left[inside], at[inside], spent[inside]
        seen = holes.show(passed.t, at)
        frame = np.full(np.count_nonzero(seen), passed.t, np.int32)
        found[left[seen]] = _Trail(frame, at[seen], spent[seen] ** (1 / growth))
        left, at, spent, step = left[~seen], at[~seen], spent[~seen], passed.step
    if left.size and len(behind) == REACH:
        nearest = _nearest(at, size)
        trail = passed.trail[np.searchsorted(passed.missing, nearest)]
        rest = at - np.stack(np.divmod(nearest, size[1])[::-1], axis=1)
        place = trail.place + rest.astype(np.float32)
        known = holes.show(trail.frame, place)[:, None]
        error = (trail.error**growth + spent) ** (1 / growth)
        found[left] = _Trail(trail.frame, np.where(known, place, trail.place), error)
    return found


def _nearest(place: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return the pixels `(n,)` nearest to places, counted row by row."""
    x, y = np.rint(place).astype(np.int64).T
    return y.clip(0, size[0] - 1) * size[1] + x.clip(0, size[1] - 1)


def _sampled(field: np.ndarray, place: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Look a field `(h, w, C)` up at places in a frame of another size, bilinear: `(n, C)`."""
    height, width = field.shape[:2]
    scale = np.array([width / size[1], height / size[0]], np.float32)
    rows = -(-len(place) // ROW)  # OpenCV takes maps with sides of 16 bits
    at = np.resize((place + 0.5) * scale - 0.5, (rows, ROW, 2))
    seen = cv2.remap(field, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return seen.reshape(rows * ROW, -1)[: len(place)]


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
