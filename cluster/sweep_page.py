"""The page of a sweep: its table, parallel coordinates, and PSNR over compute on every shot.

One file that opens from disk without a network. `cluster/sweep.html` is the page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cluster import __version__
from cluster.charts import round_values
from cluster.outcome import Outcome, Trial, shown, table
from cluster.pages import template
from cluster.space import Dimension

GAIN = "gain, dB"
WORST, BEST = (70, 92, 118), (240, 190, 105)
"""Colours, from which the lines take theirs by rank."""


@dataclass(frozen=True)
class Line:
    """What a trial is in a plot.

    Attributes:
        path: SVG path data.
        end: a mark (x, y) at the end, None where there is none.
    """

    trial: int
    path: str
    colour: str
    title: str
    end: tuple[float, float] | None = None


@dataclass(frozen=True)
class Axis:
    """A vertical axis: `ticks` are heights and labels."""

    x: float
    label: str
    ticks: list[tuple[float, str]]


@dataclass(frozen=True)
class Plot:
    """Lines in pixels of an SVG, the best one last, and so on top.

    Attributes:
        across: labelled places of the x axis, where it has values.
    """

    title: str
    width: int
    height: int
    axes: list[Axis]
    lines: list[Line]
    across: list[tuple[float, str]]


def page(outcome: Outcome) -> str:
    """Render the page."""
    head, *rows = table(outcome)
    return template("sweep.html").render(
        outcome=outcome,
        task=outcome.task,
        head=head,
        rows=rows,
        ranked=outcome.ranked,
        coordinates=coordinates(outcome),
        curves=[curves(outcome, number) for number in range(len(outcome.task.shots))],
        code=__version__,
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
    )


def coordinates(outcome: Outcome) -> Plot:
    """Lay a line for every trial across an axis for every dimension, the last that of the gain."""
    width, height, margin = 1100, 380, 46
    gap = (width - 2 * 80) / len(outcome.space)
    xs = [round(80 + gap * i, 1) for i in range(len(outcome.space) + 1)]
    gains = [gain for trial in outcome.trials if (gain := outcome.gain_db(trial)) is not None]
    low, high = _around(gains)

    def down(share: float) -> float:
        return round(height - margin - share * (height - 2 * margin), 1)

    axes = [
        Axis(x, one.key, [(down(share), label) for share, label in _ticks(one)])
        for x, one in zip(xs, outcome.space, strict=False)
    ]
    values = [(down((v - low) / (high - low)), f"{v:+g}") for v in round_values(low, high)]
    axes.append(Axis(xs[-1], GAIN, values))
    lines = []
    for trial, colour in _coloured(outcome):
        points = [
            (x, down(_share(o, trial.values[o.key])))
            for x, o in zip(xs, outcome.space, strict=False)
        ]
        gain = outcome.gain_db(trial)
        if gain is not None:
            points.append((xs[-1], down((gain - low) / (high - low))))
        lines.append(Line(trial.number, _path(points), colour, _title(outcome, trial)))
    return Plot("Parallel coordinates", width, height, axes, lines, [])


def curves(outcome: Outcome, number: int) -> Plot:
    """Draw every trial's PSNR on a shot over the compute spent; dots are the final figures."""
    width, height, left, margin = 540, 300, 48, 30
    found = [
        (trial, colour, trial.fits[number])
        for trial, colour in _coloured(outcome)
        if len(trial.fits) > number
    ]
    figures = [db for _, _, one in found for db in (*(db for _, db in one.curve), one.latest)]
    low, high = _around(figures)
    most = max((one.tflop for _, _, one in found), default=1.0)

    def at(tflop: float, db: float) -> tuple[float, float]:
        x = left + tflop / most * (width - left - margin)
        return round(x, 1), round(
            height - margin - (db - low) / (high - low) * (height - 2 * margin), 1
        )

    lines = []
    for trial, colour, one in found:
        path = _path([at(one.tflop * step / one.steps, db) for step, db in one.curve])
        end = None if one.psnr is None else at(one.tflop, one.psnr)
        lines.append(Line(trial.number, path, colour, _title(outcome, trial), end))
    axis = Axis(left, "dB", [(at(0, db)[1], f"{db:g}") for db in round_values(low, high)])
    across = [(at(tflop, low)[0], f"{tflop:g}") for tflop in round_values(0, most)]
    return Plot(outcome.task.shots[number], width, height, [axis], lines, across)


def _coloured(outcome: Outcome) -> list[tuple[Trial, str]]:
    """Pair the trials with their colours, best last."""
    ranked = [trial for trial in outcome.ranked if trial.state != "failed"][::-1]
    shares = [i / max(1, len(ranked) - 1) for i in range(len(ranked))]
    return [(trial, _colour(share)) for trial, share in zip(ranked, shares, strict=True)]


def _colour(share: float) -> str:
    mixed = (round(a + share * (b - a)) for a, b in zip(WORST, BEST, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _title(outcome: Outcome, trial: Trial) -> str:
    values = ", ".join(f"{key} {shown(value)}" for key, value in trial.values.items())
    psnr = "" if trial.psnr is None else f"{trial.psnr:.2f} dB, "
    return f"trial {trial.number}: {psnr}{values}"


def _share(dimension: Dimension, value: object) -> float:
    """Where a value lies between the ends of its axis, 0 to 1."""
    if dimension.kind == "choice":
        return dimension.values.index(value) / (len(dimension.values) - 1)
    low, high, here = (float(v) for v in (*dimension.values, value))
    if dimension.kind.startswith("log"):
        low, high, here = math.log(low), math.log(high), math.log(here)
    return (here - low) / (high - low)


def _ticks(dimension: Dimension) -> list[tuple[float, str]]:
    """Label an axis: every value of a choice; ends and default of a range."""
    values = dimension.values
    if dimension.kind != "choice":
        values = (*values, dimension.default)
    return [(_share(dimension, value), shown(value)) for value in dict.fromkeys(values)]


def _around(values: Sequence[float]) -> tuple[float, float]:
    """Return ends of an axis that holds the values, half a dB apart at least."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    margin = max(0.25, 0.06 * (high - low))
    return low - margin, high + margin


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points) if points else ""
