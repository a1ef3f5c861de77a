"""Tone curves: there and back again, for every depth."""

from __future__ import annotations

import numpy as np
import pytest

from inpaint.tone import Tone, tone_of

PEAKS = [0.5, 1.0, 16.0, 65504.0]


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_every_whole_value_comes_back_exactly(dtype: str) -> None:
    values = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    tone = tone_of(dtype, [])
    encoded = tone.encode(values)
    assert (encoded.min(), encoded.max(), encoded.dtype) == (0, 1, np.float32)
    assert np.array_equal(tone.decode(encoded), values)
    assert tone.decode(encoded).dtype == dtype


@pytest.mark.parametrize("peak", PEAKS)
def test_every_half_up_to_the_peak_comes_back_exactly(peak: float) -> None:
    halves = np.arange(1 << 16).astype(np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    values = halves[np.abs(halves.astype(np.float32)) <= peak]
    tone = Tone("float16", peak)
    assert np.array_equal(tone.decode(tone.encode(values)), values)


@pytest.mark.parametrize("peak", [*PEAKS, 1e9])
def test_a_float_comes_back_to_a_few_parts_in_a_million(peak: float) -> None:
    steps = np.geomspace(1e-6, peak, 2000).astype(np.float32).clip(max=peak)
    values = np.concatenate([-steps, [0], steps]).astype(np.float32)
    tone = Tone("float32", peak)
    assert np.allclose(tone.decode(tone.encode(values)), values, rtol=5e-6, atol=0)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_peak_becomes_one_and_below_zero_mirrors_above(dtype: str) -> None:
    tone, values = Tone(dtype, 8.0), np.array([0, 0.01, 0.5, 8.0, 30.0], dtype)
    encoded = tone.encode(values)
    assert encoded[0] == 0
    assert encoded[3] == pytest.approx(1)
    assert encoded[4] > 1
    assert np.array_equal(tone.encode(-values), -encoded)


def test_shadows_are_lifted_and_keep_their_order() -> None:
    encoded = Tone("float32", 10.0).encode(np.linspace(0, 10, 1001, dtype=np.float32))
    assert (np.diff(encoded) > 0).all()
    assert encoded[10] > 0.3


def test_what_is_no_number_stays_none() -> None:
    encoded = Tone("float32", 1.0).encode(np.array([np.nan, np.inf, -np.inf, 0.5], np.float32))
    assert np.isnan(encoded[0])
    assert encoded[1:3].tolist() == [np.inf, -np.inf]
    assert np.isfinite(encoded[3])


def test_what_is_too_large_for_the_curve_counts_as_infinite() -> None:
    largest = np.finfo(np.float32).max
    encoded = Tone("float32", 1.0).encode(np.array([largest, -largest, 1e30], np.float32))
    assert encoded[:2].tolist() == [np.inf, -np.inf]
    assert np.isfinite(encoded[2])


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_whole_values_are_rounded_and_never_wrap_around(dtype: str) -> None:
    largest = np.iinfo(dtype).max
    levels = np.array([-0.2, 0.4 / largest, 0.6 / largest, 1.3], np.float32)
    assert Tone(dtype, float(largest)).decode(levels).tolist() == [0, 0, 1, largest]


def test_a_float_never_exceeds_the_peak() -> None:
    decoded = Tone("float16", 3.0).decode(np.array([-2.0, 2.0], np.float32))
    assert decoded.tolist() == [-3.0, 3.0]


def test_the_peak_is_the_largest_known_number() -> None:
    pixels = np.full((2, 4, 5, 3), 0.25, np.float32)
    hole = np.zeros((2, 4, 5), bool)
    hole[0, 1, 1] = True
    pixels[0, 1, 1] = 90
    pixels[0, 2, 2, 0] = 7
    pixels[0, 3, 3, 1] = np.nan
    pixels[1, 0, 0, 2] = np.inf
    assert tone_of("float32", zip(pixels, hole, strict=True)) == Tone("float32", 7.0)


@pytest.mark.parametrize("value", [0.0, -3.0, np.nan])
def test_without_light_the_peak_is_one(value: float) -> None:
    dark = np.full((4, 5, 1), value, np.float16)
    assert tone_of("float16", [(dark, np.zeros((4, 5), bool))]) == Tone("float16", 1.0)
