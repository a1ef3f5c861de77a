"""Looking pictures up along a flow."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from inpaint import flow as classical
from inpaint.vinet.warping import enlarged, warped


def picture(height: int = 10, width: int = 14) -> Tensor:
    return torch.rand((2, 3, height, width), generator=torch.Generator().manual_seed(0))


def constant(right: float, down: float, like: Tensor) -> Tensor:
    flow = torch.zeros((len(like), 2, *like.shape[-2:]))
    flow[:, 0], flow[:, 1] = right, down
    return flow


def test_whole_pixels_are_a_shift_and_beyond_is_nothing() -> None:
    there = picture()
    seen = warped(there, constant(2, -1, there))
    expected = torch.zeros_like(there)
    expected[..., 1:, :-2] = there[..., :-1, 2:]
    torch.testing.assert_close(seen, expected, atol=1e-5, rtol=0)


def test_it_agrees_with_opencv() -> None:
    there = torch.nn.functional.avg_pool2d(picture(12, 16), 3, 1)
    flow = 6 * torch.randn((2, 2, 10, 14), generator=torch.Generator().manual_seed(1))
    seen = warped(there, flow, "border")
    for n in range(2):
        arrays = (np.ascontiguousarray(x[n].permute(1, 2, 0).numpy()) for x in (there, flow))
        expected = torch.from_numpy(classical.warped(*arrays)).permute(2, 0, 1)
        torch.testing.assert_close(seen[n], expected, atol=0.03, rtol=0)  # to 1/32 px


def test_a_single_pixel_is_a_picture() -> None:
    there = torch.full((1, 1, 1, 1), 3.0)
    assert warped(there, torch.zeros((1, 2, 1, 1))).item() == 3
    assert warped(there, torch.full((1, 2, 1, 1), 5.0), "border").item() == 3


def test_half_precision_features_are_moved_by_exact_places() -> None:
    there = picture(4, 600)
    exact = warped(there, constant(0.5, 0, there))
    coarse = warped(there.bfloat16(), constant(0.5, 0, there))
    assert coarse.dtype == torch.bfloat16
    torch.testing.assert_close(coarse.float(), exact, atol=0.01, rtol=0)


def test_the_gradient_reaches_flow_and_picture() -> None:
    there = picture(4, 5).double()[:1].requires_grad_()
    flow = (torch.rand((1, 2, 4, 5)) * 0.8 + 0.1).requires_grad_()
    warped(there, flow, "border").square().sum().backward()
    assert there.grad is not None
    assert flow.grad is not None
    assert flow.grad.abs().max() > 0


def test_an_enlarged_flow_leads_twice_as_far() -> None:
    flow = constant(1.5, -2, picture(3, 4))
    assert torch.equal(enlarged(flow), constant(3, -4, picture(6, 8)))
    assert enlarged(flow, 1) is flow
