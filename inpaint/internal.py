"""Internal learning: fit a network to one clip, from the clip itself.

    for report in fit(network, clip, config, state):
        ...  # log, save, stop: the caller decides

Source: Ouyang et al., Internal Video Inpainting by Implicit Long-range Propagation, ICCV 2021
("IIVI").
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from accelerate import Accelerator
from torch import Tensor

from inpaint.clip import Clip
from inpaint.holes import shifted_holes
from inpaint.losses import reconstruction
from inpaint.metrics import average, psnr
from inpaint.network import Network
from inpaint.precision import Precision, accelerator


@dataclass(frozen=True)
class FitConfig:
    """How to fit.

    Attributes:
        steps: optimiser steps.
        batch: frames a step.
        learning_rate: of Adam.
        schedule: `constant`, or `cosine`: from the full rate down to a fiftieth of it.
        warmup_steps: the rate rises linearly over these first steps.
        shifted_holes: holes laid over each frame of a batch.
        hole_weight: extra weight of the pixels under the shifted holes, where the others have 1.
        report_every: steps between entries of the loss curve.
        validate_every: steps between measurements at the validation hole.
        seed: of everything random.
        precision: of the network's arithmetic.
    """

    steps: int = 50_000
    batch: int = 5
    learning_rate: float = 2e-4
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0
    shifted_holes: int = 1
    hole_weight: float = 0.0
    report_every: int = 50
    validate_every: int = 500
    seed: int = 0
    precision: Precision = "auto"


RECIPES = {
    # The authors' schedule and losses (IIVI and its code).
    "paper": FitConfig(),
    # Ours: see docs/decisions.md for what each part brought.
    "fast": FitConfig(
        steps=3_000,
        learning_rate=2e-3,
        schedule="cosine",
        warmup_steps=50,
        shifted_holes=3,
        hole_weight=5.0,
    ),
}


@dataclass
class State:
    """What a fit carries from step to step; with the weights, all that a checkpoint holds."""

    step: int
    optimizer: torch.optim.Optimizer
    random: torch.Generator
    accelerator: Accelerator

    @property
    def device(self) -> torch.device:
        return self.random.device


@dataclass(frozen=True)
class Report:
    """Where a fit stands.

    Attributes:
        step: steps done.
        loss: mean since the last entry of the curve.
        learning_rate: of the last step.
        steps_per_s: since the fit was started or resumed.
        entry: whether this belongs to the curve; reports in between only show life.
        validation_psnr: mean over frames at the validation hole, in dB, when just measured.
    """

    step: int
    loss: float
    learning_rate: float
    steps_per_s: float
    entry: bool
    validation_psnr: float | None = None


PULSE_S = 2.0
"""A report comes at least this often, so that the caller can stop a fit of slow steps."""


def begin(network: Network, config: FitConfig, device: torch.device) -> State:
    """Return the state before the first step, and move the network to the device."""
    network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)
    random = torch.Generator(device).manual_seed(config.seed)
    accelerate = accelerator(config.precision, device)
    accelerate.prepare(network)
    return State(0, accelerate.prepare(optimizer), random, accelerate)


def fit(
    network: Network, clip: Clip, config: FitConfig, state: State, judge: Tensor | None = None
) -> Iterator[Report]:
    """Train the network on the clip's known pixels; pause with a report every so often.

    Goes on from `state.step`; state and network may be saved whenever it pauses. The result does
    not depend on where it pauses or is resumed.

    Args:
        clip: on the state's device.
        judge: validation hole `(T, 1, H, W)` bool, contained in `clip.unknown`.

    Raises:
        FloatingPointError: the loss is not a number.
    """
    network.train()
    donors = clip.hole[clip.hole.flatten(1).any(dim=1)]
    total, counted = torch.zeros((), device=state.device), 0
    started, first, paused = time.monotonic(), state.step, time.monotonic()
    while state.step < config.steps:
        rate = learning_rate(state.step, config)
        total += _step(network, clip, donors, config, state, rate)
        counted += 1
        due = state.step % config.validate_every == 0 or state.step == config.steps
        entry = due or state.step % config.report_every == 0
        if not entry and time.monotonic() - paused < PULSE_S:
            continue
        loss = float(total) / counted  # waits for the device
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss} at step {state.step}")
        score = validate(network, clip, judge, state) if judge is not None and due else None
        paused = time.monotonic()
        speed = (state.step - first) / (paused - started)
        yield Report(state.step, loss, rate, speed, entry, score)
        if entry:
            total, counted = torch.zeros_like(total), 0


def learning_rate(step: int, config: FitConfig) -> float:
    """Return the rate of a step (counted from 0)."""
    rate = config.learning_rate * min(1.0, (step + 1) / max(1, config.warmup_steps))
    if config.schedule == "constant":
        return rate
    return rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / config.steps)))


@torch.no_grad()
def validate(network: Network, clip: Clip, judge: Tensor, state: State) -> float | None:
    """Return the mean PSNR (dB) at the validation hole over at most 16 of its frames."""
    frames = judged_frames(judge)
    if len(frames) == 0:
        return None
    network.eval()
    scores = []
    for index in frames.split(4):
        truth = clip.pictures(index)
        with state.accelerator.autocast():
            result = network(truth, clip.unknown[index].float())[-1].float()
        scores.append(psnr((result + 1) / 2, (truth + 1) / 2, judge[index]))
    network.train()
    return average(torch.cat(scores)).value


def judged_frames(judge: Tensor, most: int = 16) -> Tensor:
    """Return the indices of at most `most` frames of the validation hole, spread over it."""
    frames = torch.nonzero(judge.flatten(1).any(dim=1)).flatten()
    return frames[:: max(1, math.ceil(len(frames) / most))]


def _step(
    network: Network, clip: Clip, donors: Tensor, config: FitConfig, state: State, rate: float
) -> Tensor:
    """One step: hide, fill, compare, learn. Returns the loss, still on the device."""
    # Hide the real hole and shifted ones (eq. 1).
    index = torch.randint(len(clip), (config.batch,), generator=state.random, device=state.device)
    truth, unknown = clip.pictures(index), clip.unknown[index]
    shifted = shifted_holes(donors, config.batch, state.random)
    for _ in range(config.shifted_holes - 1):
        shifted |= shifted_holes(donors, config.batch, state.random)
    hidden = (unknown | shifted).float()
    # Compare where the truth is known (eq. 2).
    weight = (1 + config.hole_weight * shifted.float()).masked_fill_(unknown, 0)
    with state.accelerator.autocast():
        stages = network(truth, hidden)
    loss = reconstruction([stage.float() for stage in stages], truth, weight)
    # Learn.
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.zero_grad()
    state.accelerator.backward(loss)
    state.optimizer.step()
    state.step += 1
    return loss.detach()
