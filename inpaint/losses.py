"""What a fit minimises. Shapes: `B C H W`; masks `B 1 H W`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def reconstruction(stages: Sequence[Tensor], truth: Tensor, weight: Tensor) -> Tensor:
    """Weighted L1 of every stage's picture, summed over the stages.

    Args:
        stages: pictures `(B, C, H, W)` in [-1, 1].
        truth: `(B, C, H, W)` in [-1, 1]; what has weight 0 is not looked at.
        weight: `(B, 1, H, W)`, 0 on everything unknown.

    Returns:
        Scalar: the mean over all pixels of the tensor, those of weight 0 counted.

    Source: IIVI, eq. 2, `‖(Y − X) ⊙ (1 − M)‖₁`; the mean over all pixels is the reference code's.
    """
    picture = truth.masked_fill(weight == 0, 0)
    return sum(((y - picture).abs() * weight).mean() for y in stages)  # type: ignore[return-value]
