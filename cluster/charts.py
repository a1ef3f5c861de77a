"""Small line charts as numbers for an SVG of 100 × 100 units, y downwards. Draws nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

POINTS = 160
"""Most points of a line; more are averaged."""


@dataclass(frozen=True)
class Tick:
    """A labelled value: `at` in units of the chart."""

    at: float
    label: str


@dataclass(frozen=True)
class Chart:
    """A line over training steps, or over frames.

    Attributes:
        path: SVG path data.
        ticks: labelled values of the y axis.
        last: the line's end (x, y).
        last_step: step at the right edge.
        peer: height of a line to compare with, None where there is none.
        marks: points (x, y) of the line that stand out.
    """

    path: str
    ticks: list[Tick]
    last: tuple[float, float]
    last_step: int
    peer: float | None = None
    marks: tuple[tuple[float, float], ...] = ()


def loss_chart(steps: Sequence[int], losses: Sequence[float | None]) -> Chart | None:
    """Draw the loss on a logarithmic axis; None without two positive values."""
    known = [(s, x) for s, x in zip(steps, losses, strict=True) if _positive(x)]
    if len(known) < 2:
        return None
    x, loss = _averaged(np.array(known, float))
    y = np.log10(loss)
    low, high = _padded(float(y.min()), float(y.max()), 0.05)
    values = [m * 10.0**k for k in range(math.floor(low), math.ceil(high)) for m in (1, 2, 5)]
    ticks = [(math.log10(value), f"{value:g}") for value in values]
    return _chart(x, y, low, high, _thinned([t for t in ticks if low <= t[0] <= high]))


def validation_chart(
    steps: Sequence[int], psnrs: Sequence[float | None], peer: float | None
) -> Chart | None:
    """Draw PSNR in dB, with the peer as a level line; None without two finite values."""
    known = [
        (s, v) for s, v in zip(steps, psnrs, strict=True) if v is not None and math.isfinite(v)
    ]
    if len(known) < 2:
        return None
    x, y = _averaged(np.array(known, float))
    levels = [float(y.min()), float(y.max())]
    if peer is not None and math.isfinite(peer):
        levels.append(peer)
    low, high = _padded(min(levels), max(levels), 1.0)
    ticks = [(value, f"{value:g}") for value in round_values(low, high)]
    return _chart(x, y, low, high, ticks, peer)


def area_chart(shares: np.ndarray, given: Sequence[int]) -> Chart | None:
    """Draw what part of each frame is masked, every frame, from zero; None without two frames.

    Args:
        shares: `(T,)` in 0 to 1, NaN where it is not known; there the line is broken.
        given: the frames to mark.
    """
    known = np.isfinite(shares)
    if len(shares) < 2 or not known.any():
        return None
    high = 1.1 * max(float(shares[known].max()), 1e-4)
    across = np.linspace(0, 100, len(shares))
    down = 100 * (1 - np.where(known, shares, 0) / high)
    points = [(round(float(x), 2), round(float(y), 2)) for x, y in zip(across, down, strict=True)]
    values = [value for value in round_values(0, 100 * high) if value >= 0]
    last = int(np.flatnonzero(known)[-1])
    return Chart(
        path=_broken_line(points, known),
        ticks=[Tick(round(100 - value / high, 2), f"{value:g} %") for value in values],
        last=points[last],
        last_step=last,
        marks=tuple(points[t] for t in given if known[t]),
    )


def _broken_line(points: Sequence[tuple[float, float]], known: np.ndarray) -> str:
    """SVG path data through the known points; a gap lifts the pen."""
    pen = ["L" if known[t] and t and known[t - 1] else "M" for t in range(len(points))]
    drawn = zip(pen, points, known, strict=True)
    return "".join(f"{letter}{x:g} {y:g}" for letter, (x, y), there in drawn if there)


def _chart(
    x: np.ndarray,
    y: np.ndarray,
    low: float,
    high: float,
    ticks: list[tuple[float, str]],
    peer: float | None = None,
) -> Chart:
    across = 100 * x / x[-1]
    down = 100 * (high - y) / (high - low)

    def height(value: float) -> float:
        return round(100 * (high - value) / (high - low), 2)

    return Chart(
        path="M" + "L".join(f"{a:.2f} {b:.2f}" for a, b in zip(across, down, strict=True)),
        ticks=[Tick(height(value), label) for value, label in ticks],
        last=(round(float(across[-1]), 2), round(float(down[-1]), 2)),
        last_step=int(x[-1]),
        peer=height(peer) if peer is not None and math.isfinite(peer) else None,
    )


def _averaged(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of at most `POINTS` points; the last x is kept."""
    parts = np.array_split(points, min(POINTS, len(points)))
    x = np.array([part[-1, 0] for part in parts])
    return x, np.array([part[:, 1].mean() for part in parts])


def _padded(low: float, high: float, least: float) -> tuple[float, float]:
    margin = max(0.08 * (high - low), least / 2)
    return low - margin, high + margin


def _thinned(ticks: list[tuple[float, str]], most: int = 4) -> list[tuple[float, str]]:
    """Keep every n-th; between two powers of ten the plainest survive."""
    if len(ticks) > most:
        ticks = [t for t in ticks if math.isclose(t[0], round(t[0]), abs_tol=1e-9)]
    return ticks[:: -(-len(ticks) // most)] if ticks else ticks


def round_values(low: float, high: float, least: int = 3) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten: the coarsest that give `least` values."""
    power = 10.0 ** math.ceil(math.log10(high - low))
    for step in (m * power / d for d in (1, 10, 100) for m in (5, 2, 1)):
        values = np.arange(math.ceil(low / step), math.floor(high / step) + 1) * step
        if len(values) >= least:
            break
    return [round(float(value), 6) for value in values]


def _positive(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and value > 0
