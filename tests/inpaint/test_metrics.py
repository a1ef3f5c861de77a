from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from inpaint.metrics import (
    Average,
    average,
    fine_detail,
    psnr,
    rank_correlation,
    ring,
    ssim,
    ssim_map,
)


def pictures(count: int = 2, height: int = 24, width: int = 31, seed: int = 0) -> Tensor:
    return torch.rand((count, 3, height, width), generator=torch.Generator().manual_seed(seed))


def slow_ssim_map(a: np.ndarray, b: np.ndarray, window: int) -> np.ndarray:
    """SSIM of one channel `(H, W)` as its definition reads, a window at a time."""
    values = np.empty_like(a)
    padded = [np.pad(picture, window // 2, mode="symmetric") for picture in (a, b)]
    for y, x in np.ndindex(*a.shape):
        x1, x2 = (picture[y : y + window, x : x + window].ravel() for picture in padded)
        covariance = np.cov(x1, x2)
        light = (2 * x1.mean() * x2.mean() + 1e-4) / (x1.mean() ** 2 + x2.mean() ** 2 + 1e-4)
        values[y, x] = light * (2 * covariance[0, 1] + 9e-4) / (covariance.trace() + 9e-4)
    return values


def test_psnr_of_a_known_difference() -> None:
    a = torch.zeros(2, 3, 8, 8)
    b = torch.stack([torch.full((3, 8, 8), 0.1), torch.full((3, 8, 8), 0.01)])
    assert torch.allclose(psnr(a, b), torch.tensor([20.0, 40.0], dtype=torch.float64))


def test_psnr_inside_a_hole_ignores_the_rest() -> None:
    a, hole = pictures(), torch.zeros(2, 1, 24, 31, dtype=torch.bool)
    hole[..., 4:9, 6:20] = True
    damaged = torch.where(hole, a + 0.1, math.nan)
    assert torch.allclose(psnr(a, damaged, hole), torch.full((2,), 20.0, dtype=torch.float64))


def test_a_hole_of_share_s_lifts_the_whole_picture_by_its_logarithm() -> None:
    a, hole = pictures(height=32, width=32), torch.zeros(2, 1, 32, 32, dtype=torch.bool)
    hole[..., 8:16, 8:16] = True
    b = torch.where(hole, pictures(height=32, width=32, seed=1), a)
    assert torch.allclose(psnr(a, b) - psnr(a, b, hole), torch.tensor(12.0412).double())


def test_equal_pictures_are_infinitely_close_and_an_empty_hole_has_no_figure() -> None:
    a, hole = pictures(), torch.zeros(2, 1, 24, 31, dtype=torch.bool)
    hole[0] = True
    assert psnr(a, a).tolist() == [math.inf, math.inf]
    assert psnr(a, a, hole)[0] == math.inf
    assert psnr(a, a, hole)[1].isnan()
    assert ssim(a, a, hole)[0] == 1
    assert ssim(a, a, hole)[1].isnan()


def test_the_average_tells_how_many_pictures_it_skips() -> None:
    assert average(torch.tensor([20.0, math.nan, 30.0, math.inf])) == Average(25.0, 2, 2)
    assert average(torch.tensor([math.nan])) == Average(None, 0, 1)


@pytest.mark.parametrize("window", [3, 7, 11])
def test_ssim_agrees_with_its_definition(window: int) -> None:
    a, b = pictures(1), pictures(1, seed=1)
    slow = [
        slow_ssim_map(a[0, c].double().numpy(), b[0, c].double().numpy(), window) for c in (0, 2)
    ]
    fast = ssim_map(a, b, window)[0, [0, 2]]
    assert torch.allclose(fast, torch.from_numpy(np.stack(slow)), atol=1e-9)


def test_ssim_of_a_picture_leaves_out_windows_beyond_its_border() -> None:
    a, b = pictures(), pictures(seed=1)
    inside = ssim_map(a, b)[..., 5:-5, 5:-5]
    assert torch.allclose(ssim(a, b), inside.mean(dim=(1, 2, 3)))


def test_ssim_inside_a_hole_looks_at_its_pixels_only() -> None:
    a, b, hole = pictures(), pictures(seed=1), torch.zeros(2, 1, 24, 31, dtype=torch.bool)
    hole[..., :5, :7] = True
    expected = ssim_map(a, b)[..., :5, :7].mean(dim=(1, 2, 3))
    assert torch.allclose(ssim(a, b, hole), expected)


def test_ssim_of_flat_half_precision_pictures_is_exact() -> None:
    flat = torch.full((1, 3, 70, 80), 0.3, dtype=torch.float16)
    assert ssim(flat, flat, window=65).tolist() == [1.0]


def test_a_picture_smaller_than_the_window_has_no_ssim() -> None:
    small = pictures(height=6)
    assert ssim(small, small).isnan().all()
    with pytest.raises(ValueError, match="31×6, not 11"):
        ssim_map(small, small)


def test_pictures_of_different_size_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        psnr(pictures(), pictures(height=23))


def noise(blur_px: float = 0, height: int = 120, width: int = 160) -> Tensor:
    """White noise, blurred: `(2, 1, H, W)`."""
    planes = np.random.default_rng(0).random((2, height, width)).astype(np.float32)
    if blur_px:
        planes = np.stack([cv2.GaussianBlur(plane, (0, 0), blur_px) for plane in planes])
    return torch.from_numpy(planes)[:, None]


def middle(top: int = 36, bottom: int = 84) -> Tensor:
    hole = torch.zeros((2, 1, 120, 160), dtype=torch.bool)
    hole[..., top:bottom, 50:110] = True
    return hole


def sharpness(filled: Tensor, hole: Tensor, truth: Tensor | None = None) -> Tensor:
    """As measured: against the truth, or against what lies around."""
    yardstick = fine_detail(filled, ring(hole)) if truth is None else fine_detail(truth, hole)
    return fine_detail(filled, hole) / yardstick


@pytest.mark.parametrize("blur_px", [0, 0.7, 1.5])
def test_the_same_texture_inside_and_around_is_as_sharp(blur_px: float) -> None:
    texture = noise(blur_px)
    assert (sharpness(texture, middle()) - 1).abs().max() < 0.2
    assert torch.allclose(sharpness(texture, middle(), texture), torch.ones(2).double())


def test_a_blurred_fill_is_far_less_sharp() -> None:
    filled = torch.where(middle(), noise(1.5), noise(0.5))
    assert sharpness(filled, middle()).max() < 0.05
    assert sharpness(filled, middle(), noise(0.5)).max() < 0.05


def test_against_the_truth_contrast_and_content_cancel() -> None:
    truth = torch.where(middle(), noise() * 0.1, noise())
    assert sharpness(truth, middle()).max() < 0.02
    assert torch.allclose(sharpness(truth, middle(), truth), torch.ones(2).double())


def test_the_seam_of_a_hole_is_not_taken_for_detail() -> None:
    y, x = np.mgrid[-60:60, -80:80]
    hole = torch.from_numpy(np.hypot(y, x) < 20).expand(2, 1, 120, 160)
    flat = torch.where(hole, 0.9, noise(0.7) * 0.2)
    assert sharpness(flat, hole, noise(0.7)).max() < 0.02


def test_fine_detail_of_white_noise_is_its_share_of_the_variance() -> None:
    everywhere = torch.ones((2, 1, 120, 160), dtype=torch.bool)
    axis = np.fft.fftfreq(16)
    share = (np.hypot(axis[:, None], axis) >= 0.25).mean()
    expected = torch.full((2,), share / 12).double()
    assert torch.allclose(fine_detail(noise(), everywhere), expected, rtol=0.03)


def test_a_slope_has_no_fine_detail() -> None:
    slope = torch.linspace(0, 1, 160).expand(2, 3, 120, 160)
    assert fine_detail(slope, middle()).max() < 1e-6


def test_a_hole_too_small_for_a_block_has_no_sharpness() -> None:
    assert sharpness(noise(), middle(60, 68)).isnan().all()
    assert sharpness(noise()[..., :9], middle()[..., :9]).isnan().all()
    with pytest.raises(ValueError, match="mask"):
        sharpness(noise(), middle()[..., 1:])


def test_rankings_that_agree_correlate_fully_and_reversed_ones_negatively() -> None:
    assert rank_correlation([1, 2, 3, 4], [1, 4, 9, 16]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3, 4], [0, -1, -2, -9]) == pytest.approx(-1)
    assert rank_correlation([1, math.nan, 2, 3], [5, 1, 6, 7]) == pytest.approx(1)


def test_equal_figures_share_their_mean_rank() -> None:
    by_hand = np.corrcoef([1, 2.5, 2.5, 4], [1, 3, 2, 4])[0, 1]
    assert rank_correlation([1, 2, 2, 3], [1, 3, 2, 4]) == pytest.approx(by_hand)


def test_too_few_or_constant_figures_have_no_rank_correlation() -> None:
    assert rank_correlation([1, 2], [1, 2]) is None
    assert rank_correlation([], []) is None
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None
    assert rank_correlation([1, 2, math.inf], [1, 2, 3]) is None
    with pytest.raises(ValueError, match="3 and 2"):
        rank_correlation([1, 2, 3], [1, 2])
