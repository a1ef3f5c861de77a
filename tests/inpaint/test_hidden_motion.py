"""Motion continued into a hole: the background's as the camera moves, a subject's as it moves."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from inpaint.classical import telea
from inpaint.hidden_motion import hidden_motion

HEIGHT, WIDTH = 96, 160
PAN = (-4.0, 1.0)
RUN = (6.0, 0.0)


def texture(seed: int) -> np.ndarray:
    """A smooth random picture `(2 HEIGHT, 2 WIDTH)` float32 in [0, 1]."""
    noise = np.random.default_rng(seed).random((2 * HEIGHT, 2 * WIDTH)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return np.interp(smooth, (smooth.min(), smooth.max()), (0, 1)).astype(np.float32)


def seen_by(matrix: np.ndarray) -> np.ndarray:
    """The texture's middle as a camera sees it that has moved by a homography, `(H, W, 1)`."""
    middle = np.array([[1, 0, -WIDTH / 2], [0, 1, -HEIGHT / 2], [0, 0, 1]])
    return cv2.warpPerspective(texture(0), matrix @ middle, (WIDTH, HEIGHT))[..., None]


def shift(by: tuple[float, float]) -> np.ndarray:
    return np.array([[1, 0, by[0]], [0, 1, by[1]], [0, 0, 1]])


def box(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[top:bottom, left:right] = True
    return inside


def subject(picture: np.ndarray, where: np.ndarray, seed: int = 1) -> np.ndarray:
    """Lay a texture over a picture, which lies in the subject as the subject lies in the frame."""
    y, x = np.nonzero(where)
    painted = picture.copy()
    painted[y, x, 0] = texture(seed)[y - y.min(), x - x.min()]
    return painted


def deviation_px(found: np.ndarray, expected: np.ndarray, where: np.ndarray) -> float:
    """The 95th percentile of the flow's error."""
    return float(np.quantile(np.linalg.norm(found - expected, axis=2)[where], 0.95))


def test_the_background_behind_an_object_moves_as_the_camera_does() -> None:
    hole, there = box(60, 30, 100, 60), box(66, 30, 106, 60)
    here, later = seen_by(np.eye(3)), seen_by(shift(PAN))
    step = hidden_motion(telea(here, hole), telea(later, there), hole, there)
    assert deviation_px(step.flow, np.array(PAN), hole) < 0.3
    assert step.error[hole].max() < 1e-3


def test_what_an_object_leaves_around_its_hole_does_not_bend_the_background() -> None:
    hole, there = box(50, 20, 110, 60), box(56, 20, 116, 60)
    here = subject(seen_by(np.eye(3)), box(44, 56, 116, 72))  # a shadow, which runs along
    later = subject(seen_by(shift(PAN)), box(50, 56, 122, 72))
    step = hidden_motion(telea(here, hole), telea(later, there), hole, there)
    assert deviation_px(step.flow, np.array(PAN), hole) < 0.3


def test_a_hole_in_a_subject_moves_as_the_subject_does() -> None:
    hole = box(70, 36, 90, 56)
    here = subject(seen_by(np.eye(3)), box(50, 16, 110, 76))
    later = subject(seen_by(shift(PAN)), box(56, 16, 116, 76))
    step = hidden_motion(telea(here, hole), telea(later, hole), hole, hole)
    assert deviation_px(step.flow, np.array(RUN), hole) < 0.5


@pytest.mark.parametrize(
    "camera",
    [
        cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 0, 1.05),
        cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 2, 1),
        np.array([[1, 0, 3], [0, 1, 0]]),
    ],
    ids=["zoom", "roll", "pan"],
)
def test_a_camera_that_zooms_or_rolls_is_followed_across_a_large_hole(camera: np.ndarray) -> None:
    matrix = np.vstack([camera, [0, 0, 1]])
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    expected = np.stack([x, y], axis=2) @ (camera[:, :2] - np.eye(2)).T + camera[:, 2]
    hole = box(50, 20, 110, 76)
    here, later = seen_by(np.eye(3)), seen_by(matrix)
    step = hidden_motion(telea(here, hole), telea(later, hole), hole, hole)
    assert deviation_px(step.flow, expected, hole) < 0.3


def test_where_nothing_is_seen_there_is_no_motion_and_no_trust() -> None:
    all_of_it = np.ones((HEIGHT, WIDTH), bool)
    picture = seen_by(np.eye(3))
    for hole, there in ((all_of_it, ~all_of_it), (~all_of_it, all_of_it)):
        step = hidden_motion(picture, picture, hole, there)
        assert not step.flow.any()
        assert (step.error == 1).all()


def test_a_thin_strip_says_nothing_wild_of_what_lies_far_from_it() -> None:
    here, later = seen_by(np.eye(3)), seen_by(shift(PAN))
    for hole in (box(0, 0, WIDTH, HEIGHT - 6), box(14, 0, WIDTH, HEIGHT)):
        step = hidden_motion(telea(here, hole), telea(later, hole), hole, hole)
        assert np.abs(step.flow).max() < 4 * max(np.abs(PAN))


def test_a_flat_picture_has_no_motion() -> None:
    flat, hole = np.full((HEIGHT, WIDTH, 1), 0.5, np.float32), box(60, 30, 100, 60)
    step = hidden_motion(flat, flat, hole, hole)
    assert np.abs(step.flow).max() < 1e-3
    assert np.abs(step.error).max() < 1e-6
