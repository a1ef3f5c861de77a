"""From the object's mask on a few frames to its mask on all: learnt from those frames alone.

    for report in fit(network, clip, given, config, state):
        ...  # as in `internal`
    for t, mask in predict(network, clip, given, config, state.accelerator):
        ...  # the hole of frame t

Source: IIVI (Ouyang et al., ICCV 2021), its mask propagation. Shapes: `T C H W`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor

from inpaint.clip import Clip
from inpaint.learning import Report, Schedule, State, learn
from inpaint.pasting import Known, Sample, known, rolled_onto_itself, scenes
from inpaint.segmentation import Segmenter
from inpaint.trail import Trail


@dataclass(frozen=True)
class PropagateConfig(Schedule):
    """How to learn an object, and how to look for it. The defaults are the authors'.

    Attributes:
        alpha: what calling background object costs, where the reverse costs 1.
        samples: `rolled`: pasted onto its own frame; `scenes`: moved, changed and partly hidden.
        crop: share of the frame's sides that a sample of `scenes` shows.
        unguided: share of the samples without a guess of where the object is. With 1 each frame
            is looked at alone; otherwise from frame to frame, starting at the given ones.
        threshold: probability from which a pixel is the object's.
        trail_threshold: probability from which a pixel leads on to the next frame.
        reach: how far from its guess the object is looked for, in roots of its area; further for
            each frame in which it was not found.
    """

    steps: int = 8_000
    batch: int = 6
    learning_rate: float = 1e-4
    alpha: float = 0.8
    samples: Literal["rolled", "scenes"] = "rolled"
    crop: float = 1.0
    unguided: float = 1.0
    threshold: float = 0.5
    trail_threshold: float = 0.9
    reach: float = 0.25


RECIPES = {
    # The authors' (IIVI and its code).
    "paper": PropagateConfig(),
    "fast": PropagateConfig(
        steps=1_000,
        batch=4,
        learning_rate=2e-3,
        schedule="cosine",
        warmup_steps=50,
        samples="scenes",
        crop=0.5,
        unguided=0.2,
        threshold=0.4,
    ),
}


MOST_SHOWN = 16
"""They are held in full precision while the network learns."""


def fit(
    network: Segmenter, clip: Clip, given: Sequence[int], config: PropagateConfig, state: State
) -> Iterator[Report]:
    """Train the network to find the object of the given frames; pause with a report every so often.

    Goes on from `state.step`; state and network may be saved whenever it pauses. The result does
    not depend on where it pauses or is resumed.

    Args:
        clip: on the state's device.
        given: the frames whose hole is the object's mask; no other frame's hole is looked at. Of
            many, `MOST_SHOWN` at most are learnt from, spread over them.

    Raises:
        ValueError: no frame is given, or one without a hole.
        FloatingPointError: the loss is not a number.
    """
    shown = checked(clip, given)
    material = known(clip, shown[:: math.ceil(len(shown) / MOST_SHOWN)])
    network.train()
    yield from learn(config, state, partial(_step, network, material, config, state))


def predict(
    network: Segmenter,
    clip: Clip,
    given: Sequence[int],
    config: PropagateConfig,
    accelerator: Accelerator,
    start: int = 0,
) -> Iterator[tuple[int, Tensor]]:
    """Yield each frame's number and mask, `(1, H, W)` bool, in order from frame `start` on.

    A given frame has its own mask. With guesses each mask follows from its neighbour's on the side
    of the nearest given frame; a later `start` does those in between again, a forward pass and a
    flow a frame, and gives the same masks. Those before a given frame are held until it is reached.
    """
    network.eval()
    for chain in chains(len(clip), checked(clip, given)):
        if max(chain) < start:
            continue
        found = _follow(network, clip, chain, config, accelerator)
        for t, mask in found if chain[0] <= chain[-1] else reversed(list(found)):
            if t >= start:
                yield t, mask


def chains(count: int, given: Sequence[int]) -> list[range]:
    """Divide the frames among the given ones, each to the nearest: from there on, step by step.

    Every chain starts at a given frame; those that go back give it away to the one that goes on.
    """
    middles = [0, *((a + b) // 2 + 1 for a, b in pairwise(given)), count]
    found = []
    for t, (first, end) in zip(given, pairwise(middles), strict=True):
        found += [range(t, first - 1, -1)] if first < t else []
        found += [range(t, end)]
    return found


@dataclass(frozen=True)
class Region:
    """How well masks agree, frame by frame: `(N,)` in [0, 1], NaN where there is nothing to find.

    Attributes:
        jaccard: intersection over union (J of Perazzi et al., DAVIS, CVPR 2016).
        recall: share of the object that was found.
        precision: share of what was found that is the object; 0 where nothing was.
    """

    jaccard: Tensor
    recall: Tensor
    precision: Tensor


def region(predicted: Tensor, true: Tensor) -> Region:
    """Compare masks `(N, 1, H, W)` bool; `metrics.average` skips and counts the empty ones."""
    both, found, wanted = (
        mask.sum(dim=(1, 2, 3)).double() for mask in (predicted & true, predicted, true)
    )
    absent = wanted == 0
    scores = (both / (found + wanted - both), both / wanted, both / found.clamp(min=1))
    return Region(*(score.masked_fill(absent, math.nan) for score in scores))


def checked(clip: Clip, given: Sequence[int]) -> list[int]:
    """Return the given frames in order.

    Raises:
        ValueError: there is none, one is not of the clip, or one has no mask.
    """
    if not given:
        raise ValueError("no frame is given; name one whose mask shows the object")
    for t in given:
        if not 0 <= t < len(clip):
            raise ValueError(f"frame {t} is given, but the clip has frames 0 to {len(clip) - 1}")
        if not clip.hole[t].any():
            raise ValueError(f"frame {t} is given, but its mask is empty: nothing to look for")
    return sorted(set(given))


def _step(
    network: Segmenter, material: Known, config: PropagateConfig, state: State, rate: float
) -> Tensor:
    """One step: paste, look for it, compare, learn. Returns the loss, still on the device."""
    sample = _samples(material, config, state.random)
    with state.accelerator.autocast():
        logit = network(sample.picture, sample.guess)
    loss = weighted_entropy(logit.float(), sample.object, sample.weight, config.alpha)
    return state.descend(loss, rate)


def weighted_entropy(logit: Tensor, object: Tensor, weight: Tensor, alpha: float) -> Tensor:
    """Return the mean cross-entropy, where calling background object costs `alpha`.

    `−(y log ỹ + α (1 − y) log(1 − ỹ))`, `(B, 1, H, W)` each, over the pixels that have a weight.

    Source: IIVI, `L_we` of the mask propagation. Deviation: a mean, not a sum.
    """
    missed = object * F.softplus(-logit)
    invented = alpha * (1 - object) * F.softplus(logit)
    return ((missed + invented) * weight).sum() / weight.sum().clamp(min=1)


def _samples(material: Known, config: PropagateConfig, random: torch.Generator) -> Sample:
    if config.samples == "rolled":
        return rolled_onto_itself(material, config.batch, random)
    height, width = (round(side * config.crop) for side in material.picture.shape[-2:])
    return scenes(material, config.batch, (height, width), config.unguided, random)


def _follow(
    network: Segmenter,
    clip: Clip,
    chain: range,
    config: PropagateConfig,
    accelerator: Accelerator,
) -> Iterator[tuple[int, Tensor]]:
    """Go along a chain of frames; a chain that goes on yields its given frame, too."""
    given = clip.hole[chain[0]]
    if chain[0] <= chain[-1]:
        yield chain[0], given
    trail = Trail(given[None], float(given.sum()))
    for before, t in pairwise(chain):
        old, picture = (clip.pictures(slice(at, at + 1)) for at in (before, t))
        if config.unguided == 1:
            alone = torch.zeros_like(picture[:, :1])
            probability = _probability(network, picture, alone, accelerator)
        else:
            trail = trail.carried(old, picture)
            probability = _probability(network, picture, trail.mask.float(), accelerator)
            probability *= trail.search(config.reach)
            trail = trail.renewed(probability > config.trail_threshold)
        yield t, probability[0] > config.threshold


@torch.no_grad()
def _probability(
    network: Segmenter, picture: Tensor, guess: Tensor, accelerator: Accelerator
) -> Tensor:
    with accelerator.autocast():
        logit = network(picture, guess)
    return logit.float().sigmoid()
