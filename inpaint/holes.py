"""Holes made from the clip's own: what the network learns on, and what it is judged on.

Shapes: `T 1 H W` and `B 1 H W`, bool. A shift wraps around the frame's edges.
"""

from __future__ import annotations

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


def rolled(mask: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Move each of `(B, 1, H, W)` by its own `down` and `right` `(B,)` pixels, with wrap-around."""
    height, width = mask.shape[-2:]
    rows = (torch.arange(height, device=mask.device) - down[:, None]) % height
    columns = (torch.arange(width, device=mask.device) - right[:, None]) % width
    sample = torch.arange(len(mask), device=mask.device)[:, None, None]
    return mask[sample, 0, rows[:, :, None], columns[:, None, :]][:, None]


def validation_hole(hole: Tensor, share: float, seed: int, run: int = 12) -> Tensor:
    """Choose known pixels that are treated like the hole in training, to estimate its error.

    The hole of `run` consecutive frames is moved by one offset and kept moving as it does, so that
    it covers a place as long as the real one; runs are added until `share` of the known pixels is
    taken. What would leave nothing known in a frame is left out.

    Args:
        hole: `(T, 1, H, W)` bool.
        share: of the known pixels, 0 to 1; 0 gives none.

    Returns:
        `(T, 1, H, W)` bool, outside the hole.
    """
    random = torch.Generator().manual_seed(seed)
    taken = torch.zeros_like(hole)
    budget = share * float((~hole).sum())
    length = min(run, len(hole))
    for _ in range(_TRIES):
        if taken.sum() >= budget:
            break
        start = int(torch.randint(len(hole) - length + 1, (), generator=random))
        frames = slice(start, start + length)
        moved = _moved_run(hole[frames], random) & ~hole[frames]
        moved &= _room(hole[frames] | taken[frames] | moved)
        fits = _within(moved, budget - float(taken.sum()))
        taken[frames] |= moved & fits
    return taken


_TRIES = 64


def _moved_run(hole: Tensor, random: torch.Generator) -> Tensor:
    height, width = hole.shape[-2:]
    down = torch.randint(height, (1,), generator=random).expand(len(hole))
    right = torch.randint(width, (1,), generator=random).expand(len(hole))
    return rolled(hole, down.to(hole.device), right.to(hole.device))


def _room(covered: Tensor) -> Tensor:
    """`(T, 1, 1, 1)` bool: frames of which at least a quarter stays known."""
    return covered.float().mean(dim=(1, 2, 3), keepdim=True) <= 0.75


def _within(moved: Tensor, budget: float) -> Tensor:
    """`(T, 1, 1, 1)` bool: the leading frames whose pixels fit into the budget, one at least."""
    sizes = moved.sum(dim=(1, 2, 3), keepdim=True)
    fits = sizes.cumsum(dim=0) <= budget
    fits[(sizes > 0).int().argmax()] = True
    return fits
