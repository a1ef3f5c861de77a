"""Scales, windows near the boundary, and the pool they are drawn from."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from inpaint_fakes import COARSE, CPU, REFINED, clip

from inpaint.clip import Clip, joined
from inpaint.internal import fit
from inpaint.learning import begin
from inpaint.network import Capacity, build
from inpaint.progressive import LARGEST_STEP, Draw, Pool, Scale, boundary_windows, scales
from inpaint.recipes import FitConfig
from inpaint.windows import Window


def test_a_source_no_larger_than_its_whole_frames_has_one_scale() -> None:
    assert scales((108, 192), (108, 192)) == [Scale(108, 192)]


def test_4k_goes_in_three_scales_the_last_being_the_sources_own() -> None:
    found = scales((2160, 3840), (324, 576))
    assert [scale.label for scale in found] == ["576x324", "1920x1080", "3840x2160"]
    assert [scale.factor for scale in found] == [None, 2, 1]


@given(st.integers(64, 5000), st.integers(64, 5000), st.integers(30_000, 500_000))
def test_no_scale_grows_more_than_fourfold_and_the_last_is_the_source(
    height: int, width: int, area: int
) -> None:
    shrink = min(1.0, (area / (height * width)) ** 0.5)
    whole = max(1, int(height * shrink)), max(1, int(width * shrink))
    found = scales((height, width), whole)
    assert all(scale.enlarged <= LARGEST_STEP * 1.02 for scale in found)
    assert len(found) == 1 or found[-1].size == (height, width)


def test_scales_can_be_given() -> None:
    found = scales((1081, 1921), (180, 320), [4, 2])
    assert [scale.size for scale in found] == [(180, 320), (271, 481), (541, 961)]


def index_with(*cells: tuple[int, int, int]) -> np.ndarray:
    index = np.zeros((3, 4, 6), np.uint32)
    for cell in cells:
        index[cell] = 50
    return index


@given(st.integers(0, 2), st.integers(0, 3), st.integers(0, 5), st.integers(0, 2**31))
def test_a_window_holds_the_cell_it_was_drawn_for_and_stays_in_the_frame(
    t: int, row: int, column: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    drawn = boundary_windows(
        index_with((t, row, column)), 32, 64, (120, 190), 8, random, uniform_share=0
    )
    for frame, window in drawn:
        assert frame == t
        assert 0 <= window.top <= row * 32
        assert min(120, (row + 1) * 32) <= window.top + window.height <= 120
        assert 0 <= window.left <= column * 32
        assert min(190, (column + 1) * 32) <= window.left + window.width <= 190


def test_some_windows_lie_anywhere_and_the_share_is_as_asked() -> None:
    random = np.random.default_rng(0)
    drawn = boundary_windows(index_with((0, 0, 0)), 32, 32, (128, 192), 4000, random, 0.25)
    away = sum((t, window.top, window.left) != (0, 0, 0) for t, window in drawn)
    assert away / 4000 == pytest.approx(0.25 * 71 / 72, abs=0.03)


def test_without_a_boundary_windows_lie_anywhere() -> None:
    drawn = boundary_windows(index_with(), 32, 32, (128, 192), 200, np.random.default_rng(0))
    assert len({t for t, _ in drawn}) == 3


def read(t: int, window: Window) -> Clip:
    """A window whose pixels say which frame it is of."""
    frames = torch.full((1, 3, window.height, window.width), t, dtype=torch.uint8)
    hole = torch.zeros((1, 1, window.height, window.width), dtype=torch.bool)
    hole[..., :4, :4] = True
    return Clip(frames, hole, hole, prior=frames)


def draw(number: int) -> Draw:
    return [(number, Window(0, 0, 8, 8)), (number, Window(0, 0, 8, 8))]


def seen(pool: Pool, step: int) -> list[int]:
    return pool.at(step).frames[:, 0, 0, 0].tolist()


def test_a_pool_renews_its_oldest_windows() -> None:
    pool = Pool(draw, read, groups=3, every_steps=10)
    assert seen(pool, 0) == seen(pool, 9) == [0, 0, 1, 1, 2, 2]
    assert seen(pool, 10) == [1, 1, 2, 2, 3, 3]
    assert pool.at(10) is pool.at(19)
    pool.close()


def test_a_pool_entered_later_holds_what_it_would_have_held() -> None:
    unbroken, resumed = (Pool(draw, read, groups=3, every_steps=10) for _ in range(2))
    steps = [0, 10, 20, 30, 31]
    assert [seen(unbroken, step) for step in steps][-1] == seen(resumed, 31)
    unbroken.close()
    resumed.close()


def test_a_pool_reads_each_window_once_and_in_the_background() -> None:
    read_in: list[tuple[int, str]] = []

    def noted(t: int, window: Window) -> Clip:
        read_in.append((t, threading.current_thread().name))
        return read(t, window)

    pool = Pool(draw, noted, groups=2, every_steps=1)
    for step in range(6):
        pool.at(step)
    pool.close()
    frames = [t for t, _ in read_in]
    assert frames == sorted(frames)
    assert all(frames.count(t) == 2 for t in range(7))
    assert threading.main_thread().name not in {name for _, name in read_in}


def test_an_error_of_the_reader_reaches_the_fit() -> None:
    def failing(t: int, window: Window) -> Clip:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        Pool(draw, failing).at(0)


@pytest.mark.parametrize("capacity", [COARSE, REFINED])
def test_an_untrained_network_begins_near_its_prior(capacity: Capacity) -> None:
    network = build(capacity, prior=True)
    picture, prior = torch.rand(2, 2, 3, 18, 21) * 2 - 1
    for stage in network(picture, torch.ones(2, 1, 18, 21), prior):
        assert (stage - prior).abs().mean() < 0.2


def test_a_finer_scale_begins_where_the_one_before_ended() -> None:
    def first_loss(prior: torch.Tensor | None) -> float:
        config = FitConfig(steps=5, batch=4, learning_rate=1e-3)
        network = build(COARSE, prior=prior is not None)
        material = replace(clip(), prior=prior)
        return next(fit(network, material, config, begin(network, config, CPU))).loss

    soft = F.avg_pool2d(clip().frames.float(), 3, stride=1, padding=1).byte()
    assert first_loss(clip().frames) < first_loss(soft) < 0.7 * first_loss(None)


def test_clips_are_joined_with_their_priors() -> None:
    one = read(1, Window(0, 0, 8, 8))
    both = joined([one, read(2, Window(0, 0, 8, 8))])
    assert both.prior is not None
    assert both.prior[:, 0, 0, 0].tolist() == [1, 2]
    assert joined([replace(one, prior=None)]).prior is None
