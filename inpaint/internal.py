"""Internal learning: fit a network to one clip, from the clip itself.

    for report in fit(network, clip, config, state):
        ...  # log, save, stop: the caller decides

Source: Ouyang et al., Internal Video Inpainting by Implicit Long-range Propagation, ICCV 2021
("IIVI").
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from inpaint.clip import Clip, Footage
from inpaint.learning import Report, State, learn
from inpaint.metrics import average, psnr
from inpaint.network import Network
from inpaint.recipes import FitConfig
from inpaint.step import draw_batch, features_of, step
from inpaint.windows import Window


@dataclass(frozen=True)
class Exam:
    """Frames on which a fit is judged.

    Attributes:
        clip: the frames, on the fit's device.
        where: `(N, 1, H, W)` bool: known pixels that are treated as unknown; within `clip.unknown`.
        places: which frame of the shot each is, and which part of it; none where they are of
            several shots.
    """

    clip: Clip
    where: Tensor
    places: Sequence[tuple[int, Window]] = ()


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

    def take(rate: float) -> Tensor:
        nonlocal clip, donors
        if clip is not (clip := footage.at(state.step)):
            with_hole = clip.hole.flatten(1).any(dim=1)
            donors = clip.hole[with_hole] if with_hole.any() else clip.hole
        batch = draw_batch(clip, donors, config, state.random)
        return step(network, clip, batch, features, config, state, rate)

    judge = None if exam is None else partial(validate, network, exam, state)
    yield from learn(config, state, take, judge, config.validate_every)


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
    places = [(t, Window(0, 0, *clip.size)) for t in frames.tolist()]
    return Exam(clip[frames], judge[frames], places) if places else None


def judged_frames(judge: Tensor, most: int = 16) -> Tensor:
    """Return the indices of at most `most` frames of the validation hole, spread over it."""
    frames = torch.nonzero(judge.flatten(1).any(dim=1)).flatten()
    return frames[:: max(1, math.ceil(len(frames) / most))]
