"""Small data sets on disk, laid out as those of the field, and an evaluation of a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from storage.stills import write_image

TINY = {
    "size": "48x32",
    "runner": "serial",
    "base": {
        "capacity": "small",
        "precision": "off",
        "fit": {"steps": 2, "batch": 1, "validate_every": 1, "report_every": 1},
        "resources": {"cpus": 1},
    },
    "rows": {"ours": {"recipe": "fast"}},
}
"""Values of an `EvaluateConfig`."""


def footage(seed: int, count: int, height: int = 64, width: int = 96) -> np.ndarray:
    """Return smooth pictures `(T, H, W, 3)` uint8 that move to the right by two pixels a frame."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (height // 8, width // 8 + count, 3))
    wide = coarse.repeat(8, axis=0).repeat(8, axis=1).astype(np.uint8)
    return np.stack([wide[:, 2 * (count - t) : 2 * (count - t) + width] for t in range(count)])


def objects(seed: int, count: int, height: int = 64, width: int = 96) -> np.ndarray:
    """Return a square `(T, H, W)` bool, lower for each seed, that moves down a pixel a frame."""
    hole = np.zeros((count, height, width), bool)
    for t in range(count):
        top = 8 + 4 * seed + t
        hole[t, top : top + 16, 40:60] = True
    return hole


def write_sequence(frames: Path, masks: Path, seed: int, count: int) -> None:
    """Write frames and masks numbered from 0, as DAVIS does; masks in a colour of a palette."""
    for folder in (frames, masks):
        folder.mkdir(parents=True)
    for t, (picture, hole) in enumerate(
        zip(footage(seed, count), objects(seed, count), strict=True)
    ):
        write_image(frames / f"{t:05d}.jpg", picture)
        painted = hole[..., None] * np.array([128, 0, 0], np.uint8)
        write_image(masks / f"{t:05d}.png", painted)


def davis(root: Path, counts: dict[str, int], inner: str = "480p") -> Path:
    """Write sequences of so many frames as `JPEGImages/480p` and `Annotations/480p`."""
    for seed, (name, count) in enumerate(counts.items()):
        places = [root / part / inner / name for part in ("JPEGImages", "Annotations")]
        write_sequence(places[0], places[1], seed, count)
    return root


def pairs_of_folders(root: Path, counts: dict[str, int], prefix: str = "") -> Path:
    """Write sequences of so many frames as `<prefix><name>/frames` and `masks`."""
    for seed, (name, count) in enumerate(counts.items()):
        place = root / f"{prefix}{name}"
        write_sequence(place / "frames", place / "masks", seed, count)
    return root
