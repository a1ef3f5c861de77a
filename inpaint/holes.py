"""Holes made from the clip's own: what the network learns on, and what it is judged on.

Shapes: `T 1 H W` and `B 1 H W`, bool. A shift wraps around the frame's edges. Free-form holes, made
from nothing, are the ablation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor


def shifted_holes(hole: Tensor, count: int, random: torch.Generator) -> Tensor:
    """Draw `count` of the clip's holes, each from a random frame and moved by its own offset.

    `(N, 1, H, W) → (count, 1, H, W)`, on the hole's device, without a synchronisation. Give only
    frames that have a hole: an empty one teaches nothing.

    Source: IIVI, eq. 1, `M'_t`. The reference code moves the whole batch by one offset.
    """
    device = hole.device
    frame = torch.randint(len(hole), (count,), generator=random, device=device)
    height, width = hole.shape[-2:]
    down = torch.randint(height, (count,), generator=random, device=device)
    right = torch.randint(width, (count,), generator=random, device=device)
    return rolled(hole[frame], down, right)


def free_form(count: int, size: tuple[int, int], random: torch.Generator) -> Tensor:
    """Draw `count` holes of brush strokes, which have nothing to do with the clip's own.

    `(count, 1, H, W)` for frames of `size` (height, width), on the generator's device, without a
    synchronisation. One covers 15 % of the frame on average.

    Source: Yu et al., Free-Form Image Inpainting with Gated Convolution, 2019, algorithm 1, with
    the ranges of its code, which are for 256 × 256. Strokes are turned where the code mirrors them.
    """
    hole = torch.zeros((count, *size), dtype=torch.bool, device=random.device)
    for start, end, radius in _brush(count, size, random):
        hole |= _near(size, start, end, radius)
    return hole[:, None]


def centre_rectangle(height: int, width: int) -> Tensor:
    """Return the fixed mask of IIVI, Table 1: a quarter of each side, `(H, W)` bool."""
    hole = torch.zeros((height, width), dtype=torch.bool)
    hole[height * 3 // 8 : height * 5 // 8, width * 3 // 8 : width * 5 // 8] = True
    return hole


def rolled(mask: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Move each of `(B, 1, H, W)` by its own `down` and `right` `(B,)` pixels, with wrap-around."""
    height, width = mask.shape[-2:]
    rows = (torch.arange(height, device=mask.device) - down[:, None]) % height
    columns = (torch.arange(width, device=mask.device) - right[:, None]) % width
    sample = torch.arange(len(mask), device=mask.device)[:, None, None]
    return mask[sample, 0, rows[:, :, None], columns[:, None, :]][:, None]


def validation_hole(hole: Tensor, share: float, seed: int) -> Tensor:
    """Choose a place beside the hole that is hidden for good, to estimate the hole's error.

    It is the hole, or a part of it, moved by one offset in every frame: so it hides what it hides
    for as long and moves as the hole does, and since it lies near, much the same things. What was
    seen there in another frame would be learnt by heart, and say nothing.

    Args:
        hole: `(T, 1, H, W)` bool.
        share: of the known pixels that it may take, 0 to 1; 0 gives none.

    Returns:
        `(T, 1, H, W)` bool, outside the hole; nothing in frames that would be left without a
        quarter of known pixels.
    """
    most = share * (hole.numel() - _count(hole))
    part = _no_larger(hole, most) if most >= 1 else torch.zeros_like(hole)
    if not part.any():
        return part
    down, right = _beside(part, hole, torch.Generator().manual_seed(seed))
    taken = _moved(part, down, right) & ~hole
    return taken & _room(hole | taken)


_STROKES, _SEGMENTS = 3, 11  # at most: of a hole, of a stroke


def _brush(
    count: int, size: tuple[int, int], random: torch.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield a segment of every hole at a time: start and end `(count, 2)`, radius `(count,)`.

    A hole that is done has the radius NaN, which nothing is within.
    """
    strokes = _uniform(1, _STROKES + 1, count, random).floor()
    for stroke in range(_STROKES):
        segments = _uniform(3, _SEGMENTS + 1, count, random).floor()
        radius = _uniform(6 / 256, 20 / 256, count, random) * math.sqrt(size[0] * size[1])
        heading = _uniform(0, math.tau, count, random)
        start = torch.stack([_uniform(0, side, count, random) for side in size], dim=1)
        for segment in range(_SEGMENTS):
            end = _next_corner(start, heading, (-1) ** segment, size, random)
            drawn = (stroke < strokes) & (segment < segments)
            yield start, end, radius.where(drawn, math.nan)
            start = end


def _next_corner(
    start: Tensor, heading: Tensor, side: int, size: tuple[int, int], random: torch.Generator
) -> Tensor:
    """Go on in zigzag, to one side of the heading or the other; at the frame's edge stay."""
    count, reach_px = len(start), math.hypot(*size) / 8
    angle = heading + side * _uniform(4 / 15, 8 / 15, count, random) * math.pi
    normal = torch.randn(count, generator=random, device=random.device)
    length_px = (reach_px * (1 + normal / 2)).clamp(0, 2 * reach_px)
    end = start + torch.stack([angle.sin(), angle.cos()], dim=1) * length_px[:, None]
    return torch.stack([end[:, axis].clamp(0, size[axis]) for axis in range(2)], dim=1)


def _near(size: tuple[int, int], start: Tensor, end: Tensor, radius: Tensor) -> Tensor:
    """`(count, H, W)` bool: within the radius of the straight line from start to end."""
    y = torch.arange(size[0], device=start.device)[:, None]
    x = torch.arange(size[1], device=start.device)
    top, left = start[..., None, None].unbind(dim=1)
    down, right = (end - start)[..., None, None].unbind(dim=1)
    along = ((y - top) * down + (x - left) * right) / (down**2 + right**2).clamp(min=1e-6)
    along = along.clamp_(0, 1)
    squared = (y - top - along * down) ** 2 + (x - left - along * right) ** 2
    return squared <= radius[:, None, None] ** 2


def _uniform(low: float, high: float, count: int, random: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=random, device=random.device)


_TRIES, _LOOKED_AT = 128, 8  # offsets drawn, frames they are tried on


def _no_larger(hole: Tensor, most: float) -> Tensor:
    """What of each frame's hole lies over itself moved to the lower right, just far enough."""
    part, by = hole, 0
    while _count(part) > most:
        by += 1
        part = hole & _moved(hole, by, by)
    return part


def _beside(part: Tensor, hole: Tensor, random: torch.Generator) -> tuple[int, int]:
    """Draw offsets; return the shortest, but for those that leave the frame or meet the hole."""
    some = part.flatten(1).any(dim=1).nonzero().flatten()
    some = some[:: -(-len(some) // _LOOKED_AT)]
    part, hole = part[some], hole[some]
    height, width = hole.shape[-2:]
    whole = _count(part)
    best, least = (0, 0), math.inf
    for _ in range(_TRIES):
        down = int(torch.randint(1 - height, height, (), generator=random))
        right = int(torch.randint(1 - width, width, (), generator=random))
        kept = _count(_moved(part, down, right) & ~hole) / whole
        cost = math.hypot(down / height, right / width) + 4 * (1 - kept)
        if cost < least:
            best, least = (down, right), cost
    return best


def _moved(hole: Tensor, down: int, right: int) -> Tensor:
    """Move a hole; what leaves the frame is gone."""
    moved = torch.zeros_like(hole)
    height, width = hole.shape[-2:]
    there = moved[..., max(0, down) : height + down, max(0, right) : width + right]
    there |= hole[..., max(0, -down) : height - down, max(0, -right) : width - right]
    return moved


def _room(covered: Tensor) -> Tensor:
    """`(T, 1, 1, 1)` bool: frames of which at least a quarter stays known."""
    most = 0.75 * covered[0].numel()
    return torch.tensor([_count(frame) <= most for frame in covered])[:, None, None, None]


def _count(mask: Tensor) -> int:
    """How many are set: `sum` would make numbers of eight bytes of them first."""
    return int(torch.count_nonzero(mask))
