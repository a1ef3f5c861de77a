"""The page of an evaluation: tables, estimate against truth, and pictures of all rows side by side.

One file that opens from disk without a network. `cluster/evaluation.html` is the page, `table` has
the figures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cluster import table
from cluster.agreement import Agreement, agreements, told
from cluster.pages import inside, template
from cluster.pictures import Display, Preview, display_of, preview
from cluster.spread import spread
from cluster.table import PROTOCOLS, TRUTH, Cell, Evaluation
from cluster.tabulated import remarks
from storage import Archive, Shot, Version

PICTURED = 6
"""Most clips of a protocol of which pictures are shown: from the worst to the best."""

MARGIN_PX = 16
LONGEST_PX = 420
SLICE_ROWS = 160
SLICE_HEIGHT_PX = 120
GREY = 128
"""What stands in the hole of the input."""

CHART_PX = 620, 380
"""Width and height of the scatter."""


@dataclass(frozen=True)
class Strip:
    """Pictures of one clip side by side: the input, the truth, each row.

    Attributes:
        title: sequence and protocol.
        frame: index of the frame of the crops, the one that the rows fill worst.
        line: row of the frame that the slices follow, time downwards.
    """

    title: str
    frame: int
    crops: dict[str, Preview]
    line: int
    slices: dict[str, Preview]


@dataclass(frozen=True)
class Mark:
    """A point of the scatter, in pixels of it, of the `series`-th row."""

    x: float
    y: float
    series: int
    title: str


@dataclass(frozen=True)
class Scatter:
    """True error over estimate, in pixels of an SVG.

    Attributes:
        ticks: places along x, along y, and the value in dB.
        diagonal: where estimate and truth agree; `fit` what was fitted: x, y, x, y.
    """

    width: int
    height: int
    marks: list[Mark]
    series: list[str]
    ticks: list[tuple[float, float, int]]
    diagonal: tuple[float, ...]
    fit: tuple[float, ...] | None


def page(evaluation: Evaluation, archive: Archive) -> str:
    """Render the page; pictures stand in it."""
    found = agreements(evaluation)
    return template("evaluation.html", inside=inside).render(
        evaluation=evaluation,
        protocols=PROTOCOLS,
        table=table,
        remarks=remarks(evaluation),
        agreements={name: told(one) for name, one in found.items()},
        scatter=scatter(found["all rows"]) if found else None,
        strips=[
            strip
            for protocol in evaluation.protocols
            for strip in _strips(evaluation, protocol, archive)
        ],
    )


def scatter(agreement: Agreement) -> Scatter:
    """Lay the points out, both axes from the same lowest to the same highest dB."""
    (width, height), margin = CHART_PX, 44
    values = [value for point in agreement.points for value in point[2:]]
    low, high = math.floor(min(values) - 0.5), math.ceil(max(values) + 0.5)
    step = next(step for step in (1, 2, 5, 10, 20, 50) if (high - low) / step <= 8)

    def at(estimate: float, true: float) -> tuple[float, float]:
        x = margin + (estimate - low) / (high - low) * (width - 2 * margin)
        y = height - margin - (true - low) / (high - low) * (height - 2 * margin)
        return round(x, 1), round(y, 1)

    series = list(dict.fromkeys(point[0] for point in agreement.points))
    marks = [
        Mark(*at(e, t), series.index(row), f"{row}, {clip}: estimate {e:.2f}, truth {t:.2f} dB")
        for row, clip, e, t in agreement.points
    ]
    first = -(-low // step) * step
    ticks = [(*at(value, value), value) for value in range(first, high + 1, step)]
    fit = None
    if agreement.line is not None:
        slope, offset = agreement.line
        ends = [point[2] for point in agreement.points]
        ends = [min(ends), max(ends)]
        fit = tuple(v for end in ends for v in at(end, slope * end + offset))
    diagonal = (*at(low, low), *at(high, high))
    return Scatter(width, height, marks, series, ticks, diagonal, fit)


def _strips(evaluation: Evaluation, protocol: str, archive: Archive) -> list[Strip]:
    """Return pictures of some clips, from the one filled worst to the one filled best."""
    clips: dict[str, list[Cell]] = {}
    for cell in evaluation.of(protocol):
        if cell.measures is not None and cell.measures["frames"]:
            clips.setdefault(cell.shot, []).append(cell)
    ordered = sorted(clips.values(), key=_quality)
    chosen = [ordered[i] for i in spread(len(ordered), PICTURED)] if ordered else []
    return [_strip(cells, archive.shot(cells[0].shot)) for cells in chosen]


def _quality(cells: Sequence[Cell]) -> float:
    values = [table.cell_values(cell).get("hole_psnr") for cell in cells]
    return sum(value for value in values if value is not None)


def _strip(cells: Sequence[Cell], shot: Shot) -> Strip:
    hole = np.stack([np.asarray(shot.hole[t]) for t in range(len(shot))])
    frame, line = _worst(cells, hole), _middle(hole.sum(axis=(0, 2)))
    rows, columns = (_around(np.any(hole[frame], axis=axis)) for axis in (1, 0))
    versions = {cell.row: shot.version(cell.version) for cell in cells}
    crops = _cut(shot, versions, (frame, rows, columns))
    display = display_of(next(iter(crops.values())))
    span = _around(np.any(hole[:, line], axis=0))
    moments = spread(len(shot), SLICE_ROWS)
    cuts = [_cut(shot, versions, (t, line, span)) for t in moments]
    slices = {name: np.stack([cut[name] for cut in cuts]) for name in crops}
    return Strip(
        title=f"{cells[0].sequence}, {cells[0].protocol}",
        frame=frame,
        crops={name: _shown(pixels, display) for name, pixels in crops.items()},
        line=line,
        slices={name: _shown(_tall(pixels), display) for name, pixels in slices.items()},
    )


def _worst(cells: Sequence[Cell], hole: np.ndarray) -> int:
    """The frame with the lowest PSNR in the hole, summed over rows; else that with most hole."""
    measured = [cell.measures for cell in cells if cell.measures is not None]
    scores = [m["figures"].get("hole_psnr") for m in measured]
    if not scores or None in scores:
        return int(hole.sum(axis=(1, 2)).argmax())
    values = np.array([[math.inf if v is None else v for v in row] for row in scores])
    return int(measured[0]["frames"][int(values.sum(axis=0).argmin())])


def _middle(missing: np.ndarray) -> int:
    """The row where most is missing; of several, the one in their middle."""
    rows = np.flatnonzero(missing == missing.max())
    return int(rows[len(rows) // 2])


def _cut(shot: Shot, versions: dict[str, Version], where: Any) -> dict[str, np.ndarray]:
    """Cut the input, the truth where it is known, and each row's result."""
    frame, hole = np.asarray(shot.frames[where]), np.asarray(shot.hole[where])[..., None]
    found = {"Input": frame}
    if shot.truth is not None:
        found["Input"] = np.where(hole, np.full_like(frame, GREY), frame)
        found[TRUTH] = np.where(hole, np.asarray(shot.truth[where]), frame)
    for row, version in versions.items():
        found[row] = np.where(hole, np.asarray(version.filled[where]), frame)
    return found


def _around(missing: np.ndarray) -> slice:
    """The span of what is missing along an axis, with a margin."""
    (found,) = np.nonzero(missing)
    if not len(found):
        return slice(0, len(missing))
    return slice(max(0, int(found[0]) - MARGIN_PX), int(found[-1]) + 1 + MARGIN_PX)


def _tall(slices: np.ndarray) -> np.ndarray:
    """Repeat the moments of a short clip, so that its slice can be seen."""
    return slices.repeat(max(1, round(SLICE_HEIGHT_PX / len(slices))), axis=0)


def _shown(pixels: np.ndarray, display: Display) -> Preview:
    hole = np.zeros(pixels.shape[:2], bool)
    return preview(pixels, None, hole, display, 0, longest_px=LONGEST_PX)
