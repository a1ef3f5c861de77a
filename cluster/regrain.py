"""The plate's own grain for a fill that is smoother than it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from inpaint.clip import around
from inpaint.grain import NEARBY_PX, Pair, measure
from inpaint.tone import Tone
from storage import Shot, Version
from storage.delivery import Retouch

PAIRS = 8
"""Of frames that follow each other, in which a plate's grain is measured."""


def regrain(version: Version, share: float, seed: int) -> Retouch | None:
    """Measure a shot's grain and return what gives it to a fill; None without grain or hole.

    Args:
        share: of the grain that the fill lacks.
        seed: with the same one and the same frame comes the same grain.
    """
    shot = version.shot
    tone, colours = _tone(shot.info.dtype), _colours(shot)
    if not share or version.attrs.get("status") == "copied":
        return None
    if (grain := measure(_pairs(version, tone))) is None:
        return None

    def apply(t: int, result: np.ndarray, hole: np.ndarray) -> np.ndarray:
        changed, near = result.copy(), around(hole, NEARBY_PX)
        encoded, random = tone.encode(result[near][..., :colours]), np.random.default_rng((seed, t))
        grained = grain.added(encoded, hole[near], random, share)
        touched = hole[near] & (grained != encoded).any(-1)
        changed[near][touched, :colours] = tone.decode(grained[touched])
        return changed

    return Retouch(f"grain {share:g}, seed {seed}", apply)


def _pairs(version: Version, tone: Tone) -> Iterator[Pair]:
    """Frames spread over the shot, each with the next one, outside the hole."""
    shot, last = version.shot, max(0, len(version.shot) - 2)
    for t in np.unique(np.linspace(0, last, PAIRS).round().astype(int)):
        known = ~np.asarray(version.hole[t])
        first, second = _encoded(shot, t, tone), None
        if t + 1 < len(shot):
            known &= ~np.asarray(version.hole[t + 1])
            second = _encoded(shot, t + 1, tone)
            known &= np.isfinite(second).all(-1)
        yield first, second, known & np.isfinite(first).all(-1)


def _encoded(shot: Shot, t: int, tone: Tone) -> np.ndarray:
    return tone.encode(np.asarray(shot.frames[t])[..., : _colours(shot)])


def _colours(shot: Shot) -> int:
    """How many channels are colours; alpha has no grain."""
    return 1 if shot.info.channels < 3 else 3


def _tone(dtype: str) -> Tone:
    """A curve for all values of the dtype."""
    whole = dtype.startswith("uint")
    return Tone(dtype, float(np.iinfo(dtype).max if whole else np.finfo(dtype).max))
