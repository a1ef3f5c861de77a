"""The network that finds an object: a U-Net over a picture and a guess of where the object is.

Shapes: `B C H W`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Capacity:
    """How large a network is, and the largest picture it is meant for.

    Attributes:
        widths: channels of each scale, finest first; each scale halves the sides.
        working_px: area of the largest working size, in pixels; bigger sources are scaled to it.
    """

    widths: tuple[int, ...]
    working_px: int


CAPACITIES = {
    "small": Capacity(widths=(16, 32, 64, 128), working_px=288 * 160),
    "base": Capacity(widths=(32, 64, 128, 256, 512), working_px=432 * 240),
    # The authors' (IIVI).
    "paper": Capacity(widths=(64, 128, 256, 512, 1024), working_px=608 * 320),
}


def build(capacity: Capacity, channels: int = 3, seed: int = 0) -> Segmenter:
    """Make a network with weights drawn from `seed`, whatever was drawn before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Segmenter(capacity, channels)


class Segmenter(nn.Module):
    """Tell for each pixel whether it is the object's.

    Two convolutions a scale, batch normalisation, max pooling, transposed convolutions: the
    layout of Ronneberger et al., U-Net, 2015, padded. Deviation: one more input, the guess, which
    the recipe of the paper leaves empty.
    """

    def __init__(self, capacity: Capacity, channels: int = 3) -> None:
        super().__init__()
        widths = capacity.widths
        self.channels = channels
        self.grid_px = 2 ** (len(widths) - 1)
        self.down = nn.ModuleList(_double(*pair) for pair in pairwise((channels + 1, *widths)))
        rising = [(deep, fine) for fine, deep in pairwise(widths)][::-1]
        self.up = nn.ModuleList(nn.ConvTranspose2d(deep, fine, 2, 2) for deep, fine in rising)
        self.join = nn.ModuleList(_double(2 * fine, fine) for _, fine in rising)
        self.head = nn.Conv2d(widths[0], 1, kernel_size=1)

    def forward(self, picture: Tensor, guess: Tensor) -> Tensor:
        """Return the logit of each pixel being the object's, `(B, 1, H, W)`.

        Args:
            picture: `(B, C, H, W)` in [-1, 1], any size.
            guess: `(B, 1, H, W)` in [0, 1]; all 0 where there is none.
        """
        height, width = picture.shape[-2:]
        x = _pad_to_grid(torch.cat([picture, guess], dim=1), self.grid_px)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        for up, join, skip in zip(self.up, self.join, skips[-2::-1], strict=True):
            x = join(torch.cat([skip, up(x)], dim=1))
        return self.head(x)[..., :height, :width]


def _double(inputs: int, channels: int) -> nn.Sequential:
    """Two convolutions, each with normalisation (which makes a bias idle) and ReLU."""
    layers: list[nn.Module] = []
    for width in (inputs, channels):
        layers.append(nn.Conv2d(width, channels, kernel_size=3, padding=1, bias=False))
        layers.append(nn.BatchNorm2d(channels))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def _pad_to_grid(picture: Tensor, grid_px: int) -> Tensor:
    """Grow right and bottom to the next multiple of the grid, by repeating the edge."""
    height, width = picture.shape[-2:]
    padding = (0, -width % grid_px, 0, -height % grid_px)
    return F.pad(picture, padding, mode="replicate") if any(padding) else picture
