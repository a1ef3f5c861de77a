"""The U-Net that finds an object."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from inpaint.segmentation import CAPACITIES, Capacity, Segmenter, build

TINY = Capacity(widths=(4, 8, 16), working_px=0)


def parameters(network: Segmenter) -> int:
    return sum(weights.numel() for weights in network.parameters())


def shown(height: int = 20, width: int = 24) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    picture = torch.rand((2, 3, height, width), generator=random) * 2 - 1
    return picture, (torch.rand((2, 1, height, width), generator=random) < 0.5).float()


def test_the_papers_capacity_has_its_31_million_parameters() -> None:
    with torch.device("meta"):
        network = Segmenter(CAPACITIES["paper"])
    assert parameters(network) == pytest.approx(31.0e6, rel=2e-3)


def test_a_small_network_is_a_fiftieth_of_the_papers() -> None:
    assert parameters(build(CAPACITIES["small"])) < 31.0e6 / 50


@pytest.mark.parametrize("size", [(16, 16), (20, 24), (17, 31), (1, 1)])
def test_there_is_a_logit_for_each_pixel_whatever_the_size(size: tuple[int, int]) -> None:
    network = build(TINY).eval()
    assert network(*shown(*size)).shape == (2, 1, *size)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_have_as_many_channels_as_the_clip(channels: int) -> None:
    network = build(TINY, channels).eval()
    picture, guess = shown()
    assert network(picture[:, :1].expand(-1, channels, -1, -1), guess).shape == guess.shape


def test_picture_and_guess_both_count() -> None:
    network, (picture, guess) = build(TINY).eval(), shown()
    found = network(picture, guess)
    assert not torch.equal(network(-picture, guess), found)
    assert not torch.equal(network(picture, 1 - guess), found)


def test_the_weights_follow_from_the_seed_whatever_was_drawn_before() -> None:
    first = build(TINY, seed=1).state_dict()
    torch.rand(3)
    again, other = build(TINY, seed=1).state_dict(), build(TINY, seed=2).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)
