"""Run a fitted network over the real holes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from accelerate import Accelerator
from torch import Tensor

from inpaint.clip import Clip
from inpaint.network import Network
from inpaint.windows import Mosaic, Window, tile


@torch.no_grad()
def fill(
    network: Network,
    clip: Clip,
    accelerator: Accelerator,
    *,
    start: int = 0,
    tile_px: int = 1024,
    overlap_px: int = 128,
) -> Iterator[tuple[int, Tensor]]:
    """Yield each frame from `start` on, filled: its index and `(C, H, W)` in [0, 1].

    A frame larger than a tile is done in overlapping tiles, blended; tiles without a hole are not
    computed. A known pixel is the clip's own.

    Args:
        clip: its whole `unknown` is hidden from the network, its `hole` is filled.
        tile_px: side of a tile.
        overlap_px: by which neighbouring tiles overlap.
    """
    network.eval()
    windows = tile(*clip.size, tile_px, overlap_px)
    for t in range(start, len(clip)):
        truth, hole = clip.pictures(slice(t, t + 1)), clip.hole[t : t + 1]
        mosaic = Mosaic(truth.shape[1], *clip.size, overlap_px, truth.device)
        for window in _with_hole(windows, hole):
            rows, columns = window.slices
            hidden = clip.unknown[t : t + 1, :, rows, columns].float()
            with accelerator.autocast():
                result = network(truth[..., rows, columns], hidden)[-1]
            mosaic.add(window, result[0].float())
        filled = torch.where(hole[0], mosaic.result(), truth[0])
        yield t, filled.add_(1).div_(2).clamp_(0, 1)


def _with_hole(windows: list[Window], hole: Tensor) -> list[Window]:
    touched = hole[0, 0].cpu()
    return [window for window in windows if touched[window.slices].any()]
