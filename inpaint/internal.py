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

import torch
from torch import Tensor

from inpaint.clip import Clip, Footage
from inpaint.metrics import average, psnr
from inpaint.network import Network
from inpaint.precision import accelerator
from inpaint.recipes import FitConfig, learning_rate
from inpaint.step import State, draw_batch, features_of, step


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


@dataclass(frozen=True)
class Exam:
    """Frames on which a fit is judged.

    Attributes:
        clip: the frames, on the fit's device.
        where: `(N, 1, H, W)` bool: known pixels that are treated as unknown; within `clip.unknown`.
    """

    clip: Clip
    where: Tensor


def fit(
    network: Network, footage: Footage, config: FitConfig, state: State, exam: Exam | None = None
) -> Iterator[Report]:
    """Train the network on the known pixels; pause with a report every so often.

    Goes on from `state.step`; state and network may be saved whenever it pauses. The result does
    not depend on where it pauses or is resumed.

    Args:
        footage: a clip or a part of one, on the state's device.
        exam: what to measure at.

    Raises:
        FloatingPointError: the loss is not a number.
    """
    network.train()
    features = features_of(network, config, state.device)
    clip, donors = None, torch.empty(0)
    total, counted = torch.zeros((), device=state.device), 0
    started, first, paused = time.monotonic(), state.step, time.monotonic()
    while state.step < config.steps:
        if clip is not (clip := footage.at(state.step)):
            donors = clip.hole[clip.hole.flatten(1).any(dim=1)]
        rate = learning_rate(state.step, config)
        batch = draw_batch(clip, donors, config, state.random)
        total += step(network, clip, batch, features, config, state, rate)
        counted += 1
        due = state.step % config.validate_every == 0 or state.step == config.steps
        entry = due or state.step % config.report_every == 0
        if not entry and time.monotonic() - paused < PULSE_S:
            continue
        loss = float(total) / counted  # waits for the device
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss} at step {state.step}")
        score = validate(network, exam, state) if exam is not None and due else None
        paused = time.monotonic()
        speed = (state.step - first) / (paused - started)
        yield Report(state.step, loss, rate, speed, entry, score)
        if entry:
            total, counted = torch.zeros_like(total), 0


@torch.no_grad()
def validate(network: Network, exam: Exam, state: State) -> float | None:
    """Return the mean PSNR (dB) over the exam's frames."""
    network.eval()
    scores = []
    for index in torch.arange(len(exam.clip), device=state.device).split(4):
        part = exam.clip[index]
        truth = part.pictures(slice(None))
        with state.accelerator.autocast():
            result = network(truth, part.unknown.float(), part.priors(slice(None)))[-1].float()
        scores.append(psnr((result + 1) / 2, (truth + 1) / 2, exam.where[index]))
    network.train()
    return average(torch.cat(scores)).value


def examined(clip: Clip, judge: Tensor, most: int = 16) -> Exam | None:
    """Choose at most `most` frames of the validation hole, spread over it; None where it is empty.

    Args:
        judge: validation hole `(T, 1, H, W)` bool, contained in `clip.unknown`.
    """
    frames = judged_frames(judge, most)
    return Exam(clip[frames], judge[frames]) if len(frames) else None


def judged_frames(judge: Tensor, most: int = 16) -> Tensor:
    """Return the indices of at most `most` frames of the validation hole, spread over it."""
    frames = torch.nonzero(judge.flatten(1).any(dim=1)).flatten()
    return frames[:: max(1, math.ceil(len(frames) / most))]
