"""VINet's training: what a step learns from, and what it costs. No data is read here.

    places = chosen(start, len(pictures), config, random)
    batch = joined([sample(pictures, unknown, hole, places) for … in …])
    terms = losses(network, batch, config, accelerator)
    state.descend(sum(terms.values()), rate)

Shapes: `B N C H W`, N consecutive frames to be filled; `B N K C H W`, the K neighbours of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from inpaint.flow import flow
from inpaint.learning import Schedule
from inpaint.vinet.holes import HoleRanges
from inpaint.vinet.losses import (
    alignment_loss,
    believed,
    flow_loss,
    reconstruction,
    seen_twice,
    warping_loss,
)
from inpaint.vinet.network import OFFSETS, Filled, neighbours


@dataclass(frozen=True)
class TrainConfig(Schedule):
    """How to train: the last stage. Frames, supports and weights are the authors', flow's is not.

    Attributes:
        frames: consecutive frames of a sample. With 1 nothing is carried from frame to frame.
        supports: neighbours that are shown, 4 or 1; a single one stands in for all.
        holes: laid over the clips to learn on.
        hole_weight: of the hole's reconstruction, where the frame's is 1.
        alignment: weight of the alignment loss, which is ours.
        flow: weight of the flow loss; the authors' 10 leaves little to the reconstruction.
        short_term: weight of the warping loss against the frame before.
        long_term: the same against the sample's first frame.
    """

    steps: int = 50_000
    batch: int = 4
    learning_rate: float = 1e-4
    frames: int = 4
    supports: int = 4
    holes: HoleRanges = field(default_factory=HoleRanges)
    hole_weight: float = 5.0
    alignment: float = 0.05
    flow: float = 0.5
    short_term: float = 1.0
    long_term: float = 1.0


STAGES = {
    # The authors' order; each begins with the weights of the one before.
    "pair": TrainConfig(frames=1, supports=1),
    "neighbours": TrainConfig(frames=1),
    "recurrent": TrainConfig(),
}


@dataclass(frozen=True)
class Batch:
    """What a step learns from.

    Attributes:
        truth: `(B, N, C, H, W)` in [-1, 1].
        unknown: `(B, N, 1, H, W)` bool, what is never shown and never supervised.
        hole: `(B, N, 1, H, W)` bool, what is hidden to learn on.
        near: `(B, N, K, C, H, W)` in [-1, 1], the neighbours.
        near_hidden: `(B, N, K, 1, H, W)` bool, all that is hidden of them.
        to_near: `(B, N, K, 2, H, W)`, true flows from each frame to its neighbours.
        sure: `(B, N, K, 1, H, W)` bool, where those are believed.
        to_before: `(B, N - 1, 2, H, W)`, true flows from each frame but the first to the one
            before it.
        to_first: `(B, N - 2, 2, H, W)`, from each but the first two to the first.
    """

    truth: Tensor
    unknown: Tensor
    hole: Tensor
    near: Tensor
    near_hidden: Tensor
    to_near: Tensor
    sure: Tensor
    to_before: Tensor
    to_first: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(getattr(self, part.name).to(device) for part in fields(self)))


def chosen(start: int, count: int, config: TrainConfig, random: torch.Generator) -> Tensor:
    """Return which frames of a clip of `count` make a sample: `(N, 1 + K)`, int64.

    A row holds the number of a frame to be filled, from `start` on, and those of its neighbours;
    where only one is shown, it stands in for all.
    """
    own = range(start, start + config.frames)
    places = torch.tensor([[t, *neighbours(t, count)] for t in own])
    if config.supports == 1:
        only = 1 + torch.randint(len(OFFSETS), (), generator=random, device=random.device).cpu()
        places[:, 1:] = places[:, only, None]
    return places


def sample(pictures: Tensor, unknown: Tensor, hole: Tensor, places: Tensor) -> Batch:
    """Cut a batch of one sample out of frames, and estimate its true flows.

    Args:
        pictures: `(T, C, H, W)` in [-1, 1], C up to 4.
        unknown: `(T, 1, H, W)` bool.
        hole: `(T, 1, H, W)` bool, as `holes.draw` makes it.
        places: `(N, 1 + K)`, where each frame and its neighbours lie in them.
    """
    own, near = places[:, 0], places[:, 1:]
    shown = pictures.masked_fill(unknown, 0)
    from_own, around = own.repeat_interleave(near.shape[1]), near.flatten()
    to_near = _true_flows(shown[from_own], shown[around])
    sure = believed(shown[from_own], shown[around], to_near)
    sure &= seen_twice(unknown[from_own], unknown[around], to_near)
    truth = shown[own]
    parts = (
        truth,
        unknown[own],
        hole[own] & ~unknown[own],
        shown[near],
        (hole | unknown)[near],
        to_near.unflatten(0, near.shape),
        sure.unflatten(0, near.shape),
        _true_flows(truth[1:], truth[:-1]),
        _true_flows(truth[2:], truth[:1].expand(max(0, len(own) - 2), -1, -1, -1)),
    )
    return Batch(*(part[None] for part in parts))


def joined(batches: Sequence[Batch]) -> Batch:
    """Put batches of the same shapes behind each other."""
    return Batch(*(torch.cat([getattr(b, f.name) for b in batches]) for f in fields(Batch)))


def losses(
    network: nn.Module, batch: Batch, config: TrainConfig, accelerator: Accelerator
) -> dict[str, Tensor]:
    """Fill a batch and compare: the weighted terms of the loss, whose sum is to be minimised.

    Each is the mean over the sample's frames. With frames of 1 there is no more than the first,
    and the parts of the network that look at the frame before get no gradient: tell data-parallel
    wrappers so.

    Args:
        network: a VINet, or a wrapper of one.

    Source: Kim et al., Deep Video Inpainting, 2019, section 3.3. In the reference code only the
    last frame's flow counts, by an oversight.
    """
    hidden = batch.hole | batch.unknown
    with accelerator.autocast():
        filled = network(batch.truth, hidden, batch.near, batch.near_hidden)
    terms = {"reconstruction": _reconstruction(filled, batch, config)}
    if config.alignment:
        terms["alignment"] = config.alignment * _misalignment(filled, batch)
    if config.frames > 1:
        terms |= _steadiness(filled, batch, config)
    return {name: term / config.frames for name, term in terms.items()}


def _reconstruction(filled: Filled, batch: Batch, config: TrainConfig) -> Tensor:
    output = filled.pictures.masked_fill(batch.unknown, 0)
    frames = zip(output.unbind(1), batch.truth.unbind(1), batch.hole.unbind(1), strict=True)
    return _total(reconstruction(*frame, config.hole_weight) for frame in frames)


def _misalignment(filled: Filled, batch: Batch) -> Tensor:
    """The alignment loss; the last reference, the frame before, has a loss of its own."""
    frames = zip(filled.aligned, batch.to_near.unbind(1), batch.sure.unbind(1), strict=True)
    return _total(
        alignment_loss([flow[:, :-1] for flow in aligned], truth, sure)
        for aligned, truth, sure in frames
    )


def _steadiness(filled: Filled, batch: Batch, config: TrainConfig) -> dict[str, Tensor]:
    """The flow loss, and the warping loss short and long term."""
    output, truth, unknown = filled.pictures, batch.truth, batch.unknown
    flows, short_term, long_term = [], [], []
    for n in range(1, config.frames):
        motion = batch.to_before[:, n - 1]
        known = seen_twice(unknown[:, n], unknown[:, n - 1], motion)
        predicted = filled.flows[n]
        assert predicted is not None
        pairs = (truth[:, n], truth[:, n - 1], output[:, n], output[:, n - 1])
        flows.append(flow_loss(predicted, motion, *pairs, known))
        short_term.append(warping_loss(output[:, n], *pairs[:2], motion, known))
    for n in range(2, config.frames):
        motion = batch.to_first[:, n - 2]
        known = seen_twice(unknown[:, n], unknown[:, 0], motion)
        long_term.append(warping_loss(output[:, n], truth[:, n], truth[:, 0], motion, known))
    named = {"flow": flows, "short_term": short_term, "long_term": long_term}
    return {name: getattr(config, name) * _total(each) for name, each in named.items() if each}


def _total(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum()


def _true_flows(here: Tensor, there: Tensor) -> Tensor:
    """Flows `(P, 2, H, W)` from pictures `(P, C, H, W)` in [-1, 1] to others."""
    frames = (((some.movedim(1, 3) + 1) / 2).cpu().numpy() for some in (here, there))
    found = np.zeros((len(here), *here.shape[2:], 2), np.float32)
    for place, pair in enumerate(zip(*frames, strict=True)):
        found[place] = flow(*pair)
    return torch.from_numpy(found).movedim(3, 1).to(here.device)
