"""The loop that every fit shares: a schedule, a state, and a generator that takes the steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from inpaint.muon import Muon
from inpaint.precision import Precision, accelerator

Optimizer = Literal["adam", "muon"]
RateSchedule = Literal["constant", "cosine", "trapezoid"]


@dataclass(frozen=True)
class Schedule:
    """How long to learn, and how fast.

    Attributes:
        steps: optimiser steps.
        batch: samples a step.
        optimizer: `adam`, or `muon` (see `inpaint.muon`), whose rate is some ten times Adam's.
        learning_rate: of the optimiser.
        weight_decay: at every step weights shrink by the rate times this, whatever their gradients:
            all of them (AdamW, Loshchilov & Hutter 2019), or those that `muon` turns.
        schedule: of the rate: `constant`; `cosine`, down to a fiftieth; `trapezoid`, constant and
            then, over the last `cooldown_share` of the steps, in a line down to nothing.
        warmup_steps: the rate rises linearly over these first steps.
        patience: where the judge's figure has not risen by `least_gain_db` this many times in a
            row, the cool-down begins: the fit becomes one that was planned for fewer steps. 0
            never ends early; nor does a cosine, which cannot be cut short.
        report_every: steps between entries of the loss curve.
        seed: of everything random.
        precision: of the network's arithmetic.
    """

    steps: int
    batch: int
    learning_rate: float
    optimizer: Optimizer = "adam"
    weight_decay: float = 0.0
    schedule: RateSchedule = "constant"
    warmup_steps: int = 0
    cooldown_share: float = 0.5
    patience: int = 0
    least_gain_db: float = 0.1
    report_every: int = 50
    seed: int = 0
    precision: Precision = "auto"


def learning_rate(step: int, schedule: Schedule, end: int) -> float:
    """Return the rate of a step (counted from 0) of a fit that ends after `end` steps."""
    rate = schedule.learning_rate * min(1.0, (step + 1) / max(1, schedule.warmup_steps))
    match schedule.schedule:
        case "constant":
            return rate
        case "cosine":
            return rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / end)))
        case "trapezoid":
            return rate * min(1.0, (1 - step / end) / schedule.cooldown_share)


@dataclass
class State:
    """What a fit carries from step to step; with the weights, all that a checkpoint holds.

    Attributes:
        trained: the network as it is called to learn: where several processes train one, wrapped
            so that their gradients are averaged.
        end: the step at which it ends, the schedule's or an earlier one.
        best: the judge's figure that the next ones are held against.
        waited: how many have not been worth their steps since.
    """

    step: int
    optimizer: torch.optim.Optimizer
    random: torch.Generator
    accelerator: Accelerator
    trained: nn.Module
    end: int
    best: float = -math.inf
    waited: int = 0

    @property
    def device(self) -> torch.device:
        return self.random.device

    def descend(self, loss: Tensor, rate: float) -> Tensor:
        """Take a step down the loss; return it, still on the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1)
        self.optimizer.zero_grad()
        self.accelerator.backward(loss)
        self.optimizer.step()
        self.step += 1
        return loss.detach()


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


def begin(network: nn.Module, schedule: Schedule, device: torch.device) -> State:
    """Return the state before the first step, and move the network to the device.

    cuDNN is asked for gradients that come out the same each time, so that a fit that goes on ends
    as the unbroken one.
    """
    torch.backends.cudnn.deterministic = True
    network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rate, decay = schedule.learning_rate, schedule.weight_decay
    optimizer: torch.optim.Optimizer
    if schedule.optimizer == "muon":
        optimizer = Muon(network, rate, decay)
    else:
        parameters = network.parameters()
        optimizer = torch.optim.AdamW(parameters, rate, weight_decay=decay, fused=True)
    random = torch.Generator(device).manual_seed(schedule.seed)
    accelerate = accelerator(schedule.precision, device)
    trained, optimizer = accelerate.prepare(network, optimizer)
    return State(0, optimizer, random, accelerate, trained, schedule.steps)


def learn(
    schedule: Schedule,
    state: State,
    step: Callable[[float], Tensor],
    judge: Callable[[], float | None] | None = None,
    judge_every: int = 0,
) -> Iterator[Report]:
    """Take the steps that are left; pause with a report every so often.

    State and network may be saved whenever it pauses. What is learnt does not depend on where it
    pauses or is resumed.

    Args:
        step: takes one step at a learning rate; returns its loss, still on the device.
        judge: measures the network, every `judge_every` steps and after the last.

    Raises:
        FloatingPointError: the loss is not a number.
    """
    total, counted = torch.zeros((), device=state.device), 0
    started, first, paused = time.monotonic(), state.step, time.monotonic()
    while state.step < state.end:
        rate = learning_rate(state.step, schedule, state.end)
        total += step(rate)
        counted += 1
        last = state.step == state.end
        due = judge is not None and (last or state.step % judge_every == 0)
        entry = due or last or state.step % schedule.report_every == 0
        if not entry and time.monotonic() - paused < PULSE_S:
            continue
        loss = float(total) / counted  # waits for the device
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss} at step {state.step}")
        score = judge() if judge is not None and due else None
        if score is not None:
            _weigh(score, schedule, state)
        paused = time.monotonic()
        speed = (state.step - first) / (paused - started)
        yield Report(state.step, loss, rate, speed, entry, score)
        if entry:
            total, counted = torch.zeros_like(total), 0


def _weigh(score: float, schedule: Schedule, state: State) -> None:
    """Bring the end forward where more steps no longer pay."""
    share = schedule.cooldown_share if schedule.schedule == "trapezoid" else 0
    cooling = state.step >= state.end * (1 - share)
    if cooling or schedule.patience == 0 or schedule.schedule == "cosine":
        return
    if score >= state.best + schedule.least_gain_db:
        state.best, state.waited = score, 0
        return
    state.waited += 1
    if state.waited == schedule.patience:
        state.end = min(state.end, math.ceil(state.step / (1 - share)))
