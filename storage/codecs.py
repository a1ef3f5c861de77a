"""How chunks are packed: blosc with zstd, then a checksum, chosen by trying one frame."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numcodecs import Blosc
from zarr.codecs import BloscCodec, Crc32cCodec

Shuffle = Literal["noshuffle", "shuffle", "bitshuffle"]
LEVEL = 1  # of zstd: level 3 takes twice the time to save a twentieth, at most a fifth

_SHUFFLES: dict[Shuffle, int] = {
    "noshuffle": Blosc.NOSHUFFLE,
    "shuffle": Blosc.SHUFFLE,
    "bitshuffle": Blosc.BITSHUFFLE,
}


def best_shuffle(frame: np.ndarray) -> Shuffle:
    """Return the way of rearranging bytes that packs this `(H, W, C)` frame smallest.

    Smooth 8-bit frames pack best as they are, grainy and deep ones bit by bit, floats byte by byte.
    """
    data = np.ascontiguousarray(frame)
    if data.dtype == np.float16:
        data = data.view(np.uint16)  # numcodecs takes it by its item size alone
    sizes = {name: len(_blosc(mode).encode(data)) for name, mode in _SHUFFLES.items()}
    return min(sizes, key=lambda name: sizes[name])


def compressors(shuffle: Shuffle) -> list[Any]:
    """Return Zarr's codecs. Blosc alone returns wrong pixels for a flipped bit without a word."""
    return [BloscCodec(cname="zstd", clevel=LEVEL, shuffle=shuffle), Crc32cCodec()]


def _blosc(mode: int) -> Blosc:
    return Blosc(cname="zstd", clevel=LEVEL, shuffle=mode)
