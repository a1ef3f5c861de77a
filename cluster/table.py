"""The figures of an evaluation: what was measured, averaged, and what others published.

An `Evaluation` is a value; `agreement` compares its estimates, `tabulated` writes it down.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.measure import Figures, means

TRUTH = "Truth"
"""The row of the true frames: flow and light make its warping error more than 0."""


@dataclass(frozen=True)
class Cell:
    """One row's result on one sequence under one protocol.

    Attributes:
        shot, version: in the archive.
        measures: as `cluster.measure` wrote them; None where there are none.
        reason: why there are none.
    """

    row: str
    sequence: str
    protocol: str
    shot: str
    version: str
    measures: dict[str, Any] | None
    reason: str = ""


@dataclass(frozen=True)
class Evaluation:
    """All that was measured, and of what.

    Attributes:
        data: where the sequences lie.
        size: `WxH` in pixels, to which they are scaled.
        frames: how many of the first; None for all.
        seed: of the assignment.
        assignment: whose masks lie over each sequence's frames in `shuffle`.
        rows: what each row's results depend on.
        code: version of this code.
        machine: where the table was made.
        written: date and time.
    """

    data: str
    size: str
    frames: int | None
    seed: int
    protocols: Sequence[str]
    assignment: Mapping[str, str]
    rows: Mapping[str, Mapping[str, Any]]
    cells: Sequence[Cell]
    code: str
    machine: Mapping[str, str]
    written: str

    def of(self, protocol: str) -> list[Cell]:
        return [cell for cell in self.cells if cell.protocol == protocol]

    @property
    def failed(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.measures is None]


@dataclass(frozen=True)
class Column:
    """A figure of the tables.

    Attributes:
        key: among a cell's means.
        heading: with its unit.
        digits: after the point.
        factor: by which it is shown.
        better: 1 where more is better, -1 where less is, 0 where neither.
    """

    key: str
    heading: str
    digits: int
    better: int = 0
    factor: float = 1


COLUMNS = (
    Column("whole_psnr", "PSNR, dB", 2, 1),
    Column("hole_psnr", "hole PSNR, dB", 2, 1),
    Column("whole_ssim65", "SSIM 65", 4, 1),
    Column("whole_ssim11", "SSIM 11", 4, 1),
    Column("hole_ssim11", "hole SSIM 11", 4, 1),
    Column("whole_lpips", "LPIPS", 4, -1),
    Column("whole_warping", "warping, ×10⁻⁴", 2, 0, 1e4),
    Column("hole_warping", "hole warping, ×10⁻⁴", 2, 0, 1e4),
    Column("sharpness", "sharpness", 2),
    Column("ring_sharpness", "ring sharpness", 2),
    Column("validation_psnr", "validation hole, dB", 2),
    Column("loss", "loss", 4),
    Column("minutes", "min a clip", 2),
)


@dataclass(frozen=True)
class Published:
    """A row of IIVI, Table 1: PSNR in dB, SSIM and LPIPS of whole frames, under both protocols."""

    method: str
    kind: str
    fixed: tuple[float, float, float]
    shuffle: tuple[float, float, float]


PUBLISHED = (
    Published("CAP", "external", (28.04, 0.906, 0.1041), (29.37, 0.910, 0.0483)),
    Published("OPN", "external", (28.72, 0.915, 0.0872), (28.40, 0.904, 0.0596)),
    Published("STTN", "external", (29.05, 0.927, 0.0637), (29.45, 0.918, 0.0279)),
    Published("FGVC", "flow", (29.68, 0.942, 0.0564), (33.98, 0.951, 0.0195)),
    Published("InterVI", "internal", (26.89, 0.868, 0.1126), (27.96, 0.875, 0.0545)),
    Published("IIVI", "internal", (29.90, 0.944, 0.0414), (31.09, 0.948, 0.0182)),
)

PROTOCOLS = {
    "fixed": "Fixed rectangle: a quarter of the width and height, in the middle of every frame",
    "shuffle": "Shuffled objects: the masks of another sequence",
    "own": "Own objects: no truth is known behind them",
}


@dataclass(frozen=True)
class Line:
    """A row of a table.

    Attributes:
        name: of the row, or of the published method.
        values: by column key; None where there is none.
        clips: how many were averaged; None for what was published.
    """

    name: str
    values: Mapping[str, float | None]
    clips: int | None = None


def per_video(cells: Iterable[Cell]) -> dict[str, float | None]:
    """Average the means of clips: every clip counts alike."""
    found = [cell_values(cell) for cell in cells if cell.measures is not None]
    return {column.key: mean(values.get(column.key) for values in found) for column in COLUMNS}


def per_frame(cells: Iterable[Cell]) -> dict[str, float | None]:
    """Average over the frames of all clips: long clips count more."""
    found = [cell.measures for cell in cells if cell.measures is not None]
    return {**dict.fromkeys(c.key for c in COLUMNS), **means(_pooled(m["figures"] for m in found))}


def cell_values(cell: Cell) -> dict[str, float | None]:
    """Return the figures of one cell by column key, empty where it was not measured."""
    if cell.measures is None:
        return {}
    own = {key: cell.measures[key] for key in ("validation_psnr", "loss")}
    return {**cell.measures["means"], **own, "minutes": minutes(cell.measures)}


def minutes(measures: Mapping[str, Any]) -> float:
    """Return what a result cost: minutes of a GPU, or of CPU cores, one for each thread."""
    seconds = sum(measures["seconds"].values())
    name, _, threads = measures["device"].partition(", ")
    cores = int(threads.split()[0]) if name == "CPU" and threads else 1
    return seconds * cores / 60


def lines(evaluation: Evaluation, protocol: str) -> list[Line]:
    """Return the rows of a protocol's table: the truth, then each row, means per video."""
    return [
        *_truth(evaluation.of(protocol), per_video),
        *(_line(name, cells, per_video) for name, cells in _by_row(evaluation, protocol)),
    ]


def frame_lines(evaluation: Evaluation, protocol: str) -> list[Line]:
    """Return the same as `lines`, means per frame."""
    return [
        *_truth(evaluation.of(protocol), per_frame),
        *(_line(name, cells, per_frame) for name, cells in _by_row(evaluation, protocol)),
    ]


def published(protocol: str) -> list[Line]:
    """Return the rows of the paper's table for a protocol, none for `own`."""
    if protocol not in ("fixed", "shuffle"):
        return []
    keys = ("whole_psnr", "whole_ssim65", "whole_lpips")
    return [
        Line(f"{row.method} ({row.kind}) †", dict(zip(keys, getattr(row, protocol), strict=True)))
        for row in PUBLISHED
    ]


def columns(found: Sequence[Line]) -> list[Column]:
    """Return the columns in which some line says something."""
    return [c for c in COLUMNS if any(line.values.get(c.key) is not None for line in found)]


def is_best(line: Line, column: Column, among: Sequence[Line]) -> bool:
    """Whether no other row of ours has a better value; of one row alone it is not said."""
    own = [line for line in among if line.clips is not None and line.name != TRUTH]
    known = [v for one in own if (v := one.values.get(column.key)) is not None]
    if not column.better or len(known) < 2 or line not in own:
        return False
    return line.values.get(column.key) == max(known, key=lambda value: column.better * value)


def shown(value: float | None, column: Column) -> str:
    return "–" if value is None else f"{value * column.factor:.{column.digits}f}"


def sequence_lines(evaluation: Evaluation, protocol: str) -> dict[str, list[Line]]:
    """Return each sequence's own lines, the truth first."""
    cells: dict[str, list[Cell]] = {}
    for cell in evaluation.of(protocol):
        cells.setdefault(cell.sequence, []).append(cell)
    return {
        name: [
            *_truth(own, per_video),
            *(Line(c.row, cell_values(c), 1) for c in own if c.measures),
        ]
        for name, own in cells.items()
        if any(cell.measures for cell in own)
    }


def mean(values: Iterable[float | None]) -> float | None:
    """Average what is known and finite; None where nothing is."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else None


def _by_row(evaluation: Evaluation, protocol: str) -> Iterator[tuple[str, list[Cell]]]:
    for name in evaluation.rows:
        yield name, [cell for cell in evaluation.of(protocol) if cell.row == name]


def _line(name: str, cells: Sequence[Cell], averaged: Any) -> Line:
    measured = [cell for cell in cells if cell.measures is not None]
    values = averaged(measured)
    for own in ("validation_psnr", "loss", "minutes"):  # of a clip, whatever its frames
        values[own] = per_video(measured)[own]
    return Line(name, values, len(measured))


def _truth(cells: Sequence[Cell], averaged: Any) -> list[Line]:
    """The line of the truth, from whichever row measured each clip first."""
    first: dict[str, Cell] = {}
    for cell in cells:
        if cell.measures is not None and cell.measures["truth"]["figures"]:
            first.setdefault(cell.shot, _as_truth(cell, cell.measures))
    if not first:
        return []
    return [Line(TRUTH, averaged(first.values()) | {"minutes": None}, len(first))]


def _as_truth(cell: Cell, measures: dict[str, Any]) -> Cell:
    own: dict[str, Any] = {"validation_psnr": None, "loss": None, "seconds": {}}
    return Cell(
        TRUTH, cell.sequence, cell.protocol, cell.shot, "", measures | measures["truth"] | own
    )


def _pooled(figures: Iterable[Figures]) -> Figures:
    pooled: Figures = {}
    for one in figures:
        for name, values in one.items():
            pooled.setdefault(name, []).extend(values)
    return pooled
