from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import cv2
import numpy as np
import pytest

from inpaint.overlay import Overlay, resampled, soft
from inpaint.retarget import Layout, calmed, lay_out, object_scale, offsets_of

FPS = 24.0
SOURCE = (60, 100)


def disc(row: float, column: float, radius: float = 9, size: tuple[int, int] = SOURCE):
    """A round mask `(H, W)` bool."""
    y, x = np.indices(size)
    return (y - row) ** 2 + (x - column) ** 2 <= radius**2


def pixels(dtype: str = "uint8", channels: int = 3, size: tuple[int, int] = SOURCE, seed: int = 0):
    """Noise `(H, W, C)`; floats go below 0 and above 1."""
    random = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "u":
        return random.integers(0, np.iinfo(dtype).max, (*size, channels), dtype, endpoint=True)
    return random.normal(0.5, 2, (*size, channels)).astype(dtype)


def flat(value: float, size: tuple[int, int] = SOURCE):
    return np.full((*size, 3), value, np.float32)


def box(top: int, left: int, bottom: int, right: int):
    return np.array([[top, left], [bottom, right]])


def drawn(masks, target, t: int = 0, **how) -> np.ndarray:
    """Frame `t` of white objects on black, in another size."""
    overlay = Overlay(lay_out(masks, masks[0].shape, target, FPS), **how)
    size = masks[0].shape
    return overlay.frame(t, flat(1, size), flat(0, size), masks[t])[..., 0]


def extent(white: np.ndarray) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of what is white."""
    rows, columns = (np.flatnonzero((white > 0.5).any(axis)) for axis in (1, 0))
    return rows[0], columns[0], rows[-1] + 1, columns[-1] + 1


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_in_its_own_size_a_frame_comes_back_outside_the_soft_edge(dtype, channels) -> None:
    shown, clean = pixels(dtype, channels), pixels(dtype, channels, seed=1)
    mask = disc(30, 40)
    made = Overlay(lay_out([mask], SOURCE, SOURCE, FPS)).frame(0, shown, clean, mask)
    edge = soft(mask, 2)[..., 0]
    assert made.dtype == shown.dtype
    assert np.array_equal(made[edge == 1], shown[edge == 1])
    assert np.array_equal(made[edge == 0], clean[edge == 0])
    assert (edge == 1).sum() > 0.7 * mask.sum()


@pytest.mark.parametrize("width", [50, 71, 180])
def test_a_frame_that_changes_in_width_keeps_the_objects_very_pixels(width) -> None:
    shown, mask = pixels("uint16"), disc(30, 70)
    layout = lay_out([mask], SOURCE, (60, width), FPS)
    made = Overlay(layout).frame(0, shown, np.zeros_like(shown), mask)
    down, right = layout.placements[0].offsets[1]
    rows, columns = np.nonzero(soft(mask, 2)[..., 0] == 1)
    assert down == 0
    assert np.array_equal(made[rows, columns + right], shown[rows, columns])


@pytest.mark.parametrize("target", [(60, 50), (60, 200), (30, 100), (120, 100), (90, 45)])
def test_a_disc_stays_round(target) -> None:
    top, left, bottom, right = extent(drawn([disc(30, 40, radius=12)], target))
    assert abs((bottom - top) - (right - left)) <= 1
    assert bottom - top == pytest.approx(25 * target[0] / 60, abs=1)


@pytest.mark.parametrize("target", [(60, 50), (60, 200), (30, 100), (100, 60)])
def test_the_point_of_the_object_at_its_share_of_the_room_goes_with_the_background(target) -> None:
    top, left, bottom, right = box(20, 30, 40, 46).flatten()
    at = np.array([60 * top / (60 - (bottom - top)), 100 * left / (100 - (right - left))])
    assert top <= at[0] <= bottom
    assert left <= at[1] <= right
    one = box(top, left, bottom, right)[None]
    scale = object_scale(one, SOURCE, target)
    offset = offsets_of(np.array([0]), one, SOURCE, target, scale, FPS)[0]
    assert float(scale) * at + offset == pytest.approx(at * target / np.array(SOURCE), abs=0.5)


@pytest.mark.parametrize("target", [(60, 40), (60, 190), (33, 100), (110, 70)])
def test_an_object_inside_the_frame_stays_inside_wherever_it_is(target) -> None:
    masks = [disc(row, column) for row in (10, 30, 49) for column in range(10, 90, 9)]
    scale = float(lay_out(masks, SOURCE, target, FPS).scale)
    for t, mask in enumerate(masks):
        whole = mask.sum() * scale**2
        assert drawn(masks, target, t).sum() == pytest.approx(whole, rel=0.02)
        assert drawn([mask], target).sum() == pytest.approx(whole, rel=0.02)


@pytest.mark.parametrize("width", [40, 75, 220])
@pytest.mark.parametrize("column", [-3, 102])
def test_what_the_frame_cuts_off_stays_at_that_edge(width, column) -> None:
    masks = [disc(30, column), disc(30, 50)]
    white = drawn(masks, (60, width))
    _, left, _, right = extent(white)
    assert (left == 0) == (column < 0)
    assert (right == width) == (column > 100)


@pytest.mark.parametrize("width", [40, 75, 220])
@pytest.mark.parametrize("edge", [0, 1])
def test_calming_neither_pushes_an_object_out_nor_pulls_it_off_an_edge(width, edge) -> None:
    lefts = np.repeat([edge, 40, 80 - edge], 12)
    boxes = np.stack([box(20, left, 40, left + 20) for left in lefts])
    rights = offsets_of(np.arange(36), boxes, SOURCE, (60, width), Fraction(1), FPS)[:, 1]
    assert (lefts + rights).min() >= 0
    assert (lefts + 20 + rights).max() <= width
    if edge == 0:
        assert set(rights[:12]) == {0}
        assert set(rights[-12:]) == {width - 100}


def test_an_object_wider_than_the_new_frame_gets_smaller_until_it_fits() -> None:
    wide = box(20, 10, 50, 90)[None]
    assert object_scale(wide, SOURCE, (60, 40)) == Fraction(40, 80)
    assert object_scale(wide, SOURCE, (60, 80)) == 1


def test_what_reaches_across_the_frame_reaches_across_the_new_one() -> None:
    across = box(20, 0, 50, 100)[None]
    assert object_scale(across, SOURCE, (60, 150)) == Fraction(3, 2)
    assert object_scale(across, SOURCE, (60, 50)) == 1


def test_objects_far_apart_go_each_to_its_own_place() -> None:
    left, right = disc(30, 20), disc(30, 80)
    white = drawn([left | right], (60, 200))
    gap = (white > 0.5).any(0)
    starts = np.flatnonzero(np.diff(gap.astype(int)) == 1)
    assert len(starts) == 2
    assert starts[0] < 50
    assert starts[1] > 130


def test_parts_that_meet_in_time_are_one_object() -> None:
    apart = disc(30, 30) | disc(30, 66)
    joined = apart | disc(30, 48, 12)
    numbers = [set(p.offsets) for p in lay_out([apart, joined], SOURCE, (60, 200), FPS).placements]
    assert numbers == [{1}, {1}]
    assert len(lay_out([apart, apart], SOURCE, (60, 200), FPS).placements[0].offsets) == 2


def test_the_nearer_object_is_painted_last() -> None:
    far, near = disc(15, 30), disc(45, 70)
    offsets = lay_out([near | far], SOURCE, (60, 50), FPS).placements[0].offsets
    masks = lay_out([near | far], SOURCE, (60, 50), FPS).placements[0].masks(near | far)
    assert len(offsets) == 2
    assert np.array_equal(list(masks.values())[-1], near)


def test_a_trembling_mask_does_not_make_the_object_tremble() -> None:
    random = np.random.default_rng(0)
    frames, tremble = np.arange(96), random.integers(-3, 4, (96, 2))
    boxes = np.stack([box(20, 40 - a, 45, 60 + b) for a, b in tremble])
    path = offsets_of(frames, boxes, SOURCE, (60, 240), Fraction(1), FPS)[:, 1]
    raw = np.stack(
        [
            offsets_of(frames[:1], one[None], SOURCE, (60, 240), Fraction(1), FPS)[0, 1]
            for one in boxes
        ]
    )
    steps = np.abs(np.diff(path[5:-5]))
    assert steps.max() <= 1
    assert np.abs(np.diff(raw)).max() > 5


@pytest.mark.parametrize("width", [50, 200])
def test_an_object_that_crosses_the_frame_moves_without_a_jump(width) -> None:
    masks = [disc(30, column) for column in range(-8, 109, 2)]
    layout = lay_out(masks, SOURCE, (60, width), FPS)
    rights = [next(iter(one.offsets.values()))[1] for one in layout.placements]
    moved = [b - a for a, b in pairwise(rights)]
    assert max(map(abs, moved)) <= 2 + abs(width - 100) / 100 * 4


def test_calming_keeps_a_straight_line_and_what_is_pinned() -> None:
    line = np.linspace(0.2, 0.8, 50)
    assert calmed(line, np.zeros(50, bool), 12) == pytest.approx(line)
    step, pinned = np.repeat([0.0, 1.0], 25), np.arange(50) < 10
    calm = calmed(step, pinned, 6)
    assert np.array_equal(calm[:10], step[:10])
    assert 0.3 < calm[25] < 0.7
    assert np.diff(calm).min() >= 0


def test_an_edge_has_no_dark_fringe() -> None:
    mask = disc(30, 40)
    clean = flat(0.6)
    shown = np.where(mask[..., None], np.float32(0.6), np.float32(0))  # black around the object
    for target in ((45, 80), (120, 200)):
        made = Overlay(lay_out([mask], SOURCE, target, FPS), edge_px=0).frame(0, shown, clean, mask)
        assert np.abs(made - 0.6).max() < 1e-5


def test_linear_light_stays_linear_and_unclamped() -> None:
    mask = disc(30, 40, radius=12)
    shown = np.where(mask[..., None], flat(900), flat(-3))
    made = Overlay(lay_out([mask], SOURCE, (120, 200), FPS)).frame(0, shown, flat(-3), mask)
    assert made.max() == pytest.approx(900, rel=1e-5)
    assert made[0, 0, 0] == pytest.approx(-3)


def test_what_is_not_finite_outside_the_object_stays_outside() -> None:
    mask, shown = disc(30, 40), pixels("float32")
    shown[~mask] = np.nan
    for target in (SOURCE, (40, 120), (90, 90)):
        overlay = Overlay(lay_out([mask], SOURCE, target, FPS), edge_px=0)
        assert np.isfinite(overlay.frame(0, shown, flat(0), mask)).all()


def test_an_upscaler_gets_the_object_uncut_or_the_background_whole() -> None:
    seen = []

    def blocks(picture: np.ndarray, scale: int) -> np.ndarray:
        seen.append(picture.shape)
        return picture.repeat(scale, axis=0).repeat(scale, axis=1)

    shown, clean, mask = pixels(), pixels(seed=1), disc(30, 40)
    layout = lay_out([mask], SOURCE, (120, 200), FPS)
    deep = soft(mask, 8)[..., 0] == 1
    far = soft(mask, 8)[..., 0] == 0
    for which, same, source in (("object", deep, shown), ("background", far, clean)):
        made = Overlay(layout, **{which: blocks}).frame(0, shown, clean, mask)
        assert np.array_equal(made[::2, ::2][same], source[same])
        assert np.array_equal(made[1::2, 1::2][same], source[same])
    assert seen[0][0] < 40
    assert seen[1] == (60, 100, 3)


@pytest.mark.parametrize("target", [(40, 70), (90, 150)])
def test_an_object_at_rest_is_resampled_alike_wherever_its_mask_ends(target) -> None:
    shown, scale = pixels("float32"), target[0] / 60
    overlay = Overlay(Layout(target, Fraction(target[0], 60), ()))
    middle = np.s_[int(28 * scale) : int(32 * scale), int(38 * scale) : int(42 * scale)]
    made = []
    for left in (40, 39, 38):
        picture = np.zeros((*target, 3), np.float32)
        overlay.cut(shown, disc(30, 40) | disc(30, left)).lay_over(picture, (0, 0))
        made.append(picture[middle])
    assert made[0] == pytest.approx(made[1], abs=1e-5)
    assert made[0] == pytest.approx(made[2], abs=1e-5)


def test_resampling_agrees_with_area_averages_of_a_smooth_picture() -> None:
    y, x = np.mgrid[0:1:120j, 0:1:160j]
    picture = np.stack([np.sin(4 * x), np.cos(3 * y), x * y], axis=-1).astype(np.float32)
    small = resampled(picture, size=(40, 53))
    assert np.abs(small - cv2.resize(picture, (53, 40), interpolation=cv2.INTER_AREA)).max() < 0.01
