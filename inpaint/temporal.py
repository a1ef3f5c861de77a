"""How steady a clip is: the warping error, two frames at a time.

    motions = (motion(truth[t], truth[t - 1]) for t in range(1, len(truth)))
    errors = list(warping_errors(filled, holes, motions))

A motion does for every method that fills the same clip.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from inpaint.flow import Motion, warped


@dataclass(frozen=True)
class WarpingError:
    """How much a frame differs from the one before it along the true motion: 0 is steady.

    Attributes:
        whole: mean squared difference where 1 is white; NaN where nothing is visible twice.
        hole: the same over pairs of pixels of which one or both were filled; NaN without any.
    """

    whole: float
    hole: float


def warping_errors(
    frames: Iterable[np.ndarray], holes: Iterable[np.ndarray], motions: Iterable[Motion]
) -> Iterator[WarpingError]:
    """Compare each frame of a filled clip with the one before; `T` frames give `T - 1` errors.

    The truth itself does not give 0: flow and interpolation err, and light changes. A blur that
    moves along gives less than the truth. So show the truth's error, from the same motions, and
    the sharpness beside a method's. Where a pixel of the hole has its source outside, or the other
    way round, the filled pixel is held against a known one: a seam that things move across is
    unsteady too.

    Args:
        frames: `(H, W, C)` each, C up to 4; uint8, or float in [0, 1].
        holes: bool `(H, W)` each.
        motions: from frame `t` to `t - 1` of the *true* clip, for `t` from 1 on.

    Source: Lai et al., Learning Blind Video Temporal Consistency, 2018, section 4.2, `E_warp`
    between consecutive frames.
    """
    pairs = pairwise(zip(frames, holes, strict=True))
    for ((before, hole_before), (after, hole)), way in zip(pairs, motions, strict=True):
        there, here = _light(before), _light(after)
        difference = np.square(here - warped(there, way.flow)).mean(axis=2, dtype=np.float64)
        filled = hole | (warped(hole_before.astype(np.float32), way.flow) > 0)
        yield WarpingError(_mean(difference, way.visible), _mean(difference, way.visible & filled))


def _light(frame: np.ndarray) -> np.ndarray:
    """float32 with 1 as white."""
    return frame.astype(np.float32) / np.float32(255 if frame.dtype == np.uint8 else 1)


def _mean(values: np.ndarray, where: np.ndarray) -> float:
    return float(values[where].mean()) if where.any() else float("nan")
