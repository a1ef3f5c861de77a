"""A shot's frames at a working size, read as they are asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inpaint.clip import Clip, picture, touched
from inpaint.tone import Tone
from inpaint.windows import Window
from storage import Version


@dataclass(frozen=True)
class ShotFrames:
    """Whole frames, scaled down; nothing is held.

    Attributes:
        version: whose hole is filled.
        size: working height and width.
    """

    version: Version
    tone: Tone
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.version.shot)

    def __getitem__(self, t: int) -> Clip:
        """Return a frame as a clip of length 1."""
        pixels, hole = np.asarray(self.version.shot.frames[t]), np.asarray(self.version.hole[t])
        return picture(pixels, hole, self.size, self.tone)

    def missing(self, t: int) -> np.ndarray:
        return touched(np.asarray(self.version.hole[t]), self.size)

    def unknown_px(self) -> list[int]:
        """Count the unknown pixels of each frame; floats, which may be none, are read for it."""
        read = self.tone.dtype.startswith("float")
        unknown = (self[t].unknown if read else self.missing(t) for t in range(len(self)))
        return [int(np.count_nonzero(each)) for each in unknown]

    def window(self, t: int, window: Window) -> Clip:
        return self[t].window(0, window)
