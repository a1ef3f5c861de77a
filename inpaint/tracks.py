"""Where other frames show what a frame's hole hides: its pixels tracked along the optical flow.

Places are x and y in pixels. Shapes: `H W C`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from inpaint.classical import membrane
from inpaint.clip import shrunk, touched
from inpaint.hidden_motion import Step, hidden_motion

STEP_ERROR = (2 / 255) ** 2  # of a step whose flow seems perfect
LEAST_PX = 180  # shorter side at which the flow is estimated; of smaller frames up to twice theirs
MOST_PX = 540
REACH = 8  # steps by which a pixel is tracked before it takes over the track of another
ROW = 1024  # places looked up side by side: the sides of OpenCV's maps have 16 bits


class Pictures(Protocol):
    """Frames, and the hole of each, read when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, t: int) -> tuple[np.ndarray, np.ndarray]:
        """Return `(H, W, C)`, any C, uint8 or float in [0, 1], and its hole, bool `(H, W)`."""


@dataclass(frozen=True)
class Tracks:
    """Where the `n` missing pixels of a frame are seen, row by row.

    Attributes:
        frame: `(n,)` int32, the index of the frame that shows it.
        place: `(n, 2)` float32, where in that.
        error: `(n,)` float32, expected squared error where 1 is white; infinite where it is not
            seen.
    """

    frame: np.ndarray
    place: np.ndarray
    error: np.ndarray

    def __getitem__(self, where: np.ndarray) -> Tracks:
        return Tracks(self.frame[where], self.place[where], self.error[where])


def tracks(pictures: Pictures, growth: float, core: range) -> Iterator[tuple[int, Tracks]]:
    """Yield frames and where those after show their holes, last frame first, then those before.

    Flow runs between neighbouring frames, brought to a size that suits it, on pictures with a
    membrane in their holes; there it is continued from around (see `inpaint.hidden_motion`). Each
    step adds the squared difference that the flow leaves between known pixels there.

    The core's frames are read twice each, the others once, and two are held at once; of the last
    ones gone through their motion, and of all a bit a pixel.

    Args:
        growth: power in which the errors of steps add up.
        core: the frames wanted; those gone through on the way to them are yielded, too.
    """
    count = len(pictures)
    holes = _Holes(count)
    for order in (range(core.start, count)[::-1], range(core.stop)):
        yield from _walk(pictures, holes, order, growth)


@dataclass(frozen=True)
class _Passed:
    """A frame `t` that was gone through.

    Attributes:
        missing: `(n,)` int64, rising: its missing pixels, counted row by row.
        tracks: of these.
        step: `(h, w, 3)` float32, at any size: x and y of the motion to the frame gone through
            before, in pixels of the frame, and the error. None where nothing is to be tracked.
    """

    t: int
    missing: np.ndarray
    tracks: Tracks
    step: np.ndarray | None


class _Holes:
    """The holes of all frames that were gone through, a bit a pixel."""

    def __init__(self, count: int) -> None:
        self._count, self._bits = count, np.empty(0, np.uint8)
        self.size = 0, 0

    def keep(self, t: int, hole: np.ndarray) -> None:
        bits = np.packbits(hole, axis=1)
        if not self._bits.size:
            self._bits = np.zeros((self._count, *bits.shape), np.uint8)
            self.size = hole.shape[0], hole.shape[1]
        self._bits[t] = bits

    def show(self, frame: np.ndarray | int, place: np.ndarray) -> np.ndarray:
        """Bool `(n,)`: whether the pixels nearest to places are known."""
        y, x = np.divmod(_nearest(place, self.size), self.size[1])
        return (self._bits[frame, y, x >> 3] >> (7 - (x & 7))) & 1 == 0


def _walk(
    pictures: Pictures, holes: _Holes, order: range, growth: float
) -> Iterator[tuple[int, Tracks]]:
    """Go through the frames in an order and yield where those gone through show what is missing."""
    behind = deque[_Passed](maxlen=REACH)
    last: tuple[np.ndarray, np.ndarray] | None = None
    for t in order:
        frame, hole = pictures[t]
        holes.keep(t, hole)
        now, missing, step = _resized(frame, hole), np.flatnonzero(hole), None
        if last is not None and missing.size:
            step = _packed(hidden_motion(now[0], last[0], now[1], last[1]), hole.shape)
        found = _tracked(_places(missing, hole.shape), step, behind, holes, growth)
        behind.appendleft(_Passed(t, missing, found, step))
        last = now
        yield t, found


def _resized(frame: np.ndarray, hole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A frame as the flow sees it, and its hole: grey without a hole, of a size that suits it."""
    if frame.shape[:2] != hole.shape:
        raise ValueError(f"a hole of shape {frame.shape[:2]}, not {hole.shape}")
    grey, side = grey_of(frame, hole), min(hole.shape)
    factor = min(max(side, min(2 * side, LEAST_PX)), MOST_PX) / side
    height, width = size = round(hole.shape[0] * factor), round(hole.shape[1] * factor)
    if factor <= 1:
        grey, hole = shrunk(grey, size), touched(hole, size)
        return membrane(grey, hole), hole
    large = cv2.resize(membrane(grey, hole), (width, height), interpolation=cv2.INTER_CUBIC)
    hole = cv2.resize(hole.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    return large.reshape(*size, 1).clip(0, 1), hole


def grey_of(frame: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The mean over channels as `(H, W, 1)` float32 in [0, 1], 0 in the hole."""
    white = 255 if frame.dtype == np.uint8 else 1
    total = frame[..., 0].astype(np.float32)
    for channel in range(1, frame.shape[2]):  # several times quicker than a mean of so few
        total += frame[..., channel]
    return np.where(hole, 0, total / frame.shape[2] / white)[..., None]


def _packed(step: Step, size: tuple[int, ...]) -> np.ndarray:
    """A step at the flow's size as `_Passed` has it, of frames of another size."""
    height, width = step.error.shape
    scale = np.array([size[1] / width, size[0] / height], np.float32)
    return np.dstack([step.flow * scale, step.error.clip(0)])


def _tracked(
    at: np.ndarray,
    step: np.ndarray | None,
    behind: Sequence[_Passed],
    holes: _Holes,
    growth: float,
) -> Tracks:
    """Track pixels `(n, 2)` step by step to where they are seen, or to the track of another."""
    frame, place = np.zeros(len(at), np.int32), at.copy()
    error = np.full(len(at), np.inf, np.float32)
    left, last = np.arange(len(at)), _last(holes.size)
    spent: np.ndarray = np.zeros_like(error)
    for passed in behind:
        if not left.size:
            break
        assert step is not None
        moved = _sampled(step, at, holes.size)
        at, spent = at + moved[:, :2], spent + (moved[:, 2] + STEP_ERROR) ** growth
        inside = ((at >= 0) & (at <= last)).all(axis=1)
        left, at, spent = left[inside], at[inside], spent[inside]
        seen = holes.show(passed.t, at)
        there = left[seen]
        frame[there], place[there], error[there] = passed.t, at[seen], spent[seen] ** (1 / growth)
        left, at, spent, step = left[~seen], at[~seen], spent[~seen], passed.step
    if left.size and len(behind) == REACH:
        rest = _taken_over(at, spent, behind[-1], holes, growth)
        frame[left], place[left], error[left] = rest.frame, rest.place, rest.error
    return Tracks(frame, place, error)


def _taken_over(
    at: np.ndarray, spent: np.ndarray, passed: _Passed, holes: _Holes, growth: float
) -> Tracks:
    """Go on along the track of the nearest pixel, beside it, unless that leads into a hole.

    Doing so after every step would leave what moves by less than half a pixel a frame for ever at
    the pixel that it began at.
    """
    nearest = _nearest(at, holes.size)
    track = passed.tracks[np.searchsorted(passed.missing, nearest)]
    beside = track.place + (at - _places(nearest, holes.size))
    place = np.where(holes.show(track.frame, beside)[:, None], beside, track.place)
    return Tracks(track.frame, place, (track.error**growth + spent) ** (1 / growth))


def _places(pixels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return the places `(n, 2)` float32 of pixels, counted row by row."""
    y, x = np.divmod(pixels, size[1])
    return np.stack([x, y], axis=1).astype(np.float32)


def _nearest(place: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return the pixels `(n,)` int64 nearest to places, counted row by row."""
    x, y = np.rint(place.clip(0, _last(size))).astype(np.int64).T
    return y * size[1] + x


def _last(size: tuple[int, ...]) -> np.ndarray:
    """The place of the last pixel, `(2,)`."""
    return np.array(size[::-1], np.float32) - 1


def _sampled(field: np.ndarray, place: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Look a field `(h, w, C)` up at places in a frame of another size, bilinear: `(n, C)`."""
    height, width = field.shape[:2]
    scale = np.array([width / size[1], height / size[0]], np.float32)
    rows = -(-len(place) // ROW)
    at = np.resize((place + 0.5) * scale - 0.5, (rows, ROW, 2))
    seen = cv2.remap(field, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return seen.reshape(rows * ROW, -1)[: len(place)]
