"""A shot filled by a trained VINet: read frame by frame, judged on the way."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from cluster.config import Config
from cluster.initial import found, start
from cluster.plan import Job
from cluster.quality import telea_at
from cluster.shot_frames import ShotFrames
from inpaint.clip import Clip, joined
from inpaint.holes import validation_hole
from inpaint.internal import Exam, judged_frames
from inpaint.metrics import average, psnr
from inpaint.precision import accelerator as accelerate
from inpaint.tone import Tone
from inpaint.vinet.fill import fill
from inpaint.vinet.network import CAPACITIES, VINet, build
from inpaint.windows import Window
from storage import Version


class Trained:
    """The job's network, and a shot's frames at the working size.

    Attributes:
        doubt: what a person should know of the network; None where there is nothing.
    """

    def __init__(self, job: Job, version: Version, tone: Tone, device: torch.device) -> None:
        config = job.config
        assert job.scale is not None
        assert config.capacity != "auto"
        channels = version.shot.frames.shape[-1]
        self._network = build(CAPACITIES[config.capacity], channels, config.seed)
        self.doubt = start(self._network, job)
        self._network.to(device)
        self._accelerator = accelerate(config.precision, device)
        frames = ShotFrames(version, tone, job.scale.size)
        self._reel = Reel(frames, config.validation_share, config.seed)
        self._exam, self._scores = self._reel.exam(), list[Tensor]()

    def fill(self, start: int) -> Iterator[tuple[int, Tensor]]:
        """Yield each frame from `start` on, `(C, h, w)` in 0 to 1.

        All before it are gone through again: each depends on them, and the estimate on all.
        """
        for t, made in fill(self._network, self._reel, self._accelerator):
            if self._exam is not None and t in self._reel.judged:
                self._judge(self._exam, self._reel.judged.index(t), made.cpu())
            if t >= start:
                yield t, made

    def estimate(self) -> dict[str, float | None]:
        """Return the mean PSNR (dB) at the validation hole, and Telea's; after the last frame."""
        own = average(torch.cat(self._scores)).value if self._scores else None
        return {"validation_psnr": own, "validation_peer_psnr": telea_at(self._exam)}

    def _judge(self, exam: Exam, place: int, made: Tensor) -> None:
        index = slice(place, place + 1)
        truth = (exam.clip.pictures(index) + 1) / 2
        self._scores.append(psnr(made[None], truth, exam.where[index]))


def trained_vinet(config: Config, channels: int, shot: str) -> VINet:
    """Return the network whose fill a fit's result is blended with."""
    given = found(config, "vinet", channels, shot)
    network = build(CAPACITIES[given.description["capacity"]], channels, config.seed)
    network.load_state_dict(given.weights)
    return network


class Reel:
    """A shot's frames with a validation hole, hidden as it is from a fit.

    Attributes:
        judged: the frames whose validation hole is measured.
    """

    def __init__(self, frames: ShotFrames, share: float, seed: int) -> None:
        self._frames, self.size = frames, frames.size
        holes = np.stack([frames.missing(t) for t in range(len(frames))])
        self._judge = validation_hole(torch.from_numpy(holes)[:, None], share, seed)
        self.judged: list[int] = judged_frames(self._judge).tolist()

    def __len__(self) -> int:
        return len(self._frames)

    def missing(self, t: int) -> np.ndarray:
        return self._frames.missing(t)

    def window(self, t: int, window: Window) -> Clip:
        return self._frames[t].hiding(self._judge[t : t + 1]).window(0, window)

    def exam(self) -> Exam | None:
        """Return the frames that are judged; None where there are none."""
        if not self.judged:
            return None
        clip = joined([self._frames[t] for t in self.judged])
        judge = self._judge[self.judged]
        return Exam(clip.hiding(judge), judge & ~clip.unknown)
