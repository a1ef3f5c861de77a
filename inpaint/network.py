"""The network that is fitted to a shot: coarse alone, or coarse then refinement.

Shapes: `B T C H W`. `hidden` is 1 where the network may not see.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint.gated import GatedConv, GatedUp

GRID_PX = 4  # two halvings: sizes inside the network are multiples of this


@dataclass(frozen=True)
class Capacity:
    """How large a network is, and the largest picture it is meant for.

    Attributes:
        cnum: nominal width; the gated layers hold 1×, 2× and 4× of it.
        two_stage: refine the coarse result with a second network.
        working_px: area of the largest working size, in pixels; bigger sources are scaled to it.
    """

    cnum: int
    two_stage: bool
    working_px: int


CAPACITIES = {
    "small": Capacity(cnum=16, two_stage=False, working_px=320 * 180),
    "base": Capacity(cnum=48, two_stage=True, working_px=600 * 320),
    "large": Capacity(cnum=64, two_stage=True, working_px=854 * 480),
}


def build(capacity: Capacity, channels: int = 3, seed: int = 0, *, prior: bool = False) -> Network:
    """Make a network with weights drawn from `seed`, whatever was drawn before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(capacity, channels, prior=prior)


class Network(nn.Module):
    """Fill what is hidden in a picture; each stage gives its own full picture.

    With `cnum` 48, two stages and 3 channels it has the 4,051,278 parameters of the reference
    implementation (IIVI, ICCV 2021; layout in the authors' code).

    With a prior, a coarser scale's picture is one more input, and what is learnt is added to it: a
    scale begins where the one before ended. (A last layer that begins at zero would make that
    exact, but the layers before it then get no gradient, and hardly leave it.)

    Args:
        channels: of the pictures.
        prior: whether a prior is given with each picture.
    """

    def __init__(self, capacity: Capacity, channels: int = 3, *, prior: bool = False) -> None:
        super().__init__()
        self.channels = channels
        inputs = channels + 1 + (channels if prior else 0)
        self.coarse = _coarse(capacity.cnum, channels, inputs)
        self.refine = _Refinement(capacity.cnum, channels) if capacity.two_stage else None

    def forward(
        self, picture: Tensor, hidden: Tensor, prior: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Return the stages' pictures, the final one last.

        Args:
            picture: `(B, C, H, W)` in [-1, 1], any size; what lies under `hidden` is not looked at.
            hidden: `(B, 1, H, W)`, 0 or 1.
            prior: `(B, C, H, W)` in [-1, 1], for a network that was built for one.

        Returns:
            One or two `(B, C, H, W)` in (-1, 1); with a prior, in (-2, 2).
        """
        height, width = picture.shape[-2:]
        picture, hidden, *priors = _pad_to_grid(picture, hidden, prior)
        base: Tensor | float = priors[0] if priors else 0.0
        seen = picture.masked_fill(hidden > 0, 0)
        stages = [base + torch.tanh(self.coarse(torch.cat([seen, hidden, *priors], dim=1)))]
        if self.refine is not None:
            stages.append(base + torch.tanh(self.refine(stages[0] * hidden + seen)))
        return tuple(stage[..., :height, :width] for stage in stages)


class _Refinement(nn.Module):
    """Stage 2: a dilated and a plain branch over the coarse composite, joined and decoded."""

    def __init__(self, c: int, channels: int) -> None:
        super().__init__()
        self.dilated = nn.Sequential(
            *_encoder(
                channels, [(c, 5, 1), (c, 3, 2), (2 * c, 3, 1), (2 * c, 3, 2), (4 * c, 3, 1)]
            ),
            GatedConv(2 * c, 4 * c),
            *_dilations(c),
        )
        self.plain = nn.Sequential(
            *_encoder(
                channels, [(c, 5, 1), (c, 3, 2), (2 * c, 3, 1), (4 * c, 3, 2), (4 * c, 3, 1)]
            ),
            GatedConv(2 * c, 4 * c, activation="relu"),
            GatedConv(2 * c, 4 * c),
            GatedConv(2 * c, 4 * c),
        )
        self.decoder = _decoder(4 * c, c, channels)

    def forward(self, picture: Tensor) -> Tensor:
        return self.decoder(torch.cat([self.dilated(picture), self.plain(picture)], dim=1))


def _coarse(c: int, channels: int, inputs: int) -> nn.Sequential:
    layers = [(c, 5, 1), (2 * c, 3, 2), (2 * c, 3, 1), (4 * c, 3, 2), (4 * c, 3, 1), (4 * c, 3, 1)]
    return nn.Sequential(*_encoder(inputs, layers), *_dilations(c), _decoder(2 * c, c, channels))


def _encoder(inputs: int, layers: list[tuple[int, int, int]]) -> list[GatedConv]:
    """Gated convolutions from a list of (channels, kernel, stride)."""
    convs = []
    for channels, kernel, stride in layers:
        convs.append(GatedConv(inputs, channels, kernel, stride))
        inputs = channels // 2
    return convs


def _dilations(c: int) -> list[GatedConv]:
    return [GatedConv(2 * c, 4 * c, dilation=dilation) for dilation in (2, 4, 8, 16)]


def _decoder(inputs: int, c: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        GatedConv(inputs, 4 * c),
        GatedConv(2 * c, 4 * c),
        GatedUp(2 * c, 2 * c),
        GatedConv(c, 2 * c),
        GatedUp(c, c),
        GatedConv(c // 2, c // 2),
        nn.Conv2d(c // 4, channels, kernel_size=3, padding=1),
    )


def _pad_to_grid(picture: Tensor, hidden: Tensor, prior: Tensor | None) -> list[Tensor]:
    """Grow right and bottom to the next multiple of the grid; the added pixels count as hidden."""
    height, width = picture.shape[-2:]
    padding = (0, -width % GRID_PX, 0, -height % GRID_PX)
    priors = [] if prior is None else [prior]
    if not any(padding):
        return [picture, hidden, *priors]
    return [
        F.pad(picture, padding),
        F.pad(hidden, padding, value=1.0),
        *(F.pad(p, padding) for p in priors),
    ]
