"""A frame's own checksums tell of every changed bit, and of nothing where there are none."""

from __future__ import annotations

import av
import numpy as np
import pytest

from storage import ffv1

CHECKED = [
    {"level": "3", "slicecrc": "1"},
    {"level": "3", "slicecrc": "1", "slices": "24"},
    {"level": "4", "slicecrc": "2", "strict": "-2"},
]


def packet(options: dict[str, str]) -> bytes:
    encoder = av.CodecContext.create("ffv1", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 128, 96, "gray"
    encoder.time_base, encoder.options = 1, options
    picture = np.random.default_rng(0).integers(0, 256, (96, 128)).astype(np.uint8)
    encoded = encoder.encode(av.VideoFrame.from_ndarray(picture, "gray")) + encoder.encode(None)
    (only,) = map(bytes, encoded)
    return only


@pytest.mark.parametrize("options", CHECKED)
def test_every_changed_bit_is_found(options: dict[str, str]) -> None:
    written, rng = packet(options), np.random.default_rng(1)
    assert ffv1.whole(written)
    for bit in rng.integers(0, 8 * len(written), 200).tolist():
        changed = bytearray(written)
        changed[bit // 8] ^= 1 << bit % 8
        assert not ffv1.whole(bytes(changed))


@pytest.mark.parametrize("options", [*CHECKED, {"level": "3", "slicecrc": "0"}])
def test_a_frame_cut_short_is_found(options: dict[str, str]) -> None:
    written = packet(options)
    assert not any(ffv1.whole(written[:-lost]) for lost in range(1, 50))


def test_a_frame_of_zeros_is_found() -> None:
    assert not any(ffv1.whole(bytes(count)) for count in range(1, 100))


def test_a_frame_without_checksums_counts_as_whole() -> None:
    assert ffv1.whole(packet({"level": "3", "slicecrc": "0"}))
