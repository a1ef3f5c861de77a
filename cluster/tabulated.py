"""An evaluation written down: as Markdown for people, as JSON with every figure of every frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cluster.agreement import agreements, told
from cluster.table import (
    PROTOCOLS,
    PUBLISHED,
    Column,
    Evaluation,
    Line,
    columns,
    frame_lines,
    is_best,
    lines,
    published,
    sequence_lines,
    shown,
)


def markdown(evaluation: Evaluation) -> str:
    """Return the tables as Markdown."""
    parts = ["# Evaluation", "", *_described(evaluation), ""]
    for protocol in evaluation.protocols:
        video = [*lines(evaluation, protocol), *published(protocol)]
        parts += [f"## {PROTOCOLS[protocol]}", "", "Means per video:", "", *_grid(video), ""]
        parts += ["Means per frame:", "", *_grid(frame_lines(evaluation, protocol)), ""]
    parts += [f"- {remark}" for remark in remarks(evaluation)]
    if told_of := agreements(evaluation):
        parts += ["", "## Validation hole against the true hole", ""]
        parts += [f"- {name}: {told(one)}." for name, one in told_of.items()]
    parts += ["", "## Per sequence", ""]
    for protocol in evaluation.protocols:
        for name, found in sequence_lines(evaluation, protocol).items():
            parts += [f"{name}, {protocol}:", "", *_grid(found), ""]
    if evaluation.failed:
        parts += ["## Failed", ""]
        parts += [f"- {cell.shot}, {cell.row}: {cell.reason}" for cell in evaluation.failed]
    return "\n".join(parts).rstrip() + "\n"


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return everything as JSON values: what was asked, every figure of every frame, the means."""
    tables = {
        protocol: {
            "per_video": {line.name: line.values for line in lines(evaluation, protocol)},
            "per_frame": {line.name: line.values for line in frame_lines(evaluation, protocol)},
        }
        for protocol in evaluation.protocols
    }
    return {
        **asdict(evaluation),
        "tables": tables,
        "agreement": {name: asdict(one) for name, one in agreements(evaluation).items()},
        "published": [asdict(row) for row in PUBLISHED],
        "remarks": remarks(evaluation),
    }


def remarks(evaluation: Evaluation) -> list[str]:
    """Return what must be known to read the tables, a sentence each."""
    measured = [cell.measures for cell in evaluation.cells if cell.measures is not None]
    found = [
        "PSNR and SSIM (window 65 as the field, and 11) are of whole frames with the known pixels "
        "in place; hole figures count the filled pixels only.",
        "Warping error: mean squared difference to the frame before along the flow of the true "
        "frames, where not occluded, without a truth along the flow around the object. A blur has "
        "a low one: read it beside the truth's, and beside the sharpness.",
        "Sharpness: fine detail of the filled pixels over that of the truth, ring sharpness over "
        "that of the known pixels around; 1 is as sharp.",
        "Loss: of the training, its last tenth; it compares only where it has the same terms.",
        "Minutes are of a GPU, or of CPU cores: seconds of fitting and filling times threads. "
        f"Made on {'; '.join(sorted({m['device'] for m in measured}))}.",
    ]
    found += sorted({m["lpips"] for m in measured if m["lpips"]})
    if skipped := sum(m["skipped"] for m in _of_each_shot(evaluation)):
        found.append(f"Frames without a hole, left out: {skipped}.")
    if set(evaluation.protocols) & {"fixed", "shuffle"}:
        found.append(
            "† Published in IIVI, Table 1, not measured here: on all of DAVIS, at the authors' "
            "size, with object masks assigned in an unpublished way; the window of SSIM is not "
            f"stated. Ours: {evaluation.size}"
            + (f", first {evaluation.frames} frames." if evaluation.frames else ".")
        )
    return found


def _of_each_shot(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The measures of each shot, of one row."""
    shots = {cell.shot: cell.measures for cell in evaluation.cells if cell.measures is not None}
    return list(shots.values())


def _described(evaluation: Evaluation) -> list[str]:
    """What was asked, for the head of the table."""
    head = f"{evaluation.data}, {evaluation.size}, " + (
        f"first {evaluation.frames} frames" if evaluation.frames else "all frames"
    )
    where = ", ".join(evaluation.machine.values())
    said = [f"{head}. Cleanplate {evaluation.code}, {evaluation.written}, {where}."]
    if evaluation.assignment:
        pairs = ", ".join(f"{name} ← {donor}" for name, donor in evaluation.assignment.items())
        said += ["", f"Assignment of masks (seed {evaluation.seed}): {pairs}."]
    return said


def _grid(found: Sequence[Line]) -> list[str]:
    """Lines as a Markdown table, the best of each column in bold."""
    shown_columns = columns(found)
    counted = [line.clips for line in found if line.clips is not None]
    several = max(counted, default=0) > 1
    names = ["", *(["clips"] if several else []), *(c.heading for c in shown_columns)]
    rows = ["| " + " | ".join(names) + " |", "|---" + "|---:" * (len(names) - 1) + "|"]
    for line in found:
        values = [_marked(line, column, found) for column in shown_columns]
        count = [str(line.clips) if line.clips is not None else "–"] if several else []
        rows.append("| " + " | ".join([line.name, *count, *values]) + " |")
    return rows


def _marked(line: Line, column: Column, among: Sequence[Line]) -> str:
    text = shown(line.values.get(column.key), column)
    return f"**{text}**" if is_best(line, column, among) else text
