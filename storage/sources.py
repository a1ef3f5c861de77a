"""What a source of frames is: a movie or a numbered image sequence, and what is kept of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, Protocol

import numpy as np

log = logging.getLogger(__name__)


class InputError(ValueError):
    """The user's input cannot be used. Its text is one line: what, where, what to do."""


@dataclass(frozen=True)
class Frame:
    """One picture as a viewer shows it (rotation applied).

    Attributes:
        number: the frame's own number: from the file name, or counted from 0 in a movie.
        pts: presentation time in units of the source's `time_base`; None in a sequence.
        pixels: `(H, W, C)`, full range of the dtype, C = 1 grey, 2 grey+alpha, 3 RGB, 4 RGBA.
    """

    number: int
    pts: int | None
    pixels: np.ndarray


@dataclass(frozen=True)
class SourceInfo:
    """What must be known of a source to give it back as it came.

    Attributes:
        kind: movie file or numbered image sequence.
        path: where it was read from (absolute path or URL).
        height, width: of the displayed picture, in pixels.
        channels: 1 to 4, see `Frame.pixels`.
        dtype: `uint8`, `uint16`, `float16` or `float32`.
        bit_depth: significant bits of a sample: 8, 10, 12, 16, 32.
        first_number: number of the source's first frame.
        count: number of frames where the container or the folder says it, None where it does not.
        fps: frames per second as an exact fraction; None in a sequence that states none.
        time_base: unit of `Frame.pts` in seconds; None in a sequence.
        rotation: degrees counter-clockwise by which a viewer turns the coded picture: 0, 90, 180
            or 270.
        stream: index of the video stream in the movie.
        pixel_format: the movie's own, e.g. `yuv420p10le`; the suffix of a sequence, e.g. `png`.
        colour: range, matrix, primaries, transfer of a movie; colour space of a sequence.
        channel_names: as the file names them, e.g. `("R", "G", "B")`.
        timecode: start time code, if the source has one.
        audio: whether the movie carries audio.
    """

    kind: Literal["movie", "sequence"]
    path: str
    height: int
    width: int
    channels: int
    dtype: str
    bit_depth: int
    first_number: int = 0
    count: int | None = None
    fps: Fraction | None = None
    time_base: Fraction | None = None
    rotation: int = 0
    stream: int = 0
    pixel_format: str = ""
    colour: dict[str, str] = field(default_factory=dict)
    channel_names: tuple[str, ...] = ("R", "G", "B")
    timecode: str | None = None
    audio: bool = False

    @property
    def colours(self) -> int:
        """How many channels, the first ones, are colours; what follows is alpha."""
        return 1 if self.channels < 3 else 3


@dataclass(frozen=True)
class Patch:
    """New pixels for the hole of one frame.

    Attributes:
        pixels: `(H, W, C)` as in `Frame.pixels`; only those inside the hole are used.
        hole: `(H, W)` bool, True where pixels are replaced.
    """

    pixels: np.ndarray
    hole: np.ndarray


class Source(Protocol):
    """A movie or a sequence, opened. Reading streams: one frame in memory at a time."""

    info: SourceInfo

    def frames(self, first: int | None = None, last: int | None = None) -> Iterator[Frame]:
        """Yield the frames numbered `first` to `last`, both included, in display order."""
        ...

    def count(self) -> int:
        """Number of frames, exactly; a movie that does not state it is walked through once."""
        ...

    def fingerprint(self) -> str:
        """Digest of names, sizes and modification times: cheap, to see that nothing changed."""
        ...

    def sha256(self) -> str:
        """Digest of the content; reads every byte."""
        ...


def frame_range(
    source: str, first_number: int, count: int, first: int | None, last: int | None
) -> tuple[int, int]:
    """The numbers of the first and last frame wanted; `InputError` if the source lacks them."""
    end = first_number + count - 1
    wanted = (first_number if first is None else first, end if last is None else last)
    if not first_number <= wanted[0] <= wanted[1] <= end:
        raise InputError(
            f"{source} has frames {first_number} to {end}, "
            f"frames {wanted[0]} to {wanted[1]} were asked for: choose a range inside"
        )
    return wanted


def number_shift(
    source: Source, other: Source, first: int, last: int, *, what: str, remedy: str
) -> int:
    """What is added to a frame's number to get that of its mask or true frame.

    0 where every number is there, else in order where the counts agree. The whole source decides,
    so that a range changes no pair; only where the other does not fit the whole, the range does.

    Args:
        first, last: the numbers of the frames wanted.
        what, remedy: the words for the others, and for what to do where they do not fit.

    Raises:
        InputError: neither numbers nor counts agree.
    """
    begin, count = other.info.first_number, other.count()
    start, size = source.info.first_number, source.count()
    for low, high in ((start, start + size - 1), (first, last)):
        if begin <= low and high < begin + count:
            return 0
        if count == high - low + 1:
            log.info("%s: number %d belongs to frame %d", other.info.path, begin, low)
            return begin - low
    raise InputError(
        f"{other.info.path} has {count} {what} ({begin} to {begin + count - 1}), "
        f"{last - first + 1} frames are wanted ({first} to {last}): {remedy}"
    )
