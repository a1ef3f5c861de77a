"""Holes made from the clip's own: shifted ones to learn on, one to be judged on."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inpaint_fakes import rectangles
from torch import Tensor

from inpaint.holes import free_form, rolled, shifted_holes, validation_hole


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def offsets_between(one: Tensor, other: Tensor) -> list[tuple[int, int]]:
    """Every way to move one hole `(1, H, W)` that gives the other."""
    height, width = one.shape[-2:]
    places = [(down, right) for down in range(height) for right in range(width)]
    return [place for place in places if torch.equal(one.roll(place, (-2, -1)), other)]


@given(st.integers(1, 9), st.integers(1, 9), st.lists(st.tuples(st.integers(), st.integers())))
@settings(deadline=None, derandomize=True)
def test_moving_agrees_with_roll(height: int, width: int, places: list[tuple[int, int]]) -> None:
    places = [(down % height, right % width) for down, right in places]
    masks = torch.rand((len(places), 1, height, width), generator=seeded()) < 0.5
    down, right = torch.tensor(places, dtype=torch.long).reshape(-1, 2).T
    moved = rolled(masks, down, right)
    assert moved.shape == masks.shape
    for mask, place, result in zip(masks, places, moved, strict=True):
        assert torch.equal(result, mask.roll(place, (-2, -1)))


def test_a_shifted_hole_is_a_hole_of_the_clip_moved() -> None:
    hole = rectangles(3, 12, 14)
    hole[1, :, 0, 0] = True
    hole[2, :, 11, :3] = True
    for shifted in shifted_holes(hole, 12, seeded()):
        assert any(offsets_between(one, shifted) for one in hole)


def test_each_sample_has_a_frame_and_an_offset_of_its_own() -> None:
    hole = torch.zeros(2, 1, 16, 16, dtype=torch.bool)
    hole[0, :, 3, 5] = True
    hole[1, :, 3, 5:7] = True
    drawn = shifted_holes(hole, 200, seeded())
    sizes = drawn.sum(dim=(1, 2, 3))
    rows, columns = drawn.any(dim=3).int().argmax(2), drawn.any(dim=2).int().argmax(2)
    assert 60 < (sizes == 1).sum() < 140
    assert len(rows.unique()) == len(columns.unique()) == 16
    assert len(torch.cat([rows, columns], dim=1).unique(dim=0)) > 100


def test_one_seed_draws_the_same_holes_and_the_next_draw_others() -> None:
    hole, random = rectangles(), seeded()
    first, second = shifted_holes(hole, 8, random), shifted_holes(hole, 8, random)
    assert torch.equal(shifted_holes(hole, 8, seeded()), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("size", [(32, 48), (64, 50)])
def test_a_free_form_hole_covers_some_of_the_frame(size: tuple[int, int]) -> None:
    holes = free_form(300, size, seeded())
    shares = holes.float().mean(dim=(1, 2, 3))
    assert holes.shape == (300, 1, *size)
    assert holes.dtype == torch.bool
    assert 0.12 < shares.mean() < 0.18
    assert ((shares > 0.05) & (shares < 0.25)).float().mean() > 0.7
    assert 0 < shares.min() < shares.max() < 0.6


def test_free_form_holes_lie_anywhere_and_are_alike_at_every_size() -> None:
    small, large = (free_form(300, size, seeded()) for size in ((32, 48), (64, 96)))
    assert (small.float().mean(dim=0) > 0.02).all()
    halved = torch.nn.functional.avg_pool2d(large.float(), 2)
    assert (halved - small.float()).abs().mean() < 0.02


def test_strokes_are_no_thinner_than_the_thinnest_brush() -> None:
    known = ~free_form(60, (64, 64), seeded())
    inside = torch.nn.functional.max_pool2d(known.float(), 3, 1, padding=1) == 0
    opened = torch.nn.functional.max_pool2d(inside.float(), 3, 1, padding=1) > 0
    assert inside.flatten(1).any(dim=1).all()
    assert (opened == ~known).float().mean() > 0.99


def test_one_seed_draws_the_same_strokes_and_the_next_draw_others() -> None:
    random = seeded()
    first, second = free_form(3, (40, 50), random), free_form(3, (40, 50), random)
    assert torch.equal(free_form(3, (40, 50), seeded()), first)
    assert not torch.equal(first, second)
    assert len(first.unique(dim=0)) == 3


@pytest.mark.parametrize("seed", range(5))
def test_the_validation_hole_is_outside_the_real_one(seed: int) -> None:
    hole = rectangles(20, 24, 32)
    assert not (validation_hole(hole, 0.2, seed) & hole).any()


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("seed", range(3))
def test_the_validation_hole_takes_no_more_than_its_share(share: float, seed: int) -> None:
    hole = rectangles(12, 24, 32)
    taken = validation_hole(hole, share, seed).sum()
    budget = share * float((~hole).sum())
    assert min(budget, hole.sum()) / 3 < taken <= budget


def test_no_share_is_no_validation_hole() -> None:
    assert not validation_hole(rectangles(), 0.0, seed=0).any()


def test_the_validation_hole_follows_from_its_seed() -> None:
    hole = rectangles(20, 24, 32)
    assert torch.equal(validation_hole(hole, 0.05, 1), validation_hole(hole, 0.05, 1))
    assert not torch.equal(validation_hole(hole, 0.05, 1), validation_hole(hole, 0.05, 2))


def test_the_validation_hole_hides_a_place_for_as_long_and_moves_as_the_hole_does() -> None:
    hole = rectangles(12, 40, 60)
    judge = validation_hole(hole, 0.1, seed=0)
    [place] = offsets_between(hole[0], judge[0])
    assert torch.equal(judge, hole.roll(place, (-2, -1)))


def test_the_validation_hole_lies_beside_the_hole() -> None:
    hole = torch.zeros(6, 1, 40, 60, dtype=torch.bool)
    hole[:, :, 16:24, 24:36] = True
    for seed in range(5):
        judge = validation_hole(hole, 0.1, seed)
        assert judge.sum() == hole.sum()
        rows, columns = judge[0, 0].nonzero().unbind(1)
        assert rows.min() >= 2
        assert rows.max() < 38
        assert columns.min() >= 4
        assert columns.max() < 56


def test_a_hole_in_one_frame_of_many_is_judged_in_that_frame() -> None:
    hole = torch.zeros(40, 1, 24, 32, dtype=torch.bool)
    hole[17, :, 8:14, 10:18] = True
    judge = validation_hole(hole, 0.05, seed=0)
    assert judge[17].sum() == judge.sum() == hole.sum()


def test_every_frame_keeps_a_quarter_known() -> None:
    hole = torch.zeros(6, 1, 20, 20, dtype=torch.bool)
    hole[:3, :, :, :9] = True
    hole[3:] = True
    judge = validation_hole(hole, 1.0, seed=0)
    assert not judge[3:].any()
    assert ((hole | judge)[:3].float().mean(dim=(1, 2, 3)) <= 0.75).all()


def test_one_frame_can_be_judged_too() -> None:
    assert validation_hole(rectangles(1), 0.05, seed=0).any()
