"""Where an object is expected in the next frame, and how far around.

Shapes: one mask `(1, 1, H, W)`, one picture `(1, C, H, W)` in [-1, 1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.flow import flow, warped

LOST = 0.3
"""Below this share of its area the object counts as hidden."""


@dataclass(frozen=True)
class Trail:
    """Where the object was seen last, followed from frame to frame.

    Attributes:
        mask: `(1, 1, H, W)` bool.
        area_px: about how large the object was when last seen.
        lost: frames since then.
    """

    mask: Tensor
    area_px: float
    lost: int = 0

    def carried(self, before: Tensor, after: Tensor) -> Trail:
        """Move along with what moved between two pictures `(1, C, H, W)`; stay at the border."""
        way = flow(_pixels(after), _pixels(before))
        moved = warped(self.mask[0, 0].float().cpu().numpy(), way) > 0.5
        mask = torch.from_numpy(moved)[None, None].to(self.mask.device)
        return replace(self, mask=mask) if moved.any() else self

    def search(self, reach: float) -> Tensor:
        """Where the object may be: the farther, the longer it was not seen."""
        by_px = max(3, round(reach * (1 + self.lost) * math.sqrt(self.area_px)))
        by_px = min(by_px, max(self.mask.shape))
        rows = F.max_pool2d(self.mask.float(), (2 * by_px + 1, 1), stride=1, padding=(by_px, 0))
        return F.max_pool2d(rows, (1, 2 * by_px + 1), stride=1, padding=(0, by_px))

    def renewed(self, seen: Tensor) -> Trail:
        """Go on with what is seen now, unless that is too little to be the object."""
        area_px = float(seen.sum())
        if area_px < LOST * self.area_px:
            return replace(self, lost=self.lost + 1)
        return Trail(seen, max(area_px, 0.95 * self.area_px))


def _pixels(picture: Tensor) -> np.ndarray:
    return ((picture[0] + 1) / 2).permute(1, 2, 0).cpu().numpy()
