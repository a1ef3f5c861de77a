"""The propagated prior: what the clip shows along its optical flow, blended with what is learnt.

A network and the flow go wrong in different places and ways, so both together mostly beat the
better one. How much each counts follows from what would have been best at the validation hole,
where both had to do without the truth, wherever the flow expected as small an error beside what the
two differ by. Only missing pixels are held. Shapes: `C H W`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import cv2
import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from inpaint import checkpoint
from inpaint.clip import Frames, around
from inpaint.fill import fill
from inpaint.flow_propagation import Filled, Stretch, fill_with, follow, stretches
from inpaint.internal import Exam
from inpaint.metrics import average, psnr
from inpaint.network import Network
from inpaint.tracks import Pictures

GROWTH = 1.5  # of errors along the flow (see `follow`): a network stands by, not a membrane alone
BINS = 16  # of how much the prior is doubted
FEW = 0.05  # of a mean bin: what all together count in each
AROUND = 2  # this part of a frame's shorter side is looked at for how much the two differ
ALIKE = (0.8 / 255) ** 2  # mean squared difference of what is all but the same
SHARPENING = 3  # power of the odds: the better of the two counts more than by least squares
LEAST_GAIN = 0.04  # of the squared error: what gains less beside the hole may cost more in it
SEAM_PX = 5  # over which the shares of neighbouring pixels run into each other


@dataclass(frozen=True)
class Carried:
    """What takes the place of a frame's `n` missing pixels, row by row.

    Attributes:
        hole: `(H, W)` bool, a bit a pixel along its rows.
        width: W.
        pixels: `(n, C)`, as the frame's were.
        error: `(n,)` float16, to be expected, squared, on any scale from 0.
    """

    hole: np.ndarray
    width: int
    pixels: np.ndarray
    error: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frame in pixels."""
        return len(self.hole), self.width

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


def dump(carried: Sequence[Carried]) -> bytes:
    """Return what was carried into every frame as bytes."""
    content = {
        "format": checkpoint.FORMAT,
        "width": carried[0].width,
        "holes": torch.from_numpy(np.stack([each.hole for each in carried])),
        "pixels": torch.from_numpy(np.concatenate([each.pixels for each in carried])),
        "error": torch.from_numpy(np.concatenate([each.error for each in carried])),
    }
    return checkpoint.seal(content)


def restore(content: bytes) -> list[Carried]:
    """Return what `dump` was given.

    Raises:
        checkpoint.DamagedCheckpoint: the bytes are cut short or changed.
    """
    loaded = checkpoint.read(content)
    holes, pixels, error = (loaded[name].numpy() for name in ("holes", "pixels", "error"))
    ends = np.cumsum([np.count_nonzero(np.unpackbits(hole)) for hole in holes])[:-1]
    frames = zip(holes, np.split(pixels, ends), np.split(error, ends), strict=True)
    return [Carried(hole, loaded["width"], *of_hole) for hole, *of_hole in frames]


Carrying = Generator[tuple[int, int], None, list[Carried]]
"""Yields how far it is, and of how much; returns what takes the place of some frames' holes."""


@dataclass(frozen=True)
class Part:
    """What is carried into the holes of some frames, those after the part's before.

    Attributes:
        steps: of its progress, all of them.
        carry: begins it.
    """

    frames: range
    steps: int
    carry: Callable[[], Carrying]


class ByFrame(Protocol):
    """What was carried into each frame."""

    def __getitem__(self, t: int, /) -> Carried: ...


def parts(pictures: Pictures, missing_px: Sequence[int], frame_px: int) -> list[Part]:
    """Cut what `along_flow` does into parts that memory holds (see `stretches`)."""
    return [
        Part(each.core, each.flows, partial(along_flow, pictures, each))
        for each in stretches(missing_px, frame_px)
    ]


def along_flow(pictures: Pictures, stretch: Stretch | None = None) -> Carrying:
    """Carry what other frames show into the holes of a stretch's core, of all frames without."""
    stretch = stretch or Stretch.whole(len(pictures))
    found, carried = (yield from follow(pictures, stretch, GROWTH)), []
    for frame in fill_with(pictures, stretch, found):
        carried.append(Carried.of(frame))
        yield stretch.flows, stretch.flows
    return carried


@dataclass(frozen=True)
class Shares:
    """The prior's part of the result by how much it is doubted.

    Attributes:
        edges: `(BINS - 1,)` float32, rising: where a bin ends.
        share: `(BINS,)` float32 in [0, 1].
    """

    edges: Tensor
    share: Tensor

    @classmethod
    def of(
        cls, doubt: Tensor, learnt: Tensor, carried: Tensor, truth: Tensor, where: Tensor
    ) -> Shares:
        """Solve for it on `(N, C, H, W)` pictures in 0 to 1, where `(N, 1, H, W)` says; sharpen."""
        apart = carried - learnt
        gain, spread = (
            product.sum(1, keepdim=True)[where].double()
            for product in (apart * (truth - learnt), apart.square())
        )
        known = doubt[where]  # of which `quantile` takes 16 million at most
        edges = known[:: max(1, len(known) >> 20)].quantile(torch.arange(1, BINS) / BINS)
        bins = torch.bucketize(known, edges)
        # A bin with little to say follows all together.
        gains, spreads = (
            torch.bincount(bins, each, BINS) + FEW * each.sum() / BINS for each in (gain, spread)
        )
        least = torch.finfo(torch.float64).tiny
        best = (gains / spreads.clamp(min=least)).clamp(0, 1).float()
        ours, theirs = best**SHARPENING, (1 - best) ** SHARPENING
        return cls(edges, ours / (ours + theirs))

    def __call__(self, doubt: Tensor, hole: Tensor) -> Tensor:
        """Look up the share of every missing pixel, `(H, W)` float32; 0 where known."""
        return _averaged(self.share[torch.bucketize(doubt, self.edges)], hole, SEAM_PX)


@dataclass(frozen=True)
class Blend:
    """The prior of a clip, and how much it counts.

    Attributes:
        carried: of every frame.
        validation_psnr: mean PSNR (dB) of the blended pictures at the validation hole.
    """

    carried: ByFrame
    shares: Shares
    validation_psnr: float | None

    def __call__(self, t: int, made: Tensor, missing: np.ndarray) -> Tensor:
        """Blend a network's picture of frame `t`, `(C, H, W)` in [0, 1], with the prior.

        Args:
            missing: `(H, W)` bool: where the picture means something; it is blended there.
        """
        if not (missing.any() and self.shares.share.any()):
            return made
        side_px = _around_px(self.carried[t].size)
        there = (..., *around(missing, max(side_px, SEAM_PX)))
        own = made[there]
        prior, error, carried = (part[there] for part in self.carried[t].unpacked())
        hole = torch.from_numpy(missing[there]) & carried
        share = self.shares(_doubt(error, own.cpu(), prior, hole, side_px), hole)
        mixed = made.clone()
        mixed[there] = own.lerp(prior.to(made), share.to(made))
        return mixed


def weigh(network: Network, exam: Exam, carried: ByFrame, accelerator: Accelerator) -> Blend:
    """Weigh what was carried into the holes against what a network makes of them.

    The shares, one for each range of doubt, have the least squared error at the validation hole,
    and are then sharpened. So where the prior is clearly better it takes the place. Where it gains
    less than `LEAST_GAIN` in all, as on a clip whose flow fails, the network is left as it is.
    Source: stacking (Breiman, Stacked Regressions, 1996), shares from 0 to 1; the rest is ours.

    Args:
        exam: frames of the same clip or parts of them; what it judges at was carried, too.
    """
    clip, where = exam.clip, exam.where.cpu()
    filled = fill(network, replace(clip, hole=clip.unknown), accelerator)
    learnt, truth = torch.stack([made.cpu() for _, made in filled]), _unit(clip.frames).cpu()
    side_px = _around_px(carried[0].size)
    prior, error, hole = _cut(carried, exam)
    doubts = [_doubt(*each, side_px) for each in zip(error, learnt, prior, hole, strict=True)]
    shares = Shares.of(torch.stack(doubts)[:, None], learnt, prior, truth, where)
    share = torch.stack([shares(*each) for each in zip(doubts, hole, strict=True)])
    mixed = learnt.lerp(prior, share[:, None])
    alone, both = ((made - truth).square().mean(1, keepdim=True) for made in (learnt, mixed))
    if both[where].mean() > (1 - LEAST_GAIN) * alone[where].mean():
        shares, mixed = replace(shares, share=torch.zeros_like(shares.share)), learnt
    return Blend(carried, shares, average(psnr(mixed, truth, where)).value)


def blended(
    made: Iterator[tuple[int, Tensor]], frames: Frames, blend: Blend | None
) -> Iterator[tuple[int, Tensor]]:
    """Blend pictures by their index in the holes; hand them on as they are without a blend."""
    for t, picture in made:
        yield t, picture if blend is None else blend(t, picture, frames.missing(t))


def _cut(carried: ByFrame, exam: Exam) -> list[Tensor]:
    """What was carried to the exam's places: pixels, their error and the hole, each together."""
    parts = [
        [whole[..., *window.slices].clone() for whole in carried[t].unpacked()]
        for t, window in exam.places
    ]
    return [torch.stack(each) for each in zip(*parts, strict=True)]


def _doubt(error: Tensor, made: Tensor, prior: Tensor, hole: Tensor, side_px: int) -> Tensor:
    """How much a prior is doubted, `(H, W)`: its error, less where it and a network differ by more.

    One of the two is wrong by what they differ by around. Where that is much, and the error that
    the prior expects is little beside it, it is the network, even if that error is more than any at
    the validation hole. The root stands between that ratio and the error alone, which do worse.
    """
    apart = _averaged((prior - made).square().mean(dim=0), hole, side_px)
    return error / (apart + ALIKE).sqrt()


def _around_px(size: tuple[int, int]) -> int:
    return max(1, min(size) // AROUND)


def _averaged(values: Tensor, hole: Tensor, side_px: int) -> Tensor:
    """Average `(H, W)` over the hole's pixels in a square around; 0 outside."""
    inside, side = hole.numpy().astype(np.float32), (side_px, side_px)
    total, count = cv2.blur(values.numpy() * inside, side), cv2.blur(inside, side)
    return torch.from_numpy(inside * total / np.maximum(count, 1e-6))


def _unit(frames: Tensor) -> Tensor:
    """Stored frames as float32 in 0 to 1."""
    return frames.float() / 255 if frames.dtype == torch.uint8 else frames.float()
