"""Averages, the published rows, and how an evaluation is written down."""

from __future__ import annotations

import json

import pytest

from cluster.agreement import agreement, agreements, told
from cluster.table import (
    COLUMNS,
    TRUTH,
    Cell,
    Evaluation,
    Line,
    is_best,
    lines,
    minutes,
    per_frame,
    per_video,
    published,
)
from cluster.tabulated import as_json, markdown

TABLE_1 = """
CAP     28.04 .906 .1041  29.37 .910 .0483
OPN     28.72 .915 .0872  28.40 .904 .0596
STTN    29.05 .927 .0637  29.45 .918 .0279
FGVC    29.68 .942 .0564  33.98 .951 .0195
InterVI 26.89 .868 .1126  27.96 .875 .0545
IIVI    29.90 .944 .0414  31.09 .948 .0182
"""
"""IIVI, Table 1: PSNR, SSIM, LPIPS under fixed, then under object masks."""


def cell(row: str, sequence: str, *psnrs: float, estimate: float | None = None) -> Cell:
    """Return a cell under `fixed` whose frames have these PSNRs in the hole."""
    figures = {"hole_psnr": list(psnrs), "hole_detail": [1.0] * len(psnrs)}
    figures["true_detail"] = [2.0] * len(psnrs)
    truth = {"hole_warping": [1e-4] * len(psnrs)}
    measures = {
        "frames": list(range(len(psnrs))),
        "skipped": 1,
        "figures": figures,
        "means": {"hole_psnr": sum(psnrs) / len(psnrs), "sharpness": 0.5},
        "truth": {"figures": truth, "means": {"hole_warping": 1e-4}},
        "lpips": "LPIPS: no weights (here)",
        "seconds": {"fit": 60.0, "fill": 30.0},
        "device": "CPU, 2 threads",
        "validation_psnr": estimate,
        "loss": None,
    }
    return Cell(row, sequence, "fixed", f"{sequence}.fixed", "v", measures)


def evaluation(*cells: Cell) -> Evaluation:
    rows = {cell.row: {"method": "telea"} for cell in cells}
    return Evaluation(
        data="/data",
        size="432x240",
        frames=None,
        seed=7,
        protocols=["fixed", "shuffle"],
        assignment={"a": "b", "b": "a"},
        rows=rows,
        cells=cells,
        code="1",
        machine={"cores": "2 cores"},
        written="today",
    )


def test_means_per_video_count_clips_and_means_per_frame_count_frames():
    cells = [cell("x", "a", 10.0), cell("x", "b", 20.0, 30.0, 40.0)]
    assert per_video(cells)["hole_psnr"] == 20
    assert per_frame(cells)["hole_psnr"] == 25
    assert per_frame(cells)["sharpness"] == 0.5


def test_what_failed_has_no_part_in_the_means_and_is_counted():
    failed = Cell("x", "b", "fixed", "b.fixed", "v", None, "torn")
    found = lines(evaluation(cell("x", "a", 10.0), failed), "fixed")
    assert [(line.name, line.clips) for line in found] == [(TRUTH, 1), ("x", 1)]
    assert found[1].values["hole_psnr"] == 10


def test_the_truth_is_measured_once_for_each_clip():
    made = evaluation(cell("x", "a", 10.0), cell("y", "a", 12.0), cell("x", "b", 9.0))
    truth = lines(made, "fixed")[0]
    assert (truth.name, truth.clips) == (TRUTH, 2)
    assert truth.values["hole_warping"] == pytest.approx(1e-4)
    assert truth.values["minutes"] is None


def test_the_published_rows_are_those_of_the_paper():
    found = [
        [line.values[key] for key in ("whole_psnr", "whole_ssim65", "whole_lpips")]
        for protocol in ("fixed", "shuffle")
        for line in published(protocol)
    ]
    paper = [[float(word) for word in row.split()[1:]] for row in TABLE_1.strip().splitlines()]
    assert found == [row[:3] for row in paper] + [row[3:] for row in paper]
    names = [row.split()[0] for row in TABLE_1.strip().splitlines()]
    assert [line.name.split()[0] for line in published("fixed")] == names
    assert published("own") == []


def test_the_best_of_our_rows_is_marked_and_nothing_published_is():
    psnr = next(column for column in COLUMNS if column.key == "whole_psnr")
    low, high = (Line(str(v), {"whole_psnr": v}, 1) for v in (20.0, 25.0))
    among = [low, high, *published("fixed")]
    assert [is_best(line, psnr, among) for line in among[:3]] == [False, True, False]
    assert not is_best(high, psnr, [high])


@pytest.mark.parametrize(
    ("device", "wanted"), [("CPU, 2 threads", 3), ("CPU", 1.5), ("NVIDIA, 80 GB", 1.5)]
)
def test_minutes_of_a_cpu_count_its_threads(device, wanted):
    assert minutes({"seconds": {"fit": 60.0, "fill": 30.0}, "device": device}) == wanted


def test_estimates_that_rank_like_the_truth_correlate_fully():
    cells = [
        cell("x", n, t, estimate=e) for n, t, e in [("a", 10, 21), ("b", 12, 22), ("c", 20, 23)]
    ]
    found = agreement([*cells, cell("Telea", "a", 11.0)])
    assert found.rank == 1
    assert found.bias == 8
    assert found.line == pytest.approx((5, -96))
    assert told(found).startswith("rank correlation (Spearman) +1.00 over 3 results")


def test_the_agreement_of_a_single_row_is_said_once():
    assert list(agreements(evaluation(cell("x", "a", 1.0, estimate=2.0)))) == ["all rows"]
    two = evaluation(cell("x", "a", 1.0, estimate=2.0), cell("y", "a", 1.0, estimate=2.0))
    assert list(agreements(two)) == ["all rows", "x", "y"]
    assert agreements(evaluation(cell("Telea", "a", 1.0))) == {}


def test_the_written_table_names_seed_assignment_missing_weights_and_failures():
    failed = Cell("x", "b", "shuffle", "b.shuffle-a", "v", None, "torn")
    text = markdown(evaluation(cell("x", "a", 10.0), failed))
    for said in (
        "Assignment of masks (seed 7): a ← b, b ← a.",
        "- LPIPS: no weights (here)",
        "Frames without a hole, left out: 1.",
        "- b.shuffle-a, x: torn",
        "| IIVI (internal) † | 29.90 | – | 0.9440 | 0.0414 |",
    ):
        assert said in text


def test_as_json_everything_is_there_and_comes_back():
    made = evaluation(cell("x", "a", 10.0, 12.0))
    values = json.loads(json.dumps(as_json(made), allow_nan=False))
    assert values["assignment"] == {"a": "b", "b": "a"}
    assert (values["seed"], values["code"], values["written"]) == (7, "1", "today")
    assert values["cells"][0]["measures"]["figures"]["hole_psnr"] == [10, 12]
    assert values["tables"]["fixed"]["per_video"]["x"]["hole_psnr"] == 11
