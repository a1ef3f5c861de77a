"""A shot in scales: whole frames first, then windows, each from the one before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from job_fakes import failures, moving_hole, pan, pixels, quick, result, run, write_shot

from cluster.backlog import ShotSpec
from cluster.footage import tone_for, where_to_look
from cluster.plates import VALIDATION, Judged, Plates
from inpaint.clip import Whole
from inpaint.progressive import Scale
from inpaint.windows import Window
from storage import Archive, Version
from storage.media import open_source

SIZE = (70, 90)
SCALED = ("size=22x18", "progressive.window_px=32", "progressive.steps=3")
WHOLE = Window(0, 0, *SIZE)


def scaled(*words: str):
    return quick(*SCALED, *words)


@pytest.fixture
def shot(tmp_path: Path) -> ShotSpec:
    return write_shot(tmp_path / "one", pixels(3, *SIZE, 3), moving_hole(3, *SIZE))


@pytest.fixture
def done(shot: ShotSpec, tmp_path: Path) -> Version:
    """The shot in its scales: 22×18, then 90×70."""
    assert failures(run(tmp_path / "a", scaled(), shot)) == {}
    return result(tmp_path / "a", "one")


def coarser(version: Version) -> Version:
    return version.shot.version(f"{version.name}.22x18")


def plates(version: Version, factor: int = 1) -> Plates:
    scale = Scale(-(-SIZE[0] // factor), -(-SIZE[1] // factor), factor, 4.0 / factor)
    judged = Judged.read(coarser(version).files.read(VALIDATION) or b"")
    return Plates(version, coarser(version), judged, tone_for(version), scale)


def test_each_scale_is_a_version_of_its_own_and_the_last_is_the_result(done: Version) -> None:
    assert done.shot.versions() == ["v001.22x18", "v001"]
    assert coarser(done).attrs["part_of"] == "v001"
    assert done.attrs["status"] == coarser(done).attrs["status"] == "done"
    assert (coarser(done).attrs["steps"], done.attrs["steps"]) == (4, 3)


def test_known_pixels_come_back_bit_for_bit(done: Version, shot: ShotSpec) -> None:
    frames, hole = pixels(3, *SIZE, 3), moving_hole(3, *SIZE)
    out = np.stack([frame.pixels for frame in open_source(str(shot.export)).frames()])
    assert np.array_equal(out[~hole], frames[~hole])
    assert not np.array_equal(out[hole], frames[hole])


def test_stopped_anywhere_the_scales_go_on_to_the_same_result(
    done: Version, shot: ShotSpec, tmp_path: Path
) -> None:
    events = len(run(tmp_path / "count", scaled(), shot)) - 8
    for stop_at in range(2, events, 5):
        archive, again = tmp_path / f"at{stop_at}", replace(shot, export=None)
        run(archive, scaled(), again, until_note=stop_at)
        run(archive, scaled(), again)
        for t in range(3):
            assert np.array_equal(result(archive, "one").result(t), done.result(t)), stop_at


def test_windows_of_a_frame_are_what_the_frame_is(done: Version) -> None:
    whole = plates(done).window(1, WHOLE)
    window = Window(20, 30, 32, 40)
    part = plates(done).window(1, window)
    region = (slice(None), slice(None), *window.slices)
    assert torch.equal(part.frames, whole.frames[region])
    assert torch.equal(part.hole, whole.hole[region])
    assert torch.equal(part.unknown, whole.unknown[region])


def test_the_prior_is_the_coarser_fill_in_the_hole_and_soft_around_it(done: Version) -> None:
    one = plates(done).window(1, WHOLE)
    hole = np.asarray(done.hole[1])
    prior = _picture(one.prior)
    assert np.array_equal(prior[hole], np.asarray(coarser(done).filled[1])[hole])
    known = _picture(one.frames)[~hole].astype(float)
    assert prior[~hole].std() < 0.5 * known.std()


def test_nothing_under_the_hole_gets_into_the_prior(tmp_path: Path) -> None:
    hole, priors = moving_hole(3, *SIZE), []
    for name, under in (("black", 0), ("white", 255)):
        frames = pixels(3, *SIZE, 3)
        frames[hole] = under
        shot = write_shot(tmp_path / name, frames, hole)
        run(tmp_path / "a", scaled(), shot)
        priors.append(plates(result(tmp_path / "a", name)).window(1, WHOLE).prior)
    assert torch.equal(*priors)


def test_the_truth_of_the_validation_hole_is_not_in_the_exams_prior(done: Version) -> None:
    exam = plates(done).exam(32, torch.device("cpu"))
    assert exam is not None
    assert exam.where.flatten(1).any(dim=1).all()
    assert not (exam.where & ~exam.clip.unknown).any()
    judged = Judged.read(coarser(done).files.read(VALIDATION) or b"")
    blank = replace(judged, pictures=np.zeros_like(judged.pictures))
    scale = Scale(*SIZE, 1, 4.0)
    other = Plates(done, coarser(done), blank, tone_for(done), scale).exam(32, torch.device("cpu"))
    assert other is not None
    assert other.clip.prior is not None
    assert other.clip.prior[exam.where.expand_as(other.clip.prior)].max() == 0


def test_the_exam_says_which_part_of_which_frame_each_is(done: Version) -> None:
    found, exam = plates(done), plates(done).exam(32, torch.device("cpu"))
    assert exam is not None
    for n, (t, window) in enumerate(exam.places):
        assert torch.equal(found.window(t, window).frames, exam.clip.frames[n : n + 1])
        assert torch.equal(found.window(t, window).unknown, exam.clip.unknown[n : n + 1])


def test_unknown_pixels_are_counted(done: Version) -> None:
    found = plates(done)
    unknown = [found.window(t, WHOLE).unknown for t in range(3)]
    assert found.unknown_px() == [int(each.sum()) for each in unknown]


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize(("dtype", "suffix"), [("uint8", ".png"), ("float32", ".exr")])
def test_its_frames_are_those_of_its_windows_without_what_is_only_learnt_from(
    dtype: str, suffix: str, factor: int, tmp_path: Path
) -> None:
    frames = pixels(3, *SIZE, 3, dtype)
    if dtype == "float32":
        frames[:, 2:5, 3] = np.nan
    shot = write_shot(tmp_path / "one", frames, moving_hole(3, *SIZE), suffix)
    assert failures(run(tmp_path / "a", scaled(), replace(shot, export=None))) == {}
    found = plates(result(tmp_path / "a", "one"), factor)
    for t in range(len(found)):
        for one, other in zip(found[t], Whole(found)[t], strict=True):
            assert np.array_equal(one, other)
        assert found.judged(t, Window(0, 0, *found.size)).any()
    assert found.unknown_px() == [int(found[t][1].sum()) for t in range(len(found))]


@pytest.mark.parametrize("held_bytes", [1, 1 << 32])
def test_a_finer_scale_shows_what_its_own_flow_finds_in_one_part_or_many(
    held_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inpaint.flow_propagation.HELD_BYTES", held_bytes)
    frames, hole = pan(8, *SIZE)
    shot = replace(write_shot(tmp_path / "one", frames, hole), export=None)
    errors = []
    for prior in ("none", "propagated"):
        assert failures(run(tmp_path / prior, scaled(f"fit.prior={prior}"), shot)) == {}
        made = result(tmp_path / prior, "one")
        shown = np.stack([made.result(t) for t in range(len(frames))])
        errors.append(np.square(shown[hole].astype(float) - frames[hole]).mean())
    assert errors[1] < errors[0] / 4


def test_broken_pixels_beside_the_hole_do_no_harm(tmp_path: Path) -> None:
    frames, hole = pixels(3, *SIZE, 3, "float32"), moving_hole(3, *SIZE)
    frames[:, SIZE[0] // 4 - 1, :, 1] = np.nan  # along the hole's edge
    shot = write_shot(tmp_path / "one", frames, hole, ".exr")
    assert failures(run(tmp_path / "a", scaled("progressive.scales=[3,1]"), shot)) == {}
    done = result(tmp_path / "a", "one")
    assert all(np.isfinite(done.result(t)[hole[t]]).all() for t in range(3))


@pytest.mark.parametrize("factor", [2, 3])
def test_a_scale_that_does_not_divide_the_source_covers_it(done: Version, factor: int) -> None:
    found = plates(done, factor)
    one = found.window(0, Window(0, 0, *found.size))
    assert one.frames.shape[-2:] == found.size
    assert found.missing(0).shape == found.size
    assert found.missing(0).sum() * factor**2 >= np.asarray(done.hole[0]).sum()


def test_judged_comes_back_from_its_bytes() -> None:
    random = np.random.default_rng(0)
    hole = random.random((3, 7, 11)) < 0.2
    judged = Judged(hole, np.array([0, 2]), random.random((2, 7, 11, 3)).astype(np.float16))
    again = Judged.read(judged.dump())
    assert all(
        np.array_equal(getattr(judged, name), getattr(again, name))
        for name in ("hole", "frames", "pictures")
    )


def test_scales_can_be_switched_off(shot: ShotSpec, tmp_path: Path) -> None:
    run(tmp_path / "a", scaled("progressive.scales=[]"), shot)
    assert Archive.open(str(tmp_path / "a")).shot("one").versions() == ["v001"]


def test_scales_do_without_a_validation_hole(shot: ShotSpec, tmp_path: Path) -> None:
    assert failures(run(tmp_path / "a", scaled("validation_share=0"), shot)) == {}
    assert result(tmp_path / "a", "one").attrs["quality"]["validation_psnr"] is None


def test_grey_frames_are_scaled_too(tmp_path: Path) -> None:
    frames, hole = pixels(2, *SIZE, 1, "uint16"), moving_hole(2, *SIZE)
    shot = write_shot(tmp_path / "one", frames, hole)
    assert failures(run(tmp_path / "a", scaled(), shot)) == {}
    out = np.stack([frame.pixels for frame in open_source(str(shot.export)).frames()])
    assert np.array_equal(out[~hole], frames[~hole])


def test_windows_lie_in_the_frames_that_are_missing_whole(tmp_path: Path) -> None:
    frames, hole = pixels(9, *SIZE, 3), np.zeros((9, *SIZE), bool)
    hole[4] = True  # a hole without a boundary
    shot = write_shot(tmp_path / "one", frames, hole)
    assert failures(run(tmp_path / "a", scaled("progressive.uniform_share=0"), shot)) == {}
    done = result(tmp_path / "a", "one")
    assert not done.boundary.any()
    assert np.array_equal(np.flatnonzero(where_to_look(done).any(axis=(1, 2))), [4])


def _picture(frames: torch.Tensor | None) -> np.ndarray:
    assert isinstance(frames, torch.Tensor)
    return frames[0].permute(1, 2, 0).numpy()
