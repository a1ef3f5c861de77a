"""A shot as tensors: what is known stays known, what is not does not leak."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inpaint_fakes import clip

from inpaint.clip import Clip, depth, enlarge, load, picture, working_size
from inpaint.tone import Tone

BYTES = Tone("uint8", 255.0)
LINEAR = Tone("float32", 4.0)


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Random bytes `(H, W, C)`."""
    shape = (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def spots(height: int, width: int, share: float = 0.1) -> np.ndarray:
    """A hole of single pixels `(H, W)`."""
    return np.random.default_rng(9).random((height, width)) < share


def load_one(pixels: np.ndarray, hole: np.ndarray, size: tuple[int, int], tone: Tone) -> Clip:
    return load([(pixels, hole)], 1, size, tone)


@given(st.integers(8, 60), st.integers(8, 60), st.data())
@settings(deadline=None, derandomize=True, max_examples=50)
def test_no_pixel_of_the_hole_gets_into_a_known_one(
    height: int, width: int, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    pixels, hole = noise(height, width), spots(height, width, 0.02)
    other = np.where(hole[..., None], 255 - pixels, pixels)
    first, second = (load_one(p, hole, size, BYTES) for p in (pixels, other))
    known = ~first.hole.expand_as(first.frames)
    assert torch.equal(first.frames[known], second.frames[known])


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_a_scaled_pixel_is_missing_where_any_of_its_area_was(factor: int) -> None:
    hole = spots(12 * factor, 10 * factor)
    loaded = load_one(noise(*hole.shape), hole, (12, 10), BYTES)
    expected = hole.reshape(12, factor, 10, factor).any(axis=(1, 3))
    assert np.array_equal(loaded.hole[0, 0].numpy(), expected)
    assert torch.equal(loaded.unknown, loaded.hole)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_scaled_pixel_is_the_mean_of_its_area(channels: int) -> None:
    pixels = noise(36, 40, channels)
    loaded = load_one(pixels, np.zeros((36, 40), bool), (12, 10), BYTES)
    mean = pixels.reshape(12, 3, 10, 4, channels).mean(axis=(1, 3)).transpose(2, 0, 1)
    assert np.abs(loaded.frames[0].numpy() - mean).max() <= 0.5 + 1e-4


def test_at_their_own_size_bytes_are_kept_as_they_are() -> None:
    pixels = noise(43, 39)
    loaded = load_one(pixels, spots(43, 39), (43, 39), BYTES)
    assert loaded.frames.dtype == torch.uint8
    assert np.array_equal(loaded.frames[0].permute(1, 2, 0).numpy(), pixels)


def test_deeper_values_are_kept_as_halves_after_the_tone_curve() -> None:
    pixels = noise(6, 7).astype(np.uint16) * 257
    loaded = load_one(pixels, spots(6, 7), (6, 7), Tone("uint16", 65535.0))
    assert loaded.frames.dtype == torch.float16
    expected = torch.from_numpy(pixels / 65535).permute(2, 0, 1)[None]
    assert torch.allclose(loaded.frames.double(), expected, atol=3e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [(12, 10), (6, 5)])
def test_what_is_no_number_is_unknown_and_not_the_hole(value: float, size: tuple[int, int]) -> None:
    pixels, hole = noise(12, 10).astype(np.float32) / 255, np.zeros((12, 10), bool)
    hole[0, 0] = True
    pixels[8, 6, 1] = value
    loaded = load_one(pixels, hole, size, LINEAR)
    assert torch.nonzero(loaded.hole).tolist() == [[0, 0, 0, 0]]
    place = [0, 0, 8 * size[0] // 12, 6 * size[1] // 10]
    assert torch.nonzero(loaded.unknown).tolist() == [[0, 0, 0, 0], place]
    assert loaded.frames.isfinite().all()


def test_every_frame_has_its_own_hole() -> None:
    holes = [spots(12, 10, share) for share in (0.0, 0.1, 1.0)]
    loaded = load([(noise(12, 10), hole) for hole in holes], 3, (12, 10), BYTES)
    assert len(loaded) == 3
    assert loaded.size == (12, 10)
    assert np.array_equal(loaded.hole[:, 0].numpy(), np.stack(holes))


def test_pictures_span_from_minus_one_to_one() -> None:
    hole = torch.zeros(1, 1, 1, 3, dtype=torch.bool)
    for values in (torch.tensor([0, 51, 255]).byte(), torch.tensor([0, 0.2, 1]).half()):
        pictures = Clip(values.expand(1, 1, 1, 3), hole, hole).pictures(slice(None))
        assert pictures.dtype == torch.float32
        assert torch.allclose(pictures.flatten(), torch.tensor([-1, -0.6, 1]), atol=3e-4)
        assert (pictures.min(), pictures.max()) == (-1, 1)


def test_taking_pictures_leaves_the_clip_as_it_is() -> None:
    material = clip()
    before = material.frames.clone()
    index = torch.tensor([2, 0, 2])
    pictures = material.pictures(index)
    assert torch.equal(pictures[0], material.pictures(slice(2, 3))[0])
    assert torch.equal(pictures[0], pictures[2])
    assert torch.equal(material.frames, before)


def test_hiding_more_adds_to_the_unknown_alone() -> None:
    material = clip()
    extra = torch.zeros_like(material.hole)
    extra[:, :, 15:18] = True
    hiding = material.hiding(extra)
    assert torch.equal(hiding.unknown, material.hole | extra)
    assert torch.equal(hiding.hole, material.hole)
    assert not (material.unknown & extra).any()


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(16, 500_000))
@settings(deadline=None, derandomize=True)
def test_a_working_size_is_the_frames_own_or_small_enough(
    height: int, width: int, largest: int
) -> None:
    rows, columns = working_size(height, width, largest)
    assert 1 <= rows <= height
    assert 1 <= columns <= width
    if height * width <= largest:
        assert (rows, columns) == (height, width)
    elif min(rows, columns) > 4:
        assert rows * columns <= largest
        assert rows % 4 == columns % 4 == 0


def test_a_working_size_keeps_the_shape_of_the_frame() -> None:
    assert working_size(1080, 1920, 320 * 180) == (180, 320)
    assert working_size(2160, 3840, 854 * 480) == (480, 852)
    assert working_size(239, 431, 600 * 320) == (239, 431)


def test_enlarging_keeps_the_range_and_what_is_flat() -> None:
    steps = torch.zeros(1, 1, 6, 6)
    steps[..., 3:] = 1
    large = enlarge(steps, (25, 31))
    assert large.shape == (1, 1, 25, 31)
    assert (large.min(), large.max()) == (0, 1)
    assert torch.allclose(enlarge(torch.full((1, 3, 6, 6), 0.3), (25, 31)), torch.tensor(0.3))


def test_enlarging_to_the_same_size_changes_nothing() -> None:
    picture = torch.rand((1, 3, 6, 7), generator=torch.Generator().manual_seed(0))
    assert torch.equal(enlarge(picture, (6, 7)), picture)


def islands() -> np.ndarray:
    """Two, one at the frame's edge."""
    mask = np.zeros((20, 26), bool)
    mask[5:9, 7:20] = mask[0:3, 2:6] = True
    return mask


@pytest.mark.parametrize("mask", [~spots(9, 13), spots(9, 13), islands(), ~islands()])
def test_depth_is_the_distance_to_the_nearest_pixel_that_is_not_set(mask: np.ndarray) -> None:
    free, places = np.argwhere(~mask), np.ndindex(mask.shape)
    apart = [np.sqrt(np.square(free - place).sum(axis=1).min()) for place in places]
    assert np.array_equal(depth(mask), np.reshape(apart, mask.shape))


def test_nothing_set_has_no_depth() -> None:
    assert not depth(np.zeros((4, 5), bool)).any()


def test_a_frame_kept_as_it_is_is_a_copy() -> None:
    pixels, hole = noise(6, 8), spots(6, 8)
    one = picture(pixels, hole, (6, 8), BYTES)
    pixels[:], hole[:] = 0, True
    assert torch.equal(one.frames, load_one(noise(6, 8), spots(6, 8), (6, 8), BYTES).frames)
    assert not one.hole.all()
