"""Large frames in overlapping windows, and the windows' pictures blended into a frame again.

`tile` says which windows, `Mosaic` puts back what was made in them:

    mosaic = Mosaic(3, height, width, overlap_px=64)
    for window in tile(height, width, size_px=512, overlap_px=64):
        mosaic.add(window, fill(frame[..., *window.slices]))
    frame = mosaic.result()
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Window:
    """A rectangle of whole pixels inside a frame."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to index the last two axes with."""
        rows = slice(self.top, self.top + self.height)
        return rows, slice(self.left, self.left + self.width)


def tile(height: int, width: int, size_px: int, overlap_px: int) -> list[Window]:
    """Cover a frame with overlapping windows, row by row.

    All have the same size: `size_px` on a side, or the frame's where that is less. The last of a
    row or column is shifted inward to end with the frame, and so overlaps more:

        |─────────|
               |─────────|
                   |─────────|

    Args:
        height: of the frame.
        width: of the frame.
        size_px: side of a window.
        overlap_px: the least that neighbours share.
    """
    if not 0 <= overlap_px < size_px:
        raise ValueError(f"an overlap from 0 to below the window's {size_px} px, not {overlap_px}")
    rows = _starts(height, size_px, size_px - overlap_px)
    columns = _starts(width, size_px, size_px - overlap_px)
    size = min(size_px, height), min(size_px, width)
    return [Window(top, left, *size) for top in rows for left in columns]


def blend_weights(
    window: Window,
    height: int,
    width: int,
    overlap_px: int,
    device: torch.device | str | None = None,
) -> Tensor:
    """How much each pixel of a window counts in the blend: 1 inside, sinking towards neighbours.

    A side that is the frame's own border does not sink. The sinking is half a Hann window, so that
    two neighbours that share `overlap_px` add up to 1; it never reaches 0.

    Returns:
        `(window.height, window.width)` in (0, 1].
    """
    down = _ramps(window.top, window.height, height, overlap_px)
    across = _ramps(window.left, window.width, width, overlap_px)
    return torch.outer(down, across).to(device)


class Mosaic:
    """One frame put together from blended windows.

    Args:
        channels: of the frame.
        height: of the frame.
        width: of the frame.
        overlap_px: as given to `tile`.
        device: where it is put together.
    """

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        overlap_px: int,
        device: torch.device | str | None = None,
    ) -> None:
        self.overlap_px = overlap_px
        self._sum = torch.zeros((channels, height, width), device=device)
        self._weight = torch.zeros((height, width), device=device)

    def add(self, window: Window, picture: Tensor) -> None:
        """Add what was made in a window, `(C, window.height, window.width)`."""
        height, width = self._weight.shape
        weights = blend_weights(window, height, width, self.overlap_px, self._sum.device)
        self._sum[:, *window.slices] += picture * weights
        self._weight[window.slices] += weights

    def covered(self) -> Tensor:
        """Bool `(H, W)`: where a window has been."""
        return self._weight > 0

    def result(self) -> Tensor:
        """Return the frame `(C, H, W)`; 0 where no window has been."""
        return self._sum / torch.where(self.covered(), self._weight, 1)


def _starts(length: int, size: int, step: int) -> list[int]:
    last = max(length - size, 0)
    return [*range(0, last, step), last]


def _ramps(start: int, size: int, length: int, overlap: int) -> Tensor:
    """Weights along one axis: up at the start, down at the end, unless the frame begins or ends."""
    weights = torch.ones(size)
    steps = torch.arange(min(overlap, size), dtype=torch.float32)
    ramp = torch.sin((steps + 0.5) / max(overlap, 1) * (math.pi / 2)).square()
    if start > 0:
        weights[: len(ramp)] *= ramp
    if start + size < length:
        weights[size - len(ramp) :] *= ramp.flip(0)
    return weights
