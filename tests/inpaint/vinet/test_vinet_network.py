"""VINet: its size, what it sees, what it carries along."""

from __future__ import annotations

import pytest
import torch
from vinet_fakes import TINY, TINY_HALVED, frame, shown, tiny

from inpaint.vinet.network import CAPACITIES, Capacity, VINet, build, neighbours
from inpaint.vinet.warping import warped


def parameters(network: VINet) -> int:
    return sum(weights.numel() for weights in network.parameters())


@pytest.mark.parametrize("name", ["base", "large"])
def test_it_has_the_parameters_of_the_reference_implementation(name: str) -> None:
    assert parameters(build(CAPACITIES[name])) == 14_115_364


def test_the_small_one_has_a_fifteenth_of_them() -> None:
    assert parameters(build(CAPACITIES["small"])) == 959_140


@pytest.mark.parametrize("size", [(1, 1), (8, 16), (13, 21), (7, 40)])
@pytest.mark.parametrize("capacity", [TINY, TINY_HALVED])
def test_any_size_comes_back_as_it_was(size: tuple[int, int], capacity: Capacity) -> None:
    given = shown(2, *size)
    filled = tiny(capacity)(*given)
    assert filled.pictures.shape == given[0].shape
    assert filled.state.previous.shape == given[0][:, 0].shape
    assert filled.pictures.isfinite().all()


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_alpha_are_channels_as_any(channels: int) -> None:
    given = shown(channels=channels)
    assert tiny(channels=channels)(*given).pictures.shape == given[0].shape


@pytest.mark.parametrize("value", [0.0, 1e6, torch.nan])
def test_a_hidden_pixel_has_no_influence(value: float) -> None:
    pictures, hidden, near, near_hidden = shown()
    changed = pictures.masked_fill(hidden, value), near.masked_fill(near_hidden, value)
    network = tiny()
    expected = network(pictures, hidden, near, near_hidden).pictures
    assert torch.equal(network(changed[0], hidden, changed[1], near_hidden).pictures, expected)


def test_every_neighbour_has_influence() -> None:
    pictures, hidden, near, near_hidden = shown(1)
    network = tiny()
    expected = network(pictures, hidden, near, near_hidden).pictures
    for k in range(4):
        other = near.clone()
        other[:, :, k] *= -1
        assert not torch.equal(network(pictures, hidden, other, near_hidden).pictures, expected)


def test_frames_one_by_one_are_the_frames_of_one_call() -> None:
    given, network = shown(3), tiny()
    together, state = network(*given).pictures, None
    for n in range(3):
        filled = network(*frame(given, n), state)
        state = filled.state
        torch.testing.assert_close(filled.pictures[:, 0], together[:, n])


def test_both_parts_of_the_state_have_influence() -> None:
    given, network = shown(2), tiny()
    first = network(*frame(given, 0)).state
    expected = network(*frame(given, 1), first).pictures
    hidden, cell = (torch.rand_like(part) for part in first.memory)
    for other in (
        type(first)(-first.previous, first.memory),
        type(first)(first.previous, type(first.memory)(hidden, cell)),
    ):
        assert not torch.equal(network(*frame(given, 1), other).pictures, expected)


@pytest.mark.parametrize("capacity", [TINY, TINY_HALVED])
def test_where_the_share_is_one_the_picture_before_goes_on(capacity: Capacity) -> None:
    given, network = shown(2, 13, 21), tiny(capacity)
    before = network(*frame(given, 0)).state
    torch.nn.init.constant_(network.share_before[-2].bias, 100.0)
    filled = network(*frame(given, 1), before)
    flow = filled.flows[0]
    assert flow is not None
    carried = warped(before.previous, flow, "border")
    torch.testing.assert_close(filled.pictures[:, 0], carried)


def test_no_gradient_goes_from_frame_to_frame() -> None:
    pictures, hidden, near, near_hidden = shown(2)
    pictures.requires_grad_()
    filled = tiny()(pictures, torch.zeros_like(hidden), near, near_hidden)
    filled.pictures[:, 1].sum().backward()
    assert pictures.grad is not None
    assert pictures.grad[:, 1].abs().max() > 0
    assert pictures.grad[:, 0].abs().max() == 0


@pytest.mark.parametrize("capacity", [Capacity(1 / 8, 1, 0), Capacity(1 / 8, 2, 0)])
def test_every_weight_learns(capacity: Capacity) -> None:
    network = tiny(capacity)
    network(*shown(2, 32, 32)).pictures.square().sum().backward()
    for name, weights in network.named_parameters():
        assert weights.grad is not None, name
        assert weights.grad.abs().max() > 0, name


def test_half_precision_changes_little() -> None:
    given, network = shown(2, 32, 48), tiny()
    exact = network(*given)
    with torch.autocast("cpu", torch.bfloat16):
        coarse = network(*given)
    flow, rounded = exact.flows[1], coarse.flows[1]
    assert flow is not None
    assert rounded is not None
    assert coarse.pictures.dtype == rounded.dtype == torch.float32
    assert (rounded - flow).abs().mean() < 0.05
    assert (coarse.pictures - exact.pictures).abs().mean() < 0.2 * exact.pictures.std()


def test_neighbours_are_mirrored_at_the_ends() -> None:
    assert neighbours(10, 40) == [4, 7, 13, 16]
    assert neighbours(1, 40) == [5, 2, 4, 7]
    assert neighbours(38, 40) == [32, 35, 37, 34]
    assert neighbours(0, 1) == [0, 0, 0, 0]
    assert all(0 <= s < 3 for t in range(3) for s in neighbours(t, 3))


def test_one_seed_gives_one_network_whatever_was_drawn_before() -> None:
    first = build(TINY, seed=3).state_dict()
    torch.rand(5)
    again, other = build(TINY, seed=3).state_dict(), build(TINY, seed=4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)
