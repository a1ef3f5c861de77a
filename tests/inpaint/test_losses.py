"""The reconstruction loss: its value, its gradient, what it does not look at."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from inpaint.losses import reconstruction


def example() -> tuple[Tensor, Tensor, Tensor]:
    """A picture, its truth and a weight of 0, 1 and 3."""
    random = torch.Generator().manual_seed(0)
    picture, truth = torch.rand((2, 2, 3, 5, 6), generator=random) * 2 - 1
    weight = torch.ones(2, 1, 5, 6)
    weight[:, :, :2] = 0
    weight[:, :, 4] = 3
    return picture, truth, weight


def test_the_loss_of_a_known_difference() -> None:
    truth, weight = torch.zeros(1, 2, 2, 2), torch.tensor([[[[1.0, 0.0], [2.0, 1.0]]]])
    picture = torch.tensor([[0.5, 9.0], [-0.25, 0.0]]).expand(1, 2, 2, 2)
    assert reconstruction([picture], truth, weight) == 2 * (0.5 + 2 * 0.25) / 8


def test_the_stages_add_up() -> None:
    picture, truth, weight = example()
    one, other = reconstruction([picture], truth, weight), reconstruction([-picture], truth, weight)
    assert torch.allclose(reconstruction([picture, -picture], truth, weight), one + other)


def test_the_truth_itself_costs_nothing() -> None:
    _, truth, weight = example()
    assert reconstruction([truth, truth], truth, weight) == 0


def test_the_gradient_is_the_weight_and_none_where_there_is_none() -> None:
    picture, truth, weight = example()
    picture.requires_grad_()
    reconstruction([picture], truth, weight).backward()
    assert picture.grad is not None
    expected = (picture - truth).sign() * weight / picture.numel()
    assert torch.allclose(picture.grad, expected)
    assert (picture.grad[:, :, :2] == 0).all()


def test_a_truth_that_is_no_number_does_no_harm_under_weight_zero() -> None:
    picture, truth, weight = example()
    picture.requires_grad_()
    broken = truth.masked_fill(weight == 0, math.nan)
    loss = reconstruction([picture], broken, weight)
    loss.backward()
    assert loss == reconstruction([picture], truth, weight)
    assert picture.grad is not None
    assert picture.grad.isfinite().all()
