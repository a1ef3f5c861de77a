"""Samples made from the frames whose object is known."""

from __future__ import annotations

import pytest
import torch
from inpaint_fakes import clip
from torch import Tensor

from inpaint.pasting import Known, Sample, known, rolled_onto_itself, scenes

CROP = (20, 24)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def white_square() -> Known:
    """A white object on the checked pattern, on frames 0 and 2."""
    material = clip()
    material.frames.masked_fill_(material.hole, 255)
    return known(material, [0, 2])


def drawn(unguided: float = 0.0, seed: int = 0, crop: tuple[int, int] = CROP) -> Sample:
    return scenes(white_square(), 64, crop, unguided, seeded(seed))


def overlap(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=(1, 2, 3)) / torch.maximum(a, b).sum(dim=(1, 2, 3)).clamp(min=1)


def test_the_object_is_painted_out_and_the_rest_of_the_frame_kept() -> None:
    found = white_square()
    assert torch.allclose(
        found.clean[~found.object.expand_as(found.clean)],
        found.picture[~found.object.expand_as(found.clean)],
        atol=1e-6,
    )
    assert found.clean[found.object.expand_as(found.clean)].max() < 0.9


def test_the_known_frames_tell_where_the_object_is() -> None:
    found = white_square()
    assert found.centre.flatten(1).tolist() == [[4.5, 6.5], [6.5, 6.5]]
    assert found.extent_px.flatten().tolist() == [6, 6]


def test_a_rolled_object_shows_at_its_offset_and_nothing_is_asked_at_the_real_one() -> None:
    found = white_square()
    sample = rolled_onto_itself(found, 16, seeded())
    pasted = sample.object.bool()
    assert (pasted.sum(dim=(1, 2, 3)) == 36).all()
    assert (sample.picture[pasted.expand_as(sample.picture)] == 1).all()
    assert (sample.weight.sum(dim=(1, 2, 3)) == 20 * 24 - 36).all()
    assert not sample.guess.any()
    assert len(pasted.unique(dim=0)) > 12


@pytest.mark.parametrize("crop", [CROP, (10, 12), (7, 24)])
def test_scenes_have_their_crop_and_are_in_range(crop: tuple[int, int]) -> None:
    sample = drawn(crop=crop)
    assert sample.picture.shape == (64, 3, *crop)
    assert sample.picture.abs().max() <= 1
    for plane in (sample.guess, sample.object, sample.weight):
        assert plane.shape == (64, 1, *crop)
        assert set(plane.unique().tolist()) <= {0.0, 1.0}


def test_a_scene_shows_the_object_where_it_says() -> None:
    sample = drawn()
    light = sample.picture.mean(dim=1, keepdim=True)
    where = sample.object.bool()
    assert light[where].mean() > light[~where & sample.weight.bool()].mean() + 0.5


def test_most_scenes_show_some_of_the_object() -> None:
    areas = drawn().object.sum(dim=(1, 2, 3))
    assert (areas > 0).float().mean() > 0.8
    assert len(areas.unique()) > 20


def test_a_guess_is_near_the_object_and_seldom_right() -> None:
    sample = drawn()
    agreement = overlap(sample.guess, sample.object)
    assert agreement.median() > 0.3
    assert (agreement < 1).float().mean() > 0.9


def test_so_many_scenes_go_without_a_guess() -> None:
    assert not drawn(unguided=1.0).guess.any()
    empty = [1 - s.guess.flatten(1).any(dim=1).float().mean() for s in (drawn(), drawn(0.5))]
    assert empty[0] < 0.2
    assert 0.35 < empty[1] < 0.75


def test_scenes_follow_from_their_seed() -> None:
    first, again, other = drawn(seed=1), drawn(seed=1), drawn(seed=2)
    assert torch.equal(first.picture, again.picture)
    assert torch.equal(first.guess, again.guess)
    assert not torch.equal(first.picture, other.picture)


def test_pictures_of_one_channel_will_do() -> None:
    sample = scenes(known(clip(channels=1), [0]), 3, CROP, 0.0, seeded())
    assert sample.picture.shape == (3, 1, *CROP)
