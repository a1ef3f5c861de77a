"""One picture of the report: pixels of any kind as WebP for a screen, and its hole as an outline.

Pixels come as `(H, W, C)` of the source's dtype.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

LONGEST_PX = 720
"""Longest side of a picture in the report."""

WEBP_QUALITY = 84
OUTLINE_LOOPS = 300
"""Most loops of an outline; of a mask of dust, the largest are drawn."""


@dataclass(frozen=True)
class Preview:
    """One picture before and after.

    Attributes:
        before, after: WebP; `after` is None where there is no result yet.
        truth: WebP of the true pixels, where they are known and asked for.
        outline: the hole's boundary as SVG path data in pixels of the picture.
        width, height: of both pictures, in pixels.
        number: the frame's own number; for an x–t slice, its row.
        hole_share: part of the picture that is missing, 0 to 1.
        centre: where the hole's centre lies, in percent of the width.
    """

    before: bytes
    after: bytes | None
    outline: str
    width: int
    height: int
    number: int
    hole_share: float
    centre: float
    truth: bytes | None = None

    @property
    def pictures(self) -> list[bytes]:
        """Those there are."""
        return [one for one in (self.before, self.after, self.truth) if one is not None]


def preview(
    before: np.ndarray,
    after: np.ndarray | None,
    hole: np.ndarray,
    display: Display,
    number: int,
    *,
    truth: np.ndarray | None = None,
    longest_px: int = LONGEST_PX,
) -> Preview:
    """Make the picture, its longest side at most `longest_px`.

    Args:
        before, after, truth: `(H, W, C)`, `after` None where there is no result yet.
        hole: `(H, W)` bool.
    """
    height, width = _fitted(hole.shape[0], hole.shape[1], longest_px)

    def shown(picture: np.ndarray) -> bytes:
        return _webp(display(_resized(_colours(picture), height, width)))

    return Preview(
        before=shown(before),
        after=None if after is None else shown(after),
        truth=None if truth is None else shown(truth),
        outline=_outline(hole, height, width),
        width=width,
        height=height,
        number=number,
        hole_share=float(hole.mean()),
        centre=_centre(hole),
    )


@dataclass(frozen=True)
class Display:
    """How a dtype's values become 8 bits of a screen, the same for every frame of a shot.

    Integers are shown as they are. Floats are taken for scene-linear light: highlights are rolled
    off, then the sRGB curve is applied.

    Attributes:
        white: the linear value shown as white.
    """

    white: float = 1.0

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Return uint8 of the same shape."""
        if pixels.dtype == np.uint8:
            return pixels
        if pixels.dtype == np.uint16:
            return np.rint(pixels / 257).astype(np.uint8)
        return np.rint(255 * _srgb(self._rolled_off(_light(pixels)))).astype(np.uint8)

    def _rolled_off(self, light: np.ndarray) -> np.ndarray:
        """Bring `white` to 1 (Reinhard et al., Photographic Tone Reproduction, 2002, eq. 4)."""
        light = np.minimum(light, self.white)
        if self.white <= 1:
            return light / self.white
        return light * (1 + light / self.white**2) / (1 + light)


def display_of(pixels: np.ndarray) -> Display:
    """Choose the display by a typical frame; light of 0 to 1 stays as it is."""
    if pixels.dtype.kind != "f":
        return Display()
    white = float(np.percentile(_light(_colours(pixels)), 99.8))
    return Display(white if white > 1 or 0 < white < 0.1 else 1.0)


def _centre(hole: np.ndarray) -> float:
    """Mean position of the hole's pixels across, in percent of the width; 50 without a hole."""
    columns = np.flatnonzero(hole) % hole.shape[1]
    return 100 * float(columns.mean() + 0.5) / hole.shape[1] if columns.size else 50.0


def _fitted(height: int, width: int, longest_px: int) -> tuple[int, int]:
    """Return the size whose longest side is at most `longest_px`."""
    scale = min(1.0, longest_px / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _colours(pixels: np.ndarray) -> np.ndarray:
    """Return `(H, W, 3)` of `(H, W, C)`: grey becomes three equal channels, alpha is left out."""
    colours = pixels[..., : 1 if pixels.shape[-1] < 3 else 3]
    return np.ascontiguousarray(np.broadcast_to(colours, (*colours.shape[:-1], 3)))


def _resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    if picture.dtype.kind == "f":
        picture = _light(picture)
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))


def _light(values: np.ndarray) -> np.ndarray:
    """Return float32 that can be averaged: no NaN, nothing below 0 or beyond any picture."""
    return np.nan_to_num(values.astype(np.float32)).clip(0, 1e9)


def _webp(picture: np.ndarray) -> bytes:
    blue_first = np.ascontiguousarray(picture[..., ::-1])
    _, data = cv2.imencode(".webp", blue_first, [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY])
    return bytes(data)


def _outline(hole: np.ndarray, height: int, width: int) -> str:
    """SVG path data along the hole's outer pixels, simplified to half a pixel of the picture."""
    share = _resized(hole.astype(np.uint8) * 255, height, width)
    inside = (share >= 96).astype(np.uint8)
    loops, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    loops = sorted(loops, key=len, reverse=True)[:OUTLINE_LOOPS]
    return "".join(_path(cv2.approxPolyDP(loop, 0.5, closed=True)) for loop in loops)


def _path(loop: np.ndarray) -> str:
    points = [f"{x + 0.5:g} {y + 0.5:g}" for x, y in loop.reshape(-1, 2)]
    return f"M{'L'.join(points)}Z"


def _srgb(light: np.ndarray) -> np.ndarray:
    """Apply the sRGB curve (IEC 61966-2-1) to values of 0 to 1."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
