from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from inpaint.classical import membrane, telea

HEIGHT, WIDTH = 40, 56
Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]


@pytest.fixture(params=[telea, membrane])
def fill(request: pytest.FixtureRequest) -> Fill:
    """Each way of filling a picture."""
    way: Fill = request.param
    return way


def scene(channels: int = 3) -> np.ndarray:
    """A smooth picture `(H, W, C)` from 0 to 1."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [0.5 + 0.4 * np.sin(x / (9 + c) + y / (7 + c)) for c in range(channels)]
    return np.stack(planes, axis=-1)


def quantised(picture: np.ndarray, dtype: str) -> np.ndarray:
    if np.dtype(dtype).kind == "f":
        return picture.astype(dtype)
    return (picture * np.iinfo(dtype).max).round().astype(dtype)


def rectangle() -> np.ndarray:
    hole = np.zeros((HEIGHT, WIDTH), bool)
    hole[:12, 20:34] = True
    return hole


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32", "float64"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_known_pixels_come_back_bit_for_bit(fill: Fill, dtype: str, channels: int) -> None:
    picture, hole = quantised(scene(channels), dtype), rectangle()
    filled = fill(picture, hole)
    assert filled.dtype == picture.dtype
    assert filled.shape == picture.shape
    assert np.array_equal(filled[~hole], picture[~hole])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
def test_every_depth_is_filled_alike(fill: Fill, dtype: str) -> None:
    hole, peak = rectangle(), {"uint8": 255, "uint16": 65535}.get(dtype, 1)
    filled = fill(quantised(scene(), dtype), hole).astype(np.float64) / peak
    assert np.abs(filled - fill(scene(), hole))[hole].mean() < 0.02
    assert np.abs(filled - scene())[hole].mean() < 0.15


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_what_lies_in_the_hole_has_no_influence(fill: Fill, dtype: str) -> None:
    picture, hole = quantised(scene(), dtype), rectangle()
    other = picture.copy()
    other[hole] = 0
    if dtype == "float32":
        other[hole] = np.nan
    assert np.array_equal(fill(picture, hole), fill(other, hole))


def test_values_that_are_no_numbers_beside_the_hole_do_not_reach_into_it() -> None:
    picture, hole = quantised(scene(), "float32"), rectangle()
    rim = cv2.dilate(hole.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & ~hole
    rim[:, ::2] = False
    picture[rim] = np.nan
    picture[0, 0, 0] = np.inf
    filled = telea(picture, hole)
    assert np.abs(filled - scene())[hole].mean() < 0.15
    assert np.array_equal(filled[~hole], picture[~hole], equal_nan=True)


def test_a_small_hole_is_filled_as_in_a_part_of_the_picture(fill: Fill) -> None:
    picture, hole = scene(), np.zeros((HEIGHT, WIDTH), bool)
    hole[14:22, 20:30] = hole[18, 33] = True
    part = (slice(5, 31), slice(11, 43))
    assert np.array_equal(fill(picture, hole)[part], fill(picture[part], hole[part]))


def test_a_picture_without_a_hole_is_copied(fill: Fill) -> None:
    picture = quantised(scene(), "uint8")
    filled = fill(picture, np.zeros((HEIGHT, WIDTH), bool))
    assert np.array_equal(filled, picture)
    assert not np.shares_memory(filled, picture)


def test_a_picture_that_is_all_hole_becomes_grey(fill: Fill) -> None:
    filled = fill(quantised(scene(), "uint8"), np.ones((HEIGHT, WIDTH), bool))
    assert np.isin(filled, (127, 128)).all()


def test_one_pixel_is_enough_of_a_picture(fill: Fill) -> None:
    assert fill(np.full((1, 1, 3), 9, np.uint8), np.zeros((1, 1), bool)).tolist() == [[[9, 9, 9]]]


def test_a_hole_of_another_size_is_refused(fill: Fill) -> None:
    with pytest.raises(ValueError, match=r"\(40, 56\)"):
        fill(scene(), np.zeros((5, 5), bool))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (2, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_the_thinnest_pictures_are_filled_from_themselves_alone(
    fill: Fill, size: tuple[int, int], dtype: str
) -> None:
    picture = np.full((*size, 1), 0.4).astype(np.float32)
    picture = picture if dtype == "float32" else quantised(picture, dtype)
    hole = np.zeros(size, bool)
    hole[-1, -1] = size != (1, 1)
    for _ in range(50):
        assert np.allclose(fill(picture, hole), picture, atol=1e-4)


def test_a_membrane_stays_within_its_rim_and_is_straight_between_two_sides() -> None:
    ramp = np.linspace(0, 1, WIDTH, dtype=np.float32)[None, :, None].repeat(HEIGHT, axis=0)
    hole = np.zeros((HEIGHT, WIDTH), bool)
    hole[4:-4, 8:-8] = True
    assert np.abs(membrane(ramp, hole) - ramp).max() < 0.03
    noisy = np.random.default_rng(0).random((HEIGHT, WIDTH, 5), dtype=np.float32)
    filled = membrane(noisy, hole)[hole]
    assert filled.min() >= noisy[~hole].min()
    assert filled.max() <= noisy[~hole].max()
