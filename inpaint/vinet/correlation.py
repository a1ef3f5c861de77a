"""How alike two feature maps are, at every small displacement."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

REACH_PX = 4
"""The largest displacement along an axis, in pixels of the feature map (VINet's search range)."""

BLOCK_PX = 4  # measured: 4 to 8 are the quickest on a CPU


def correlation(here: Tensor, there: Tensor, reach: int = REACH_PX) -> Tensor:
    """Mean product over the channels of each place here with those around it there.

    `out[d](p) = mean_c here[c](p) · there[c](p + d)`, 0 where that lies outside; the displacements
    are in the order of rows. Done as matrix products: each block of places against all that any of
    them reaches, of which then the diagonals are kept. That is five to twelve times as quick as a
    loop over displacements.

           there          ┌────────────┐
           here ┌────┐    │   ┌────┐   │  a block, and the square `reach` wider on every side
                └────┘    │   └────┘   │
                          └────────────┘

    Args:
        here: `(B, C, H, W)`.
        there: the same.

    Returns:
        `(B, (2 · reach + 1)², H, W)`.

    Source: Dosovitskiy et al., FlowNet, 2015, eq. 1, with patches of one pixel, in the scaling of
    the reference code.
    """
    batch, channels, height, width = here.shape
    block, wide, side = BLOCK_PX, BLOCK_PX + 2 * reach, 2 * reach + 1
    down, right = -height % block, -width % block
    queries = _blocks(F.pad(here / channels, (0, right, 0, down)), block, block)
    keys = _blocks(F.pad(there, (reach, reach + right, reach, reach + down)), wide, block)
    rows, columns = queries.shape[1:3]
    products = queries.flatten(0, 2).flatten(1, 2) @ keys.flatten(0, 2).flatten(1, 2).mT
    products = products.view(batch, rows, columns, block, block, wide, wide)
    # The key at displacement d of the query at p lies at p + d: a step of p is one of both.
    *outer, y, x, down_key, right_key = products.stride()
    near = products.as_strided(
        (batch, rows, columns, block, block, side, side),
        (*outer, y + down_key, x + right_key, down_key, right_key),
    )
    # Copied once, and so that convolutions find their channels last.
    volume = near.permute(0, 1, 3, 2, 4, 5, 6).flatten(5, 6).flatten(3, 4).flatten(1, 2)
    return volume[:, :height, :width].permute(0, 3, 1, 2)


def _blocks(features: Tensor, size: int, step: int) -> Tensor:
    """`(B, C, H, W) → (B, rows, columns, size, size, C)`."""
    return features.unfold(2, size, step).unfold(3, size, step).permute(0, 2, 3, 4, 5, 1)
