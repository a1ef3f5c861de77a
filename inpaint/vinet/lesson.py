"""VINet's stages one after the other, each step learning from its own windows of many clips.

Every sample of a step has a number, its slot, and depends on that, the step and the seed alone: so
several processes can share a step, and a resumed training is the unbroken one, also across stages.

    samples = Ahead(lambda step: drawn(scenes, config, step, slots), config.steps)
    lesson = Lesson(network, samples, config)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor, nn

from inpaint.clip import Clip
from inpaint.clip import joined as clips_joined
from inpaint.learning import Optimizer, RateSchedule, Schedule, State
from inpaint.metrics import average, psnr
from inpaint.vinet.holes import draw
from inpaint.vinet.training import STAGES, Batch, TrainConfig, chosen, joined, losses, sample
from inpaint.warmstart import canvas
from inpaint.windows import Window

AHEAD_STEPS = 2
"""Steps whose samples are read before they are asked for, more by those made at the same time."""

EXAM_SAMPLES = 16

_EXAM_STEP = 2**31  # one that no training reaches


@dataclass(frozen=True)
class LessonConfig(Schedule):
    """How VINet learns from many clips.

    Attributes:
        batch: samples a step, of all processes together.
        shares: of the steps, for each of `STAGES`: from one neighbour, from four, and with
            recurrence. They add up to 1.
        window_px: side of the windows learnt from.
        pan_px: the fastest that a window moves over its clip, in pixels a frame along each axis:
            what a hole hides is then seen in other frames.
        frames: consecutive frames of a sample of the last stage.
        validate_every: steps between measurements.
    """

    steps: int = 100_000
    batch: int = 4
    optimizer: Optimizer = "muon"
    learning_rate: float = 5e-3
    schedule: RateSchedule = "trapezoid"
    warmup_steps: int = 50
    shares: Sequence[float] = (0.1, 0.5, 0.4)
    window_px: int = 128
    pan_px: float = 4.0
    frames: int = 4
    validate_every: int = 500

    def stage(self, step: int) -> TrainConfig:
        """Return the stage that a step belongs to."""
        ends = [round(self.steps * part) for part in accumulate(self.shares)]
        name = next((n for n, end in zip(STAGES, ends, strict=True) if step < end), "recurrent")
        stage = STAGES[name]
        return replace(stage, frames=self.frames) if stage.frames > 1 else stage


@dataclass(frozen=True)
class Scene:
    """A clip to learn from, read in parts.

    Attributes:
        frames: how many, no fewer than a sample has.
        size: height and width.
        read: gives some of its frames, in rising order, and of each the same window.
    """

    frames: int
    size: tuple[int, int]
    read: Callable[[Sequence[int], Window], Clip]


def drawn(scenes: Sequence[Scene], config: LessonConfig, step: int, slots: Sequence[int]) -> Batch:
    """Draw the samples of a step."""
    stage = config.stage(step)
    return joined([_drawn(scenes, config, stage, (config.seed, step, slot)) for slot in slots])


def examined(scenes: Sequence[Scene], config: LessonConfig) -> Batch:
    """Draw single frames to measure at."""
    stage, slots = STAGES["neighbours"], range(EXAM_SAMPLES)
    return joined([_drawn(scenes, config, stage, (config.seed, _EXAM_STEP, n)) for n in slots])


class Ahead:
    """What is made for each step, the next ones in the background.

    Args:
        make: gives a step's samples.
        end: the step after the last.
        threads: how many steps are made at a time.
    """

    def __init__(self, make: Callable[[int], Batch], end: int, threads: int = 1) -> None:
        self._make, self._end, self._ahead = make, end, AHEAD_STEPS + threads - 1
        self._coming: dict[int, Future[Batch]] = {}
        self._reader = ThreadPoolExecutor(threads)

    def at(self, step: int) -> Batch:
        """Return the samples of a step; each is asked for once."""
        for coming in range(step, min(step + self._ahead + 1, self._end)):
            if coming not in self._coming:
                self._coming[coming] = self._reader.submit(self._make, coming)
        return self._coming.pop(step).result()

    def close(self) -> None:
        """Stop reading ahead."""
        self._reader.shutdown(wait=True, cancel_futures=True)


class Lesson:
    """What is learnt, and one process's part of what it is learnt from.

    Args:
        samples: this process's of every step.
        exam: what to measure at.
    """

    def __init__(
        self,
        network: nn.Module,
        samples: Ahead,
        config: LessonConfig,
        exam: Batch | None = None,
    ) -> None:
        self.network, self.schedule, self._exam = network, config, exam
        self.validate_every = config.validate_every
        self._samples = samples

    def loss(self, state: State) -> Tensor:
        """Return the mean loss over this process's samples of a step."""
        batch = self._samples.at(state.step).to(state.device)
        stage = self.schedule.stage(state.step)
        terms = losses(state.trained, batch, stage, state.accelerator)
        # Processes that share a step wait for a gradient of every weight: of some it is 0.
        unused = torch.stack([weight.sum() for weight in self.network.parameters()]).sum()
        return torch.stack(list(terms.values())).sum() + 0 * unused

    @torch.no_grad()
    def judge(self, state: State) -> float | None:
        """Return the mean PSNR (dB) in the exam's holes, None where there is none."""
        if self._exam is None:
            return None
        batch, scores = self._exam, []
        self.network.eval()
        for n in range(len(batch.truth)):
            one = Batch(*(part[n : n + 1] for part in vars(batch).values())).to(state.device)
            with state.accelerator.autocast():
                filled = self.network(one.truth, one.hole | one.unknown, one.near, one.near_hidden)
            made = (filled.pictures[0].clamp(-1, 1) + 1) / 2
            scores.append(psnr(made, (one.truth[0] + 1) / 2, one.hole[0]))
        self.network.train()
        return average(torch.cat(scores)).value


def _drawn(
    scenes: Sequence[Scene], config: LessonConfig, stage: TrainConfig, entropy: tuple[int, ...]
) -> Batch:
    """Draw a clip, a frame of it, a window, whether it is mirrored, and a hole over it."""
    choice = np.random.default_rng(entropy)
    random = torch.Generator().manual_seed(int(choice.integers(2**63)))
    scene = scenes[int(choice.integers(len(scenes)))]
    start = int(choice.integers(scene.frames - stage.frames + 1))
    times, places = chosen(start, scene.frames, stage, random).unique(return_inverse=True)
    span = times - times[0]
    windows = _panning(scene.size, config, span.numpy(), choice)
    clip = _cut(scene, times.tolist(), windows, config.window_px)
    pictures, unknown = clip.pictures(slice(None)), clip.unknown
    if choice.random() < 0.5:
        pictures, unknown = pictures.flip(3), unknown.flip(3)
    hole = draw(int(span[-1]) + 1, clip.size, stage.holes, random)[span]
    return sample(pictures, unknown, hole, places)


def _panning(
    size: tuple[int, int], config: LessonConfig, span: np.ndarray, choice: np.random.Generator
) -> list[Window]:
    """Choose a window for each frame, `span` frames after the first; it moves evenly."""
    corners, sides = [], [min(config.window_px, whole) for whole in size]
    for whole, side in zip(size, sides, strict=True):
        room, way = whole - side, config.pan_px * choice.uniform(-1, 1) * span[-1]
        way = min(max(way, -room), room)
        first = choice.uniform(max(0, -way), room - max(0, way))
        corners.append((first + way * span / max(1, span[-1])).round().astype(int).tolist())
    return [Window(top, left, *sides) for top, left in zip(*corners, strict=True)]


def _cut(scene: Scene, times: Sequence[int], windows: Sequence[Window], side_px: int) -> Clip:
    """Read at once what all windows lie in, and cut each frame's out of it."""
    top, left = min(w.top for w in windows), min(w.left for w in windows)
    height = max(w.top for w in windows) + windows[0].height - top
    width = max(w.left for w in windows) + windows[0].width - left
    whole = scene.read(times, Window(top, left, height, width))
    parts = [
        whole.window(n, Window(w.top - top, w.left - left, w.height, w.width))
        for n, w in enumerate(windows)
    ]
    return canvas(clips_joined(parts), (side_px, side_px))
