from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inpaint.windows import Mosaic, Window, blend_weights, tile


@st.composite
def tilings(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """Height, width, size and overlap of any tiling, in pixels."""
    height, width = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    size = draw(st.integers(4, 40))
    return height, width, size, draw(st.integers(0, size * 3 // 4))


@given(tilings())
@settings(deadline=None, derandomize=True)
def test_windows_of_one_size_cover_every_pixel(tiling: tuple[int, int, int, int]) -> None:
    height, width, size, overlap = tiling
    covered = torch.zeros(height, width)
    for window in tile(height, width, size, overlap):
        assert (window.height, window.width) == (min(size, height), min(size, width))
        assert covered[window.slices].shape == (window.height, window.width)
        covered[window.slices] += 1
    assert covered.min() >= 1


@given(tilings())
@settings(deadline=None, derandomize=True)
def test_blending_the_tiles_of_a_frame_gives_the_frame_back(
    tiling: tuple[int, int, int, int],
) -> None:
    height, width, size, overlap = tiling
    frame = torch.rand((3, height, width), generator=torch.Generator().manual_seed(0))
    mosaic = Mosaic(3, height, width, overlap)
    for window in tile(height, width, size, overlap):
        mosaic.add(window, frame[:, *window.slices])
    assert mosaic.covered().all()
    assert torch.allclose(mosaic.result(), frame, atol=1e-6)


@given(tilings())
@settings(deadline=None, derandomize=True)
def test_neighbours_share_the_overlap_at_least(tiling: tuple[int, int, int, int]) -> None:
    _, width, size, overlap = tiling
    windows = tile(1, width, size, overlap)
    for left, right in pairwise(windows):
        assert left.left < right.left <= left.left + left.width - overlap


def test_no_window_is_more_than_needed() -> None:
    assert len(tile(100, 100, 100, 20)) == 1
    assert len(tile(100, 180, 100, 20)) == 2
    assert len(tile(100, 181, 100, 20)) == 3


def test_one_window_over_the_whole_frame_changes_nothing() -> None:
    frame = torch.rand((3, 9, 13), generator=torch.Generator().manual_seed(0))
    mosaic = Mosaic(3, 9, 13, overlap_px=8)
    mosaic.add(Window(0, 0, 9, 13), frame)
    assert torch.equal(mosaic.result(), frame)


def test_weights_sink_towards_neighbours_only() -> None:
    weights = blend_weights(Window(0, 20, 16, 32), height=16, width=60, overlap_px=8)
    assert (weights[:, 8:-8] == 1).all()
    assert (weights[:, :8].diff(dim=1) > 0).all()
    assert (weights[:, -8:].diff(dim=1) < 0).all()
    assert (weights.diff(dim=0) == 0).all()
    assert weights.min() > 0


def test_weights_of_two_neighbours_add_up_to_one() -> None:
    left, right = tile(16, 56, 32, 8)
    total = torch.zeros(16, 56)
    for window in (left, right):
        total[window.slices] += blend_weights(window, 16, 56, overlap_px=8)
    assert torch.allclose(total, torch.ones(16, 56))


def test_a_seam_becomes_a_slope() -> None:
    mosaic = Mosaic(1, 16, 56, overlap_px=8)
    for level, window in enumerate(tile(16, 56, 32, 8)):
        mosaic.add(window, torch.full((1, 16, 32), float(level)))
    row = mosaic.result()[0, 0]
    assert (row[:24] == 0).all()
    assert (row[32:] == 1).all()
    assert row.diff().max() < 0.25


def test_pixels_without_a_window_are_told() -> None:
    mosaic = Mosaic(1, 8, 20, overlap_px=2)
    mosaic.add(Window(0, 0, 8, 10), torch.ones(1, 8, 10))
    assert mosaic.covered().sum() == 80
    assert (mosaic.result()[..., 10:] == 0).all()


@pytest.mark.parametrize("overlap", [-1, 32])
def test_an_overlap_that_leaves_no_step_is_refused(overlap: int) -> None:
    with pytest.raises(ValueError, match=str(overlap)):
        tile(100, 100, 32, overlap)
