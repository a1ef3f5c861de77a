from __future__ import annotations

import cv2
import numpy as np
import pytest

from inpaint.flow import completed, flow, inside, motion, occluded, warped

HEIGHT, WIDTH = 60, 84


def texture(height: int = HEIGHT + 20, width: int = WIDTH + 20, channels: int = 3) -> np.ndarray:
    """A smooth random picture `(H, W, C)` uint8."""
    noise = np.random.default_rng(0).random((height, width, channels)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2).reshape(noise.shape)
    return np.interp(smooth, (smooth.min(), smooth.max()), (0, 255)).astype(np.uint8)


def view(top: int, left: int, channels: int = 3) -> np.ndarray:
    return texture(channels=channels)[top : top + HEIGHT, left : left + WIDTH]


def square() -> np.ndarray:
    hole = np.zeros((HEIGHT, WIDTH), bool)
    hole[20:40, 30:50] = True
    return hole


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_a_moved_texture_gives_its_movement(channels: int, dtype: str) -> None:
    here, there = view(10, 10, channels), view(12, 7, channels)
    if dtype != "uint8":
        here, there = (here / 255).astype(dtype), (there / 255).astype(dtype)
    found = flow(here, there)
    assert found.shape == (HEIGHT, WIDTH, 2)
    assert np.abs(found - [3, -2])[8:-8, 8:-8].mean() < 0.05


def test_looking_up_along_the_flow_gives_the_picture_back() -> None:
    here, there = view(10, 10), view(12, 7)
    seen = warped(there, flow(here, there))
    assert seen.dtype == np.uint8
    assert np.abs(seen.astype(int) - here)[8:-8, 8:-8].mean() < 1


def test_looking_up_along_whole_pixels_is_exact() -> None:
    moved = np.full((HEIGHT, WIDTH, 2), (3, -2), np.float32)
    seen = warped(view(10, 10), moved)
    assert np.array_equal(seen[2:, :-3], view(10, 10)[:-2, 3:])
    assert warped(view(10, 10)[..., 0], moved).shape == (HEIGHT, WIDTH)


def test_what_moves_out_of_the_picture_is_not_visible() -> None:
    moved = np.full((HEIGHT, WIDTH, 2), (3, 0), np.float32)
    assert inside(moved)[:, :-3].all()
    assert not inside(moved)[:, -3:].any()
    seen = motion(view(10, 10), view(10, 14)).visible
    assert seen[8:-8, 12:-12].all()
    assert not seen[:, :2].any()


def test_what_something_passes_in_front_of_is_occluded() -> None:
    forward, backward = np.zeros((2, HEIGHT, WIDTH, 2), np.float32)
    forward[20:40, 30:50], backward[20:40, 36:56] = (6, 0), (-6, 0)
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[20:40, 50:56] = True
    assert np.array_equal(occluded(forward, backward), expected)


def test_a_small_disagreement_of_a_long_way_is_no_occlusion() -> None:
    forward = np.full((HEIGHT, WIDTH, 2), (20, 0), np.float32)
    assert not occluded(forward, -forward + [0, 0.85]).any()
    assert occluded(forward, -forward + [0, 0.95]).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (15, 16), (7, 7)])
def test_pictures_too_small_for_patches_have_a_flow(size: tuple[int, int]) -> None:
    picture = texture(*size)
    assert motion(picture, picture).visible.all()
    assert flow(picture, picture).shape == (*size, 2)


def test_a_completed_field_is_unchanged_outside_and_smooth_inside() -> None:
    hole = square()
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    field = np.stack([x / 10, y / 20], axis=2).astype(np.float32)
    filled = completed(np.where(hole[..., None], np.nan, field), hole)
    assert np.array_equal(filled[~hole], field[~hole])
    assert np.abs(filled - field)[hole].max() < 0.4


def test_a_constant_field_is_completed_exactly() -> None:
    field = np.full((HEIGHT, WIDTH, 3), 7, np.float32)
    assert np.allclose(completed(field, square()), 7, atol=1e-5)
    assert (completed(field, np.ones((HEIGHT, WIDTH), bool)) == 0).all()
    one = np.ones((HEIGHT, WIDTH), bool)
    one[5, 80] = False
    assert np.allclose(completed(field, one), 7, atol=1e-3)


def test_pictures_of_different_size_have_no_flow() -> None:
    with pytest.raises(ValueError, match="one shape"):
        flow(view(0, 0), view(0, 0)[1:])
