from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from inpaint.flow import Motion, motion
from inpaint.temporal import WarpingError, warping_errors

HEIGHT, WIDTH = 48, 64
STILL = Motion(np.zeros((HEIGHT, WIDTH, 2), np.float32), np.ones((HEIGHT, WIDTH), bool))


def pan(count: int, step_px: int = 2) -> np.ndarray:
    """A smooth random picture that passes by: `(T, H, W, 3)` uint8."""
    noise = np.random.default_rng(0).random((HEIGHT, WIDTH + count * step_px, 3))
    picture = (cv2.GaussianBlur(noise, (0, 0), 3) * 255).round().astype(np.uint8)
    return np.stack([picture[:, t * step_px : t * step_px + WIDTH] for t in range(count)])


def still(count: int, value: float = 0.5) -> np.ndarray:
    return np.full((count, HEIGHT, WIDTH, 3), value, np.float32)


def square(count: int) -> np.ndarray:
    hole = np.zeros((count, HEIGHT, WIDTH), bool)
    hole[:, 10:20, 20:40] = True
    return hole


def test_a_hole_that_flickers_by_a_known_step_has_its_square() -> None:
    frames, holes = still(3), square(3)
    frames[1][holes[1]] += 0.1
    share = holes[0].mean()
    for error in warping_errors(frames, holes, [STILL, STILL]):
        assert error.hole == pytest.approx(0.01, rel=1e-4)
        assert error.whole == pytest.approx(0.01 * share, rel=1e-4)


def test_what_moves_with_the_true_motion_is_steady() -> None:
    truth, holes = pan(4), square(4)
    motions = [motion(truth[t], truth[t - 1]) for t in range(1, 4)]
    frozen = truth.copy()
    frozen[holes] = np.broadcast_to(truth[:1], truth.shape)[holes]
    steady = list(warping_errors(truth, holes, motions))
    stuck = list(warping_errors(frozen, holes, motions))
    assert len(steady) == len(stuck) == 3
    assert all(a.hole * 10 < b.hole for a, b in zip(steady, stuck, strict=True))


def test_a_filled_source_counts_for_the_hole_and_occluded_pixels_do_not() -> None:
    frames, holes = still(2), square(2)
    frames[0][holes[0]] += 0.2
    holes[1] = False
    (error,) = warping_errors(frames, holes, [STILL])
    assert error.hole == pytest.approx(0.04, rel=1e-4)
    (error,) = warping_errors(frames, holes, [Motion(STILL.flow, ~holes[0])])
    assert error.whole == 0
    assert math.isnan(error.hole)


def test_eight_bits_and_floats_are_judged_alike() -> None:
    truth, holes = pan(2), square(2)
    way = [motion(truth[1], truth[0])]
    (a,) = warping_errors(truth, holes, way)
    (b,) = warping_errors(truth.astype(np.float32) / 255, holes, way)
    assert a == WarpingError(pytest.approx(b.whole), pytest.approx(b.hole))


def test_one_frame_has_no_warping_error() -> None:
    assert list(warping_errors(still(1), square(1), [])) == []
