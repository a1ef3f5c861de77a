"""Where the objects of a shot go when its frames get another size: decided before a pixel moves.

    target = scale · source + offset        along each axis, one scale for all objects and frames

Boxes, sizes and offsets are in pixels, rows then columns. A frame is looked at in *cells*, coarse
squares: parts of an object less than a cell apart are one object, and so is what touches from one
frame to the next.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from inpaint.clip import touched

CELLS = 32
"""Cells along a frame's longer side."""

CALM_S = 0.5
"""Standard deviation in time of what smooths an object's path: a step's swing is no movement."""

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True)
class Placement:
    """Where the objects of one frame go.

    Attributes:
        cells: `(rows, columns)` int32, the number of each cell's object, 0 where there is none.
        offsets: of each object, down and right, the farthest first.
    """

    cells: np.ndarray
    offsets: dict[int, tuple[int, int]]

    def masks(self, mask: np.ndarray) -> dict[int, np.ndarray]:
        """Take the frame's mask `(H, W)` bool apart by its objects."""
        return {number: mask & _spread(self.cells == number, mask.shape) for number in self.offsets}


@dataclass(frozen=True)
class Layout:
    """Where everything goes.

    Attributes:
        size: of the frames to come; the background fills them.
        scale: of the objects, the same along both axes.
        placements: one a frame.
    """

    size: Size
    scale: Fraction
    placements: tuple[Placement, ...]


def lay_out(masks: Iterable[np.ndarray], source: Size, target: Size, fps: float) -> Layout:
    """Decide where each object of each frame goes.

    The scale is the ratio of the heights: feet stay on the ground and heads below the lintel, and a
    frame that changes only in width keeps its objects' very pixels.

    Args:
        masks: where the objects are, `(H, W)` bool, one a frame; each is looked at once.
        source, target: of the frames.
        fps: for the smoothing.
    """
    cells, boxes = _objects(masks, source)
    every = [box for one in boxes.values() for box in one.values()]
    scale = object_scale(np.reshape(every, (-1, 2, 2)), source, target)
    offsets: list[dict[int, tuple[int, int]]] = [{} for _ in cells]
    for number, found in boxes.items():
        frames = np.array(list(found))
        path = offsets_of(frames, np.stack(list(found.values())), source, target, scale, fps)
        for t, (down, right) in zip(frames, path.tolist(), strict=True):
            offsets[t][number] = down, right
    for t, one in enumerate(offsets):  # what stands lower in the picture is nearer
        offsets[t] = dict(sorted(one.items(), key=lambda item: int(boxes[item[0]][t][1, 0])))
    return Layout(target, scale, tuple(map(Placement, cells, offsets)))


def object_scale(boxes: np.ndarray, source: Size, target: Size) -> Fraction:
    """Return the objects' scale: that of the heights, less where an object would not fit in.

    Args:
        boxes: `(N, 2, 2)` int: first row and column, and those behind the last.
    """
    inside = (boxes[:, 0] > 0) & (boxes[:, 1] < source)
    across = (boxes[:, 0] == 0) & (boxes[:, 1] == source)
    extent = boxes[:, 1] - boxes[:, 0]
    ratios = [Fraction(new, old) for new, old in zip(target, source, strict=True)]
    scale = ratios[0]
    for axis in (0, 1):
        if inside[:, axis].any():
            largest = int(extent[inside[:, axis], axis].max())
            scale = min(scale, Fraction(target[axis], largest))
    for axis in (0, 1):  # what reaches from edge to edge must not end inside the picture
        if across[:, axis].any():
            scale = max(scale, ratios[axis])
    return scale


def offsets_of(
    frames: np.ndarray, boxes: np.ndarray, source: Size, target: Size, scale: Fraction, fps: float
) -> np.ndarray:
    """Return an object's offsets, `(N, 2)` whole pixels.

    The room that object and frame leave each other is shared out as it is in the source:

        ├── near ──┤object├──── far ────┤        near / (near + far) is the same before and after

    So what is inside stays inside, what is cut by an edge stays at that edge, and the point of the
    object at that share of its box comes to lie where the background behind it does. Whole
    pixels, because an object that is resampled anew in every frame shimmers.

    Args:
        frames: `(N,)`, rising: the frames that show the object.
        boxes: `(N, 2, 2)`, see `object_scale`.
    """
    calm_frames = CALM_S * fps
    paths = [
        _offsets(frames, boxes[:, :, axis], source[axis], target[axis], float(scale), calm_frames)
        for axis in (0, 1)
    ]
    return np.rint(np.stack(paths, axis=1)).astype(int)


def _offsets(
    frames: np.ndarray, spans: np.ndarray, old: int, new: int, scale: float, calm_frames: float
) -> np.ndarray:
    """Offsets along one axis, of spans `(N, 2)` that a frame of `old` pixels holds."""
    near, end = spans.astype(float).T
    left = old - (end - near)
    share = np.divide(near, left, out=np.full(len(near), 0.5), where=left > 0)
    held = (near == 0) | (end == old)
    every = np.arange(frames[0], frames[-1] + 1)
    pinned = np.isin(every, frames[held])
    calm = calmed(np.interp(every, frames, share), pinned, calm_frames)
    room = new - scale * old
    bounds = np.sort([-scale * near, new - scale * end], axis=0)
    offset = room * calm[frames - frames[0]]
    return np.where(held, offset, offset.clip(*bounds))


def calmed(values: np.ndarray, pinned: np.ndarray, deviation: float) -> np.ndarray:
    """Smooth a curve in time as heat spreads; the ends and what is pinned stay as they are."""
    calm = values.copy()
    free = ~pinned[1:-1]
    for _ in range(round(2 * deviation**2)):  # each adds a variance of one half
        mean = (calm[:-2] + 2 * calm[1:-1] + calm[2:]) / 4
        calm[1:-1][free] = mean[free]
    return calm


def _objects(
    masks: Iterable[np.ndarray], size: Size
) -> tuple[list[np.ndarray], dict[int, dict[int, np.ndarray]]]:
    """Number the objects: the cells of every frame, and of each object its boxes by frame."""
    side = max(1.0, max(size) / CELLS)
    grid = math.ceil(size[0] / side), math.ceil(size[1] / side)
    same, cells = [0], [np.zeros(grid, np.int32)]
    found: list[dict[int, np.ndarray]] = []
    for mask in masks:
        count, parts = cv2.connectedComponents(touched(mask, grid).astype(np.uint8))
        parts[parts > 0] += len(same) - 1
        same.extend(range(len(same), len(same) + count - 1))
        for before, now in _touching(cells[-1], parts):
            same[_first(same, now)] = _first(same, before)
        found.append({part: _box(mask, parts == part) for part in np.unique(parts[parts > 0])})
        cells.append(parts)
    number = np.array([_first(same, part) for part in range(len(same))], np.int32)
    boxes: dict[int, dict[int, np.ndarray]] = {}
    for t, parts_found in enumerate(found):
        for part, box in parts_found.items():
            known = boxes.setdefault(int(number[part]), {})
            known[t] = _around(known.get(t, box), box)
    return [number[parts] for parts in cells[1:]], boxes


def _touching(before: np.ndarray, now: np.ndarray) -> set[tuple[int, int]]:
    """Pairs of parts of two frames that overlap or lie side by side."""
    padded = np.pad(before, 1)
    rows, columns = now.shape
    shifted = [padded[y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
    pairs = np.concatenate(
        [np.stack([one, now], axis=-1)[(one > 0) & (now > 0)] for one in shifted]
    )
    return set(map(tuple, pairs.tolist()))


def _first(same: list[int], part: int) -> int:
    """Follow a part to the first one that is the same object."""
    while same[part] != part:
        part = same[part] = same[same[part]]
    return part


def _box(mask: np.ndarray, cells: np.ndarray) -> np.ndarray:
    inside = mask & _spread(cells, mask.shape)
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    return np.array([[rows[0], columns[0]], [rows[-1] + 1, columns[-1] + 1]])


def _around(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.stack([np.minimum(one[0], other[0]), np.maximum(one[1], other[1])])


def _spread(cells: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Give each pixel of a frame its cell's value."""
    rows, columns = (
        np.arange(length) * count // length for length, count in zip(size, cells.shape, strict=True)
    )
    return cells[rows[:, None], columns]
