"""What VINet's training minimises. Shapes: `B C H W` in [-1, 1]; masks `B 1 H W`; flows `B 2 H W`.

All are means over all pixels of the tensor, those that do not count included.

Source: Kim et al., Deep Video Inpainting, 2019, eqs. 5 to 8; the constants are the authors' code's.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from inpaint.metrics import ssim_map
from inpaint.vinet.warping import warped

CONFIDENT = 0.02  # of squared colour distances in [-1, 1]: below it a flow is believed
STEEPNESS = 50.0  # by which the weight of a pixel falls with this distance


def reconstruction(output: Tensor, truth: Tensor, hole: Tensor, hole_weight: float = 5.0) -> Tensor:
    """`‖Y − X‖₁ − SSIM(Y, X) + w · ‖(Y − X) ⊙ M‖₁`.

    Args:
        output: `Y`;  truth: `X`, both 0 where the truth is unknown.
        hole: `M`, bool.
        hole_weight: `w`.

    Returns:
        Scalar, at least −1, which it has where both are equal.

    Deviation: SSIM has the uniform window of `metrics`, not a Gaussian, and 1 as the range.
    """
    difference = (output - truth).abs()
    window = min(11, (min(output.shape[-2:]) - 1) // 2 * 2 + 1)
    alike = ssim_map((output + 1) / 2, (truth + 1) / 2, window).mean().float()
    return difference.mean() - alike + hole_weight * (difference * hole).mean()


def flow_loss(
    predicted: Tensor,
    pseudo_truth: Tensor,
    truth: Tensor,
    truth_before: Tensor,
    output: Tensor,
    output_before: Tensor,
    known: Tensor,
) -> Tensor:
    """How far a flow is from another estimator's, and from leading to where things came from.

    With `w` for the pixels that `known` has and where `‖X_t − warp(X_{t−1}, F*)‖² < 0.02`:
    `‖(F − F*) w‖₁ + ‖(X_t − warp(X_{t−1}, F)) w‖₁ + ‖(Y_t − warp(Y_{t−1}, F)) w‖₁`, the last one
    without gradient to the flow.

    Args:
        predicted: `F`, from t to t − 1.
        pseudo_truth: `F*`.
        truth: `X_t`;  truth_before: `X_{t−1}`.
        output: `Y_t`;  output_before: `Y_{t−1}`.
        known: bool, see `seen_twice`.

    Returns:
        Scalar.
    """
    sure = believed(truth, truth_before, pseudo_truth) & known
    led = warped(truth_before, predicted, "border")
    made = warped(output_before, predicted, "border").detach()
    pairs = ((predicted, pseudo_truth), (led, truth), (output, made))
    return torch.stack([((a - b) * sure).abs().mean() for a, b in pairs]).sum()


def alignment_loss(predicted: Sequence[Tensor], pseudo_truth: Tensor, sure: Tensor) -> Tensor:
    """How far the flows to other frames are from another estimator's, at every scale.

    `Σ_s ‖(F_s − F*) w‖₁`. It tells an alignment where to look, which reconstruction alone does in
    tens of thousands of steps; in the hole as well, where it has to be continued from around.

    Args:
        predicted: `F_s`, in pixels of the picture.
        pseudo_truth: `F*`.
        sure: `w`, bool `(B, 1, H, W)`.

    Returns:
        Scalar.

    Source: ours; the paper's flow loss, which it has for the frame before alone, for the others.
    """
    return torch.stack([((flow - pseudo_truth) * sure).abs().mean() for flow in predicted]).sum()


def warping_loss(
    output: Tensor, truth: Tensor, truth_before: Tensor, flow: Tensor, known: Tensor
) -> Tensor:
    """How far a frame is from an earlier true one, carried here along the true motion.

    `‖(Y_t − warp(X_{t'}, F*)) ⊙ exp(−50 ‖X_t − warp(X_{t'}, F*)‖²)‖₁` over what is `known`. Short
    term with `t' = t − 1`, long term with `t' = 0`.

    Args:
        output: `Y_t`;  truth: `X_t`;  truth_before: `X_{t'}`.
        flow: `F*`, from t to t'.
        known: bool, see `seen_twice`.

    Returns:
        Scalar.

    Source: eq. 7 and 8. The reference code squares the sum over channels, so that a change of hue
    costs no weight; here it is the sum of squares, as the paper writes.
    """
    weight = torch.exp(-STEEPNESS * _distance(truth, truth_before, flow)) * known
    return ((output - warped(truth_before, flow, "border")) * weight).abs().mean()


def seen_twice(unknown: Tensor, unknown_before: Tensor, flow: Tensor) -> Tensor:
    """Bool `(B, 1, H, W)`: pixels known in both frames; those are `unknown` that are in either."""
    return ~unknown & (warped(unknown_before.float(), flow, "border") < _LEAST_SHARE)


_LEAST_SHARE = 1e-3  # of a pixel; below it is rounding of the places


def believed(truth: Tensor, other: Tensor, flow: Tensor) -> Tensor:
    """Bool `(B, 1, H, W)`: where a flow leads to what looks alike."""
    return _distance(truth, other, flow) < CONFIDENT


def _distance(truth: Tensor, truth_before: Tensor, flow: Tensor) -> Tensor:
    """`‖X_t − warp(X_{t'}, F)‖²` at each pixel, `(B, 1, H, W)`."""
    carried = warped(truth_before, flow, "border")
    return (truth - carried).square().sum(dim=1, keepdim=True)
