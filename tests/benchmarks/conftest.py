"""How the tests of the benchmarks run, and the clips they measure at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Measuring takes one thread; those after have theirs back."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


@pytest.fixture
def two(tmp_path: Path) -> list[str]:
    """The folders of two clips of noise that pans, their objects squares."""
    return [_written(tmp_path / "long", 4, 0), _written(tmp_path / "short", 3, 40)]


def _written(folder: Path, frames: int, left: int) -> str:
    noise = np.random.default_rng(left).integers(0, 256, (64, 96 + frames, 3), np.uint8)
    for part in ("frames", "masks"):
        (folder / part).mkdir(parents=True)
    for t in range(frames):
        mask = np.zeros((64, 96, 3), np.uint8)
        mask[8:40, left + 2 * t : left + 2 * t + 32] = (0, 0, 128)
        cv2.imwrite(str(folder / "frames" / f"{t}.png"), noise[:, t : t + 96])
        cv2.imwrite(str(folder / "masks" / f"{t}.png"), mask)
    return str(folder)
