"""Whether the validation hole tells the true error: the estimates of an evaluation against it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cluster.table import Cell, Evaluation, cell_values, mean
from inpaint.metrics import rank_correlation


@dataclass(frozen=True)
class Agreement:
    """How well the validation hole tells the true error, over all results that have both.

    Attributes:
        points: row, sequence with protocol, estimate and truth in dB.
        rank: Spearman's correlation; None where there are fewer than 3 points.
        bias: mean of estimate minus truth, in dB.
        line: slope and offset of the truth over the estimate, least squares.
    """

    points: list[tuple[str, str, float, float]]
    rank: float | None
    bias: float | None
    line: tuple[float, float] | None


def agreement(cells: Iterable[Cell]) -> Agreement:
    """Hold the estimates at the validation hole against the true errors."""
    points = []
    for cell in cells:
        values = cell_values(cell)
        estimate, true = values.get("validation_psnr"), values.get("hole_psnr")
        if estimate is not None and true is not None:
            points.append((cell.row, f"{cell.sequence}, {cell.protocol}", estimate, true))
    estimates, truths = [p[2] for p in points], [p[3] for p in points]
    bias = mean(e - t for e, t in zip(estimates, truths, strict=True))
    line = None
    if len(set(estimates)) > 1:
        slope, offset = np.polyfit(estimates, truths, 1)
        line = float(slope), float(offset)
    return Agreement(points, rank_correlation(estimates, truths), bias, line)


def agreements(evaluation: Evaluation) -> dict[str, Agreement]:
    """Return the agreement over all results, then within each row; without those that have none."""
    found = {"all rows": agreement(evaluation.cells)}
    for name in evaluation.rows:
        found[name] = agreement(cell for cell in evaluation.cells if cell.row == name)
    if len([name for name, one in found.items() if one.points]) == 2:
        found = {"all rows": found["all rows"]}
    return {name: one for name, one in found.items() if one.points}


def told(agreement: Agreement) -> str:
    """Say an agreement in one sentence."""
    rank = "–" if agreement.rank is None else f"{agreement.rank:+.2f}"
    bias = "–" if agreement.bias is None else f"{agreement.bias:+.2f} dB"
    return (
        f"rank correlation (Spearman) {rank} over {len(agreement.points)} results; estimate minus "
        f"truth {bias} on average"
    )
