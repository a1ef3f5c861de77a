"""`g`: small random warps that a steady result has to follow.

Shapes: `B C H W` in [-1, 1]; masks `B 1 H W` bool. Each sample has a warp of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class WarpRanges:
    """How far `g` may go, each way from nothing. The first four are those of the reference code.

    Attributes:
        shift_px: along each axis.
        rotation_deg: about the frame's centre.
        zoom: share of the size; 0.03 is 0.97 to 1.03.
        shear_deg: along each axis.
        perspective: by which share a side of the frame comes nearer.
        brightness: share of the light; 0.05 is 0.95 to 1.05.
        blur_px: the largest standard deviation of the Gaussian.
    """

    shift_px: float = 2.0
    rotation_deg: float = 1.0
    zoom: float = 0.03
    shear_deg: float = 1.0
    perspective: float = 0.005
    brightness: float = 0.05
    blur_px: float = 0.5


@dataclass(frozen=True)
class Warp:
    """One `g` for each sample of a batch.

    Attributes:
        grid: `(B, H, W, 2)`, where each pixel is taken from, as `grid_sample` wants it.
        gain: `(B, 1, 1, 1)`, what the light is multiplied by.
        kernel: `(B, K)`, the blur along one axis; K is odd, the sum 1.
    """

    grid: Tensor
    gain: Tensor
    kernel: Tensor

    def pictures(self, picture: Tensor, unknown: Tensor | None = None) -> Tensor:
        """Warp, blur and brighten `(B, C, H, W)` in [-1, 1].

        Args:
            picture: what lies under `unknown` is not looked at.
            unknown: `(B, 1, H, W)` bool. No pixel outside `masks(unknown)` holds anything of it:
                the blur takes the mean of what is known.

        Returns:
            The same shape and range; arbitrary inside `masks(unknown)`.
        """
        if unknown is None:
            unknown = torch.zeros_like(picture[:, :1], dtype=torch.bool)
        moved = _sampled(picture.masked_fill(unknown, 0), self.grid, "border")
        known = (~self.masks(unknown)).float()
        share = _blurred(known, self.kernel).clamp(min=_LEAST_SHARE)
        moved = _blurred(moved * known, self.kernel) / share
        return ((moved + 1) * self.gain - 1).clamp(-1, 1)

    def masks(self, mask: Tensor) -> Tensor:
        """Warp `(B, 1, H, W)` bool, with neither blur nor light.

        A pixel is set where any of what it was taken from was set, or lay outside the frame.
        """
        return _sampled((~mask).float(), self.grid, "zeros") < 1 - _LEAST_SHARE


_LEAST_SHARE = 1e-3  # of a pixel; below it is rounding of the grid


def draw(count: int, size: tuple[int, int], ranges: WarpRanges, random: torch.Generator) -> Warp:
    """Draw `count` warps for frames of `size` (height, width), on the generator's device.

    Source: IIVI, eqs. 4 and 5. The matrix is the reference code's, which has no perspective, no
    blur and no change of light, and mixes up height and width where it centres.
    """
    matrix = _homographies(count, size, ranges, random)
    gain = 1 + _uniform(count, ranges.brightness, random)[:, None, None, None]
    deviation = _uniform(count, ranges.blur_px, random).abs()
    return Warp(_grid(matrix, size), gain, _gaussian(deviation, math.ceil(3 * ranges.blur_px)))


def _homographies(
    count: int, size: tuple[int, int], ranges: WarpRanges, random: torch.Generator
) -> Tensor:
    """`(count, 3, 3)`: from a pixel of the result to one of the source, the centre being 0, 0."""
    right, down = (_uniform(count, ranges.shift_px, random) for _ in range(2))
    turn = _uniform(count, math.radians(ranges.rotation_deg), random)
    shear = [_uniform(count, math.radians(ranges.shear_deg), random).tan() for _ in range(2)]
    zoom = 1 + _uniform(count, ranges.zoom, random)
    tilt = [_uniform(count, ranges.perspective, random) * 2 / side for side in reversed(size)]
    sine, cosine, none, one = turn.sin(), turn.cos(), torch.zeros_like(turn), torch.ones_like(turn)
    shift = _matrix([one, none, right], [none, one, down], [none, none, one])
    rotation = _matrix([cosine, -sine, none], [sine, cosine, none], [none, none, one])
    skew = _matrix([one, shear[0], none], [shear[1], one, none], [none, none, 1 / zoom])
    perspective = _matrix([one, none, none], [none, one, none], [tilt[0], tilt[1], one])
    return skew @ rotation @ shift @ perspective


def _matrix(*rows: list[Tensor]) -> Tensor:
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def _uniform(count: int, most: float, random: torch.Generator) -> Tensor:
    """`(count,)` from −most to most."""
    return (torch.rand(count, generator=random, device=random.device) * 2 - 1) * most


def _grid(matrix: Tensor, size: tuple[int, int]) -> Tensor:
    """`(B, H, W, 2)`: x and y of the source, −1 and 1 being the frame's outer edges."""
    height, width = size
    y = (torch.arange(height, device=matrix.device) - (height - 1) / 2)[:, None]
    x = torch.arange(width, device=matrix.device) - (width - 1) / 2
    # Spelt out: a matrix product may be rounded to ten bits on a GPU, a third of a pixel here.
    a, b, c = matrix[..., None, None].unbind(dim=2)
    right, down, depth = (a * x + b * y + c).unbind(dim=1)
    return torch.stack([right / depth * (2 / width), down / depth * (2 / height)], dim=-1)


def _gaussian(deviation: Tensor, radius: int) -> Tensor:
    """`(B, 2 · radius + 1)` that sum to 1; a deviation of 0 leaves everything in place."""
    steps = torch.arange(-radius, radius + 1, device=deviation.device)
    kernel = torch.exp(-0.5 * (steps / deviation.clamp(min=1e-3)[:, None]).square())
    return kernel / kernel.sum(dim=1, keepdim=True)


def _sampled(picture: Tensor, grid: Tensor, beyond: str) -> Tensor:
    return F.grid_sample(picture, grid, "bilinear", beyond, align_corners=False)


def _blurred(picture: Tensor, kernel: Tensor) -> Tensor:
    """Rows, then columns, each sample with its own kernel; beyond the frame there is 0."""
    radius = kernel.shape[1] // 2
    weights = kernel[..., None, None, None].unbind(dim=1)
    for axis, margins in ((-1, (radius, radius)), (-2, (0, 0, radius, radius))):
        wide, length = F.pad(picture, margins), picture.shape[axis]
        picture = torch.zeros_like(picture)
        for step, weight in enumerate(weights):
            picture.addcmul_(wide.narrow(axis, step, length), weight)
    return picture
