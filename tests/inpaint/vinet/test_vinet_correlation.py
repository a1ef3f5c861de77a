"""The correlation of feature maps."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.vinet.correlation import correlation


def features(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow(here: Tensor, there: Tensor, reach: int) -> Tensor:
    height, width = here.shape[-2:]
    wide, steps = F.pad(there, (reach,) * 4), range(2 * reach + 1)
    views = [wide[..., i : i + height, j : j + width] for i in steps for j in steps]
    return torch.stack([(here * view).mean(dim=1) for view in views], dim=1)


@pytest.mark.parametrize("size", [(1, 1), (4, 8), (5, 11), (13, 6)])
@pytest.mark.parametrize("reach", [1, 4])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_agrees_with_a_loop(
    size: tuple[int, int], reach: int, layout: torch.memory_format
) -> None:
    here, there = (features(2, 3, *size, seed=s).to(memory_format=layout) for s in (0, 1))
    torch.testing.assert_close(correlation(here, there, reach), slow(here, there, reach))


def test_what_has_moved_is_alike_where_it_went() -> None:
    here = F.normalize(features(1, 64, 16, 20), dim=1)
    there = here.roll((2, -3), dims=(2, 3))
    best = correlation(here, there).argmax(dim=1)[0, 4:-4, 4:-4]
    assert (best == (2 + 4) * 9 + (-3 + 4)).all()


def test_its_gradient_is_that_of_the_formula() -> None:
    here, there = (features(1, 2, 5, 6, seed=s).requires_grad_() for s in (0, 1))
    assert torch.autograd.gradcheck(lambda a, b: correlation(a, b, 2), (here, there))
