"""Where the boundary of a hole lies, counted per cell: the index that is kept beside every hole.

Patches are drawn near the boundary. The counts say which cells, and so which chunks of the frames,
hold some of it, without a hole being read.
"""

from __future__ import annotations

import cv2
import numpy as np
import zarr

from storage.arrays import create_array, open_array, write_every_chunk
from storage.chunks import cell_layout, mask_layout
from storage.groups import Group

CELL_PX = 128
"""Side of a cell: a quarter of the side of a chunk."""

_NEIGHBOURS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def counts(hole: np.ndarray, cell_px: int = CELL_PX) -> np.ndarray:
    """Count a hole's boundary pixels in each square cell.

    A boundary pixel differs from one of its four neighbours: those on both sides count, those at
    the frame's edge do not for lying there.

    Args:
        hole: `(H, W)` bool.

    Returns:
        `(⌈H / cell_px⌉, ⌈W / cell_px⌉)` uint32.
    """
    height, width = hole.shape
    narrow = np.min_scalar_type(cell_px)  # holds a cell's column, and one byte adds fastest
    rows = [_boundary(hole, y, y + cell_px).sum(0, dtype=narrow) for y in range(0, height, cell_px)]
    return np.add.reduceat(np.stack(rows), range(0, width, cell_px), axis=1, dtype=np.uint32)


def create_hole_arrays(url: str, count: int, height: int, width: int) -> None:
    """Make the arrays `hole` and `boundary` of the group at `url`, empty."""
    cells = -(-height // CELL_PX), -(-width // CELL_PX)
    hole = mask_layout(height, width)
    create_array(url, "hole", (count, height, width), "bool", hole, "noshuffle")
    create_array(url, "boundary", (count, *cells), "uint32", cell_layout(*cells), "shuffle")


def write_holes(hole: zarr.Array, boundary: zarr.Array, start: int, holes: np.ndarray) -> None:
    """Store holes `(N, H, W)` bool from frame index `start` on, and where their boundaries lie."""
    where = slice(start, start + len(holes))
    write_every_chunk(hole, where, holes)
    write_every_chunk(boundary, where, np.stack([counts(one) for one in holes]))


def read_boundary(group: Group, hole: zarr.Array, count: int) -> np.ndarray:
    """Return the first `count` frames' counts, `(T, rows, columns)` uint32.

    Where they were not stored, as in archives of earlier releases, every hole is read.
    """
    if group.attrs.get("cell_px") == CELL_PX:
        return np.asarray(open_array(group.url, "boundary", group.mode)[:count])
    return np.stack([counts(np.asarray(hole[t])) for t in range(count)])


def _boundary(hole: np.ndarray, top: int, bottom: int) -> np.ndarray:
    """Return these rows' boundary pixels, 0 or 1; a few rows at once stay in the cache."""
    above = max(0, top - 1)
    rows = hole[above : bottom + 1].view(np.uint8)
    boundary: np.ndarray = cv2.dilate(rows, _NEIGHBOURS)
    boundary -= cv2.erode(rows, _NEIGHBOURS)
    return boundary[top - above : bottom - above]
