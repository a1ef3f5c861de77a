"""Gated convolution: the one building block of the networks."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GatedConv(nn.Module):
    """Convolution whose second half of channels gates the first: `act(a) · sigmoid(b)`.

    `(B, inputs, H, W) → (B, channels / 2, ⌈H / stride⌉, ⌈W / stride⌉)`. No normalisation.
    `channels` counts the convolution's own outputs, as the reference implementation does, so half
    of it comes out. Zero padding keeps the size.

    Source: Yu et al., Free-Form Image Inpainting with Gated Convolution, 2019, eq. 3, in the form
    of the IIVI reference code (one convolution, split).
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        kernel: int = 3,
        stride: int = 1,
        dilation: int = 1,
        activation: Callable[[Tensor], Tensor] = F.elu,
    ) -> None:
        super().__init__()
        padding = dilation * (kernel - 1) // 2
        self.conv = nn.Conv2d(inputs, channels, kernel, stride, padding, dilation)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        feature, gate = self.conv(x).chunk(2, dim=1)
        return self.activation(feature) * torch.sigmoid(gate)


class GatedUp(nn.Module):
    """Nearest-neighbour ×2, then a gated 3×3: `(B, inputs, H, W) → (B, channels / 2, 2H, 2W)`."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.gated = GatedConv(inputs, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.gated(F.interpolate(x, scale_factor=2.0, mode="nearest"))
