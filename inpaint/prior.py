"""The propagated prior: what the clip shows along its optical flow, blended with what is learnt.

A network and the flow go wrong in different places and ways, so both together mostly beat the
better one. How much each counts is what would have been best at the validation hole, where both had
to do without the truth. Shapes: `T C H W`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from inpaint.clip import Clip
from inpaint.fill import fill
from inpaint.flow_propagation import propagate
from inpaint.internal import judged_frames
from inpaint.metrics import average, psnr
from inpaint.network import Network

JUDGED_FRAMES = 32  # that the errors are measured on, at most
JUDGED_PIXELS = 1 << 24  # the same of all of these frames
BINS = 16  # of the error that the flow itself expects
FEW = 0.05  # of a mean bin: what all together count in each
TINY = 1e-12  # error, less than any that is expected
SEAM_PX = 5  # over which the shares of neighbouring pixels run into each other


@dataclass(frozen=True)
class Blend:
    """The prior of a clip, and how much it counts.

    Attributes:
        prior: `(T, C, H, W)`, kept as the clip's frames are.
        share: `(T, 1, H, W)` float16 in [0, 1], the prior's part of the result; 0 where known.
        validation_psnr: mean PSNR (dB) of the blended pictures at the validation hole.
    """

    prior: Tensor
    share: Tensor
    validation_psnr: float | None

    def __call__(self, t: int, made: Tensor) -> Tensor:
        """Blend what a network made of frame `t`, `(C, H, W)` in [0, 1], with the prior."""
        return made.lerp(_unit(self.prior[t]).to(made), self.share[t].to(made))


Fills = Callable[[Clip], tuple[Tensor, Tensor]]
"""From a clip to what takes the place of its unknown pixels, `(T, C, H, W)`, kept as its frames
are, and the error to be expected there, `(T, 1, H, W)` float16 on any scale from 0; both on the
CPU."""


def weigh(
    network: Network,
    clip: Clip,
    judge: Tensor,
    accelerator: Accelerator,
    fills: Fills | None = None,
) -> Blend | None:
    """Propagate along the flow what is unknown, and weigh it against what a network makes of it.

    The shares are the squares of those with the least squared error at the validation hole, for
    pixels apart at which the flow expects more or less error. So where the prior is clearly better
    it takes the place, and a clip whose flow fails is left to the network. Source: stacking
    (Breiman, Stacked Regressions, 1996), shares from 0 to 1; the squares are ours.

    Args:
        clip: the validation hole is unknown in it.
        judge: validation hole `(T, 1, H, W)` bool; None comes back where it is empty.
        fills: what to weigh in the flow's place.
    """
    height, width = clip.size
    frames = judged_frames(judge, max(1, min(JUDGED_FRAMES, JUDGED_PIXELS // (height * width))))
    if not len(frames):
        return None
    prior, expected = (fills or _propagated)(clip)
    part, where, frames = clip[frames], judge[frames].cpu(), frames.cpu()
    truth, carried = _unit(part.frames).cpu(), _unit(prior[frames])
    filled = fill(network, replace(part, hole=part.unknown), accelerator)
    learnt = torch.stack([made.cpu() for _, made in filled])
    table = _Table.of(expected[frames], learnt, carried, truth, where)
    share = table.shares(expected, clip.unknown.cpu())
    mixed = learnt.lerp(carried, share[frames].float())
    return Blend(prior, share, average(psnr(mixed, truth, where)).value)


def blended(
    made: Iterator[tuple[int, Tensor]], blend: Blend | None
) -> Iterator[tuple[int, Tensor]]:
    """Blend pictures by their index; hand them on as they are where there is no blend."""
    for t, picture in made:
        yield t, picture if blend is None else blend(t, picture)


@dataclass(frozen=True)
class _Table:
    """The prior's share by the error it expects.

    Attributes:
        edges: `(BINS - 1,)` float32, rising: where a bin ends.
        share: `(BINS,)` float32 in [0, 1].
    """

    edges: Tensor
    share: Tensor

    @classmethod
    def of(
        cls, expected: Tensor, learnt: Tensor, carried: Tensor, truth: Tensor, where: Tensor
    ) -> _Table:
        """Solve for it on `(N, C, H, W)` pictures in 0 to 1, where `(N, 1, H, W)` says."""
        apart = carried - learnt
        gain, spread = (
            product.sum(1, keepdim=True)[where].double()
            for product in (apart * (truth - learnt), apart.square())
        )
        known = expected[where].float()  # of which `quantile` takes 16 million at most
        edges = known[:: max(1, len(known) >> 20)].quantile(torch.arange(1, BINS) / BINS)
        bins = torch.bucketize(known, edges)
        # A bin with little to say follows all together.
        gains, spreads = (
            torch.bincount(bins, each, BINS) + FEW * each.sum() / BINS for each in (gain, spread)
        )
        least = torch.finfo(torch.float64).tiny
        best = (gains / spreads.clamp(min=least)).clamp(0, 1).float()
        return cls(edges, best.square())  # the network may do better in the hole than beside it

    def shares(self, expected: Tensor, unknown: Tensor) -> Tensor:
        """Look up the share of every unknown pixel; `(T, 1, H, W)` float16.

        Where more error is expected than almost anywhere at the validation hole, nothing speaks
        for the prior: there its share sinks with the square of that error.
        """
        shares = torch.zeros(unknown.shape, dtype=torch.float16)
        most = self.edges[-1].clamp(min=TINY)
        for t, hole in enumerate(unknown[:, 0]):
            if hole.any():
                error = expected[t, 0].float().clamp(min=TINY)
                found = self.share[torch.bucketize(error, self.edges)]
                shares[t, 0] = _without_seams(found * (most / error).clamp(max=1).square(), hole)
        return shares


def _without_seams(share: Tensor, hole: Tensor) -> Tensor:
    """Average `(H, W)` over the hole's pixels around; 0 outside."""
    inside = hole.numpy().astype(np.float32)
    side = (SEAM_PX, SEAM_PX)
    total, count = cv2.blur(share.numpy() * inside, side), cv2.blur(inside, side)
    return torch.from_numpy(inside * total / np.maximum(count, 1e-6))


def _propagated(clip: Clip) -> tuple[Tensor, Tensor]:
    """Return the clip, filled along the flow, `(T, C, H, W)`, and the error to be expected.

    The error is `(T, 1, H, W)` float16, where 1 is white squared; 0 where known.
    """
    frames = clip.frames.cpu().permute(0, 2, 3, 1).numpy()
    prior = torch.empty_like(clip.frames, device="cpu")
    expected = torch.zeros(clip.unknown.shape, dtype=torch.float16)
    for t, one in enumerate(propagate(frames, clip.unknown[:, 0].cpu().numpy())):
        prior[t] = torch.from_numpy(one.pixels).permute(2, 0, 1)
        expected[t, 0] = torch.from_numpy(one.error)
    return prior, expected


def _unit(frames: Tensor) -> Tensor:
    """Stored frames as float32 in 0 to 1."""
    return frames.float() / 255 if frames.dtype == torch.uint8 else frames.float()
