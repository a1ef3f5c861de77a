"""A tiny clip with a hole that moves, and networks small enough to be fitted in a test."""

from __future__ import annotations

import torch
from torch import Tensor

from inpaint.checkpoint import dump
from inpaint.clip import Clip
from inpaint.internal import examined, fit
from inpaint.learning import Report, begin
from inpaint.network import Capacity, Network, build
from inpaint.recipes import FitConfig

CPU = torch.device("cpu")
COARSE = Capacity(cnum=8, two_stage=False, working_px=0)
REFINED = Capacity(cnum=8, two_stage=True, working_px=0)


def frames(count: int = 4, height: int = 20, width: int = 24, channels: int = 3) -> Tensor:
    """A checked pattern that pans by a pixel a frame: uint8 `(T, C, H, W)`."""
    t, c = torch.arange(count)[:, None, None, None], torch.arange(channels)[:, None, None]
    y, x = torch.arange(height)[:, None], torch.arange(width)
    checks = ((y // 4 + (x + t) // 4) % 2) * 120
    return (checks + 40 + 20 * c).to(torch.uint8)


def rectangles(count: int = 4, height: int = 20, width: int = 24, side: int = 6) -> Tensor:
    """A square that moves right by a pixel a frame: bool `(T, 1, H, W)`."""
    hole = torch.zeros((count, 1, height, width), dtype=torch.bool)
    for t in range(count):
        hole[t, :, 4 : 4 + side, 2 + t : 2 + t + side] = True
    return hole


def clip(count: int = 4, height: int = 20, width: int = 24, channels: int = 3) -> Clip:
    hole = rectangles(count, height, width)
    return Clip(frames(count, height, width, channels), hole, hole)


def fitted(
    material: Clip, config: FitConfig, judge: Tensor | None = None
) -> tuple[bytes, list[Report]]:
    """Fit a network of one stage from the start: its checkpoint, and the entries of its curve."""
    network = build(COARSE, material.frames.shape[1], config.seed)
    state = begin(network, config, CPU)
    exam = None if judge is None else examined(material, judge)
    reports = [report for report in fit(network, material, config, state, exam) if report.entry]
    return dump(network, state), reports


class Watched(Network):
    """A network of one stage that keeps what is hidden from it.

    Attributes:
        hidden: `(B, 1, H, W)` of each call, in order.
    """

    def __init__(self) -> None:
        super().__init__(COARSE)
        self.hidden: list[Tensor] = []

    def forward(
        self, picture: Tensor, hidden: Tensor, prior: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        self.hidden.append(hidden)
        return super().forward(picture, hidden, prior)


class Echo(Watched):
    """Gives back what it is shown, hidden or not."""

    def forward(
        self, picture: Tensor, hidden: Tensor, prior: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        self.hidden.append(hidden)
        return (picture,)
