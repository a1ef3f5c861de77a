"""The plate's own grain for a fill that is smoother than it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from inpaint.grain import Grain, Pair, bands, measure, white_noise
from inpaint.tone import Tone
from storage import Version
from storage.delivery import Retouch

PAIRS = 8
"""Of frames that follow each other, in which a plate's grain is measured."""

MOST = 65504.0
"""Floats from here on, in either direction, are given no grain."""


def regrain(version: Version, share: float, seed: int) -> Retouch | None:
    """Return what gives the plate's grain to a fill; None where no share of it is asked for.

    Args:
        share: of the grain that the fill lacks.
        seed: with the same one and the same frame comes the same grain.
    """
    if not share:
        return None
    return Retouch(f"grain {share:g}, seed {seed}", _Regrain(version, share, seed).apply)


@dataclass
class _Regrain:
    """Grain is measured when the first frame asks for it."""

    version: Version
    share: float
    seed: int
    lock: threading.Lock = field(default_factory=threading.Lock)

    def apply(self, t: int, result: np.ndarray, hole: np.ndarray) -> np.ndarray:
        with self.lock:
            grain = self._grain
        if grain is None:
            return result
        changed, ends = result.copy(), (0.0, 1.0) if self._whole else None
        for near, inside in bands(hole):
            part = changed[near][..., : self._colours]
            encoded = self._tone.encode(result[near][..., : self._colours])
            noise = white_noise(near, self._colours, grain.reach_px, (self.seed, t))
            grained = grain.added(encoded, hole[near], noise, self.share, ends)
            measured = self._whole | (np.abs(part) < MOST)
            touched = inside[..., None] & (grained != encoded) & measured
            part[touched] = self._tone.decode(grained)[touched]
        return changed

    @cached_property
    def _grain(self) -> Grain | None:
        return measure(self._pairs())

    @cached_property
    def _tone(self) -> Tone:
        dtype = self.version.shot.info.dtype
        return Tone(dtype, float(np.iinfo(dtype).max) if self._whole else MOST)

    @property
    def _whole(self) -> bool:
        return self.version.shot.info.dtype.startswith("uint")

    @property
    def _colours(self) -> int:
        return self.version.shot.info.colours  # alpha has no grain

    def _pairs(self) -> Iterator[Pair]:
        """Frames spread over the shot, each with the next one, outside the hole."""
        count = len(self.version.shot)
        for t in np.unique(np.linspace(0, max(0, count - 2), PAIRS).round().astype(int)):
            (first, known), second = self._frame(t), None
            if t + 1 < count:
                second, too = self._frame(t + 1)
                known &= too
            yield first, second, known

    def _frame(self, t: int) -> tuple[np.ndarray, np.ndarray]:
        """A frame's colours as they are measured, and where they are known."""
        shot = self.version.shot
        encoded = self._tone.encode(np.asarray(shot.frames[t])[..., : self._colours])
        return encoded, np.isfinite(encoded).all(-1) & ~np.asarray(self.version.hole[t])
