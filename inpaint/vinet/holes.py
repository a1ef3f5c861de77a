"""Synthetic holes for training: strokes, boxes and objects, at rest or moving.

Shapes: `T 1 H W`, bool, the frames of one clip.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from inpaint.holes import free_form, rolled

Kind = Literal["free_form", "box", "object"]


@dataclass(frozen=True)
class HoleRanges:
    """Which holes are drawn.

    Attributes:
        kinds: each is as likely.
        moving: share of the holes that move.
        speed: the fastest, in shares of the frame's sides a frame.
        box: least and greatest side of a box, in shares of the frame's.
        object: least and greatest mean radius of an object, in shares of the frame's smaller side.
    """

    kinds: tuple[Kind, ...] = ("free_form", "box", "object")
    moving: float = 0.5
    speed: float = 0.03
    box: tuple[float, float] = (0.2, 0.5)
    object: tuple[float, float] = (0.1, 0.25)


def draw(count: int, size: tuple[int, int], ranges: HoleRanges, random: torch.Generator) -> Tensor:
    """Draw the hole of each of `count` consecutive frames of `size`: `(count, 1, H, W)` bool.

    One shape, which goes its way evenly, with wrap-around; an object changes its outline as well.
    On the generator's device.
    """
    kind = ranges.kinds[int(torch.randint(len(ranges.kinds), (), **_on(random)))]
    moving = bool(torch.rand((), **_on(random)) < ranges.moving)
    shape = _SHAPES[kind](count if moving else 1, size, ranges, random)
    return _moved(shape, size, ranges.speed, random) if moving else shape.expand(count, -1, -1, -1)


def _strokes(count: int, size: tuple[int, int], _: HoleRanges, random: torch.Generator) -> Tensor:
    return free_form(1, size, random).expand(count, -1, -1, -1)


def _box(count: int, size: tuple[int, int], ranges: HoleRanges, random: torch.Generator) -> Tensor:
    hole = torch.zeros((1, 1, *size), dtype=torch.bool, device=random.device)
    sides = [max(1, round(side * _between(*ranges.box, random))) for side in size]
    top, left = (
        int(torch.randint(whole - side + 1, (), **_on(random)))
        for whole, side in zip(size, sides, strict=True)
    )
    hole[..., top : top + sides[0], left : left + sides[1]] = True
    return hole.expand(count, -1, -1, -1)


def _object(
    count: int, size: tuple[int, int], ranges: HoleRanges, random: torch.Generator
) -> Tensor:
    """A round thing whose outline waves: `r(φ, t) = r₀ (1 + Σ a_k cos(kφ + p_k + s_k t))`."""
    radius = min(size) * _between(*ranges.object, random)
    centre = [side * _between(0, 1, random) for side in size]
    y = torch.arange(size[0], device=random.device)[:, None] - centre[0]
    x = torch.arange(size[1], device=random.device) - centre[1]
    angle, t = torch.atan2(y, x), torch.arange(count, device=random.device)[:, None, None]
    outline = torch.ones((count, *size), device=random.device)
    for wave in range(1, _WAVES + 1):
        height, phase, pace = (_between(0, most, random) for most in (0.6, math.tau, 0.4))
        outline += height / wave * torch.cos(wave * angle + phase + pace * t)
    return (torch.hypot(y, x) < radius * outline)[:, None]


_SHAPES = {"free_form": _strokes, "box": _box, "object": _object}
_WAVES = 4  # of an outline


def _moved(shape: Tensor, size: tuple[int, int], speed: float, random: torch.Generator) -> Tensor:
    t = torch.arange(len(shape), device=shape.device)
    down, right = ((t * side * _between(-speed, speed, random)).round().long() for side in size)
    return rolled(shape, down, right)


def _between(low: float, high: float, random: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), **_on(random)))


def _on(random: torch.Generator) -> dict[str, Any]:
    return {"generator": random, "device": random.device}
