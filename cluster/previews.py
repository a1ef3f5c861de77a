"""Small pictures of a shot and its result for the report: frames, hole outlines, x–t slices.

Pixels come as `(H, W, C)` of the source's dtype and leave as WebP.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from cluster.summary import spread
from storage import Shot, Version

LONGEST_PX = 720
"""Longest side of a picture in the report."""

FRAMES = 5
"""Frames of a shot that are shown."""

SLICE_ROWS = 240
"""Most moments of an x–t slice; a longer shot is sampled evenly."""

SLICE_HEIGHT_PX = 160
WEBP_QUALITY = 84
OUTLINE_LOOPS = 300
"""Most loops of an outline; of a mask of dust, the largest are drawn."""


@dataclass(frozen=True)
class Preview:
    """One picture before and after.

    Attributes:
        before, after: WebP; `after` is None where there is no result yet.
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


@dataclass(frozen=True)
class Previews:
    """What the report shows of one shot.

    Attributes:
        frames: in order of time; empty where the shot has none.
        first: index of the one to show first, that with the largest hole.
        slice: one row of the picture over time, downwards; None without a hole.
    """

    frames: list[Preview]
    first: int = 0
    slice: Preview | None = None


def previews(shot: Shot, version: Version | None) -> Previews:
    """Make the pictures of a shot that is wholly stored.

    What is not filled yet has no `after`, nor has a shot without a hole.
    """
    missing = _missing(shot)
    if not missing.any():
        version = None
    chosen = _chosen_frames(missing.sum(axis=1))
    display = display_of(np.asarray(shot.frames[chosen[0]]))
    done = np.zeros(len(shot), bool) if version is None else version.done
    pictures = [_frame(shot, version if done[t] else None, t, display) for t in sorted(chosen)]
    filled = version if done.all() else None
    return Previews(
        frames=pictures,
        first=sorted(chosen).index(chosen[0]),
        slice=_slice(shot, filled, missing, display),
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


def _missing(shot: Shot) -> np.ndarray:
    """Count the missing pixels of each row of each frame, `(T, H)`."""
    return np.stack([np.count_nonzero(shot.hole[t], axis=1) for t in range(len(shot))])


def _chosen_frames(areas: np.ndarray) -> list[int]:
    """Return the frame with the largest hole, then some with a hole, spread over the shot."""
    largest = int(areas.argmax())
    candidates = np.flatnonzero(areas) if areas.any() else np.arange(len(areas))
    others = [int(candidates[i]) for i in spread(len(candidates), FRAMES)]
    nearest = min(others, key=lambda t: abs(t - largest))
    return [largest, *(t for t in others if t != nearest)]


def _frame(shot: Shot, version: Version | None, t: int, display: Display) -> Preview:
    after = None if version is None else version.result(t)
    hole = np.asarray(shot.hole[t])
    return _preview(np.asarray(shot.frames[t]), after, hole, display, int(shot.numbers[t]))


def _slice(
    shot: Shot, version: Version | None, missing: np.ndarray, display: Display
) -> Preview | None:
    """Follow the row where most is missing; None without a hole or with a single frame."""
    if len(shot) < 2 or not missing.any():
        return None
    times, row = spread(len(shot), SLICE_ROWS), int(missing.sum(axis=0).argmax())
    repeats = -(-SLICE_HEIGHT_PX // len(times))  # so that a short shot's slice can be seen
    before = np.stack([np.asarray(shot.frames[t, row]) for t in times])
    hole = np.stack([np.asarray(shot.hole[t, row]) for t in times])
    after = None
    if version is not None:
        filled = np.stack([np.asarray(version.filled[t, row]) for t in times])
        after = np.where(hole[..., None], filled, before).repeat(repeats, axis=0)
    before, hole = before.repeat(repeats, axis=0), hole.repeat(repeats, axis=0)
    return _preview(before, after, hole, display, row)


def _preview(
    before: np.ndarray, after: np.ndarray | None, hole: np.ndarray, display: Display, number: int
) -> Preview:
    height, width = _fitted(*hole.shape)
    return Preview(
        before=_webp(display(_resized(_colours(before), height, width))),
        after=None if after is None else _webp(display(_resized(_colours(after), height, width))),
        outline=_outline(hole, height, width),
        width=width,
        height=height,
        number=number,
        hole_share=float(hole.mean()),
        centre=_centre(hole),
    )


def _centre(hole: np.ndarray) -> float:
    """Mean position of the hole's pixels across, in percent of the width; 50 without a hole."""
    columns = np.flatnonzero(hole) % hole.shape[1]
    return 100 * float(columns.mean() + 0.5) / hole.shape[1] if columns.size else 50.0


def _fitted(height: int, width: int) -> tuple[int, int]:
    """Return the size whose longest side is at most `LONGEST_PX`."""
    scale = min(1.0, LONGEST_PX / max(height, width))
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
