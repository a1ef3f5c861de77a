"""Small real sources and masks held in memory, and pixels to fill them with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from storage.mask_versions import MaskVersion
from storage.shots import Shot
from storage.sources import Frame, SourceInfo


class ArraySource:
    """Frames out of an array `(T, H, W, C)`.

    Attributes:
        reads: numbers of the frames that were read, in order.
    """

    def __init__(
        self, pixels: np.ndarray, first_number: int = 0, *, kind: str = "sequence", stamp: str = ""
    ) -> None:
        count, height, width, channels = pixels.shape
        bits = 8 * pixels.dtype.itemsize
        self.pixels, self.stamp, self.reads = pixels, stamp, list[int]()
        self.info = SourceInfo(
            kind="movie" if kind == "movie" else "sequence",
            path="/plates/clip",
            height=height,
            width=width,
            channels=channels,
            dtype=pixels.dtype.name,
            bit_depth=bits,
            first_number=first_number,
            count=count if kind == "sequence" else None,
            fps=Fraction(24000, 1001),
            time_base=Fraction(1, 12800) if kind == "movie" else None,
            colour={"matrix": "bt709"},
        )

    def frames(self, first: int | None = None, last: int | None = None) -> Iterator[Frame]:
        start = self.info.first_number
        for t, pixels in enumerate(self.pixels):
            number = start + t
            if (first is None or number >= first) and (last is None or number <= last):
                self.reads.append(number)
                yield Frame(number, 512 * t if self.info.kind == "movie" else None, pixels)

    def count(self) -> int:
        return len(self.pixels)

    def fingerprint(self) -> str:
        return self.stamp or self.sha256()

    def sha256(self) -> str:
        return hashlib.sha256(self.pixels.tobytes()).hexdigest()


class ArrayMask:
    """Holes out of an array `(T, H, W)`; of `few` masks, the frames that were given one."""

    def __init__(
        self,
        holes: np.ndarray,
        first_number: int = 0,
        *,
        stamp: str = "",
        few: Sequence[int] = (),
    ) -> None:
        self.holes, self.first_number, self.stamp = holes, first_number, stamp
        self.few = list(few)

    def frames(
        self, first: int | None = None, last: int | None = None
    ) -> Iterator[tuple[int, np.ndarray]]:
        for number, hole in enumerate(self.holes, self.first_number):
            if (first is None or number >= first) and (last is None or number <= last):
                yield number, hole

    def given(self, first: int | None = None, last: int | None = None) -> list[int]:
        return self.few

    def check(self, first: int | None = None, last: int | None = None) -> None:
        pass

    def fingerprint(self) -> str:
        return self.stamp or hashlib.sha256(self.holes.tobytes()).hexdigest()


def drawn(shot: Shot, name: str = "drawn", holes: np.ndarray | None = None) -> MaskVersion:
    """A finished mask version; by default its holes lie where the shot's do not."""
    masks = shot.create_mask_version(name, {"steps": 7})
    for t in range(len(shot)):
        masks.write(t, ~np.asarray(shot.hole[t]) if holes is None else holes[t])
    return masks


def noise(*shape: int, dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    """Random pixels; floats carry values beyond 0 to 1, NaN and infinity."""
    random = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "u":
        return random.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    pixels = random.normal(0, 100, shape).astype(dtype)
    pixels.flat[:3] = np.nan, np.inf, -0.0
    return pixels


def square(count: int, height: int, width: int) -> np.ndarray:
    """Holes `(T, H, W)`: a square that moves; the first frame has none."""
    holes = np.zeros((count, height, width), bool)
    for t in range(1, count):
        holes[t, height // 4 : height // 2, width // 4 + t : width // 2 + t] = True
    return holes
