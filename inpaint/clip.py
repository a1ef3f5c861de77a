"""A shot as tensors, at the size the network works at.

Shapes: `T C H W`. `hole` is 1 where pixels are missing; `unknown` is all that is never shown and
never supervised: the hole, the validation hole, and values that are no numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.tone import Tone
from inpaint.windows import Window


class Footage(Protocol):
    """What a fit learns from: a clip, or a changing part of one too large to hold."""

    def at(self, step: int) -> Clip:
        """Return what there is to learn from at a step; the same for the same step."""


class Frames(Protocol):
    """What a fitted network is run over: frames that are read window by window."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""

    def __len__(self) -> int: ...

    def missing(self, t: int) -> np.ndarray:
        """Return the hole of a frame, `(H, W)` bool."""

    def window(self, t: int, window: Window) -> Clip:
        """Return a rectangle of a frame as a clip of length 1."""


@dataclass(frozen=True)
class Clip:
    """Frames and holes of one shot, resident on the device.

    Attributes:
        frames: `(T, C, H, W)`, uint8 (0 to 255) or float16 (0 to 1, after the tone curve).
        hole: `(T, 1, H, W)` bool, the real hole.
        unknown: `(T, 1, H, W)` bool, contains the hole.
        prior: `(T, C, H, W)` like `frames`: what a coarser scale knows of the picture, everywhere;
            None where there is none.
    """

    frames: Tensor
    hole: Tensor
    unknown: Tensor
    prior: Tensor | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: Tensor | slice) -> Clip:
        prior = None if self.prior is None else self.prior[index]
        return Clip(self.frames[index], self.hole[index], self.unknown[index], prior)

    def at(self, step: int) -> Clip:
        return self

    def missing(self, t: int) -> np.ndarray:
        return self.hole[t, 0].cpu().numpy()

    def window(self, t: int, window: Window) -> Clip:
        region = (slice(t, t + 1), slice(None), *window.slices)
        prior = None if self.prior is None else self.prior[region]
        return Clip(self.frames[region], self.hole[region], self.unknown[region], prior)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.frames.shape[-2], self.frames.shape[-1]

    def pictures(self, index: Tensor | slice) -> Tensor:
        """Return frames as the network wants them: `(N, C, H, W)` float32 in [-1, 1]."""
        return _signed(self.frames[index])

    def priors(self, index: Tensor | slice) -> Tensor | None:
        """Return the priors of frames, as `pictures` does; None where there are none."""
        return None if self.prior is None else _signed(self.prior[index])

    def hiding(self, extra: Tensor) -> Clip:
        """Return the clip with `extra` `(T, 1, H, W)` bool unknown as well."""
        return replace(self, unknown=self.unknown | extra)

    def to(self, device: torch.device) -> Clip:
        prior = None if self.prior is None else self.prior.to(device)
        return Clip(self.frames.to(device), self.hole.to(device), self.unknown.to(device), prior)


@dataclass(frozen=True)
class Whole:
    """Whole frames, read when they are asked for, each with what is unknown of it, as arrays."""

    frames: Frames

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, t: int) -> tuple[np.ndarray, np.ndarray]:
        """Return `(H, W, C)`, as a clip keeps it, and `(H, W)` bool."""
        one = self.frames.window(t, Window(0, 0, *self.frames.size))
        pixels = one.frames[0].permute(1, 2, 0).contiguous()
        return pixels.cpu().numpy(), one.unknown[0, 0].cpu().numpy()


def joined(clips: Sequence[Clip]) -> Clip:
    """Put clips of one size behind each other; all have a prior or none has."""
    priors = [clip.prior for clip in clips if clip.prior is not None]
    return Clip(
        torch.cat([clip.frames for clip in clips]),
        torch.cat([clip.hole for clip in clips]),
        torch.cat([clip.unknown for clip in clips]),
        torch.cat(priors) if priors else None,
    )


def load(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]], count: int, size: tuple[int, int], tone: Tone
) -> Clip:
    """Build a clip frame by frame, so that only the working size is ever held whole.

    A scaled-down pixel that touches the hole belongs to the hole: none of the hole's pixels gets
    into a known one.

    Args:
        pairs: `count` times a frame `(H, W, C)` and its hole `(H, W)` bool.
        size: working height and width, at most the frames' own.
        tone: maps the frames' values to 0 to 1.
    """
    frames = torch.empty(0)
    hole = torch.zeros((count, 1, *size), dtype=torch.bool)
    unknown = torch.zeros_like(hole)
    for t, (pixels, missing) in enumerate(pairs):
        one = picture(pixels, missing, size, tone)
        if t == 0:
            frames = torch.empty((count, *one.frames.shape[1:]), dtype=one.frames.dtype)
        frames[t], hole[t], unknown[t] = one.frames[0], one.hole[0], one.unknown[0]
    return Clip(frames, hole, unknown)


def picture(pixels: np.ndarray, missing: np.ndarray, size: tuple[int, int], tone: Tone) -> Clip:
    """Return a frame, or a part of one, as a clip of length 1 at a size.

    Args:
        pixels: `(H, W, C)`;  missing: `(H, W)` bool.
        size: height and width, at most the frame's own.
    """
    if pixels.dtype == np.uint8 and missing.shape == size:  # it would come back as it is
        same, gone = (torch.from_numpy(values.copy()) for values in (pixels, missing[None]))
        return Clip(same.permute(2, 0, 1)[None], gone[None], gone[None])
    encoded = tone.encode(pixels)
    broken = ~np.isfinite(encoded).all(axis=2)
    encoded[broken] = 0
    hole, unknown = (touched(mask, size) for mask in (missing, missing | broken))
    return Clip(
        stored(shrunk(encoded, size), pixels.dtype),
        torch.from_numpy(hole)[None, None],
        torch.from_numpy(unknown)[None, None],
    )


def stored(encoded: np.ndarray, dtype: np.dtype) -> Tensor:
    """Return values `(H, W, C)` in 0 to 1 as a clip of this dtype of pixels keeps them."""
    if dtype == np.uint8:
        encoded = np.rint(encoded * 255).astype(np.uint8)
    kind = torch.uint8 if dtype == np.uint8 else torch.float16
    return torch.from_numpy(encoded).to(kind).permute(2, 0, 1)[None]


def working_size(height: int, width: int, largest_px: int) -> tuple[int, int]:
    """Return the frame's size, or one of the same shape with at most `largest_px` pixels.

    A reduced size is a multiple of 4, so that the network pads nothing.
    """
    if height * width <= largest_px:
        return height, width
    scale = (largest_px / (height * width)) ** 0.5
    small = [max(4, int(side * scale) // 4 * 4) for side in (height, width)]
    return min(small[0], height), min(small[1], width)


def enlarge(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """Scale pictures `(N, C, h, w)` in [0, 1] up to `(N, C, H, W)`, bicubic, kept in range."""
    if pictures.shape[-2:] == size:
        return pictures
    scaled = F.interpolate(pictures, size, mode="bicubic", align_corners=False)
    return scaled.clamp_(0, 1)


def _signed(frames: Tensor) -> Tensor:
    scale = 2 / 255 if frames.dtype == torch.uint8 else 2.0
    return frames.to(torch.float32).mul_(scale).sub_(1)


def shrunk(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Average `(H, W, C)` over areas; the same picture where the size is the same."""
    if pixels.shape[:2] == size:
        return pixels
    small = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)
    return small.reshape(*size, pixels.shape[2])


def touched(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale a mask `(H, W)` down; a pixel is set where any of its area was."""
    if mask.shape == size:
        return mask
    return cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA) > 0


def depth(mask: np.ndarray) -> np.ndarray:
    """Return how far each set pixel is from one that is not: `(H, W)` float64, in pixels.

    Squares of distances are whole numbers; OpenCV's roots of them are not always the same. Exact
    up to some 3,000 pixels; where every pixel is set, a huge number.
    """
    found = np.zeros(mask.shape)
    if mask.any():
        part = around(mask, 1)
        rough = cv2.distanceTransform(
            mask[part].astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
        )
        found[part] = np.sqrt(np.rint(np.square(rough, dtype=np.float64)))
    return found


def around(mask: np.ndarray, margin_px: int) -> tuple[slice, slice]:
    """Return the rows and columns of a mask `(H, W)` with a pixel set, and some on every side."""
    rows, columns = (
        slice(max(0, line[0] - margin_px), min(size, line[-1] + margin_px + 1))
        for size, line in zip(
            mask.shape, (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)), strict=True
        )
    )
    return rows, columns
