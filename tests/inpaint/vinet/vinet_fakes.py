"""Networks small enough for a test, and what they are shown."""

from __future__ import annotations

import torch
from torch import Tensor

from inpaint.vinet.network import Capacity, VINet, build

TINY = Capacity(width=1 / 16, stride=1, working_px=0)
TINY_HALVED = Capacity(width=1 / 16, stride=2, working_px=0)

Shown = tuple[Tensor, Tensor, Tensor, Tensor]


def tiny(capacity: Capacity = TINY, channels: int = 3) -> VINet:
    return build(capacity, channels)


def shown(frames: int = 2, height: int = 16, width: int = 24, channels: int = 3) -> Shown:
    """Two samples: pictures, what is hidden of them, and the same of four neighbours each."""
    random = torch.Generator().manual_seed(0)
    size = (height, width)
    pictures = torch.rand((2, frames, channels, *size), generator=random) * 2 - 1
    near = torch.rand((2, frames, 4, channels, *size), generator=random) * 2 - 1
    hidden = torch.rand((2, frames, 1, *size), generator=random) < 0.3
    near_hidden = torch.rand((2, frames, 4, 1, *size), generator=random) < 0.3
    return pictures, hidden, near, near_hidden


def frame(given: Shown, n: int) -> Shown:
    """One frame of it alone."""
    pictures, hidden, near, near_hidden = (part[:, n : n + 1] for part in given)
    return pictures, hidden, near, near_hidden


def texture(count: int = 20, height: int = 16, width: int = 24) -> Tensor:
    """A smooth texture that pans right by a pixel a frame: uint8 `(T, 3, H, W)`."""
    t, c = torch.arange(count)[:, None, None, None], torch.arange(3)[:, None, None]
    y, x = torch.arange(height)[:, None], torch.arange(width)
    waves = torch.sin((x - t) * 0.7 + c) + torch.cos(y * 0.9 + (x - t) * 0.4)
    return ((waves + 2) * 63).to(torch.uint8)
