"""What a shot is made of: source, mask, truth and range; and whether it is still the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from storage.attributes import info_to_json
from storage.boundary import CELL_PX
from storage.masks import Mask
from storage.shots import Shot
from storage.sources import InputError, Source, SourceInfo, frame_range, number_shift


@dataclass(frozen=True)
class Origin:
    """What a shot shall be made of."""

    source: Source
    mask: Mask | None
    truth: Source | None
    first: int | None
    last: int | None

    def settings(self) -> dict[str, Any]:
        """Return what is stored to see later whether anything changed."""
        return {
            "range": [self.first, self.last],
            "mask": None if self.mask is None else self.mask.fingerprint(),
            "truth": None if self.truth is None else self.truth.fingerprint(),
        }

    def began(self, shot: Shot) -> bool:
        """Return whether the unfinished shot was begun from exactly this, and in the same cells."""
        stored = shot.attrs
        same_source = stored.get("fingerprint") == self.source.fingerprint()
        same_cells = stored.get("cell_px") == CELL_PX
        return same_source and same_cells and stored.get("settings") == self.settings()

    def given(self) -> list[int] | None:
        """Return the indices of the frames that have a mask, None where all of them have."""
        if self.mask is None or not self.mask.few:
            return None
        begin, end = self._ends()
        numbers = self.mask.given(begin, end)
        return None if len(numbers) == end - begin + 1 else [n - begin for n in numbers]

    def holes(self, skip: int) -> Iterator[np.ndarray | None]:
        if self.mask is None:
            return iter(lambda: None, 0)  # None for ever
        return (hole for _, hole in islice(self.mask.frames(self.first, self.last), skip, None))

    def truths(self, skip: int) -> Iterator[np.ndarray | None]:
        if self.truth is None:
            return iter(lambda: None, 0)
        (first, last), shift = self._ends(), self._truth_shift(self.truth)
        frames = islice(self.truth.frames(first + shift, last + shift), skip, None)
        channels = self.source.info.channels
        return (np.broadcast_to(f.pixels, (*f.pixels.shape[:2], channels)) for f in frames)

    def check(self) -> None:
        """Refuse at once what can be seen to be wrong without reading every frame."""
        _check_range(self.source.info, self.first, self.last)
        if self.truth is not None:
            _check_truth(self.source.info, self.truth.info)
            self._truth_shift(self.truth)
        if self.mask is not None:
            self.mask.check(self.first, self.last)

    def expected_count(self) -> int:
        """Return the number of frames to come, 0 where it is not known."""
        info, first, last = self.source.info, self.first, self.last
        begin = info.first_number if first is None else first
        if last is not None:
            return last - begin + 1
        return 0 if info.count is None else info.first_number + info.count - begin

    def check_unchanged(self, shot: Shot) -> None:
        """Refuse to take a finished shot for one of another source, mask, range or truth."""
        stored, settings = shot.attrs, self.settings()
        path = self.source.info.path
        fresh = self.source.fingerprint()
        if stored["fingerprint"] != fresh and stored["sha256"] != self.source.sha256():
            raise InputError(f"{path}: its content changed since {_stored_as(shot)}")
        old = stored["settings"]
        if old["range"] != settings["range"]:
            raise InputError(f"{path}: another range than {_stored_as(shot)}")
        if old["mask"] != settings["mask"] and not self._same_masks(shot):
            raise InputError(
                f"{path}: its mask or the mask's settings changed since {_stored_as(shot)}"
            )
        if old["truth"] != settings["truth"]:
            digest = None if self.truth is None else self.truth.sha256()
            if stored["truth_sha256"] != digest:
                raise InputError(f"{path}: its truth changed since {_stored_as(shot)}")
        if (stored["fingerprint"], old) != (fresh, settings) and shot.mode == "a":
            source = info_to_json(self.source.info)  # the same content, moved or touched
            shot.update(source=source, fingerprint=fresh, settings=settings)

    def _ends(self) -> tuple[int, int]:
        """The numbers of the first and the last frame."""
        info, count = self.source.info, self.source.count()
        return frame_range(info.path, info.first_number, count, self.first, self.last)

    def _truth_shift(self, truth: Source) -> int:
        """What is added to a frame's number to get that of its true frame."""
        remedy = "give one per frame"
        return number_shift(self.source, truth, *self._ends(), what="true frames", remedy=remedy)

    def _same_masks(self, shot: Shot) -> bool:
        if self.given() != shot.given:
            return False
        for t, hole in zip(range(len(shot)), self.holes(0), strict=False):
            found = np.asarray(shot.hole[t])
            if hole is None and found.any():
                return False
            if hole is not None and not np.array_equal(hole, found):
                return False
        return True


def _check_range(info: SourceInfo, first: int | None, last: int | None) -> None:
    if first is not None and last is not None and first > last:
        raise InputError(f"range {first}-{last}: the first frame lies after the last")
    if first is not None and first < info.first_number:
        raise InputError(f"{info.path}: begins at frame {info.first_number}, not at {first}")
    if info.count is not None:
        end = info.first_number + info.count - 1
        for number in (first, last):
            if number is not None and number > end:
                raise InputError(f"{info.path}: ends at frame {end}; there is no frame {number}")


def _check_truth(info: SourceInfo, truth: SourceInfo) -> None:
    for what in ("width", "height", "channels", "dtype"):
        wanted, found = getattr(info, what), getattr(truth, what)
        if wanted != found and not (what == "channels" and found == 1):  # a grey truth is repeated
            raise InputError(f"{truth.path}: the truth's {what} is {found}, the frames' {wanted}")


def _stored_as(shot: Shot) -> str:
    return f"shot {shot.name!r} was ingested; choose another name, or remove that shot first"
