"""Something to paint on, for the project's own clip.

Lengths are in heights of the frame, x to the right, y downward; colours are RGB from 0 to 255.
Everything is painted larger than it is shown, so that averaging it down smooths every edge.
"""

from __future__ import annotations

import cv2
import numpy as np

Colour = tuple[int, int, int]

WHITE, CREAM, INK, SLATE = (247, 243, 234), (238, 224, 190), (38, 36, 44), (74, 82, 98)


class Canvas:
    """A picture to paint on, transparent at first.

    Args:
        width: in units.
        height: in units.
        scale: pixels a unit.
    """

    def __init__(self, width: float, height: float, scale: int) -> None:
        self.scale = scale
        self.pixels = np.zeros((round(height * scale), round(width * scale), 4), np.uint8)

    def part(self, x: float, y: float, width: float, height: float) -> np.ndarray:
        """Return a rectangle of the pixels, to be changed in place."""
        left, right = self._along(x), self._along(x + width)
        top, bottom = self._along(y), self._along(y + height)
        return self.pixels[top:bottom, left:right]

    def box(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        self.part(x, y, width, height)[:] = (*colour, 255)

    def shade(
        self, x: float, y: float, width: float, height: float, light: float | np.ndarray
    ) -> None:
        """Multiply a rectangle's colours by `light`: a number, or one for each row or pixel."""
        part = self.part(x, y, width, height)
        part[..., :3] = (part[..., :3] * light).clip(0, 255)

    def shape(self, points: list[tuple[float, float]], colour: Colour) -> None:
        corners = np.array([[self._fixed(x), self._fixed(y)] for x, y in points], np.int32)
        cv2.fillPoly(self.pixels, [corners], (*colour, 255), shift=4)

    def oval(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        centre, radii = (self._fixed(x), self._fixed(y)), (self._fixed(rx), self._fixed(ry))
        cv2.ellipse(self.pixels, centre, radii, 0, 0, 360, (*colour, 255), -1, shift=4)

    def _along(self, length: float) -> int:
        return max(0, round(length * self.scale))

    def _fixed(self, length: float) -> int:
        return round(length * self.scale * 16)
