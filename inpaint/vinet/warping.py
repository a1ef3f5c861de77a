"""Looking a picture up along a flow, differentiably.

A flow `(B, 2, H, W)` float32 holds x, then y, in pixels: what `here` shows at `p`, `there` shows at
`p + flow(p)`.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def warped(there: Tensor, flow: Tensor, beyond: Literal["zeros", "border"] = "zeros") -> Tensor:
    """Return `there` as seen from `here`, bilinear, in float32 whatever the arithmetic around it.

    `(B, C, H, W) → (B, C, H, W)`, of the same dtype.

    Args:
        beyond: what lies outside: nothing, or the nearest pixel. The reference code has the former
            for features and the latter for pictures.
    """
    height, width = flow.shape[-2:]
    y = torch.arange(height, device=flow.device)[:, None]
    x = torch.arange(width, device=flow.device)
    right, down = flow.float().unbind(dim=1)
    # −1 and 1 are the outer edges of the picture, so that one pixel is a picture, too.
    grid = torch.stack([(2 * (x + right) + 1) / width, (2 * (y + down) + 1) / height], dim=-1) - 1
    seen = F.grid_sample(there.float(), grid, "bilinear", beyond, align_corners=False)
    return seen.to(there.dtype)


def enlarged(flow: Tensor, factor: int = 2) -> Tensor:
    """Return a flow for pictures `factor` times as large: bilinear, its lengths grown alike."""
    if factor == 1:
        return flow
    return factor * F.interpolate(flow, scale_factor=factor, mode="bilinear", align_corners=False)
