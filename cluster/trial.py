"""One trial of a sweep: its shots fitted one after another, each within the same budget.

A trial reads the archive and writes nothing into it. It goes the way of an inpaint job up to the
figure that a launch would report, and fills nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from cluster import cores
from cluster.budget import step_flops, steps_for
from cluster.config import Config, fit_config
from cluster.footage import pairs, whole
from cluster.initial import found
from cluster.prepare import planned_scales
from cluster.quality import telea_at
from cluster.room import Need
from cluster.space import applied, rounded
from inpaint import checkpoint
from inpaint.flow_propagation import finished
from inpaint.internal import fit
from inpaint.learning import begin
from inpaint.network import CAPACITIES, build
from inpaint.prior import weigh
from inpaint.recipes import FitConfig
from inpaint.tone import tone_of
from storage import Archive, InputError, Shot

POINTS = 10
"""Of a shot's curve: so often a fit is measured, reported and saved."""


@dataclass(frozen=True)
class Task:
    """What every trial of a sweep is to do.

    Attributes:
        shots: of the archive, in this order.
        base: what the trials share, its capacity decided.
        budget_steps: a shot may cost as much as this many steps of the base.
        need: of a trial.
    """

    archive: str
    shots: tuple[str, ...]
    base: Config
    budget_steps: int
    need: Need


@dataclass(frozen=True)
class Fit:
    """One shot within a trial.

    Attributes:
        steps: that the budget buys.
        tflop: that they cost, all together.
        telea: PSNR (dB) of Telea at the validation hole.
        curve: steps done, and the network's own PSNR (dB) at the validation hole.
        psnr: what a launch would report; None until the fit is over.
    """

    steps: int
    tflop: float
    telea: float
    curve: tuple[tuple[int, float], ...] = ()
    psnr: float | None = None

    @property
    def spent_tflop(self) -> float:
        done = self.steps if self.psnr is not None else self.curve[-1][0] if self.curve else 0
        return self.tflop * done / self.steps

    @property
    def latest(self) -> float:
        """The last figure there is, in dB."""
        return self.curve[-1][1] if self.psnr is None else self.psnr


def attempt(
    task: Task, point: Mapping[str, Any], device: torch.device, fits: Sequence[Fit], saved: bytes
) -> Iterator[tuple[list[Fit], bytes]]:
    """Fit the shots that are left; pause with all fits so far, and a checkpoint of the last.

    Args:
        point: values of the launch configuration by dotted key.
        fits, saved: where an earlier attempt paused; empty at first. The checkpoint is empty
            between two shots.

    Raises:
        InputError: a shot cannot be judged.
        FloatingPointError: the loss is not a number.
    """
    cores.take(task.need.cpus)
    config = applied(task.base, {key: rounded(value) for key, value in point.items()})
    archive = Archive.open(task.archive)
    done = [one for one in fits if one.psnr is not None]
    begun = fits[len(done)] if len(fits) > len(done) else None
    for name in task.shots[len(done) :]:
        for one, content in _fitted(archive.shot(name), config, task, device, begun, saved):
            yield [*done, one], content
        done.append(one)
        begun, saved = None, b""


def _fitted(
    shot: Shot, config: Config, task: Task, device: torch.device, begun: Fit | None, saved: bytes
) -> Iterator[tuple[Fit, bytes]]:
    """Fit one shot; pause with it as it stands and a checkpoint, none with the final figure."""
    size = planned_scales(task.base, (shot.info.height, shot.info.width))[0].size
    channels = shot.frames.shape[-1]
    tone = tone_of(shot.info.dtype, pairs(shot, shot.hole))
    given = whole(shot, shot.hole, config, size, tone, device)
    telea = telea_at(given.exam)
    if given.exam is None or telea is None:
        raise InputError(f"shot {shot.name!r}: no room for a validation hole; leave the shot out")
    schedule, tflop = _within(task, config, channels, size, device)
    one = begun or Fit(schedule.steps, tflop, telea)
    network = build(CAPACITIES[config.capacity], channels, config.seed)
    if config.init is not None:
        network.load_state_dict(found(config, "init", channels, shot.name).weights)
    state = begin(network, schedule, device)
    if saved:
        checkpoint.restore(saved, network, state)
    for report in fit(network, given.footage, schedule, state, given.exam):
        if report.validation_psnr is None:
            continue
        one = replace(one, curve=(*one.curve, (report.step, round(report.validation_psnr, 4))))
        if report.step < schedule.steps:
            yield one, checkpoint.dump(network, state)
    parts = given.carry(state.accelerator)
    if not parts:
        yield replace(one, psnr=one.latest), b""
        return
    carried = [each for part in parts for each in finished(part.carry())]
    blend = weigh(network, given.exam, carried, state.accelerator)
    yield replace(one, psnr=blend.validation_psnr), b""


def _within(
    task: Task, config: Config, channels: int, size: tuple[int, int], device: torch.device
) -> tuple[FitConfig, float]:
    """Return the fit with the steps that its budget buys, and what they cost in TFLOP."""
    own, base = fit_config(config), fit_config(task.base)
    budget = task.budget_steps * step_flops(task.base.capacity, channels, size, base, device)
    cost = step_flops(config.capacity, channels, size, own, device)
    steps = steps_for(budget, cost)
    return replace(own, steps=steps, validate_every=-(-steps // POINTS)), steps * cost / 1e12
