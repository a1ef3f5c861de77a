"""What VINet is put together from: gated convolutions, encoder, memory, decoder.

Shapes: `B C H W`. Scales are named by their share of the network's own: 1, 1/2, 1/4, 1/8.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint.gated import GatedConv

LEAST_LAST = 8
"""Channels of the last features; they are all positive, and fewer hardly make signed colours."""


class Gated(GatedConv):
    """Gated convolution 3×3, `relu(a) · sigmoid(b)`, without bias; `channels` come out.

    Kaiming's initial weights, in which the half-open gate counts, too: it passes a quarter of the
    power, the ReLU half. With the reference code's, 0.4 goes into an encoder and 0.00002
    comes out, and 0.00000005 of the bottleneck.

    Source: VINet's reference code. Deviations: the initial weights, and the same activation after
    every enlargement, where the code has a leaky one.
    """

    def __init__(self, inputs: int, channels: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__(inputs, 2 * channels, 3, stride, dilation, "relu")
        self.conv.bias = None
        nn.init.normal_(self.conv.weight, std=(8 / (9 * inputs)) ** 0.5)


class Encoder(nn.Module):
    """Features at each scale, finest first: the layers before each halving.

    Args:
        inputs: channels.
        widths: of the features, finest first.
        stride: of the first layer; 2 in the model for 512 pixels.
    """

    def __init__(self, inputs: int, widths: tuple[int, ...], stride: int) -> None:
        super().__init__()
        fine, half, quarter, eighth = widths
        self.scales = nn.ModuleList(
            [
                Gated(inputs, fine, stride),
                nn.Sequential(Gated(fine, half, 2), Gated(half, half)),
                nn.Sequential(Gated(half, quarter, 2), Gated(quarter, quarter)),
                nn.Sequential(
                    Gated(quarter, eighth, 2), Gated(eighth, eighth), Gated(eighth, eighth)
                ),
            ]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for scale in self.scales:
            features.append(x := scale(x))
        return features


class Memory(NamedTuple):
    """What the convolutional LSTM carries from frame to frame: `(B, C, h, w)` each."""

    hidden: Tensor
    cell: Tensor


class ConvLSTM(nn.Module):
    """Long short-term memory at every place, its gates 3×3 convolutions.

    Source: Shi et al., Convolutional LSTM Network, 2015, eq. 3, without peepholes.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(2 * channels, 4 * channels, 3, padding=1)

    def forward(self, x: Tensor, before: Memory | None) -> Memory:
        hidden, cell = (torch.zeros_like(x), 0.0) if before is None else before
        enter, keep, leave, new = self.gates(torch.cat([x, hidden], dim=1)).float().chunk(4, dim=1)
        cell = keep.sigmoid() * cell + enter.sigmoid() * new.tanh()
        return Memory(leave.sigmoid() * cell.tanh(), cell)


def bottleneck(inputs: int, channels: int) -> nn.Sequential:
    """Widening views of the coarsest scale."""
    return nn.Sequential(
        Gated(inputs, channels), *(Gated(channels, channels, dilation=d) for d in (2, 4, 8))
    )


class Decoder(nn.Module):
    """From the coarsest scale to a picture, with what was merged at 1/4 and 1/2 on the way."""

    def __init__(self, widths: tuple[int, ...], channels: int, stride: int) -> None:
        super().__init__()
        fine, half, quarter, eighth = widths
        self.stride = stride
        self.at_eighth = nn.Sequential(Gated(eighth, eighth), Gated(eighth, eighth))
        self.to_quarter = Gated(eighth, quarter)
        self.at_quarter = nn.Sequential(
            Gated(2 * quarter, quarter), *(Gated(quarter, quarter, dilation=d) for d in (2, 4, 8))
        )
        self.to_half = Gated(quarter, half)
        self.at_half = nn.Sequential(Gated(2 * half, half), Gated(half, half))
        self.to_fine = Gated(half, fine)
        last = max(fine // 2, LEAST_LAST)
        self.at_fine = Gated(fine, last)
        self.picture = nn.Conv2d(last, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor, at_half: Tensor, at_quarter: Tensor) -> Tensor:
        x = self.to_quarter(_larger(self.at_eighth(x)))
        x = self.to_half(_larger(self.at_quarter(torch.cat([x, at_quarter], dim=1))))
        x = self.to_fine(_larger(self.at_half(torch.cat([x, at_half], dim=1))))
        return self.picture(self.at_fine(_larger(x, self.stride)))


def _larger(x: Tensor, factor: int = 2) -> Tensor:
    if factor == 1:
        return x
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
