"""Frames too large to be learnt whole: scale by scale, in windows near the hole's boundary.

The coarsest scale is fitted on whole frames. Each finer one is fitted on windows, sees the result
of the scale before as its prior, and adds what that could not hold.

    windows seen in training, the hole in the middle        windows filled: a grid, overlapping

        |────|                                                  |────|
          |────|────|                                              |────|
         ████████|────|                                         |──██████──|
        |─███████─|                                                |──██████──|
          ████|────|                                            |────|

Source: Ouyang et al., Internal Video Inpainting by Implicit Long-range Propagation, ICCV 2021
("IIVI"), the part on progressive high-resolution inpainting: boundary-aware sampling, grid-based
inference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from inpaint.clip import Clip, joined
from inpaint.windows import Window

LARGEST_STEP = 4.0
"""By how much a side may grow from one scale to the next."""

SMALLEST_STEP = 1.25
"""A source larger than its whole frames are learnt at by less than this is scaled up instead."""


@dataclass(frozen=True)
class Scale:
    """One resolution at which a shot is learnt.

    Attributes:
        height, width: of its frames.
        factor: source pixels along a side of one of its pixels, a whole number; None for whole
            frames, whose size is free.
        enlarged: how many of its pixels make one of the scale before, along a side.
    """

    height: int
    width: int
    factor: int | None = None
    enlarged: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def label(self) -> str:
        return f"{self.width}x{self.height}"


def scales(
    source: tuple[int, int], whole: tuple[int, int], factors: Sequence[int] | None = None
) -> list[Scale]:
    """Return the scales of a shot, coarsest first.

    Args:
        source: height and width of the shot's frames.
        whole: height and width at which whole frames are learnt.
        factors: those of the finer scales, falling; None plans them: powers of two down to 1, as
            few as keep a side from growing more than fourfold at once.
    """
    found = [Scale(*whole)]
    for factor in _planned(source, whole) if factors is None else factors:
        size = -(-source[0] // factor), -(-source[1] // factor)
        enlarged = (size[0] * size[1] / (found[-1].height * found[-1].width)) ** 0.5
        found.append(Scale(*size, factor, enlarged))
    return found


def _planned(source: tuple[int, int], whole: tuple[int, int]) -> list[int]:
    ratio = (source[0] * source[1] / (whole[0] * whole[1])) ** 0.5  # left to the source
    factors: list[int] = []
    while ratio > SMALLEST_STEP:
        factor = 1
        while ratio / factor > LARGEST_STEP:
            factor *= 2
        factors.append(factor)
        ratio = factor
    return factors


Draw = list[tuple[int, Window]]
"""Frames, and a window in each."""


def boundary_windows(
    index: np.ndarray,
    cell_px: float,
    window_px: int,
    size: tuple[int, int],
    count: int,
    random: np.random.Generator,
    uniform_share: float = 0.25,
) -> Draw:
    """Draw windows, most of them where the hole's boundary is: boundary-aware sampling.

    A window holds the whole cell for which it was drawn, wherever its size allows.

    Args:
        index: `(T, rows, columns)`, boundary pixels in each cell of each frame.
        cell_px: side of a cell, at the scale of the windows.
        window_px: side of a window; at most the frame's is used.
        size: of a frame, height and width.
        uniform_share: of the windows, drawn anywhere, so that texture far off is learnt too.
    """
    cells = index.reshape(-1).astype(np.float64)
    if not cells.any():
        cells = np.ones_like(cells)
    at_boundary = random.choice(cells.size, count, p=cells / cells.sum())
    anywhere = random.integers(cells.size, size=count)
    chosen = np.where(random.random(count) < uniform_share, anywhere, at_boundary)
    times, rows, columns = np.unravel_index(chosen, index.shape)
    tops = _starts(rows, cell_px, window_px, size[0], random)
    lefts = _starts(columns, cell_px, window_px, size[1], random)
    sides = min(window_px, size[0]), min(window_px, size[1])
    return [
        (int(t), Window(int(top), int(left), *sides))
        for t, top, left in zip(times, tops, lefts, strict=True)
    ]


def _starts(
    cell: np.ndarray, cell_px: float, window_px: int, length: int, random: np.random.Generator
) -> np.ndarray:
    """Place windows along one axis at random around their cells, inside the frame."""
    slack = abs(window_px - cell_px)
    lowest = cell * cell_px + min(0.0, cell_px - window_px)
    starts = np.floor(lowest + random.random(len(cell)) * slack).astype(int)
    return starts.clip(0, max(0, length - window_px))


class Pool:
    """The windows that a fit draws from, some of them renewed every so often, in the background.

    The windows at a step are those of `groups` consecutive groups; every `every_steps` steps the
    oldest group goes and the next comes. A group depends on its number alone, so a resumed fit
    learns from what the unbroken one would have.

    Args:
        draw: windows of a group, by its number.
        read: one window of a frame as a clip of length 1.
        groups: how many are held at once.
        every_steps: how long the windows stay the same.
        device: where the windows lie.
    """

    def __init__(
        self,
        draw: Callable[[int], Draw],
        read: Callable[[int, Window], Clip],
        *,
        groups: int = 8,
        every_steps: int = 50,
        device: torch.device | str = "cpu",
    ) -> None:
        self._draw, self._read, self._device = draw, read, device
        self._groups, self._every_steps = groups, every_steps
        self._held: dict[int, Clip] = {}
        self._coming: dict[int, Future[Clip]] = {}
        self._reader = ThreadPoolExecutor(1)
        self._first = -1
        self._clip: Clip | None = None

    def at(self, step: int) -> Clip:
        """Return the windows at a step, `(N, …)`."""
        first = step // self._every_steps
        if self._clip is None or first != self._first:
            numbers = range(first, first + self._groups)
            self._held = {number: self._group(number) for number in numbers}
            self._coming = {number: f for number, f in self._coming.items() if number > numbers[-1]}
            self._clip = joined(list(self._held.values()))
            self._first = first
            self._ask(first + self._groups)
        return self._clip

    def close(self) -> None:
        """Stop reading ahead."""
        self._reader.shutdown(wait=True, cancel_futures=True)

    def _group(self, number: int) -> Clip:
        if number in self._held:
            return self._held[number]
        self._ask(number)
        return self._coming[number].result().to(torch.device(self._device))

    def _ask(self, number: int) -> None:
        if number not in self._coming:
            self._coming[number] = self._reader.submit(self._load, number)

    def _load(self, number: int) -> Clip:
        return joined([self._read(t, window) for t, window in self._draw(number)])
