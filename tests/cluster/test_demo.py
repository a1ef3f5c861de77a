from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from cluster.demo import GRAIN, PAN, draw, write_demo
from storage.media import open_source

SIZE = (96, 54)


@pytest.fixture(scope="module")
def clip() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Frame, mask and truth of every frame."""
    return list(draw(16, SIZE, seed=0))


def read(folder: Path) -> list[np.ndarray]:
    return [frame.pixels for frame in open_source(str(folder)).frames()]


def test_outside_the_mask_frames_are_the_truth(clip) -> None:
    assert all(np.array_equal(shown[~mask], truth[~mask]) for shown, mask, truth in clip)


def test_inside_the_mask_something_else_is_seen(clip) -> None:
    differing = [(shown != truth).any(axis=-1) & mask for shown, mask, truth in clip]
    assert all(
        found.sum() > 0.7 * mask.sum() for found, (_, mask, _) in zip(differing, clip, strict=True)
    )


def test_the_mask_is_a_tenth_of_the_frame_or_less() -> None:
    for _, mask, _ in draw(3, (320, 180), seed=0):
        assert 0.06 < mask.mean() < 0.1


@pytest.mark.parametrize(("frames", "size"), [(16, (96, 54)), (48, (320, 180)), (24, (128, 96))])
def test_everything_behind_the_object_is_seen_in_some_frame(
    frames: int, size: tuple[int, int]
) -> None:
    width, height = size
    seen = np.zeros((height, width + round(PAN * height)), bool)
    hidden = np.zeros_like(seen)
    for time, (_, mask, _) in zip(np.linspace(0, 1, frames), draw(frames, size, 0), strict=True):
        left = round(PAN * height * time)
        seen[:, left : left + width] |= ~mask
        hidden[:, left : left + width] |= mask
    assert hidden.any()
    assert seen[hidden].all()


def test_the_truth_moves(clip) -> None:
    truths = [truth.astype(float) for _, _, truth in clip]
    changes = [np.abs(b - a).mean() for a, b in pairwise(truths)]
    assert min(changes) > 4 * GRAIN


def test_the_files_hold_the_clip_under_numbers_from_1001(tmp_path: Path, clip) -> None:
    written = write_demo(tmp_path, frames=16, size=SIZE, seed=0)
    source = open_source(str(written.frames))
    assert (source.info.first_number, source.count()) == (1001, 16)
    folders = read(written.frames), read(written.masks), read(written.truth)
    for (shown, mask, truth), frame, hole, behind in zip(clip, *folders, strict=True):
        assert np.array_equal(frame, shown)
        assert np.array_equal(hole[..., 0] == 255, mask)
        assert set(np.unique(hole)) == {0, 255}
        assert np.array_equal(behind, truth)


def test_the_same_seed_gives_the_same_clip_and_another_seed_another(clip) -> None:
    again, other = (next(draw(16, SIZE, seed)) for seed in (0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(again, clip[0], strict=True))
    assert not np.array_equal(other[2], clip[0][2])


@pytest.mark.parametrize("size", [(64, 36), (61, 47), (160, 96), (50, 80)])
def test_any_size_can_be_drawn(size: tuple[int, int]) -> None:
    width, height = size
    shown, mask, truth = next(draw(1, size, seed=3))
    assert shown.shape == truth.shape == (height, width, 3)
    assert mask.shape == (height, width)
    assert np.array_equal(shown[~mask], truth[~mask])


@pytest.mark.parametrize(("frames", "size"), [(0, (64, 36)), (1, (30, 64)), (1, (40, 8))])
def test_what_cannot_be_drawn_is_refused(
    tmp_path: Path, frames: int, size: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match=f"{frames} of {size[0]}×{size[1]}"):
        write_demo(tmp_path, frames=frames, size=size)
    assert not list(tmp_path.iterdir())
