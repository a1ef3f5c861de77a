"""The propagated prior: what the clip shows along its optical flow, blended with what is learnt.

A network and the flow go wrong in different places and ways, so both together mostly beat the
better one. How much each counts is what would have been best at the validation hole, where both had
to do without the truth. Only missing pixels are held. Shapes: `C H W`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from inpaint.fill import fill
from inpaint.flow_propagation import Filled, Pictures, fill_with, follow
from inpaint.internal import Exam
from inpaint.metrics import average, psnr
from inpaint.network import Network

BINS = 16  # of the error that the flow itself expects
FEW = 0.05  # of a mean bin: what all together count in each
TINY = 1e-12  # error, less than any that is expected
SEAM_PX = 5  # over which the shares of neighbouring pixels run into each other


@dataclass(frozen=True)
class Carried:
    """What takes the place of a frame's `n` missing pixels, row by row.

    Attributes:
        hole: `(H, W)` bool, a bit a pixel along its rows.
        width: W.
        pixels: `(n, C)`, as the frame's were.
        error: `(n,)` float16, to be expected, on any scale from 0.
    """

    hole: np.ndarray
    width: int
    pixels: np.ndarray
    error: np.ndarray

    @classmethod
    def of(cls, frame: Filled) -> Carried:
        bits, error = np.packbits(frame.hole, axis=1), frame.error[frame.hole]
        width = frame.hole.shape[1]
        return cls(bits, width, frame.pixels[frame.hole], error.astype(np.float16))

    def unpacked(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return pixels `(C, H, W)` float32 in 0 to 1, their error and the hole, `(H, W)`."""
        hole = np.unpackbits(self.hole, axis=1, count=self.width).astype(bool)
        white = 255 if self.pixels.dtype == np.uint8 else 1
        pixels = np.zeros((*hole.shape, self.pixels.shape[1]), np.float32)
        pixels[hole] = self.pixels / np.float32(white)
        error = np.zeros(hole.shape, np.float32)
        error[hole] = self.error
        return (
            torch.from_numpy(pixels).permute(2, 0, 1),
            torch.from_numpy(error),
            torch.from_numpy(hole),
        )


Carrying = Generator[tuple[int, int], None, list[Carried]]
"""Yields how far it is, and of how much; returns what takes the place of every frame's hole."""


def along_flow(pictures: Pictures) -> Carrying:
    """Carry what other frames show into every frame's hole."""
    found = yield from follow(pictures)
    return [Carried.of(frame) for frame in fill_with(pictures, found)]


@dataclass(frozen=True)
class Shares:
    """The prior's part of the result by the error it expects.

    Attributes:
        edges: `(BINS - 1,)` float32, rising: where a bin ends.
        share: `(BINS,)` float32 in [0, 1].
    """

    edges: Tensor
    share: Tensor

    @classmethod
    def of(
        cls, expected: Tensor, learnt: Tensor, carried: Tensor, truth: Tensor, where: Tensor
    ) -> Shares:
        """Solve for it on `(N, C, H, W)` pictures in 0 to 1, where `(N, 1, H, W)` says."""
        apart = carried - learnt
        gain, spread = (
            product.sum(1, keepdim=True)[where].double()
            for product in (apart * (truth - learnt), apart.square())
        )
        known = expected[where]  # of which `quantile` takes 16 million at most
        edges = known[:: max(1, len(known) >> 20)].quantile(torch.arange(1, BINS) / BINS)
        bins = torch.bucketize(known, edges)
        # A bin with little to say follows all together.
        gains, spreads = (
            torch.bincount(bins, each, BINS) + FEW * each.sum() / BINS for each in (gain, spread)
        )
        least = torch.finfo(torch.float64).tiny
        best = (gains / spreads.clamp(min=least)).clamp(0, 1).float()
        return cls(edges, best.square())  # the network may do better in the hole than beside it

    def __call__(self, error: Tensor, hole: Tensor) -> Tensor:
        """Look up the share of every missing pixel, `(H, W)` float32; 0 where known.

        Where more error is expected than almost anywhere at the validation hole, nothing speaks
        for the prior: there its share sinks with the square of that error.
        """
        most, error = self.edges[-1].clamp(min=TINY), error.clamp(min=TINY)
        found = self.share[torch.bucketize(error, self.edges)]
        return _without_seams(found * (most / error).clamp(max=1).square(), hole)


@dataclass(frozen=True)
class Blend:
    """The prior of a clip, and how much it counts.

    Attributes:
        carried: of every frame.
        validation_psnr: mean PSNR (dB) of the blended pictures at the validation hole.
    """

    carried: Sequence[Carried]
    shares: Shares
    validation_psnr: float | None

    def __call__(self, t: int, made: Tensor) -> Tensor:
        """Blend what a network made of frame `t`, `(C, H, W)` in [0, 1], with the prior."""
        prior, error, hole = self.carried[t].unpacked()
        return made.lerp(prior.to(made), self.shares(error, hole).to(made))


def weigh(
    network: Network, exam: Exam, carried: Sequence[Carried], accelerator: Accelerator
) -> Blend:
    """Weigh what was carried into the holes against what a network makes of them.

    The shares are the squares of those with the least squared error at the validation hole, for
    pixels apart at which the prior expects more or less error. So where the prior is clearly better
    it takes the place, and a clip whose flow fails is left to the network. Source: stacking
    (Breiman, Stacked Regressions, 1996), shares from 0 to 1; the squares are ours.

    Args:
        exam: frames of the same clip or parts of them; what it judges at was carried, too.
    """
    clip, where = exam.clip, exam.where.cpu()
    filled = fill(network, replace(clip, hole=clip.unknown), accelerator)
    learnt, truth = torch.stack([made.cpu() for _, made in filled]), _unit(clip.frames).cpu()
    prior, expected, hole = _cut(carried, exam)
    shares = Shares.of(expected[:, None], learnt, prior, truth, where)
    share = torch.stack([shares(*each) for each in zip(expected, hole, strict=True)])
    mixed = learnt.lerp(prior, share[:, None])
    return Blend(carried, shares, average(psnr(mixed, truth, where)).value)


def blended(
    made: Iterator[tuple[int, Tensor]], blend: Blend | None
) -> Iterator[tuple[int, Tensor]]:
    """Blend pictures by their index; hand them on as they are where there is no blend."""
    for t, picture in made:
        yield t, picture if blend is None else blend(t, picture)


def _cut(carried: Sequence[Carried], exam: Exam) -> list[Tensor]:
    """What was carried to the exam's places: pixels, their error and the hole, each together."""
    parts = [
        [whole[..., *window.slices].clone() for whole in carried[t].unpacked()]
        for t, window in exam.places
    ]
    return [torch.stack(each) for each in zip(*parts, strict=True)]


def _without_seams(share: Tensor, hole: Tensor) -> Tensor:
    """Average `(H, W)` over the hole's pixels around; 0 outside."""
    inside = hole.numpy().astype(np.float32)
    side = (SEAM_PX, SEAM_PX)
    total, count = cv2.blur(share.numpy() * inside, side), cv2.blur(inside, side)
    return torch.from_numpy(inside * total / np.maximum(count, 1e-6))


def _unit(frames: Tensor) -> Tensor:
    """Stored frames as float32 in 0 to 1."""
    return frames.float() / 255 if frames.dtype == torch.uint8 else frames.float()
