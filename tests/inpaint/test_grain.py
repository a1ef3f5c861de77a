"""Grain: what is measured of a plate, and what a fill is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest

from inpaint.grain import Grain, Pair, bands, measure, white_noise

SIZE = (192, 320)
HOLE = np.zeros(SIZE, bool)
HOLE[40:120, 60:180] = True

Noise = Callable[[np.random.Generator], np.ndarray]


def ramp(channels: int = 3) -> np.ndarray:
    """A scene without detail: brightness from 0.2 to 0.8."""
    row = np.linspace(0.2, 0.8, SIZE[1], dtype=np.float32)
    return np.broadcast_to(row[:, None], (*SIZE, channels)).copy()


def white(deviation: float, channels: int = 3) -> Noise:
    def noise(random: np.random.Generator) -> np.ndarray:
        return random.normal(0, deviation, (*SIZE, channels)).astype(np.float32)

    return noise


def soft(deviation: float) -> Noise:
    """Grain of some size, as film has."""

    def noise(random: np.random.Generator) -> np.ndarray:
        blurred = cv2.GaussianBlur(white(1)(random), (0, 0), 1.0)
        return np.asarray(blurred * (deviation / blurred.std()))

    return noise


def drawn(seed: int, channels: int = 3) -> np.ndarray:
    """White noise for grain on a picture."""
    return white_noise((slice(0, SIZE[0]), slice(0, SIZE[1])), channels, 7, (seed,))


def filmed(scene: np.ndarray, noise: Noise, pairs: int = 4, seed: int = 0) -> Iterator[Pair]:
    random, known = np.random.default_rng(seed), np.ones(SIZE, bool)
    for _ in range(pairs):
        yield scene + noise(random), scene + noise(random), known


def measured(scene: np.ndarray, noise: Noise) -> Grain:
    grain = measure(filmed(scene, noise))
    assert grain is not None
    return grain


def texture(size: tuple[int, int]) -> np.ndarray:
    random = np.random.default_rng(5)
    return np.repeat(random.uniform(-0.2, 0.2, (*size, 1)).astype(np.float32), 3, -1)


def neighbours(noise: np.ndarray) -> float:
    """Correlation of a pixel with the next one."""
    return float((noise[:, 1:] * noise[:, :-1]).mean() / np.square(noise).mean())


def fine(picture: np.ndarray, where: np.ndarray) -> float:
    """Deviation of what is finer than two pixels."""
    smooth = cv2.GaussianBlur(picture, (0, 0), 2).reshape(picture.shape)
    return float((picture - smooth)[where].std())


@pytest.mark.parametrize("deviation", [0.005, 0.02, 0.05])
@pytest.mark.parametrize("kind", [white, soft])
def test_the_deviation_is_measured_at_every_brightness(kind, deviation):
    grain = measured(ramp(), kind(deviation))
    assert grain.levels[0] < 0.3
    assert grain.levels[-1] > 0.7
    assert (np.diff(grain.levels) > 0).all()
    assert grain.deviations == pytest.approx(deviation, rel=0.15)


def test_grain_that_grows_with_brightness_is_followed():
    scene = ramp()
    grain = measured(scene, lambda random: white(0.02)(random) * (0.5 + scene))
    assert grain.deviations[-1] / grain.deviations[0] == pytest.approx(1.25 / 0.75, rel=0.15)


def test_grain_eight_times_as_strong_in_the_light_is_followed():
    scene = ramp()
    strength = np.interp(scene, (0.2, 0.8), (0.004, 0.032)).astype(np.float32)
    grain = measured(scene, lambda random: white(1)(random) * strength)
    assert grain.deviations == pytest.approx(
        np.interp(grain.levels, (0.2, 0.8), (0.004, 0.032)), rel=0.15
    )


def test_grain_is_made_as_coarse_as_it_was_found():
    random = np.random.default_rng(1)
    for kind in (white, soft):
        made = measured(ramp(), kind(0.02)).noise(drawn(1))
        assert made.std() == pytest.approx(1, rel=0.05)
        assert neighbours(made) == pytest.approx(neighbours(kind(1)(random)), abs=0.1)


def test_channels_vary_together_as_they_did():
    def noise(random: np.random.Generator) -> np.ndarray:
        together, apart = white(0.02, 1)(random), white(0.01)(random)
        return together + apart * np.float32([1, 1, 0])

    found = np.corrcoef(noise(np.random.default_rng(2)).reshape(-1, 3).T)
    made = measured(ramp(), noise).noise(drawn(3))
    assert np.corrcoef(made.reshape(-1, 3).T) == pytest.approx(found, abs=0.05)


def test_what_stays_the_same_from_frame_to_frame_is_no_grain():
    scene = ramp() + texture(SIZE)
    assert measured(scene, soft(0.01)).deviations == pytest.approx(0.01, rel=0.15)


def test_moving_texture_beside_flat_parts_counts_little():
    rough = np.zeros((*SIZE, 1), np.float32)
    rough[:, SIZE[1] // 2 :] = 1
    grain = measured(ramp(), lambda random: white(0.01)(random) + rough * white(0.2)(random))
    assert grain.deviations[0] == pytest.approx(0.01, rel=0.1)
    assert grain.deviations.max() < 0.05


def test_even_texture_that_moves_is_none_where_it_is_coarser_than_any_grain():
    assert measure(filmed(ramp(), white(0.12))) is None


def test_where_all_is_moving_texture_none_is_found():
    rough = cv2.GaussianBlur(texture(SIZE), (0, 0), 12)
    uneven = 0.01 * np.exp(3 * rough / rough.std())
    assert measure(filmed(ramp(), lambda random: white(1)(random) * uneven)) is None


@pytest.mark.parametrize("held", [0, 0.001])
def test_a_frame_held_in_one_pair_does_not_count(held):
    frame = ramp() + white(0.02)(np.random.default_rng(0))
    again = frame + white(held)(np.random.default_rng(1))
    grain = measure([(frame, again, np.ones(SIZE, bool)), *filmed(ramp(), white(0.02))])
    assert grain is not None
    assert grain.deviations == pytest.approx(0.02, rel=0.15)


def test_a_part_that_a_codec_froze_does_not_count():
    def frozen() -> Iterator[Pair]:
        for first, second, known in filmed(ramp(), white(0.02)):
            assert second is not None
            second[:80] = first[:80]
            yield first, second, known

    grain = measure(frozen())
    assert grain is not None
    assert grain.deviations == pytest.approx(0.02, rel=0.15)


@pytest.mark.parametrize("still", [True, False])
def test_a_plate_without_grain_has_none(still):
    scene, known = ramp() + texture(SIZE) * still, np.ones(SIZE, bool)
    assert measure([(scene, scene, known)] * 3) is None
    assert measure([]) is None
    assert measure([(scene, None, np.zeros(SIZE, bool))]) is None


def test_black_bars_and_burnt_out_skies_say_nothing_of_the_grain():
    def barred() -> Iterator[Pair]:
        for first, second, known in filmed(ramp(), white(0.02)):
            assert second is not None
            for frame in (first, second):
                frame[:48] = 0
                frame[-32:] = 1
            yield first, second, known

    grain = measure(barred())
    assert grain is not None
    assert grain.deviations == pytest.approx(0.02, rel=0.15)


def test_what_is_clipped_is_given_none():
    filled = np.ones_like(ramp())
    filled[:, :, 0], filled[:, :, 1] = 0, 0.5
    made = measured(ramp(), white(0.02)).added(filled, HOLE, drawn(1), ends=(0.0, 1.0))
    assert np.array_equal(made[..., [0, 2]], filled[..., [0, 2]])
    assert made[HOLE][:, 1].std() == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize("size", [(10, 100), (16, 48), (64, 64)])
def test_of_a_picture_of_a_few_blocks_it_is_measured_or_left_alone(size):
    random, known = np.random.default_rng(0), np.ones(size, bool)
    noise = random.normal(0, 0.02, (*size, 3)).astype(np.float32)
    grain = measure([(0.5 + noise, None, known)])
    assert (grain is None) is (size[0] < 64)
    if grain is not None:
        assert grain.deviations == pytest.approx(0.02, rel=0.15)


def test_one_single_frame_is_enough():
    scene = ramp() + white(0.02)(np.random.default_rng(0))
    grain = measure([(scene, None, np.ones(SIZE, bool))])
    assert grain is not None
    assert grain.deviations == pytest.approx(0.02, rel=0.15)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_smooth_fill_gets_the_grain_around_it(channels):
    noise = white(0.02, channels)
    filled = ramp(channels) + noise(np.random.default_rng(7))
    around = fine(filled, ~HOLE)
    filled[HOLE] = ramp(channels)[HOLE]
    grained = measured(ramp(channels), noise).added(filled, HOLE, drawn(8, channels))
    assert fine(grained, HOLE) == pytest.approx(around, rel=0.15)
    assert np.array_equal(grained[~HOLE], filled[~HOLE])


@pytest.mark.parametrize("width", [1, 3, 8])
def test_a_thin_hole_gets_as_much_as_a_wide_one(width):
    filled, wire = ramp() + white(0.02)(np.random.default_rng(7)), np.zeros(SIZE, bool)
    wire[40 : 40 + width] = True
    filled[wire] = ramp()[wire]
    grained = measured(ramp(), white(0.02)).added(filled, wire, drawn(8))
    assert (grained - ramp())[wire].std() == pytest.approx(0.02, rel=0.15)


def test_bands_hold_every_pixel_of_a_hole_once():
    hole = np.random.default_rng(0).random((600, 100)) < 0.001
    hole[260:520] = False
    found, regions = np.zeros(hole.shape, int), []
    for region, inside in bands(hole):
        found[region] += inside
        regions.append(region[0])
    assert np.array_equal(found, hole)
    assert len(regions) == 2
    assert list(bands(np.zeros_like(hole))) == []


def test_where_regions_of_a_frame_meet_their_grain_is_the_same():
    grain = measured(ramp(), soft(0.02))
    regions = (slice(0, 273), slice(40, 300)), (slice(239, 512), slice(100, 200))
    above, below = (
        grain.noise(white_noise(region, 3, grain.reach_px, (1, 2))) for region in regions
    )
    assert (above.shape, below.shape) == ((273, 260, 3), (273, 100, 3))
    assert above[239:, 60:160] == pytest.approx(below[:34], abs=1e-5)


def test_a_share_of_it_is_given_where_a_share_is_asked_for():
    grain = measured(ramp(), soft(0.02))
    whole, half = (grain.added(ramp(), HOLE, drawn(8), share) - ramp() for share in (1.0, 0.5))
    assert half == pytest.approx(whole / 2, abs=1e-6)


def test_a_fill_that_has_grain_is_given_no_more():
    filled = ramp() + soft(0.02)(np.random.default_rng(7))
    grained = measured(ramp(), soft(0.02)).added(filled, HOLE, drawn(8))
    assert fine(grained, HOLE) == pytest.approx(fine(filled, HOLE), rel=0.1)


def test_the_same_randomness_gives_the_same_grain():
    grain = measured(ramp(), soft(0.02))
    once, again, other = (grain.added(ramp(), HOLE, drawn(seed)) for seed in (1, 1, 2))
    assert np.array_equal(once, again)
    assert (
        abs(np.corrcoef((once - ramp())[HOLE].ravel(), (other - ramp())[HOLE].ravel())[0, 1]) < 0.05
    )


def test_pixels_without_a_number_around_the_hole_do_no_harm():
    filled = ramp()
    filled[30:40, 50:60] = np.nan
    filled[30:40, 60:70] = np.inf
    filled[50, 70] = np.nan
    grained = measured(ramp(), soft(0.02)).added(filled, HOLE, drawn(1))
    assert np.array_equal(np.isfinite(grained), np.isfinite(filled))
    assert np.array_equal(grained[~HOLE], filled[~HOLE], equal_nan=True)


def test_a_frame_without_a_hole_stays_as_it_is():
    grain = measured(ramp(), soft(0.02))
    none = np.zeros(SIZE, bool)
    assert np.array_equal(grain.added(ramp(), none, drawn(1)), ramp())
