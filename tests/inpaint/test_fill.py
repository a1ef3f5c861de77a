"""Filling: the known stays, the hole is made, tile by tile where need be."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from inpaint_fakes import COARSE, CPU, REFINED, Echo, clip, frames
from torch import Tensor

from inpaint.clip import Clip
from inpaint.fill import fill
from inpaint.network import Network, build
from inpaint.precision import accelerator

TILES = [(1024, 128), (16, 4), (13, 7), (8, 0)]


def filled(network: Network, material: Clip, tile_px: int = 1024, overlap_px: int = 128) -> Tensor:
    """All frames `(T, C, H, W)`, the filled hole in what is known."""
    off = accelerator("off", CPU)
    results = dict(fill(network, material, off, tile_px=tile_px, overlap_px=overlap_px))
    assert list(results) == list(range(len(material)))
    return torch.where(material.hole, torch.stack(list(results.values())), material.frames / 255)


def holed(*places: tuple[int, slice, slice]) -> Clip:
    """A clip of three frames, 40×50, whose hole is in these places."""
    hole = torch.zeros(3, 1, 40, 50, dtype=torch.bool)
    for t, rows, columns in places:
        hole[t, :, rows, columns] = True
    return Clip(frames(3, 40, 50), hole, hole)


@pytest.mark.parametrize(("tile_px", "overlap_px"), TILES)
def test_every_pixel_of_the_hole_is_what_the_network_makes_there(
    tile_px: int, overlap_px: int
) -> None:
    material = holed((0, slice(0, 33), slice(7, 50)), (2, slice(0, 40), slice(0, 50)))
    results = filled(Echo(), material, tile_px, overlap_px)
    assert torch.allclose(results, material.frames / 255, atol=1e-6)


def test_a_frame_no_larger_than_a_tile_is_done_whole() -> None:
    material, network = clip(), build(REFINED)
    whole = network(material.pictures(slice(None)), material.hole.float())[-1]
    expected = torch.where(material.hole, (whole + 1) / 2, material.frames / 255)
    for tile_px in (24, 1024):
        assert torch.allclose(filled(network, material, tile_px, 8), expected, atol=1e-6)


def test_a_tile_without_a_hole_is_not_computed() -> None:
    network = Echo()
    material = holed((1, slice(2, 6), slice(2, 6)), (2, slice(18, 22), slice(23, 27)))
    filled(network, material, tile_px=30, overlap_px=10)
    assert [hidden.sum() for hidden in network.hidden] == [16, 16, 16, 16, 16]
    assert {hidden.shape for hidden in network.hidden} == {(1, 1, 30, 30)}


def test_all_that_is_unknown_is_hidden_and_the_hole_alone_is_filled() -> None:
    material, network = clip(), Echo()
    extra = torch.zeros_like(material.hole)
    extra[:, :, 15:18] = True
    results = filled(network, material.hiding(extra))
    assert torch.equal(torch.cat(network.hidden), (material.hole | extra).float())
    assert torch.allclose(results, material.frames / 255, atol=1e-6)


def test_what_lies_in_the_hole_has_no_influence() -> None:
    material, network = clip(), build(REFINED)
    other = replace(material, frames=torch.where(material.hole, 255, material.frames))
    assert torch.equal(filled(network, material, 16, 4), filled(network, other, 16, 4))


@pytest.mark.parametrize("start", [0, 2, 4])
def test_starting_later_gives_the_rest(start: int) -> None:
    material, network, off = clip(), build(COARSE), accelerator("off", CPU)
    rest = dict(fill(network, material, off, start=start))
    assert list(rest) == list(range(start, 4))
    whole = dict(fill(network, material, off))
    assert all(torch.equal(picture, whole[t]) for t, picture in rest.items())


def test_values_beyond_the_tone_curves_range_are_clipped() -> None:
    beyond = (clip().frames / 255).half() * 3 - 1
    assert (beyond.min() < 0, beyond.max() > 1) == (True, True)
    material = replace(clip(), frames=beyond)
    inside = filled(Echo(), material, 16, 4)[material.hole.expand_as(beyond)]
    assert (inside.min(), inside.max()) == (0, 1)


def test_filling_keeps_no_gradient_and_leaves_gradients_on() -> None:
    assert not filled(build(COARSE), clip(), 16, 4).requires_grad
    assert torch.is_grad_enabled()
