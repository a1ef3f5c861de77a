"""A frame made anew in another size: its background, and the objects laid over it.

Pictures are `(H, W, C)` float32: integers as 0 to 1, floats as they are, unclamped. A resampled
float picture rings around highlights, and what is not finite spreads by two pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F

from inpaint.clip import depth
from inpaint.retarget import Layout, Size

MARGIN_PX = 3
"""Of the finer of two pictures: half the width of the resampling kernel, and one more."""


class Upscaler(Protocol):
    """What makes a picture `scale` times as large: a resampler, or something that learnt it."""

    def __call__(self, picture: np.ndarray, scale: int) -> np.ndarray:
        """`(H, W, C) → (scale · H, scale · W, C)`."""
        ...


@dataclass(frozen=True)
class Overlay:
    """How frames are made anew.

    Attributes:
        layout: where everything goes.
        edge_px: width of the soft edge, of the source's pixels, half of it outside the object.
        background, object: what scales them up in the place of the resampler; the layout's scale
            is a whole number then.
    """

    layout: Layout
    edge_px: float = 2.0
    background: Upscaler | None = None
    object: Upscaler | None = None

    def frame(self, t: int, shown: np.ndarray, clean: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return frame `t` in its new size and the same dtype.

        Args:
            shown: `(H, W, C)`, with the objects;  clean: the same without.
            mask: `(H, W)` bool, where the objects are.
        """
        picture = self._background(_values(clean))
        placement = self.layout.placements[t]
        for number, part in placement.masks(mask).items():
            layer = self.cut(shown, part)
            layer.lay_over(picture, placement.offsets[number])
        return _stored(picture, clean.dtype)

    def cut(self, shown: np.ndarray, part: np.ndarray) -> Layer:
        """Cut an object `(H, W)` bool out of a frame and scale it, with a soft edge.

        What is cut begins where a whole pixel of the source becomes the beginning of one of the
        layer, so that an object at rest is resampled alike in every frame.
        """
        scale = self.layout.scale
        margin = ceil(self.edge_px / 2 + MARGIN_PX * max(1, 1 / float(scale)))
        rows, columns = (
            _around(np.asarray(part.any(axis)), margin, scale.denominator) for axis in (1, 0)
        )
        # Beyond the frame's end, so that no rounding leaves a gap there.
        spill = [
            (0, ceil(1 / scale) if along.stop == length else 0)
            for along, length in zip((rows, columns), part.shape, strict=True)
        ]
        alpha = soft(np.pad(part[rows, columns], spill, mode="edge"), self.edge_px)
        colour = np.pad(_values(shown[rows, columns]), [*spill, (0, 0)], mode="edge")
        top, left = int(rows.start * scale), int(columns.start * scale)
        if self.object is not None:
            colour = self.object(colour, int(scale))
            alpha = resampled(alpha, scale=float(scale)).clip(0, 1)
            return Layer(colour * alpha, alpha, top, left)
        colour = np.where(alpha > 0, colour, 0) * alpha  # a pixel that is not finite stays out
        if scale != 1:
            both = resampled(np.concatenate([colour, alpha], axis=2), scale=float(scale))
            both = np.where(both[..., -1:] > 0, both / np.maximum(both[..., -1:], 1), 0)
            colour, alpha = both[..., :-1], both[..., -1:]
        return Layer(colour, alpha, top, left)

    def _background(self, picture: np.ndarray) -> np.ndarray:
        if picture.shape[:2] == self.layout.size:
            return picture
        if self.background is not None:
            return self.background(picture, int(self.layout.scale))
        return resampled(picture, size=self.layout.size)


@dataclass(frozen=True)
class Layer:
    """An object in its new size.

    Attributes:
        colour: `(h, w, C)`, multiplied by its alpha;  alpha: `(h, w, 1)` in [0, 1].
        top, left: where it would lie if it were not moved.
    """

    colour: np.ndarray
    alpha: np.ndarray
    top: int
    left: int

    def lay_over(self, picture: np.ndarray, offset: tuple[int, int]) -> None:
        """Paint it into a picture, moved down and right by `offset`; what lies outside is lost."""
        corner = self.top + offset[0], self.left + offset[1]
        place, own = [], []
        for start, length, end in zip(corner, self.alpha.shape, picture.shape, strict=False):
            first, last = max(start, 0), min(start + length, end)
            if last <= first:
                return
            place.append(slice(first, last))
            own.append(slice(first - start, last - start))
        colour, alpha, under = self.colour[*own], self.alpha[*own], picture[*place]
        picture[*place] = colour + np.where(alpha < 1, (1 - alpha) * under, 0)


def soft(mask: np.ndarray, edge_px: float) -> np.ndarray:
    """Return a mask `(H, W)` bool as `(H, W, 1)` float32 that falls from 1 to 0 across its edge."""
    if edge_px == 0:
        return mask[..., None].astype(np.float32)
    beyond = np.where(mask, depth(mask) - 0.5, 0.5 - depth(~mask))
    return (0.5 + beyond / edge_px).clip(0, 1)[..., None].astype(np.float32)


def resampled(
    picture: np.ndarray, *, size: Size | None = None, scale: float | None = None
) -> np.ndarray:
    """Return a picture in another size, or `scale` times as large: bicubic, antialiased."""
    batch = torch.from_numpy(picture).permute(2, 0, 1)[None]
    made = F.interpolate(batch, size=size, scale_factor=scale, mode="bicubic", antialias=True)
    return made[0].permute(1, 2, 0).contiguous().numpy()


def _around(marked: np.ndarray, margin: int, grid: int) -> slice:
    """What is marked along an axis, with a margin, from a multiple of `grid` on."""
    places = np.flatnonzero(marked)
    start, stop = places[0] - margin, places[-1] + 1 + margin
    return slice(int(max(start, 0)) // grid * grid, int(min(stop, len(marked))))


def _values(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype.kind == "u":
        return pixels / np.float32(np.iinfo(pixels.dtype).max)
    return pixels.astype(np.float32)


def _stored(picture: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "u":
        return np.rint(picture.clip(0, 1) * np.iinfo(dtype).max).astype(dtype)
    with np.errstate(over="ignore"):
        return picture.astype(dtype)
