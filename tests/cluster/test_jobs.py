"""From files on disk to delivered files, in this process: what comes out, and after any stop."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from job_fakes import (
    agenda_of,
    failures,
    logs,
    moving_hole,
    pixels,
    quick,
    result,
    run,
    write_shot,
)

from cluster import carrying, jobs
from cluster.agenda import Agenda
from cluster.backlog import ShotSpec
from cluster.serial import run_serial
from storage import Version
from storage.media import open_source

SIZE = (32, 32)
KINDS = [
    (".png", "uint8"),
    (".png", "uint16"),
    (".tif", "uint16"),
    (".tif", "float32"),
    (".exr", "float16"),
    (".exr", "float32"),
]


@pytest.fixture
def shot(tmp_path) -> ShotSpec:
    """Three frames with a hole that moves."""
    return write_shot(tmp_path / "one", pixels(3, *SIZE, 3), moving_hole(3, *SIZE))


def delivered(folder: str | None) -> np.ndarray:
    """Return the frames of a folder, `(T, H, W, C)`."""
    return np.stack([frame.pixels for frame in open_source(str(folder)).frames()])


def bits(values: np.ndarray) -> bytes:
    """Return values as bytes, so that NaN equals NaN and -0 is not 0."""
    return np.ascontiguousarray(values).tobytes()


def checkpoints(version: Version) -> dict[str, bytes]:
    names = sorted(name for name in version.files.names() if name.startswith("checkpoint-"))
    return {name: version.files.read(name) or b"" for name in names}


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return when each file below a folder was written, and what it holds."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.mark.parametrize(("suffix", "dtype"), KINDS)
def test_known_pixels_are_delivered_bit_for_bit_and_the_hole_is_filled(suffix, dtype, tmp_path):
    frames, hole = pixels(3, *SIZE, 3, dtype), moving_hole(3, *SIZE)
    shot = write_shot(tmp_path / "one", frames, hole, suffix)
    assert failures(run(tmp_path / "a", quick(), shot)) == {}
    out = delivered(shot.export)
    assert (out.shape, out.dtype) == (frames.shape, frames.dtype)
    assert bits(out[~hole]) == bits(frames[~hole])
    assert np.isfinite(out[hole]).all()
    assert (out[hole] != frames[hole]).mean() > 0.5
    names = [sorted(path.name for path in Path(p).iterdir()) for p in (shot.source, shot.export)]
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("count", "height", "width", "channels"),
    [(2, 32, 32, 1), (2, 32, 32, 4), (1, 32, 32, 3), (2, 39, 43, 3)],
    ids=["grey", "with alpha", "one frame", "odd size"],
)
def test_every_shape_of_frames_comes_back(count, height, width, channels, tmp_path):
    frames, hole = pixels(count, height, width, channels), moving_hole(count, height, width)
    shot = write_shot(tmp_path / "one", frames, hole)
    assert failures(run(tmp_path / "a", quick(), shot)) == {}
    out = delivered(shot.export)
    assert out.shape == frames.shape
    assert np.array_equal(out[~hole], frames[~hole])


def test_a_shot_larger_than_the_working_size_keeps_its_known_pixels(tmp_path):
    frames, hole = pixels(2, 47, 61, 3), moving_hole(2, 47, 61)
    shot = write_shot(tmp_path / "one", frames, hole)
    assert failures(run(tmp_path / "a", quick("size=32x24"), shot)) == {}
    assert np.array_equal(delivered(shot.export)[~hole], frames[~hole])


def test_the_pixels_under_the_hole_have_no_influence_on_the_result(tmp_path):
    hole, results = moving_hole(3, *SIZE), []
    for name, fill in (("black", 0), ("white", 255)):
        frames = pixels(3, *SIZE, 3)
        frames[hole] = fill
        shot = write_shot(tmp_path / name, frames, hole)
        run(tmp_path / "a", quick(), shot)
        results.append(result(tmp_path / "a", name))
    assert final(results[0]) == final(results[1])
    assert same_frames(results[0], results[1])


def test_an_empty_mask_is_copied_through_and_said_so(tmp_path):
    frames = pixels(2, *SIZE, 3)
    shot = write_shot(tmp_path / "one", frames, np.zeros((2, *SIZE), bool))
    told = run(tmp_path / "a", quick(), shot)
    assert logs(told) == ["no frame has a hole: copied through"]
    assert np.array_equal(delivered(shot.export), frames)
    assert result(tmp_path / "a", "one").attrs["status"] == "copied"


def test_a_frame_covered_whole_is_filled(tmp_path):
    frames, hole = pixels(3, *SIZE, 3), moving_hole(3, *SIZE)
    hole[1] = True
    shot = write_shot(tmp_path / "one", frames, hole)
    assert failures(run(tmp_path / "a", quick(), shot)) == {}
    out = delivered(shot.export)
    assert (out[1] != frames[1]).mean() > 0.5
    assert np.array_equal(out[~hole], frames[~hole])


def test_a_hole_that_covers_everything_is_refused(tmp_path):
    shot = write_shot(tmp_path / "one", pixels(2, *SIZE, 3), np.ones((2, *SIZE), bool))
    reason = failures(run(tmp_path / "a", quick(), shot))["one"]
    assert reason.startswith("shot 'one': the hole covers every pixel of every frame")


def test_a_result_carries_its_error_beside_telea_s_and_the_true_one_where_it_is_known(
    shot, tmp_path
):
    run(tmp_path / "a", quick(), shot, replace(shot, name="known", truth=shot.source, export=None))
    estimate = result(tmp_path / "a", "one").attrs["quality"]
    known = result(tmp_path / "a", "known").attrs["quality"]
    assert estimate.keys() == {"validation_psnr", "validation_peer_psnr"}
    assert {"hole_psnr", "telea_hole_psnr", "hole_ssim", "whole_psnr"} <= known.keys()
    assert all(np.isfinite([*estimate.values(), *known.values()]))
    share = moving_hole(3, *SIZE).mean()
    lift = known["whole_psnr"] - known["hole_psnr"]
    assert lift == pytest.approx(-10 * np.log10(share), abs=1e-3)


def test_the_curve_has_every_report_once_and_the_last_validation_is_the_result_s(shot, tmp_path):
    config = quick("fit.prior=none")
    run(tmp_path / "a", config, shot, until_step=3)
    run(tmp_path / "a", config, shot)
    version = result(tmp_path / "a", "one")
    curve = json.loads(version.files.read("curve.json"))
    assert [entry["step"] for entry in curve] == [1, 2, 3, 4]
    assert [entry["validation_psnr"] is not None for entry in curve] == [False, True, False, True]
    assert curve[-1]["validation_psnr"] == version.attrs["quality"]["validation_psnr"]
    assert all(a["seconds"] < b["seconds"] for a, b in pairwise(curve))


def test_a_finished_run_given_again_writes_nothing(shot, tmp_path):
    run(tmp_path / "a", quick(), shot)
    before = everything(tmp_path)
    assert failures(run(tmp_path / "a", quick(), shot)) == {}
    assert everything(tmp_path) == before


def test_the_same_run_twice_gives_the_same_bytes_and_another_seed_others(shot, tmp_path):
    for name, words in (("a", []), ("b", []), ("c", ["seed=1"])):
        run(tmp_path / name, quick(*words), replace(shot, export=None))
    a, b, c = (final(result(tmp_path / name, "one")) for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_run_stopped_and_given_again_ends_as_an_unbroken_one(step, shot, tmp_path):
    run(tmp_path / "unbroken", quick(), replace(shot, export=None))
    told = run(tmp_path / "broken", quick(), shot, until_step=step)
    assert told[-1].event["kind"] == "stopped"
    assert result(tmp_path / "broken", "one").attrs["step"] == step
    assert not Path(shot.export).exists()
    again = run(tmp_path / "broken", quick(), shot)
    assert logs(again) == [f"goes on from step {step}"]
    unbroken, broken = (result(tmp_path / name, "one") for name in ("unbroken", "broken"))
    assert final(broken) == final(unbroken)
    assert same_frames(broken, unbroken)


def test_a_run_killed_between_checkpoints_ends_as_an_unbroken_one(shot, tmp_path):
    run(tmp_path / "unbroken", quick(), replace(shot, export=None))
    kill_at(agenda_of(tmp_path / "broken", quick(), shot), "steps", 3)
    assert list(checkpoints(result(tmp_path / "broken", "one")))[-1] == "checkpoint-00000002.pt"
    assert logs(run(tmp_path / "broken", quick(), shot)) == ["goes on from step 2"]
    unbroken, broken = (result(tmp_path / name, "one") for name in ("unbroken", "broken"))
    assert final(broken) == final(unbroken)


def test_a_fit_that_ends_early_says_so_and_is_whole(shot, tmp_path):
    words = ["fit.patience=1", "fit.least_gain_db=99", "fit.cooldown_share=0.25", "fit.steps=40"]
    told = run(tmp_path / "a", quick(*words), shot)
    attrs = result(tmp_path / "a", "one").attrs
    assert (attrs["status"], attrs["step"], attrs["steps"]) == ("done", 6, 6)
    assert "gains little more: ends at step 6, not 40" in logs(told)


def test_a_batch_once_halved_stays_so_after_a_kill(shot, tmp_path):
    run(tmp_path / "a", quick("fit.batch=2"), shot, until_step=2)
    result(tmp_path / "a", "one").update(batch=1)  # as the attempt that was killed had left it
    run(tmp_path / "a", quick("fit.batch=2"), shot)
    attrs = result(tmp_path / "a", "one").attrs
    assert (attrs["status"], attrs["batch"]) == ("done", 1)


def test_a_run_killed_while_filling_does_only_the_frames_that_are_left(shot, tmp_path):
    run(tmp_path / "unbroken", quick(), replace(shot, export=None))
    kill_at(agenda_of(tmp_path / "broken", quick(), shot), "frames", 1)
    assert result(tmp_path / "broken", "one").done.tolist() == [True, False, False]
    events = [note.event for note in run(tmp_path / "broken", quick(), replace(shot, export=None))]
    assert [event["done"] for event in events if event.get("unit") == "frames"] == [3, 2, 3]
    unbroken, broken = (result(tmp_path / name, "one") for name in ("unbroken", "broken"))
    assert same_frames(broken, unbroken)


@pytest.mark.parametrize("method", ["internal", "flow"])
@pytest.mark.parametrize("unit", ["flows", "frames"])
def test_the_time_that_a_stopped_attempt_took_counts(method, unit, shot, tmp_path):
    config, shot = quick(f"method={method}"), replace(shot, export=None)
    notes = run(tmp_path / "count", config, shot)
    told = [note.job.kind == "inpaint" and note.event.get("unit") for note in notes]
    run(tmp_path / "a", config, shot, until_note=told.index(unit) + 2)
    version = result(tmp_path / "a", "one")
    assert "fill" in version.attrs["seconds"]
    version.update(seconds=version.attrs["seconds"] | {"fill": 1000.0})
    run(tmp_path / "a", config, shot)
    assert result(tmp_path / "a", "one").attrs["seconds"]["fill"] >= 1000


@pytest.mark.parametrize("damaged", [None, 0, 1, 2])
def test_a_run_killed_while_filling_follows_no_flow_again(damaged, shot, tmp_path, monkeypatch):
    monkeypatch.setattr("inpaint.flow_propagation.HELD_BYTES", 1)  # a part each frame
    whole = run(tmp_path / "unbroken", quick(), replace(shot, export=None))
    kill_at(agenda_of(tmp_path / "broken", quick(), shot), "frames", 1)
    files = result(tmp_path / "broken", "one").files
    kept = [name for name in files.names() if name.startswith("prior")]
    assert kept == [carrying.file_of(range(t, t + 1)) for t in range(3)]
    if damaged is not None:
        files.write(kept[damaged], files.read(kept[damaged])[:-1])
    files.write("prior.pt", b"of an earlier release")
    again = run(tmp_path / "broken", quick(), shot)
    said = [text.split(" is damaged")[0] for text in logs(again) if "is damaged" in text]
    assert said == ([] if damaged is None else [kept[damaged]])
    flows = sorted({note.event["done"] for note in whole if note.event.get("unit") == "flows"})
    assert flows == list(range(1, flows[-1] + 1))
    each = np.split(np.array(flows), 3)  # as many of each: every frame is shown the whole clip
    followed = {note.event["done"] for note in again if note.event.get("unit") == "flows"}
    assert followed == (set() if damaged is None else set(each[damaged].tolist()))
    unbroken, broken = (result(tmp_path / name, "one") for name in ("unbroken", "broken"))
    assert same_frames(broken, unbroken)
    assert not [name for name in broken.files.names() if name.startswith("prior")]


def test_a_part_that_is_of_other_frames_is_made_anew(shot, tmp_path, monkeypatch):
    run(tmp_path / "unbroken", quick(), replace(shot, export=None))
    kill_at(agenda_of(tmp_path / "broken", quick(), shot), "frames", 1)
    monkeypatch.setattr("inpaint.flow_propagation.HELD_BYTES", 1)
    said = logs(run(tmp_path / "broken", quick(), shot))
    assert any("is damaged, it is made anew (of 3 frames, not 1)" in text for text in said)


@pytest.mark.parametrize("damage", ["cut short", "one bit", "empty"])
def test_of_a_damaged_checkpoint_the_one_before_is_used_and_it_is_said(damage, shot, tmp_path):
    run(tmp_path / "a", quick(), replace(shot, export=None))
    version = result(tmp_path / "a", "one")
    version.update(status="fitting")
    good = final(version)
    changed = bytearray(good)
    changed[len(good) // 2] ^= 1
    bad = {"cut short": good[: len(good) // 2], "one bit": bytes(changed), "empty": b""}[damage]
    version.files.write("checkpoint-00000004.pt", bad)
    said = logs(run(tmp_path / "a", quick("checkpoint_every_s=60"), shot))
    assert said[0].startswith("checkpoint-00000004.pt is damaged, the one before is used (")
    assert said[1:] == ["goes on from step 3"]
    assert checkpoints(version)["checkpoint-00000004.pt"] == good
    curve = json.loads(version.files.read("curve.json"))
    assert [entry["step"] for entry in curve] == [1, 2, 3, 4]


def test_where_every_checkpoint_is_damaged_the_run_begins_anew(shot, tmp_path):
    run(tmp_path / "a", quick(), shot)
    version = result(tmp_path / "a", "one")
    version.update(status="fitting")
    good = checkpoints(version)
    for name in good:
        version.files.write(name, b"not a checkpoint")
    said = logs(run(tmp_path / "a", quick(), shot))
    assert ["is damaged" in text for text in said] == [True, True]
    assert checkpoints(version) == good


def test_two_checkpoints_are_kept(shot, tmp_path):
    run(tmp_path / "a", quick(), shot)
    kept = list(checkpoints(result(tmp_path / "a", "one")))
    assert kept == ["checkpoint-00000003.pt", "checkpoint-00000004.pt"]


@pytest.mark.parametrize(
    ("unit", "done"), [("steps", 1), ("flows", 1), ("flows", 6), ("frames", 1), ("frames", 3)]
)
def test_a_superseded_attempt_writes_no_more_and_is_not_tried_again(unit, done, shot, tmp_path):
    agenda, before = agenda_of(tmp_path / "a", quick(), shot), None
    for note in run_serial(agenda, lambda: False):
        at = note.event.get("unit"), note.event.get("done")
        if note.job.kind == "inpaint" and at == (unit, done) and before is None:
            version = result(tmp_path / "a", "one")
            version.update(attempt=2)
            before = everything(tmp_path / "a")
    assert everything(tmp_path / "a") == before
    assert list(agenda.failed) == ["one"]
    assert agenda.failed["one"].endswith("a later attempt has taken over")
    assert agenda.attempts["inpaint one v001"] == 1


def test_a_broken_shot_fails_by_name_and_the_others_finish(shot, tmp_path):
    broken = write_shot(tmp_path / "broken", pixels(3, *SIZE, 3), moving_hole(3, *SIZE))
    file = Path(broken.source, "plate.1002.png")
    file.write_bytes(file.read_bytes()[:-900])
    told = run(tmp_path / "a", quick(), broken, shot)
    reasons = failures(told)
    assert list(reasons) == ["broken"]
    assert str(file) in reasons["broken"]
    assert result(tmp_path / "a", "one").attrs["status"] == "done"
    assert len(delivered(shot.export)) == 3


def test_a_job_asked_to_stop_before_its_first_step_leaves_a_shot_to_go_on_with(shot, tmp_path):
    agenda = agenda_of(tmp_path / "a", quick(), shot)
    assert list(run_serial(agenda, lambda: True)) == []
    events = list(jobs.run(agenda.ready(), "cpu", lambda: True))
    assert events[-1] == {"kind": "stopped"}
    assert failures(run(tmp_path / "a", quick(), shot)) == {}


def final(version: Version) -> bytes:
    """Return the last checkpoint."""
    return list(checkpoints(version).values())[-1]


def same_frames(one: Version, other: Version) -> bool:
    return all(np.array_equal(one.result(t), other.result(t)) for t in range(len(one.shot)))


def kill_at(agenda: Agenda, unit: str, done: int) -> None:
    """Do the agenda and break off, without a word to the job, when it tells of so much done."""
    for note in run_serial(agenda, lambda: False):
        event = note.event
        if note.job.kind == "inpaint" and (event.get("unit"), event.get("done")) == (unit, done):
            return
