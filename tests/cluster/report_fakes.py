"""A small archive with shots in every state, for the tests of status and report."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np

from storage import Archive, Shot, SourceInfo
from storage.blocks import Block, finish_shot, write_block

QUALITY = {"validation_psnr": 31.25, "validation_peer_psnr": 24.5}


def add_shot(
    archive: Archive,
    name: str,
    *,
    holes: bool = True,
    dtype: str = "uint8",
    channels: int = 3,
    frames: int = 6,
    size: tuple[int, int] = (36, 64),
    given: list[int] | None = None,
    truth: bool = False,
) -> Shot:
    """Store frames numbered from 1001 with a hole that moves, largest in the third.

    Args:
        given: the only frames that have it.
        truth: store white as the true pixels.
    """
    height, width = size
    info = SourceInfo(
        kind="sequence",
        path="/plates/clip",
        height=height,
        width=width,
        channels=channels,
        dtype=dtype,
        bit_depth=8,
        first_number=1001,
        fps=Fraction(24),
    )
    random = np.random.default_rng(3)
    pixels = random.random((frames, height, width, channels)) * (255 if dtype == "uint8" else 1)
    hole = np.zeros((frames, height, width), bool)
    for t in range(frames) if given is None else given:
        hole[t] = holes & hole_at(t, height, width)
    attrs = {"given": given}
    shot = archive.create_shot(name, info, "print", count=frames, truth=truth, attrs=attrs)
    numbers = np.arange(1001, 1001 + frames)
    pixels = pixels.astype(dtype)
    white = np.full_like(pixels, 255) if truth else None
    write_block(shot, Block(0, pixels, hole, numbers, numbers, white))
    finish_shot(shot)
    return archive.shot(name)


def hole_at(t: int, height: int = 36, width: int = 64) -> np.ndarray:
    """The hole of frame `t`, `(H, W)` bool."""
    hole = np.zeros((height, width), bool)
    hole[8 : 16 + 4 * (t == 2), 10 + t : 30 + t] = True
    return hole


def add_masks(shot: Shot, name: str = "m001", *, made: int = 99, **attrs: Any) -> None:
    """Store masks of the first `made` frames."""
    known = {"status": "done", "step": 60, "steps": 60, "seconds": {"fit": 20.0, "fill": 1.0}}
    masks = shot.create_mask_version(name, known | attrs)
    for t in range(min(made, len(shot))):
        masks.write(t, hole_at(t))


def add_scales(shot: Shot, *labels: str, of: str = "v001", **last: Any) -> None:
    """Store what is begun of a result of three scales; `last` describes the last of these."""
    scales = ["16x9", "32x18", "64x36"]
    for label in labels:
        attrs = last if label == labels[-1] else {}
        config = {"scales": scales}
        if label == scales[-1]:
            add_version(shot, of, config=config, **attrs)
        else:
            part: dict[str, Any] = {"config": config | {"scale": label}, "part_of": of}
            add_version(shot, f"{of}.{label}", **part, **attrs)


def add_version(shot: Shot, name: str = "v1", *, filled: int = 99, **attrs: Any) -> None:
    """Store a result whose first `filled` frames are written, and a curve of 20 reports."""
    known = {"status": "done", "step": 200, "steps": 200, "quality": QUALITY, "attempt": 1}
    seconds = {"seconds": {"fit": 125.0, "fill": 7.0}, "device": "cpu", "error": None}
    version = shot.create_version(name, known | seconds | attrs)
    for t in range(min(filled, len(shot))):
        version.write(t, np.zeros_like(shot.frames[t]))
    reports = [
        {"step": 10 * i, "loss": 1 / i, "validation_psnr": 20.0 + i if i % 5 == 0 else None}
        for i in range(1, 21)
    ]
    version.files.write("curve.json", json.dumps(reports).encode())


def every_state(archive: Archive) -> None:
    """Fill the archive: two done, one failed, one fitting, one copied, one waiting, one refused."""
    add_version(add_shot(archive, "good"))
    add_version(add_shot(archive, "poor"), quality=QUALITY | {"validation_psnr": 22.0})
    add_version(add_shot(archive, "broken"), status="failed", filled=0, error="out of memory")
    add_version(add_shot(archive, "half"), status="fitting", step=80, filled=0, quality=None)
    add_version(add_shot(archive, "empty", holes=False), status="copied", quality={}, steps=0)
    add_shot(archive, "fresh")
    why = {"re<b>fused": "frame 1004 is 8×8,\nthe first is 9×9"}
    archive.files.write("failures.json", json.dumps(why).encode())
