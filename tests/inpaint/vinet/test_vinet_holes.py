"""Synthetic holes for training."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from inpaint.vinet.holes import HoleRanges, Kind, draw

KINDS = get_args(Kind)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", KINDS)
def test_a_hole_at_rest_is_the_same_in_every_frame(kind: Kind) -> None:
    hole = draw(5, (24, 32), HoleRanges((kind,), moving=0), seeded())
    assert hole.shape == (5, 1, 24, 32)
    assert hole.dtype == torch.bool
    assert hole.any()
    assert (hole == hole[0]).all()


@pytest.mark.parametrize("kind", ["free_form", "box"])
def test_a_moving_hole_keeps_its_shape(kind: Kind) -> None:
    hole = draw(5, (24, 32), HoleRanges((kind,), moving=1, speed=0.3), seeded(1))
    assert (hole != hole[0]).any()
    assert len(set(hole.sum(dim=(1, 2, 3)).tolist())) == 1


def test_a_moving_object_changes_its_outline() -> None:
    hole = draw(9, (48, 64), HoleRanges(("object",), moving=1, speed=0), seeded())
    changed = (hole[1:] != hole[:-1]).float().mean(dim=(1, 2, 3))
    assert changed.max() > 0
    assert changed.max() < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_holes_hide_a_part_of_the_frame(kind: Kind) -> None:
    random = seeded()
    shares = torch.stack(
        [draw(1, (64, 96), HoleRanges((kind,)), random).float().mean() for _ in range(50)]
    )
    assert 0.05 < shares.mean() < 0.3
    assert shares.max() < 0.75


def test_one_seed_gives_one_hole() -> None:
    first, again, other = (draw(4, (24, 32), HoleRanges(), seeded(s)) for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
