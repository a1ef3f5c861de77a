"""Filling a clip without learning: colours carried along the optical flow from other frames.

A missing pixel is followed from frame to frame, into the past and into the future, until it comes
to where it is seen. Its colour is read there once, so nothing blurs on the way. Shapes: `T H W C`.

This is what a learnt result has to beat wherever the camera moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from inpaint.classical import telea
from inpaint.flow import inside, places
from inpaint.hidden_motion import Step, hidden_motion

STEP_ERROR = (2 / 255) ** 2  # of a step whose flow seems perfect: its places are rounded
GROWTH = 0.75  # power in which steps' errors add up: 1 if independent, 1/2 if they all drift alike
SHARPENING = 2  # the better of two candidates counts more than their errors ask for


@dataclass(frozen=True)
class Filled:
    """A frame without its hole, and how far it is to be trusted.

    Attributes:
        pixels: `(H, W, C)`, the dtype of the frames; known pixels as they were.
        error: `(H, W)` float32 in [0, 1], the expected squared error where 1 is white; 0 where
            known. It ranks pixels and is mostly too small.
    """

    pixels: np.ndarray
    error: np.ndarray


def propagate(frames: np.ndarray, holes: np.ndarray, start: int = 0) -> Iterator[Filled]:
    """Fill each frame's hole with what the frames before and after show there.

    Flow runs between neighbouring frames, on pictures whose holes Telea has filled; into a hole it
    is continued from around (see `inpaint.hidden_motion`). Each step adds the squared difference
    that the flow leaves between known pixels there. So a candidate comes with an expected error;
    Telea's own is the mean squared difference of known pixels as far apart as the pixel is from
    the rim. Past, future and Telea are blended by their errors, and what no frame shows is
    Telea's alone.

    The pass from the end comes first, so the whole clip is held: `frames` as they are given
    (uint8, at the working size, is a quarter of float32), and 4 (C + 1) bytes for every missing
    pixel. The same input gives the same output.

    Args:
        frames: `(T, H, W, C)`, any C; uint8, or float in [0, 1]. What lies in a hole has no
            influence.
        holes: bool `(T, H, W)`.
        start: the first frame wanted; those before it are not filled.

    Source: the propagation of Xu et al., Deep Flow-Guided Video Inpainting, 2019, section 3.3,
    with a classical flow, one reading of the colour, and blending by expected error.
    """
    if frames.shape[:3] != holes.shape:
        raise ValueError(f"holes of shape {frames.shape[:3]}, not {holes.shape}")
    order = range(len(frames))
    after = list(_walk(frames, holes, order[::-1]))[::-1]
    for t, before in zip(order, _walk(frames, holes, order), strict=True):
        if t >= start:
            yield _blended(np.ascontiguousarray(frames[t]), holes[t], before, after[t])
        after[t] = _NOTHING  # read once: its memory is free again


@dataclass(frozen=True)
class _Candidate:
    """What one direction has found for a frame's `n` missing pixels, row by row.

    Attributes:
        colours: `(n, C)` float32 in the frames' values.
        error: `(n,)` float32, infinite where nothing was found.
    """

    colours: np.ndarray
    error: np.ndarray


_NOTHING = _Candidate(np.empty((0, 0), np.float32), np.empty(0, np.float32))


@dataclass(frozen=True)
class _Trail:
    """Where each pixel of a frame is seen.

    Attributes:
        frame: `(H, W)` int, the index of the frame that shows it.
        place: `(H, W, 2)` float32, x and y there, in pixels.
        error: `(H, W)` float32, expected squared error; infinite where it is not seen.
    """

    frame: np.ndarray
    place: np.ndarray
    error: np.ndarray


def _walk(frames: np.ndarray, holes: np.ndarray, order: range) -> Iterator[_Candidate]:
    """Go through the frames in an order and yield what those gone through show of each."""
    trail: _Trail | None = None
    behind: np.ndarray | None = None
    for t in order:
        grey = _without_hole(frames[t], holes[t])
        fresh = _own(t, holes[t])
        if trail is not None and behind is not None and holes[t].any():
            last = t - order.step
            step = hidden_motion(grey, behind, holes[t], holes[last])
            _follow(fresh, trail, step, holes)
        trail, behind = fresh, grey
        yield _read(frames, holes, t, trail)


def _without_hole(frame: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The mean over channels as `(H, W, 1)` float32 in [0, 1], its hole filled by Telea."""
    white = 255 if frame.dtype == np.uint8 else 1
    return telea(frame.mean(axis=2, keepdims=True, dtype=np.float32) / white, hole)


def _own(t: int, hole: np.ndarray) -> _Trail:
    """The trail of a frame that nothing is known of but itself."""
    place = places(np.zeros((*hole.shape, 2), np.float32))
    error = np.where(hole, np.inf, 0).astype(np.float32)
    return _Trail(np.full(hole.shape, t), place, error)


def _follow(fresh: _Trail, trail: _Trail, step: Step, holes: np.ndarray) -> None:
    """Write into `fresh` where its missing pixels are seen, one step on and then along `trail`.

    A trail is looked up at the nearest pixel and moved by the rest of the step, unless that would
    lead it into a hole.
    """
    target = places(step.flow)
    pixel = np.rint(target).astype(int).clip(0, np.array(step.error.shape[::-1]) - 1)
    x, y = np.moveaxis(pixel, 2, 0)
    reached = np.isinf(fresh.error) & inside(step.flow) & np.isfinite(trail.error[y, x])
    x, y = x[reached], y[reached]
    frame, place = trail.frame[y, x], trail.place[y, x]
    moved = place + (target[reached] - pixel[reached])
    share = np.sum([weight for _, _, weight in _corners(frame, moved, holes)], axis=0)
    fresh.frame[reached] = frame
    fresh.place[reached] = np.where((share > 0.5)[:, None], moved, place)
    more = step.error[reached].clip(0) + STEP_ERROR
    fresh.error[reached] = (trail.error[y, x] ** GROWTH + more**GROWTH) ** (1 / GROWTH)


def _read(frames: np.ndarray, holes: np.ndarray, t: int, trail: _Trail) -> _Candidate:
    """Look the colours of a frame's missing pixels up where its trail leads, bilinear."""
    hole = holes[t]
    frame, error = trail.frame[hole], trail.error[hole]
    colours = np.zeros((len(frame), frames.shape[3]), np.float32)
    total = np.zeros((len(frame), 1), np.float32)
    for y, x, weight in _corners(frame, trail.place[hole], holes):
        known = weight[:, None] > 0
        colours += np.where(known, frames[frame, y, x], 0) * weight[:, None]
        total += weight[:, None]
    return _Candidate(colours / np.where(total > 0, total, 1), error)


def _corners(
    frame: np.ndarray, place: np.ndarray, holes: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield row, column and bilinear weight `(n,)` of the four pixels around; missing weigh 0."""
    height, width = holes.shape[1:]
    corner = np.floor(place).astype(int)
    part = place - corner
    for down in (0, 1):
        for right in (0, 1):
            y = (corner[:, 1] + down).clip(0, height - 1)
            x = (corner[:, 0] + right).clip(0, width - 1)
            weight = np.abs(1 - right - part[:, 0]) * np.abs(1 - down - part[:, 1])
            yield y, x, np.where(holes[frame, y, x], 0, weight).astype(np.float32)


def _blended(frame: np.ndarray, hole: np.ndarray, before: _Candidate, after: _Candidate) -> Filled:
    """Put a frame's candidates together, each by its expected error."""
    filled, error = telea(frame, hole), np.zeros(hole.shape, np.float32)
    alone = _telea_error(frame, hole)
    candidates = [before, after, _Candidate(filled[hole].astype(np.float32), alone)]
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
    return Filled(filled, error)


def _as(dtype: np.dtype, colours: np.ndarray) -> np.ndarray:
    return (colours.round().clip(0, 255) if dtype == np.uint8 else colours).astype(dtype)


def _telea_error(frame: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """`(n,)` float32: what a missing pixel's distance from the rim lets expect.

    Known pixels at a distance from each other, in rows and columns, differ by so much (Matheron,
    Principles of Geostatistics, 1963: twice the variogram). Infinite where there are no two.
    """
    grey = _without_hole(frame, hole)[..., 0]
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
