"""What VINet's training minimises: shape, known answers, gradient."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from inpaint.vinet.losses import alignment_loss, flow_loss, reconstruction, seen_twice, warping_loss

KNOWN = torch.ones((2, 1, 12, 16), dtype=torch.bool)
STILL = torch.zeros((2, 2, 12, 16))


def pictures(seed: int = 0) -> Tensor:
    return torch.rand((2, 3, 12, 16), generator=torch.Generator().manual_seed(seed)) * 2 - 1


def left_half() -> Tensor:
    hole = torch.zeros((2, 1, 12, 16), dtype=torch.bool)
    hole[..., :8] = True
    return hole


def test_a_perfect_reconstruction_costs_minus_one() -> None:
    assert reconstruction(pictures(), pictures(), KNOWN).item() == pytest.approx(-1)


def test_an_error_in_the_hole_costs_six_times_as_much() -> None:
    truth = torch.zeros((2, 3, 12, 16))
    output = truth + 0.1
    outside, inside = (reconstruction(output, truth, hole) for hole in (~KNOWN, KNOWN))
    light = (2 * 0.5 * 0.55 + 1e-4) / (0.5**2 + 0.55**2 + 1e-4)  # SSIM of two flat pictures
    assert outside.item() == pytest.approx(0.1 - light, abs=1e-5)
    assert (inside - outside).item() == pytest.approx(0.5, abs=1e-5)


def test_a_flow_that_is_true_costs_nothing() -> None:
    truth = pictures()
    loss = flow_loss(STILL, STILL, truth, truth, truth, truth, KNOWN)
    assert loss.item() == pytest.approx(0, abs=1e-6)


def test_a_wrong_flow_costs_its_length_where_the_truth_is_believed() -> None:
    truth, before = torch.zeros((2, 3, 12, 16)), torch.zeros((2, 3, 12, 16))
    before[..., 8:] = 0.5  # squared distance 0.75: not believed
    wrong = STILL + 2
    loss = flow_loss(wrong, STILL, truth, truth, truth, truth, KNOWN)
    half = flow_loss(wrong, STILL, truth, before, truth, truth, left_half())
    assert loss.item() == pytest.approx(2)
    # Half of the flow's error, and of two columns that the wrong flow leads to the other half.
    assert half.item() == pytest.approx(1 + 0.5 * 2 / 16)


def test_flows_of_all_scales_cost_their_errors_where_the_truth_is_believed() -> None:
    flows = [STILL + 1, STILL - 2]
    assert alignment_loss(flows, STILL, KNOWN).item() == pytest.approx(3)
    assert alignment_loss(flows, STILL, left_half()).item() == pytest.approx(1.5)


def test_the_last_output_gives_no_gradient_through_the_flow() -> None:
    truth, flow = torch.zeros((2, 3, 12, 16)), (STILL + 0.5).requires_grad_()
    output = pictures(1).requires_grad_()
    loss = flow_loss(flow, STILL + 0.5, truth, truth, output, pictures(2), KNOWN)
    loss.backward()
    assert flow.grad is not None
    assert flow.grad.abs().max() == 0
    assert output.grad is not None
    assert output.grad.abs().max() > 0


def test_a_frame_like_the_one_before_costs_nothing() -> None:
    truth = pictures()
    loss = warping_loss(truth, truth, truth, STILL, KNOWN)
    assert loss.item() == pytest.approx(0, abs=1e-6)


def test_what_the_flow_does_not_explain_counts_less() -> None:
    truth = torch.zeros((2, 3, 12, 16))
    before, output = truth + 0.1, truth + 0.4
    weight = math.exp(-50 * 3 * 0.1**2)
    loss = warping_loss(output, truth, before, STILL, KNOWN)
    assert loss.item() == pytest.approx(0.3 * weight)
    assert warping_loss(output, truth, before, STILL, left_half()).item() == pytest.approx(
        0.3 * weight / 2
    )


def test_a_pixel_that_came_from_an_unknown_one_is_not_known() -> None:
    unknown = left_half()[:1]
    twice = seen_twice(
        torch.zeros_like(unknown), unknown, STILL[:1] - torch.tensor([2.5, 0])[:, None, None]
    )
    assert not twice[..., :11].any()
    assert twice[..., 11:].all()
    assert not (seen_twice(unknown, ~unknown, STILL[:1])).any()


@pytest.mark.parametrize("term", ["reconstruction", "flow", "warping"])
def test_the_gradient_points_to_the_truth(term: str) -> None:
    truth, output = pictures(), pictures(1).requires_grad_()
    loss = {
        "reconstruction": lambda: reconstruction(output, truth, KNOWN),
        "flow": lambda: flow_loss(STILL, STILL, truth, truth, output, truth, KNOWN),
        "warping": lambda: warping_loss(output, truth, truth, STILL, KNOWN),
    }[term]()
    assert loss.shape == ()
    (gradient,) = torch.autograd.grad(loss, output)
    assert (gradient * (output - truth)).sum() > 0
