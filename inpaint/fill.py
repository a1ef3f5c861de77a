"""Run a fitted network over the real holes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from accelerate import Accelerator
from torch import Tensor

from inpaint.clip import Frames
from inpaint.network import Network
from inpaint.windows import Mosaic, tile


@torch.no_grad()
def fill(
    network: Network,
    frames: Frames,
    accelerator: Accelerator,
    *,
    start: int = 0,
    tile_px: int = 1024,
    overlap_px: int = 128,
) -> Iterator[tuple[int, Tensor]]:
    """Yield each frame from `start` on: its index and the network's `(C, H, W)` in [0, 1].

    Only what lies inside the hole means something. A frame larger than a tile is done in
    overlapping tiles, blended; tiles without a hole are neither read nor computed.

    Args:
        frames: their whole `unknown` is hidden from the network, their hole is filled.
        tile_px: side of a tile.
        overlap_px: by which neighbouring tiles overlap.
    """
    network.eval()
    windows, everything = tile(*frames.size, tile_px, overlap_px), slice(None)
    for t in range(start, len(frames)):
        missing = frames.missing(t)
        mosaic = Mosaic(network.channels, *frames.size, overlap_px, accelerator.device)
        for window in windows:
            if missing[window.slices].any():
                part = frames.window(t, window).to(accelerator.device)
                with accelerator.autocast():
                    result = network(
                        part.pictures(everything), part.unknown.float(), part.priors(everything)
                    )[-1]
                mosaic.add(window, result[0].float())
        yield t, mosaic.result().add_(1).div_(2).clamp_(0, 1)
