"""Numbered image sequences as frames, streaming.

A frame's number is the last group of digits in its file's name: `plate.1001.exr` is frame 1001.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import pairwise

from storage.in_order import in_order
from storage.pictures import Still, describe_image, read_image
from storage.sources import Frame, InputError, SourceInfo, frame_range

READERS = 3  # files decoded at once: the one asked for and two ahead


class ImageSequence:
    """Numbered image files.

    Args:
        files: file of each frame number.
        path: what the user named: folder, pattern or file; the first file where not given.
        fps: frames per second; where not given, what the first file states, if it does.
        gaps: whether numbers may be missing; there are no frames of these.

    Raises:
        InputError: a number is missing, or the first file cannot be used.
    """

    def __init__(
        self,
        files: Mapping[int, str],
        *,
        path: str | None = None,
        fps: Fraction | None = None,
        gaps: bool = False,
    ) -> None:
        self.files = {number: os.path.abspath(files[number]) for number in sorted(files)}
        numbers = list(self.files)
        for before, after in pairwise(numbers):
            if after != before + 1 and not gaps:
                raise InputError(
                    f"frame {before + 1} is missing after {self.files[before]}: "
                    "supply it, or name a part without gaps by a pattern"
                )
        first = self.files[numbers[0]]
        self._still = describe_image(first)
        self.info = _info(self._still, first, path or first, numbers, fps)

    def frames(self, first: int | None = None, last: int | None = None) -> Iterator[Frame]:
        """Yield the frames `first` to `last`; see `Source`. Reads two files ahead."""
        begin, span = self.info.first_number, max(self.files) - self.info.first_number + 1
        first, last = frame_range(self.info.path, begin, span, first, last)
        numbers = (number for number in self.files if first <= number <= last)
        return in_order(self._read, numbers, READERS, wait=False)

    def count(self) -> int:
        return len(self.files)

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for number, file in self.files.items():
            try:
                state = os.stat(file)
            except OSError as error:  # a link to nowhere, or taken away since
                reason = f"frame {number} cannot be read ({error.strerror}): supply it"
                raise InputError(f"{file}: {reason}") from None
            name = os.path.basename(file)
            digest.update(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
        return digest.hexdigest()

    def sha256(self) -> str:
        digest = hashlib.sha256()
        for number, file in self.files.items():
            with open(file, "rb") as opened:
                content = hashlib.file_digest(opened, "sha256").digest()
            digest.update(number.to_bytes(8, "little", signed=True) + content)
        return digest.hexdigest()

    def _read(self, number: int) -> Frame:
        still, pixels = read_image(self.files[number])
        if still.kind != self._still.kind:
            raise InputError(
                f"{self.files[number]}: frame {number} is {_words(still)}, "
                f"the first is {_words(self._still)}: make them alike"
            )
        return Frame(number, None, pixels)


def _words(still: Still) -> str:
    size, names = f"{still.width}×{still.height}", "/".join(still.names)
    return f"{size} {names} {still.dtype} of {still.bit_depth} bits"


def _info(
    still: Still, first_file: str, path: str, numbers: list[int], fps: Fraction | None
) -> SourceInfo:
    return SourceInfo(
        kind="sequence",
        path=path,
        height=still.height,
        width=still.width,
        channels=len(still.channels),
        dtype=still.dtype,
        bit_depth=still.bit_depth,
        first_number=numbers[0],
        count=len(numbers),
        fps=fps or still.fps,
        pixel_format=os.path.splitext(first_file)[1][1:].lower(),
        colour={"space": still.colour} if still.colour else {},
        channel_names=still.names,
        timecode=still.timecode,
    )
