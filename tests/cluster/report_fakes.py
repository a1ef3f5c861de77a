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
) -> Shot:
    """Store frames numbered from 1001 with a hole that moves, largest in the third."""
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
    for t in range(frames if holes else 0):
        hole[t, 8 : 16 + 4 * (t == 2), 10 + t : 30 + t] = True
    shot = archive.create_shot(name, info, "print", count=frames)
    numbers = np.arange(1001, 1001 + frames)
    write_block(shot, 0, Block(pixels.astype(dtype), hole, numbers, numbers))
    finish_shot(shot)
    return archive.shot(name)


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
