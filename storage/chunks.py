"""How frames are cut into chunks. Arithmetic only.

Two readers are served: one takes whole frames, the other windows of 256 to 512 pixels. Zarr costs
some tenths of a millisecond per chunk it touches, so a small frame is one chunk; from 1080p on, a
frame is one *shard* (one file, one object) of square chunks, so that a window needs only its own.
Chunks of 512 pixels read whole frames a third faster than chunks of 256, and windows as fast.
A frame is never spread over two files and two frames never share one: writing a frame is one step
that either happened or did not, and writers of different frames cannot disturb one another.
The figures behind it: `benchmarks/storage.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

WHOLE_FRAME_BELOW_PX = 1920 * 1080
CHUNK_SIDE_PX = 512
VECTOR_CHUNK = 4096
CELL_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Layout:
    """Shapes of a chunk and of the shard holding it; `shards` is None where a chunk is a file."""

    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None = None


def frame_layout(height: int, width: int, channels: int) -> Layout:
    """Return the layout of a `(T, H, W, C)` array read as whole frames and as windows."""
    if height * width < WHOLE_FRAME_BELOW_PX:
        return Layout((1, height, width, channels))
    side = CHUNK_SIDE_PX
    shard = (1, round_up(height, side), round_up(width, side), channels)
    return Layout((1, side, side, channels), shard)


def mask_layout(height: int, width: int) -> Layout:
    """Return the layout of a `(T, H, W)` array: one chunk a frame, since masks pack to little."""
    return Layout((1, height, width))


def vector_layout() -> Layout:
    """Return the layout of a `(T,)` array: one small file for most shots."""
    return Layout((VECTOR_CHUNK,))


def cell_layout(rows: int, columns: int) -> Layout:
    """Return the layout of a `(T, rows, columns)` uint32 array of small grids, read as a whole.

    A chunk holds many frames and is written again with each that joins it, so it may neither be
    one of thousands nor take long to pack: 10,000 frames of 3840×2160 fill 20.
    """
    length = CELL_CHUNK_BYTES // (4 * rows * columns)
    return Layout((min(VECTOR_CHUNK, max(1, length)), rows, columns))


def batch_length(frame_bytes: int, budget_bytes: int = 64 << 20, longest: int = 16) -> int:
    """Return how many frames to hold at once: as many as fit the budget, 1 to `longest`."""
    return max(1, min(longest, budget_bytes // max(1, frame_bytes)))


def round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
