"""`g`: what it does to pictures, what to masks, and that the two agree."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from inpaint.warps import Warp, WarpRanges, draw

SIZE = 24, 32
STILL = WarpRanges(0, 0, 0, 0, 0, 0, 0)  # changes nothing
FAR = WarpRanges(4, 10, 0.2, 8, 0.1, 0.2, 1.5)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int = 3, channels: int = 3) -> Tensor:
    return torch.rand((count, channels, *SIZE), generator=seeded(1)) * 2 - 1


def blocks(count: int = 3) -> Tensor:
    mask = torch.zeros((count, 1, *SIZE), dtype=torch.bool)
    mask[:, :, 8:14, 10:19] = True
    return mask


def moved(right_px: float, down_px: float) -> Warp:
    """One warp that moves the picture by so much, the grid being that of a still one."""
    still = draw(1, SIZE, STILL, seeded())
    offset = torch.tensor([right_px * 2 / SIZE[1], down_px * 2 / SIZE[0]])
    return replace(still, grid=still.grid - offset)


def test_a_still_warp_gives_picture_and_mask_back() -> None:
    warp, shown = draw(3, SIZE, STILL, seeded()), pictures()
    assert torch.allclose(warp.pictures(shown), shown, atol=1e-5)
    assert torch.equal(warp.masks(blocks()), blocks())


def test_whole_pixels_are_moved_as_they_are() -> None:
    shown, mask = pictures(1), blocks(1)
    warp = moved(right_px=3, down_px=-2)
    result = warp.pictures(shown)
    assert torch.allclose(result[..., :-2, 3:], shown[..., 2:, :-3], atol=1e-5)
    expected = mask.roll((-2, 3), (-2, -1))
    expected[..., -2:, :] = True
    expected[..., :3] = True
    assert torch.equal(warp.masks(mask), expected)


def test_a_pixel_that_half_comes_from_the_mask_is_in_it() -> None:
    mask = torch.zeros((1, 1, *SIZE), dtype=torch.bool)
    mask[..., 10, 10] = True
    result = moved(right_px=0.5, down_px=0.5).masks(mask)
    assert torch.equal(
        torch.nonzero(result[0, 0, 1:, 1:]), torch.nonzero(mask[0, 0, 1:, 1:]) + OVER
    )


OVER = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])


@pytest.mark.parametrize("seed", range(4))
def test_nothing_of_the_mask_gets_outside_the_warped_mask(seed: int) -> None:
    shown, mask = pictures(), blocks()
    warp = draw(3, SIZE, FAR, seeded(seed))
    result = warp.pictures(shown.masked_fill(mask, math.nan), mask)
    other = warp.pictures(shown.masked_fill(mask, 1.0), mask)
    outside = ~warp.masks(mask).expand_as(shown)
    assert outside.any()
    assert result[outside].isfinite().all()
    assert torch.equal(result[outside], other[outside])


def test_a_flat_picture_stays_flat_beside_the_mask() -> None:
    warp = draw(3, SIZE, replace(FAR, brightness=0), seeded())
    flat = torch.full((3, 3, *SIZE), 0.25)
    result = warp.pictures(flat, blocks())
    outside = ~warp.masks(blocks()).expand_as(flat)
    assert torch.allclose(result[outside], flat[outside], atol=2e-3)


def test_light_and_blur_never_touch_masks() -> None:
    plain = draw(3, SIZE, replace(FAR, brightness=0, blur_px=0), seeded())
    filtered = draw(3, SIZE, FAR, seeded())
    assert torch.equal(plain.grid, filtered.grid)
    assert torch.equal(plain.masks(blocks()), filtered.masks(blocks()))


def test_brightness_is_a_factor_of_the_light() -> None:
    warp, shown = draw(3, SIZE, replace(STILL, brightness=0.2), seeded()), pictures() * 0.5
    ratio = (warp.pictures(shown) + 1) / (shown + 1)
    assert torch.allclose(ratio, warp.gain.expand_as(ratio), atol=1e-4)
    assert ((warp.gain - 1).abs() <= 0.2).all()
    assert len(warp.gain.unique()) == 3


def test_blur_keeps_the_mean_and_lowers_the_contrast() -> None:
    warp, shown = draw(3, SIZE, replace(STILL, blur_px=2), seeded()), pictures()
    result = warp.pictures(shown)
    assert torch.allclose(warp.kernel.sum(dim=1), torch.ones(3))
    assert torch.allclose(result.mean(dim=(1, 2, 3)), shown.mean(dim=(1, 2, 3)), atol=0.02)
    assert (result.std(dim=(1, 2, 3)) < shown.std(dim=(1, 2, 3))).all()


def corner_shifts(ranges: WarpRanges) -> Tensor:
    """How far the frame's corners are moved, in pixels, over many draws: `(N, 4, 2)`."""
    still, warp = draw(1, SIZE, STILL, seeded()), draw(200, SIZE, ranges, seeded())
    shift = (warp.grid - still.grid) * torch.tensor([SIZE[1], SIZE[0]]) / 2
    return shift[:, [0, 0, -1, -1], [0, -1, 0, -1]]


@pytest.mark.parametrize(
    ("ranges", "most_px"),
    [
        (replace(STILL, shift_px=2.0), 2.0),
        (replace(STILL, rotation_deg=1.0), 15.5 * math.radians(1)),
        (replace(STILL, zoom=0.03), 15.5 * 0.03),
        (replace(STILL, shear_deg=1.0), 15.5 * math.radians(1)),
        (replace(STILL, perspective=0.01), 15.5 * 0.02 / 0.98),
    ],
)
def test_each_range_is_used_and_kept(ranges: WarpRanges, most_px: float) -> None:
    most = corner_shifts(ranges).abs().max()
    assert 0.8 * most_px < most < 1.01 * most_px


def test_a_batch_is_its_samples_one_by_one() -> None:
    warp, shown, mask = draw(3, SIZE, FAR, seeded()), pictures(), blocks()
    together = warp.pictures(shown, mask)
    for i in range(3):
        one = Warp(warp.grid[i : i + 1], warp.gain[i : i + 1], warp.kernel[i : i + 1])
        assert torch.allclose(
            one.pictures(shown[i : i + 1], mask[i : i + 1]), together[i : i + 1], atol=1e-6
        )
        assert torch.equal(one.masks(mask[i : i + 1]), warp.masks(mask)[i : i + 1])


def test_one_seed_draws_the_same_warps_and_the_next_draw_others() -> None:
    random = seeded()
    first, second = (draw(2, SIZE, FAR, random).pictures(pictures(2)) for _ in range(2))
    assert torch.equal(draw(2, SIZE, FAR, seeded()).pictures(pictures(2)), first)
    assert not torch.equal(first, second)


def test_any_size_and_any_channels() -> None:
    for size, channels in (((1, 1), 1), ((5, 7), 4)):
        warp = draw(2, size, WarpRanges(), seeded())
        assert warp.pictures(torch.zeros(2, channels, *size)).shape == (2, channels, *size)
        assert warp.masks(torch.zeros((2, 1, *size), dtype=torch.bool)).shape == (2, 1, *size)
