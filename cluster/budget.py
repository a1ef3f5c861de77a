"""Compute as a currency: what a step costs, and how many a budget buys.

FLOPs are counted and not timed, so that a sweep gives the same on every machine, busy or not.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from inpaint.clip import Clip
from inpaint.holes import centre_rectangle
from inpaint.learning import begin
from inpaint.network import CAPACITIES, build
from inpaint.recipes import FitConfig
from inpaint.step import draw_batch, features_of, step


def steps_for(budget_flops: float, step_flops: float) -> int:
    """Return how many steps a budget buys; one at least."""
    return max(1, int(budget_flops / step_flops + 1e-6))


@functools.cache
def step_flops(
    capacity: str, channels: int, size: tuple[int, int], config: FitConfig, device: torch.device
) -> float:
    """Return what a step costs, in the mean over a fit: forward, backward and optimiser.

    Counted are products and convolutions, by taking a step of a network that is thrown away. The
    steps in which the regularisers act count by their share.
    """
    plain = _counted(capacity, channels, size, replace(config, regularise_share=0.0), device)
    if not (config.ambiguity or config.stabilisation):
        return plain
    full = _counted(capacity, channels, size, replace(config, regularise_share=1.0), device)
    return plain + config.regularise_share * (full - plain)


def _counted(
    capacity: str, channels: int, size: tuple[int, int], config: FitConfig, device: torch.device
) -> float:
    network = build(CAPACITIES[capacity], channels)
    state = begin(network, config, device)
    hole = centre_rectangle(*size).expand(1, 1, *size).to(device)
    frames = torch.zeros(1, channels, *size, dtype=torch.uint8, device=device)
    clip = Clip(frames, hole, hole)
    features = features_of(network, config, device)
    with FlopCounterMode(display=False) as counter:
        batch = draw_batch(clip, clip.hole, config, state.random)
        step(network, clip, batch, features, config, state, config.learning_rate)
    return float(counter.get_total_flops())
