"""Small pictures of a shot and its result for the report: frames, hole outlines, x–t slices, masks.

`pictures` makes each of them; here it is chosen what is shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import zarr

from cluster.lineage import Lineage
from cluster.pictures import Display, Preview, display_of, preview
from cluster.spread import spread
from storage import Shot, Version
from storage.mask_versions import MaskVersion

FRAMES = 5
"""Frames of a shot that are shown."""

MASKS = 8
"""Masks to review that are shown evenly spread, beside those that stand out."""

MASK_PX = 300
"""Longest side of a mask to review."""

SLICE_ROWS = 240
"""Most moments of an x–t slice; a longer shot is sampled evenly."""

SLICE_HEIGHT_PX = 160


@dataclass(frozen=True)
class Review:
    """Masks made from a few, to be looked at before they are believed.

    Attributes:
        frames: some with their masks as outlines, in order of time: those given, the largest and
            the smallest among them.
        numbers: the frames' own numbers, `(T,)`.
        shares: part of each frame that is masked, `(T,)` in 0 to 1; NaN where no mask is made yet.
        given: indices of the frames that a mask was given for.
    """

    name: str
    frames: list[Preview]
    numbers: np.ndarray
    shares: np.ndarray
    given: list[int]

    @property
    def complete(self) -> bool:
        return bool(np.isfinite(self.shares).all())

    @property
    def given_numbers(self) -> list[int]:
        return [int(self.numbers[t]) for t in self.given]

    @property
    def empty_numbers(self) -> list[int]:
        """Frames whose mask was made and holds nothing."""
        return [int(number) for number in self.numbers[self.shares == 0]]


@dataclass(frozen=True)
class Previews:
    """What the report shows of one shot.

    Attributes:
        frames: in order of time; empty where the shot has none.
        first: index of the one to show first, that with the largest hole.
        slice: one row of the picture over time, downwards; None without a hole.
        review: the masks that were made, None where every frame has its own.
    """

    frames: list[Preview]
    first: int = 0
    slice: Preview | None = None
    review: Review | None = None

    @property
    def pictures(self) -> list[bytes]:
        """All of them."""
        shown = [*self.frames, *([self.slice] if self.slice else [])]
        shown += self.review.frames if self.review else []
        return [picture for preview in shown for picture in preview.pictures]


def previews(found: Lineage) -> Previews:
    """Make the pictures of a shot that is wholly stored, and of what was made of it.

    What is not filled yet has no `after`, nor has a shot without a hole.
    """
    shot, version = found.shot, found.shown
    hole = shot.hole if found.hole is None else found.hole
    missing = _missing(hole)
    if not missing.any():
        version = None
    chosen = _chosen_frames(missing.sum(axis=1))
    display = display_of(np.asarray(shot.frames[chosen[0]]))
    done = np.zeros(len(shot), bool) if version is None else version.done
    frames = [_frame(shot, hole, version if done[t] else None, t, display) for t in sorted(chosen)]
    filled = version if done.all() else None
    return Previews(
        frames=frames,
        first=sorted(chosen).index(chosen[0]),
        slice=_slice(shot, hole, filled, missing, display),
        review=None if found.masks is None else _review(shot, found.masks, display),
    )


def _missing(hole: zarr.Array) -> np.ndarray:
    """Count the missing pixels of each row of each frame, `(T, H)`."""
    return np.stack([np.count_nonzero(hole[t], axis=1) for t in range(hole.shape[0])])


def _chosen_frames(areas: np.ndarray) -> list[int]:
    """Return the frame with the largest hole, then some with a hole, spread over the shot."""
    largest = int(areas.argmax())
    candidates = np.flatnonzero(areas) if areas.any() else np.arange(len(areas))
    others = [int(candidates[i]) for i in spread(len(candidates), FRAMES)]
    nearest = min(others, key=lambda t: abs(t - largest))
    return [largest, *(t for t in others if t != nearest)]


def _frame(
    shot: Shot, hole: zarr.Array, version: Version | None, t: int, display: Display
) -> Preview:
    after = None if version is None else version.result(t)
    number = int(shot.numbers[t])
    return preview(np.asarray(shot.frames[t]), after, np.asarray(hole[t]), display, number)


def _slice(
    shot: Shot, hole: zarr.Array, version: Version | None, missing: np.ndarray, display: Display
) -> Preview | None:
    """Follow the row where most is missing; None without a hole or with a single frame."""
    if len(shot) < 2 or not missing.any():
        return None
    times, row = spread(len(shot), SLICE_ROWS), int(missing.sum(axis=0).argmax())
    repeats = -(-SLICE_HEIGHT_PX // len(times))  # so that a short shot's slice can be seen
    before, inside = _row(shot.frames, times, row), _row(hole, times, row)

    def drawn(other: zarr.Array | None) -> np.ndarray | None:
        if other is None:
            return None
        return np.where(inside[..., None], _row(other, times, row), before).repeat(repeats, axis=0)

    return preview(
        before.repeat(repeats, axis=0),
        drawn(None if version is None else version.filled),
        inside.repeat(repeats, axis=0),
        display,
        row,
        truth=drawn(shot.truth),
    )


def _row(array: zarr.Array, times: list[int], row: int) -> np.ndarray:
    return np.stack([np.asarray(array[t, row]) for t in times])


def _review(shot: Shot, masks: MaskVersion, display: Display) -> Review | None:
    """Show the masks made so far, None before the first."""
    done = np.flatnonzero(masks.done)
    if not done.size:
        return None
    shares = np.full(len(shot), np.nan)
    shares[done] = [np.asarray(masks.hole[int(t)]).mean() for t in done]
    given = shot.given or []
    marked = [given[i] for i in spread(len(given), MASKS)]
    outliers = [int(np.nanargmin(shares)), int(np.nanargmax(shares))]
    even = [int(done[i]) for i in spread(len(done), MASKS)]
    chosen = sorted(t for t in {*marked, *outliers, *even} if masks.done[t])
    return Review(
        name=masks.name,
        frames=[_mask(shot, masks, t, display) for t in chosen],
        numbers=shot.numbers,
        shares=shares,
        given=given,
    )


def _mask(shot: Shot, masks: MaskVersion, t: int, display: Display) -> Preview:
    frame, hole = np.asarray(shot.frames[t]), np.asarray(masks.hole[t])
    return preview(frame, None, hole, display, int(shot.numbers[t]), longest_px=MASK_PX)
