"""A shot as tensors, at the size the network works at.

Shapes: `T C H W`. `hole` is 1 where pixels are missing; `unknown` is all that is never shown and
never supervised: the hole, the validation hole, and values that are no numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.tone import Tone


@dataclass(frozen=True)
class Clip:
    """Frames and holes of one shot, resident on the device.

    Attributes:
        frames: `(T, C, H, W)`, uint8 (0 to 255) or float16 (0 to 1, after the tone curve).
        hole: `(T, 1, H, W)` bool, the real hole.
        unknown: `(T, 1, H, W)` bool, contains the hole.
    """

    frames: Tensor
    hole: Tensor
    unknown: Tensor

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.frames.shape[-2], self.frames.shape[-1]

    def pictures(self, index: Tensor | slice) -> Tensor:
        """Return frames as the network wants them: `(N, C, H, W)` float32 in [-1, 1]."""
        frames = self.frames[index]
        scale = 2 / 255 if frames.dtype == torch.uint8 else 2.0
        return frames.to(torch.float32).mul_(scale).sub_(1)

    def hiding(self, extra: Tensor) -> Clip:
        """Return the clip with `extra` `(T, 1, H, W)` bool unknown as well."""
        return replace(self, unknown=self.unknown | extra)

    def to(self, device: torch.device) -> Clip:
        return Clip(self.frames.to(device), self.hole.to(device), self.unknown.to(device))


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
        if t == 0:
            kind = torch.uint8 if pixels.dtype == np.uint8 else torch.float16
            frames = torch.empty((count, pixels.shape[2], *size), dtype=kind)
        encoded = tone.encode(pixels)
        broken = ~np.isfinite(encoded).all(axis=2)
        encoded[broken] = 0
        small = _shrink(encoded, size)
        if frames.dtype == torch.uint8:
            small = np.rint(small * 255)
        frames[t] = torch.from_numpy(small.transpose(2, 0, 1))
        hole[t, 0] = torch.from_numpy(_touched(missing, size))
        unknown[t, 0] = torch.from_numpy(_touched(missing | broken, size))
    return Clip(frames, hole, unknown)


def working_size(height: int, width: int, largest_px: int) -> tuple[int, int]:
    """Return the frame's size, or one of the same shape with at most `largest_px` pixels.

    A reduced size is a multiple of 4, so that the network pads nothing.
    """
    if height * width <= largest_px:
        return height, width
    scale = (largest_px / (height * width)) ** 0.5
    small = [max(4, int(side * scale) // 4 * 4) for side in (height, width)]
    return min(small[0], height), min(small[1], width)


def enlarge(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """Scale pictures `(N, C, h, w)` in [0, 1] up to `(N, C, H, W)`, bicubic, kept in range."""
    if picture.shape[-2:] == size:
        return picture
    scaled = F.interpolate(picture, size, mode="bicubic", align_corners=False)
    return scaled.clamp_(0, 1)


def _shrink(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Average `(H, W, C)` over areas; the same picture where the size is the same."""
    if picture.shape[:2] == size:
        return picture
    small = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
    return small.reshape(*size, picture.shape[2])


def _touched(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale a mask `(H, W)` down; a pixel is set where any of its area was."""
    if mask.shape == size:
        return mask
    return cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA) > 0
