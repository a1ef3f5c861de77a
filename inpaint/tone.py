"""Between a file's values and the 0 to 1 the network learns in: invertible tone curves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

LINEAR_TOE = 0.02
"""Scene-linear value below which the curve is nearly straight: shadows are not stretched."""


@dataclass(frozen=True)
class Tone:
    """A curve from a file's values to 0 to 1 and back.

    Integers are divided by their maximum. Floats follow `asinh(x / toe) / asinh(peak / toe)`, which
    takes any value, negative or above 1, and spends its range as the eye does.

    Attributes:
        dtype: of the frames: uint8, uint16, float16 or float32.
        peak: the largest known value; it becomes 1.
    """

    dtype: str
    peak: float

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """Return float32 of the same shape; NaN and infinity stay, 7e36 and more is infinite."""
        values = pixels.astype(np.float32)
        if self._whole:
            return values / self.peak
        with np.errstate(over="ignore"):
            return np.arcsinh(values / LINEAR_TOE) / np.float32(np.arcsinh(self.peak / LINEAR_TOE))

    def decode(self, encoded: np.ndarray) -> np.ndarray:
        """Invert `encode`, rounded and clipped to what the dtype can hold."""
        if self._whole:
            return np.rint(encoded.clip(0, 1) * self.peak).astype(self.dtype)
        values = np.sinh(encoded * np.arcsinh(self.peak / LINEAR_TOE)) * LINEAR_TOE
        return values.clip(-self.peak, self.peak).astype(self.dtype)

    @property
    def _whole(self) -> bool:
        return self.dtype.startswith("uint")


def tone_of(dtype: str, frames: Iterable[tuple[np.ndarray, np.ndarray]]) -> Tone:
    """Choose the curve: by the dtype, and for floats by the largest known finite value.

    Args:
        frames: frame `(H, W, C)` and hole `(H, W)` bool, read only for floats.
    """
    if dtype.startswith("uint"):
        return Tone(dtype, float(np.iinfo(dtype).max))
    peak = 0.0
    for pixels, hole in frames:
        known = pixels[~hole]
        known = known[np.isfinite(known)]
        peak = max(peak, float(known.max(initial=0)))
    return Tone(dtype, peak if peak > 0 else 1.0)
