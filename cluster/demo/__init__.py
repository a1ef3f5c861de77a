"""The project's own clip: a street in pan, a bus in front of it, and the street without the bus.

It is painted, so the truth behind the bus is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cluster.demo.bus import BUS_HEIGHT, BUS_LENGTH, paint_bus
from cluster.demo.street import paint_sky, paint_street
from storage.stills import write_image

FIRST_NUMBER = 1001
GROW_PX = 2  # by which the mask is larger than the bus
GRAIN = 0.8  # deviation in levels of 255
ROAD = 0.965  # where the wheels stand, in heights of the frame
PAN = 0.5  # how far the camera goes, in heights of the frame; the sky goes a quarter of it
BUS_FROM, BUS_TO = 0.08, 0.8  # where in the frame the bus is, as a share of the room it has
PAINTED_PX = 720  # least height that the scene is painted in


@dataclass(frozen=True)
class DemoClip:
    """Where the clip lies: numbered PNG files in three folders, of the same numbers.

    Attributes:
        frames: with the bus.
        masks: white where the bus is, grown a little.
        truth: without the bus; equal to the frames outside the masks.
    """

    frames: Path
    masks: Path
    truth: Path


@dataclass(frozen=True)
class Layers:
    """What a frame is put together from, painted larger than it is shown; all float32.

    Attributes:
        sky: `(H, W, 3)`, 0 to 255.
        street: `(H, W, 4)`, colours times opacity, and opacity 0 to 1: 0 where the sky shows.
        bus: `(h, w, 4)`, the same.
        size: width and height of a frame, in pixels.
        scale: height of a frame in painted pixels.
    """

    sky: np.ndarray
    street: np.ndarray
    bus: np.ndarray
    size: tuple[int, int]
    scale: int


def write_demo(
    folder: str | Path, *, frames: int = 48, size: tuple[int, int] = (320, 180), seed: int = 0
) -> DemoClip:
    """Write the clip as PNG files; the same arguments give the same files.

    Args:
        folder: gets the folders `frames`, `masks` and `truth`.
        frames: how many; their numbers begin at 1001.
        size: width and height, in pixels.
        seed: of the houses, the clouds and the grain.

    Raises:
        ValueError: no frame is asked for, or one narrower than the bus.
    """
    width, height = size
    if frames < 1 or height < 16 or 2 * width < height:
        raise ValueError(
            f"a frame or more, 16 pixels high or more and at least half as wide as high, "
            f"not {frames} of {width}×{height}"
        )
    root = Path(folder)
    clip = DemoClip(root / "frames", root / "masks", root / "truth")
    for place in (clip.frames, clip.masks, clip.truth):
        place.mkdir(parents=True, exist_ok=True)
    for number, (shown, mask, truth) in enumerate(draw(frames, size, seed), FIRST_NUMBER):
        write_image(clip.frames / f"{number}.png", shown)
        write_image(
            clip.masks / f"{number}.png", np.where(mask, 255, 0)[..., None].astype(np.uint8)
        )
        write_image(clip.truth / f"{number}.png", truth)
    return clip


def draw(
    frames: int, size: tuple[int, int], seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield the frame `(H, W, 3)` uint8, its mask `(H, W)` bool, and the truth like the frame."""
    layers, random = paint(size, seed), np.random.default_rng(seed)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * GROW_PX + 1, 2 * GROW_PX + 1))
    for time in np.linspace(0, 1, frames) if frames > 1 else [0.5]:
        scene = _scene(layers, time)
        scene += random.normal(0, GRAIN, (*scene.shape[:2], 1)).astype(np.float32)
        colour, opacity = _bus(layers, time)
        truth = _levels(scene)
        shown = np.where(opacity > 0, _levels(scene * (1 - opacity) + colour), truth)
        mask = cv2.dilate((opacity > 0).astype(np.uint8), kernel) > 0
        yield shown, mask, truth


def paint(size: tuple[int, int], seed: int) -> Layers:
    """Paint the layers for frames of this size (width, height)."""
    width, height = size
    scale = height * max(2, -(-PAINTED_PX // height))
    random = np.random.default_rng(seed)
    sky = paint_sky(width / height + PAN / 4 + 0.01, scale, random)
    street = paint_street(width / height + PAN + 0.01, scale, random)
    return Layers(sky, _weighted(street), _weighted(paint_bus(scale)), size, scale)


def _scene(layers: Layers, time: float) -> np.ndarray:
    """The view without the bus, `(H, W, 3)` float32, 0 to 255."""
    street = _view(layers, layers.street, PAN * time)
    sky = _view(layers, layers.sky, PAN / 4 * time)
    return sky * (1 - street[..., 3:]) + street[..., :3]


def _bus(layers: Layers, time: float) -> tuple[np.ndarray, np.ndarray]:
    """The bus alone: its colour times its opacity `(H, W, 3)`, and its opacity `(H, W, 1)`."""
    width, height = layers.size
    room = width / height - BUS_LENGTH
    x = room * (BUS_FROM + (BUS_TO - BUS_FROM) * time)
    left, top = round(x * layers.scale), round((ROAD - BUS_HEIGHT) * layers.scale)
    sheet = np.zeros((layers.scale, layers.scale * width // height, 4), np.float32)
    sheet[top : top + layers.bus.shape[0], left : left + layers.bus.shape[1]] = layers.bus
    seen = _view(layers, sheet, 0.0)
    return seen[..., :3], np.where(seen[..., 3:] < 1 / 255, 0, seen[..., 3:])


def _view(layers: Layers, layer: np.ndarray, x: float) -> np.ndarray:
    """The part of a layer that a frame beginning at `x` shows, averaged down."""
    width, height = layers.size
    left = round(x * layers.scale)
    part = layer[:, left : left + layers.scale * width // height]
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)


def _weighted(picture: np.ndarray) -> np.ndarray:
    """Turn RGBA uint8 into what may be averaged: colours times opacity, and opacity up to 1."""
    opacity = picture[..., 3:].astype(np.float32) / 255
    return np.concatenate([picture[..., :3] * opacity, opacity], axis=-1)


def _levels(picture: np.ndarray) -> np.ndarray:
    return picture.round().clip(0, 255).astype(np.uint8)
