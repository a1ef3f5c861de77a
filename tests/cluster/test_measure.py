"""The measure job against the metrics called directly on whole arrays."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_fakes import footage, objects
from job_fakes import quick, write_shot

from cluster.backlog import ShotSpec
from cluster.jobs import run
from cluster.measure import MEASURES, means, read_measures
from cluster.plan import Job
from inpaint.flow import motion
from inpaint.metrics import average, fine_detail, psnr, ssim
from inpaint.perceptual import Lpips, Weights
from inpaint.progressive import Scale
from inpaint.temporal import warping_errors
from storage import Archive, Version

COUNT = 4
EMPTY = 2
"""The frame without a hole."""


def measured(tmp_path: Path, *, known: bool = True) -> tuple[Version, np.ndarray, np.ndarray]:
    """Fill a shot with Telea and measure it, its truth known or not; return it, truth and hole."""
    frames, hole = footage(0, COUNT, 72, 80), objects(1, COUNT, 72, 80)
    hole[EMPTY] = False
    shot = replace(write_shot(tmp_path / "one", frames, hole), export=None)
    shot = replace(shot, truth=shot.source if known else None)
    archive = str(tmp_path / "archive")
    do(archive, shot)
    return Archive.open(archive).shot("one").version("v001"), frames, hole


def do(archive: str, shot: ShotSpec) -> list[str]:
    """Do everything up to the measures; return the kinds of the last job's events."""
    config = quick("method=telea")
    told: list[str] = []
    for kind in ("ingest", "inpaint", "measure"):
        job = Job(kind, shot, archive, "v001", config, scale=Scale(72, 80))
        told = [event["kind"] for event in run(job, "cpu", lambda: False)]
    return told


def result(version: Version) -> np.ndarray:
    return np.stack([version.result(t) for t in range(COUNT)])


def tensor(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255


def test_every_figure_is_that_of_the_metrics_called_on_the_whole_arrays(tmp_path):
    version, true, hole = measured(tmp_path)
    kept = [t for t in range(COUNT) if t != EMPTY]
    a, b, where = (
        tensor(result(version))[kept],
        tensor(true)[kept],
        torch.from_numpy(hole[kept])[:, None],
    )
    detail = [float(average(fine_detail(x, where)).value) for x in (a, b)]
    wanted = {
        "whole_psnr": average(psnr(a, b)).value,
        "hole_psnr": average(psnr(a, b, where)).value,
        "whole_ssim65": average(ssim(a, b, window=65)).value,
        "whole_ssim11": average(ssim(a, b, window=11)).value,
        "hole_ssim11": average(ssim(a, b, where, window=11)).value,
        "sharpness": detail[0] / detail[1],
    }
    found = read_measures(version)
    assert {name: found["means"][name] for name in wanted} == pytest.approx(wanted, rel=1e-5)
    assert found["means"]["sharpness"] < 1
    assert found["truth"]["means"]["sharpness"] == 1


def test_the_warping_error_follows_the_truth_and_is_given_for_the_truth_too(tmp_path):
    version, true, hole = measured(tmp_path)
    ways = [motion(true[t], true[t - 1]) for t in range(1, COUNT)]
    found = read_measures(version)
    for pictures, figures in (
        (result(version), found["figures"]),
        (true, found["truth"]["figures"]),
    ):
        wanted = [None, *warping_errors(pictures, hole, ways)]
        del wanted[EMPTY]
        assert figures["hole_warping"][0] is None
        assert figures["hole_warping"][1:] == pytest.approx([w.hole for w in wanted[1:]], rel=1e-4)
        assert figures["whole_warping"][1:] == pytest.approx(
            [w.whole for w in wanted[1:]], rel=1e-4
        )


def test_frames_without_a_hole_are_left_out_and_counted(tmp_path):
    found = read_measures(measured(tmp_path)[0])
    assert found["frames"] == [0, 1, 3]
    assert found["skipped"] == 1
    assert all(len(values) == 3 for values in found["figures"].values())


def test_without_a_truth_only_what_needs_none_is_told(tmp_path):
    found = read_measures(measured(tmp_path, known=False)[0])
    assert set(found["means"]) == {
        *("hole_detail", "ring_detail", "ring_sharpness", "whole_warping", "hole_warping"),
    }
    assert found["means"]["hole_warping"] > 0
    assert found["truth"]["figures"] == {}


def test_what_moves_behind_an_object_is_followed_as_what_surrounds_it(tmp_path):
    frames, hole = footage(0, COUNT, 72, 80), objects(1, COUNT, 72, 80)
    seen = np.where(hole[..., None], 255 * np.arange(COUNT)[:, None, None, None] % 2, frames)
    shot = replace(write_shot(tmp_path / "one", seen.astype(np.uint8), hole), export=None)
    do(str(tmp_path / "archive"), shot)
    version = Archive.open(str(tmp_path / "archive"), "a").shot("one").version("v001")
    for t in range(COUNT):
        version.write(t, frames[t])
    (tmp_path / "archive" / "one" / "results" / "v001" / "files" / MEASURES).unlink()
    do(str(tmp_path / "archive"), shot)
    steady = read_measures(version)["means"]
    assert steady["hole_warping"] < 1e-4  # along the flow of the object itself: 1e-2


def test_without_weights_the_reason_is_kept_and_with_them_it_is_measured_anew(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    version, true, _ = measured(tmp_path)
    assert read_measures(version)["lpips"].startswith("LPIPS: no weights (alexnet")
    weights = write_weights(tmp_path / "hub" / "checkpoints")
    shot = ShotSpec("one", "", "")
    assert list(
        run(Job("measure", shot, str(tmp_path / "archive"), "v001", quick()), "cpu", lambda: False)
    )
    found = read_measures(version)
    wanted = Lpips(weights)(tensor(result(version)), tensor(true))[[0, 1, 3]]
    assert found["lpips"] == ""
    assert found["figures"]["whole_lpips"] == pytest.approx(wanted.tolist(), rel=1e-4)


def write_weights(folder: Path) -> Weights:
    """Write random weights of LPIPS where they are looked for."""
    folder.mkdir(parents=True)
    shapes = {
        0: (64, 3, 11),
        3: (192, 64, 5),
        6: (384, 192, 3),
        8: (256, 384, 3),
        10: (256, 256, 3),
    }
    random = torch.Generator().manual_seed(0)
    trunk, heads = {}, {}
    for index, (key, (out, into, side)) in enumerate(shapes.items()):
        trunk[f"features.{key}.weight"] = torch.randn(out, into, side, side, generator=random) / 30
        trunk[f"features.{key}.bias"] = torch.zeros(out)
        heads[f"lin{index}.model.1.weight"] = torch.rand(1, out, 1, 1, generator=random)
    torch.save(trunk, folder / "alexnet-owt-7be5be79.pth")
    torch.save(heads, folder / "alex.pth")
    return Weights(folder / "alexnet-owt-7be5be79.pth", folder / "alex.pth")


def test_measures_that_are_there_are_kept(tmp_path):
    version, _, _ = measured(tmp_path)
    stored = version.files.read(MEASURES)
    job = Job("measure", ShotSpec("one", "", ""), str(tmp_path / "archive"), "v001", quick())
    assert [event["kind"] for event in run(job, "cpu", lambda: False)] == ["done"]
    assert version.files.read(MEASURES) == stored


def test_asked_to_stop_it_leaves_nothing_half_measured(tmp_path):
    version, _, _ = measured(tmp_path)
    version.files.remove(MEASURES)
    job = Job("measure", ShotSpec("one", "", ""), str(tmp_path / "archive"), "v001", quick())
    assert [event["kind"] for event in run(job, "cpu", lambda: True)] == ["progress", "stopped"]
    assert read_measures(version) is None


def test_the_means_of_sharpness_are_ratios_of_averages():
    figures = {"hole_detail": [1.0, 3.0, None], "true_detail": [1.0, 1.0, 5.0]}
    assert means(figures) == {"hole_detail": 2, "true_detail": 7 / 3, "sharpness": 2}
    assert means({"hole_psnr": [None, 3.0]}) == {"hole_psnr": 3}


def test_the_file_is_plain_json_without_infinities(tmp_path):
    version, true, _ = measured(tmp_path)
    writable = Archive.open(str(tmp_path / "archive"), "a").shot("one").version("v001")
    for t in range(COUNT):
        writable.write(t, true[t])
    writable.files.remove(MEASURES)
    job = Job("measure", ShotSpec("one", "", ""), str(tmp_path / "archive"), "v001", quick())
    list(run(job, "cpu", lambda: False))
    found = json.loads(version.files.read(MEASURES), parse_constant=lambda text: math.nan)
    assert found["figures"]["hole_psnr"] == [None, None, None]
    assert found["means"]["sharpness"] == 1
