"""Masks: where the hole is, frame by frame, from whatever a user painted it in."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

import cv2
import numpy as np

from storage.images import ImageSequence
from storage.media import open_source
from storage.pictures import LOSSY
from storage.sources import Frame, InputError, Source, SourceInfo, frame_range, number_shift

ALPHA = "alpha"  # the mask's name when it is the plate's own alpha


def open_mask(
    spec: str,
    source: Source,
    *,
    threshold: float | None = None,
    invert: bool = False,
    grow_px: int = 0,
    few: bool = False,
) -> Mask:
    """Open the mask of a source.

    Args:
        spec: what `open_source` takes; one image file serves every frame; `alpha` is the source's
            own alpha, the hole being where it is low.
        source: the frames the mask belongs to.
        threshold: fraction of full scale above which a value is hole. Where not given: 0 for
            lossless images, 0.5 for movies and JPEG, which ring, and for alpha.
        invert: the hole is where the value is at most the threshold.
        grow_px: the hole grows by this many pixels on every side (a square of 2·grow_px + 1).
        few: masks are given for some frames only, and found by frame number. One image file is that
            of the frame whose number its name ends in, else of the first frame. Numbers may be
            missing from a sequence.

    Raises:
        InputError: the mask cannot be read, the source has no alpha, or a setting is impossible.
    """
    if threshold is not None and not 0 <= threshold < 1:
        raise InputError(f"mask threshold {threshold} is not a fraction from 0 up to 1")
    if grow_px < 0:
        raise InputError(f"mask grow {grow_px} is negative: pixels to grow by, 0 for none")
    if spec == ALPHA:
        if source.info.channels not in (2, 4):
            raise InputError(f"{source.info.path} has no alpha to take the mask from")
        if few:
            raise InputError(
                f"{source.info.path}: its alpha is a mask of every frame, not of a few"
            )
        level = 0.5 if threshold is None else threshold
        return Mask(source, source, None, level, invert, grow_px)
    painted = open_source(spec, gaps=few)
    single = isinstance(painted, ImageSequence) and os.path.isfile(spec)
    still = next(painted.frames()) if single else None
    level = _default_threshold(painted.info) if threshold is None else threshold
    return Mask(source, painted, still, level, invert, grow_px, few)


class Mask:
    """The hole of every frame of a source; made by `open_mask`.

    Args:
        source: the frames.
        painted: what the mask is read from; the source itself when it is the alpha.
        still: the one image that serves every frame, or a single one of a few; or None.
        threshold, invert, grow_px, few: see `open_mask`.
    """

    def __init__(
        self,
        source: Source,
        painted: Source,
        still: Frame | None,
        threshold: float,
        invert: bool,
        grow_px: int,
        few: bool = False,
    ) -> None:
        self._source = source
        self._painted = painted
        self._still = still
        self._threshold = threshold
        self._invert = invert
        self._grow_px = grow_px
        self.few = few

    @property
    def painted(self) -> Source:
        """What the mask is read from; the source itself when it is the alpha."""
        return self._painted

    def frames(
        self, first: int | None = None, last: int | None = None
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (frame number of the source, hole `(H, W)` bool) for its frames `first` to `last`.

        Of a few masks, the frames without one have an empty hole.

        Raises:
            InputError: count or size do not fit the source, a mask cannot be read, or a few masks
                are all empty.
        """
        first, last = self._wanted(first, last)
        if self.few:
            yield from self._holes_of_few(first, last)
            return
        shift = self._shift(first, last)
        if self._still is not None:
            hole = self._hole(self._still)
            for number in range(first, last + 1):
                yield number, hole.copy()
            return
        for frame in self._painted.frames(first + shift, last + shift):
            yield frame.number - shift, self._hole(frame)

    def given(self, first: int | None = None, last: int | None = None) -> list[int]:
        """Return the numbers of the frames, `first` to `last`, that have a mask of their own.

        Raises:
            InputError: none of a few masks has the number of a frame.
        """
        first, last = self._wanted(first, last)
        if not self.few:
            return list(range(first, last + 1))
        if self._still is not None:
            return [self._still.number if first <= self._still.number <= last else first]
        painted, begin = self._painted, self._painted.info.first_number
        known = painted.files if isinstance(painted, ImageSequence) else range(painted.count())
        found = [number for number in known if first <= number <= last]
        if not found:
            raise InputError(
                f"{painted.info.path}: its masks have the numbers {begin} to {max(known)}, none of "
                f"them is a frame from {first} to {last}: number each mask as its frame"
            )
        return found

    def check(self, first: int | None = None, last: int | None = None) -> None:
        """Raise `InputError` where count or size do not fit the source; reads no frames."""
        self._shift(*self._wanted(first, last))
        self.given(first, last)
        info, wanted = self._painted.info, self._source.info
        if (info.width, info.height) != (wanted.width, wanted.height):
            raise self._wrong_size(info.first_number, info.width, info.height)

    def fingerprint(self) -> str:
        """Digest of the mask's files and settings, to see that nothing changed."""
        settings = f"{self._threshold}\0{self._invert}\0{self._grow_px}\0{self._still is None}"
        settings += "\0few" * self.few
        text = f"{self._painted.fingerprint()}\0{self._painted is self._source}\0{settings}"
        return hashlib.sha256(text.encode()).hexdigest()

    def _holes_of_few(self, first: int, last: int) -> Iterator[tuple[int, np.ndarray]]:
        given, info = self.given(first, last), self._source.info
        one = None if self._still is None else iter([self._still])
        painted = one or self._painted.frames(given[0], given[-1])
        remaining, all_empty = set(given), True
        for number in range(first, last + 1):
            hole = np.zeros((info.height, info.width), bool)
            if number in remaining:
                remaining.remove(number)
                hole = self._hole(next(painted))
                all_empty = all_empty and not hole.any()
                if all_empty and not remaining:
                    raise InputError(f"{self._painted.info.path}: no hole in any mask; paint one")
            yield number, hole

    def _wanted(self, first: int | None, last: int | None) -> tuple[int, int]:
        info = self._source.info
        return frame_range(info.path, info.first_number, self._source.count(), first, last)

    def _shift(self, first: int, last: int) -> int:
        """What is added to a frame's number to get its mask's: 0 where the numbers agree."""
        if self.few or self._still is not None or self._painted is self._source:
            return 0
        remedy = "give a mask per frame, or one image"
        return number_shift(self._source, self._painted, first, last, what="masks", remedy=remedy)

    def _hole(self, frame: Frame) -> np.ndarray:
        height, width = frame.pixels.shape[:2]
        if (height, width) != (self._source.info.height, self._source.info.width):
            raise self._wrong_size(frame.number, width, height)
        if self._painted is self._source:
            hole = _scaled(frame.pixels[..., -1]) < self._threshold
        else:
            hole = _scaled(_strength(frame.pixels)) > self._threshold
        return _grown(hole != self._invert, self._grow_px)

    def _wrong_size(self, number: int, width: int, height: int) -> InputError:
        painted, info = self._painted, self._source.info
        files = painted.files if isinstance(painted, ImageSequence) else {}
        name = files.get(number, f"{painted.info.path}, frame {number}")
        return InputError(
            f"{name}: the mask is {width}×{height}, the frames of {info.path} are "
            f"{info.width}×{info.height}: make them the same size"
        )


def _default_threshold(info: SourceInfo) -> float:
    return 0.5 if info.kind == "movie" or info.pixel_format in LOSSY else 0.0


def _strength(pixels: np.ndarray) -> np.ndarray:
    """The strongest colour channel; the alpha where the shape is painted in it alone.

    Then a frame without a shape is transparent everywhere, whatever its colour. One that is opaque
    everywhere says nothing: many masks painted in colour carry such an alpha.
    """
    if pixels.shape[-1] in (1, 3):
        return pixels.max(axis=-1)
    colour, alpha = pixels[..., :-1].max(axis=-1), pixels[..., -1]
    in_alpha = colour.min() == colour.max() and (alpha.min() != alpha.max() or not alpha.any())
    return alpha if in_alpha else colour


def _scaled(values: np.ndarray) -> np.ndarray:
    """Values as fractions of full scale, float32; floats are fractions already."""
    full = np.iinfo(values.dtype).max if values.dtype.kind == "u" else 1
    return values.astype(np.float32) / np.float32(full)


def _grown(hole: np.ndarray, grow_px: int) -> np.ndarray:
    if grow_px == 0:
        return hole
    box = np.ones((2 * grow_px + 1, 2 * grow_px + 1), np.uint8)
    return cv2.dilate(hole.astype(np.uint8), box).astype(bool)
