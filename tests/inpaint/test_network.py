"""The network: its size, what it sees, what it gives back."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from inpaint_fakes import COARSE, REFINED
from torch import Tensor

from inpaint.network import CAPACITIES, Capacity, Network, build


def shown(height: int, width: int, channels: int = 3) -> tuple[Tensor, Tensor]:
    """Two pictures and what is hidden of them."""
    random = torch.Generator().manual_seed(0)
    picture = torch.rand((2, channels, height, width), generator=random) * 2 - 1
    return picture, (torch.rand((2, 1, height, width), generator=random) < 0.3).float()


def parameters(network: Network) -> int:
    return sum(weights.numel() for weights in network.parameters())


def test_the_base_network_has_the_parameters_of_the_reference_implementation() -> None:
    assert parameters(build(CAPACITIES["base"])) == 4_051_278


def test_the_coarse_net_alone_has_1_63_million_of_them() -> None:
    assert round(parameters(build(Capacity(48, False, 0))) / 1e6, 2) == 1.63


def test_each_capacity_is_larger_than_the_one_before() -> None:
    counts = [parameters(build(CAPACITIES[name])) for name in ("small", "base", "large")]
    areas = [CAPACITIES[name].working_px for name in ("small", "base", "large")]
    assert counts == sorted(set(counts))
    assert areas == sorted(set(areas))


@pytest.mark.parametrize("size", [(1, 1), (4, 8), (7, 13), (43, 39), (2, 61)])
def test_any_size_comes_back_as_it_was(size: tuple[int, int]) -> None:
    picture, hidden = shown(*size)
    stages = build(REFINED)(picture, hidden)
    assert [stage.shape for stage in stages] == [picture.shape] * 2


def test_what_is_added_to_an_odd_size_counts_as_hidden() -> None:
    picture, hidden = shown(17, 21)
    grown = F.pad(picture, (0, 3, 0, 3), value=0.7), F.pad(hidden, (0, 3, 0, 3), value=1.0)
    network = build(REFINED)
    for odd, even in zip(network(picture, hidden), network(*grown), strict=True):
        assert torch.equal(odd, even[..., :17, :21])


@pytest.mark.parametrize("value", [0.0, -1.0, 1e6, torch.nan, torch.inf])
def test_a_hidden_pixel_has_no_influence(value: float) -> None:
    picture, hidden = shown(18, 23)
    other = torch.where(hidden > 0, value, picture)
    network = build(REFINED)
    for stage, same in zip(network(picture, hidden), network(other, hidden), strict=True):
        assert torch.equal(stage, same)


def test_a_pixel_in_sight_has_influence_on_every_stage() -> None:
    picture, hidden = shown(18, 23)
    other = torch.where(hidden == 0, -picture, picture)
    network = build(REFINED)
    for stage, changed in zip(network(picture, hidden), network(other, hidden), strict=True):
        assert (stage != changed).any()


def test_the_second_stage_sees_the_first_where_the_picture_is_hidden() -> None:
    picture, hidden = shown(16, 20)
    network = build(REFINED)
    assert network.refine is not None
    coarse, final = network(picture, hidden)
    composite = torch.where(hidden > 0, coarse, picture)
    assert torch.equal(final, torch.tanh(network.refine(composite)))


def test_pictures_stay_within_the_range_of_tanh() -> None:
    picture, hidden = shown(16, 20)
    for stage in build(REFINED)(1000 * picture, hidden):
        assert stage.abs().max() <= 1


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_grey_and_alpha_are_channels_as_any(channels: int) -> None:
    picture, hidden = shown(9, 11, channels)
    for capacity in (COARSE, REFINED):
        assert build(capacity, channels)(picture, hidden)[-1].shape == picture.shape


def test_every_weight_learns() -> None:
    network = build(REFINED)
    sum(stage.sum() for stage in network(*shown(16, 20))).backward()
    for name, weights in network.named_parameters():
        assert weights.grad is not None, name
        assert weights.grad.abs().max() > 0, name


def test_one_seed_gives_one_network_whatever_was_drawn_before() -> None:
    first = build(COARSE, seed=3).state_dict()
    torch.rand(5)
    again, other = build(COARSE, seed=3).state_dict(), build(COARSE, seed=4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_building_does_not_disturb_the_random_numbers_of_others() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    build(COARSE, seed=9)
    assert torch.equal(torch.rand(3), expected)
