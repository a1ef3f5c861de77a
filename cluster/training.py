"""A training that several processes share: each takes a part of every step, all hold one network.

    for pause in train(lesson, device, saved, every, stop):
        if pause.save: ...  # in every process at the same steps

What is learnt does not depend on how many processes there are, but for the order in which float
numbers are added. No ray: `on_train` starts the processes and keeps the checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from inpaint import checkpoint
from inpaint.learning import Report, Schedule, State, begin, learn


class Lesson(Protocol):
    """What is trained, and this process's part of what it is trained on."""

    @property
    def network(self) -> nn.Module: ...

    @property
    def schedule(self) -> Schedule:
        """How long and how fast; it must not end early, which one process would do alone."""

    @property
    def validate_every(self) -> int:
        """Steps between measurements."""

    def loss(self, state: State) -> Tensor:
        """Return the mean loss over this process's samples of a step, by `state.trained`."""

    def judge(self, state: State) -> float | None:
        """Measure the network, in this process alone; None where it is not the one that does."""


@dataclass(frozen=True)
class Pause:
    """A moment at which every process stands at the same step.

    Attributes:
        content: a checkpoint, the same in every process; None where it is not time for one.
        stopped: whether one of the processes was asked to stop; this is the last pause then.
    """

    report: Report
    content: bytes | None
    stopped: bool


def train(
    lesson: Lesson,
    device: torch.device,
    saved: Iterable[bytes],
    checkpoint_every: int,
    stop: Callable[[], bool],
) -> Iterator[Pause]:
    """Train to the end, from the last good checkpoint on; pause at every entry of the curve.

    Args:
        saved: checkpoints, the last one first.
        checkpoint_every: steps between checkpoints, a multiple of those between entries.
        stop: asked in every process; one that says so is enough.
    """
    state = begin(lesson.network, lesson.schedule, device)
    _resume(lesson.network, state, saved)
    reports = learn(
        lesson.schedule,
        state,
        lambda rate: state.descend(lesson.loss(state), rate),
        lambda: lesson.judge(state),
        lesson.validate_every,
    )
    for report in reports:
        last = state.step == state.end
        if not last and state.step % lesson.schedule.report_every:
            continue
        stopped = not last and _any(stop(), state)
        due = last or stopped or state.step % checkpoint_every == 0
        yield Pause(report, checkpoint.dump(lesson.network, state) if due else None, stopped)
        if stopped:
            return


def _resume(network: nn.Module, state: State, saved: Iterable[bytes]) -> None:
    for content in saved:
        try:
            checkpoint.restore(content, network, state)
            return
        except checkpoint.DamagedCheckpoint:
            continue  # the one before it


def _any(value: bool, state: State) -> bool:
    """Whether it holds in any of the processes."""
    mine = torch.tensor(float(value), device=state.device)
    return bool(state.accelerator.reduce(mine, "sum"))
