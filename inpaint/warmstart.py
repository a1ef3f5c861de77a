"""Warm start: one network learns from many shots, and each shot's own fit then begins with it.

What is learnt from is what a fit learns from, known pixels under moved holes. But every sample of a
step has a number, its slot, and depends on that and the step alone: so several processes can share
a step, however many they are, each taking some of its slots.

    lesson = Warmstart(network, pool(counts, read, config, slots, device), config, slots)
    for report in learn(config, state, ...):  # see cluster/training.py
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint import checkpoint
from inpaint.clip import Clip, Footage
from inpaint.holes import rolled
from inpaint.internal import Exam, validate
from inpaint.learning import Optimizer, RateSchedule, Schedule, State
from inpaint.losses import reconstruction
from inpaint.network import Network
from inpaint.progressive import Draw, Pool
from inpaint.step import Batch
from inpaint.windows import Window

SHOTS_HELD, FRAMES_HELD = 4, 8
"""For each slot: of how many shots frames are held, and how many frames of each."""


@dataclass(frozen=True)
class WarmstartConfig(Schedule):
    """How a network learns from many shots.

    Attributes:
        batch: samples a step, of all processes together.
        shifted_holes, hole_weight: see `inpaint.FitConfig`.
        renew_every: steps after which one of the shots held for each slot is replaced.
        validate_every: steps between measurements.
    """

    steps: int = 20_000
    batch: int = 8
    optimizer: Optimizer = "muon"
    learning_rate: float = 2e-2
    schedule: RateSchedule = "trapezoid"
    warmup_steps: int = 50
    shifted_holes: int = 1
    hole_weight: float = 5.0
    renew_every: int = 50
    validate_every: int = 500


class Warmstart:
    """What is learnt, and one process's part of what it is learnt from.

    Args:
        footage: as `pool` gives it.
        slots: the numbers of this process's samples, from 0 to below the batch.
        exam: what to measure at.
    """

    def __init__(
        self,
        network: Network,
        footage: Footage,
        config: WarmstartConfig,
        slots: Sequence[int],
        exam: Exam | None = None,
    ) -> None:
        self.network, self.schedule, self._exam = network, config, exam
        self.validate_every = config.validate_every
        self._footage, self._slots = footage, slots
        self._clip: Clip | None = None
        self._with_hole = np.zeros(0, bool)

    def loss(self, state: State) -> Tensor:
        """Return the mean loss over this process's samples of a step."""
        batch = self._drawn(state)
        with state.accelerator.autocast():
            stages = state.trained(batch.truth, batch.hidden.float())
        weight = batch.weight(self.schedule.hole_weight)
        return reconstruction([stage.float() for stage in stages], batch.truth, weight)

    def judge(self, state: State) -> float | None:
        """Return the mean PSNR (dB) at the exam, None where there is none."""
        return None if self._exam is None else validate(self.network, self._exam, state)

    def _drawn(self, state: State) -> Batch:
        if self._clip is not (clip := self._footage.at(state.step)):
            self._clip, self._with_hole = clip, clip.hole.flatten(1).any(dim=1).cpu().numpy()
        rows = np.arange(len(clip)).reshape(SHOTS_HELD, len(self._slots), FRAMES_HELD)
        drawn = [
            self._sample(rows[:, place].ravel(), (self.schedule.seed, state.step, slot))
            for place, slot in enumerate(self._slots)
        ]
        frames, *holes = torch.tensor(drawn).to(state.device, non_blocking=True).T
        shifted = torch.zeros_like(clip.unknown[frames])
        for donors, down, right in zip(*[iter(holes)] * 3, strict=True):
            shifted |= rolled(clip.hole[donors], down, right)
        return Batch(clip.pictures(frames), clip.unknown[frames], shifted, None)

    def _sample(self, own: np.ndarray, entropy: tuple[int, int, int]) -> list[int]:
        """Draw a frame, then for each hole over it: of which frame, how far down and right."""
        random, with_hole = np.random.default_rng(entropy), own[self._with_hole[own]]
        sample = [random.choice(own)]
        for _ in range(self.schedule.shifted_holes):
            donor = random.choice(with_hole if len(with_hole) else own)
            sample += [donor, *random.integers(1 << 30, size=2)]  # a shift wraps around
        return [int(number) for number in sample]


def pool(
    counts: Sequence[int],
    read: Callable[[int, int], Clip],
    config: WarmstartConfig,
    slots: Sequence[int],
    device: torch.device | str = "cpu",
) -> Pool:
    """Hold frames for each slot, drawn by the seed: a few shots, and a few frames of each.

    Every shot is as likely as any other, however long. What is held for a slot does not depend on
    which others there are.

    Args:
        counts: frames of each shot.
        read: frame `t` of shot `n` as a clip of length 1, all of one size.
    """
    starts = np.concatenate([[0], np.cumsum(counts)])

    def draw(number: int) -> Draw:
        return [(t, _WHOLE) for slot in slots for t in group(slot, number)]

    def group(slot: int, number: int) -> list[int]:
        random = np.random.default_rng((config.seed, slot, number, 1))
        shot = int(random.integers(len(counts)))
        times = random.choice(counts[shot], FRAMES_HELD, replace=counts[shot] < FRAMES_HELD)
        return [int(starts[shot] + t) for t in times]

    def found(t: int, _: Window) -> Clip:
        shot = int(np.searchsorted(starts, t, side="right")) - 1
        return read(shot, t - int(starts[shot]))

    return Pool(draw, found, groups=SHOTS_HELD, every_steps=config.renew_every, device=device)


_WHOLE = Window(0, 0, 0, 0)


def canvas(clip: Clip, size: tuple[int, int]) -> Clip:
    """Return a clip of 8 bits, its frames grown right and bottom; what is added is unknown."""
    frames = clip.frames
    if frames.dtype != torch.uint8:
        frames = frames.float().mul_(255).round_().clamp_(0, 255).byte()
    height, width = clip.size
    added = (0, size[1] - width, 0, size[0] - height)
    return Clip(
        F.pad(frames, added),
        F.pad(clip.hole, added),
        F.pad(clip.unknown, added, value=True),
    )


def pack(weights: Mapping[str, Tensor], description: dict[str, Any]) -> bytes:
    """Return a network's weights, and what there is to say of them, as the bytes of a file."""
    content = {"format": checkpoint.FORMAT, "network": dict(weights)}
    return checkpoint.seal(content | {"warmstart": description})


def unpack(content: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the weights, on the CPU, and their description.

    Raises:
        DamagedCheckpoint: it is no warm start, or not what was written.
    """
    loaded = checkpoint.read(content)
    if "warmstart" not in loaded:
        raise checkpoint.DamagedCheckpoint("a checkpoint, but no warm start")
    return loaded["network"], loaded["warmstart"]
