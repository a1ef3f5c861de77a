import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import job_fakes
import numpy as np
import pytest
from report_fakes import QUALITY, add_masks, add_scales, add_shot, add_version, every_state

from cluster.inventory import summarise
from cluster.last_run import Run, keep_run, read_run
from cluster.lease import held
from cluster.seen import decibels, duration, percent
from cluster.status import main
from cluster.summary import Quality, Summary, worst_first
from storage import Archive
from storage.blocks import Block, finish_shot, write_block


@pytest.fixture
def archive(tmp_path):
    return Archive.open(str(tmp_path / "archive"), "a")


def now_less(seconds):
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def test_failed_shots_come_first_then_the_lowest_psnr_then_what_runs(archive):
    every_state(archive)
    ordered = [(s.shot, s.state) for s in worst_first(summarise(archive))]
    assert ordered == [
        ("broken", "failed"),
        ("re<b>fused", "failed"),
        ("poor", "done"),
        ("good", "done"),
        ("half", "fitting"),
        ("fresh", "waiting"),
        ("empty", "copied"),
    ]


def test_a_summary_says_what_shot_and_version_hold(archive):
    add_version(add_shot(archive, "one"), code="0.1", config={"fit": {"steps": 200}})
    (summary,) = summarise(archive)
    assert (summary.frames, summary.width, summary.height, summary.fps) == (6, 64, 36, 24.0)
    assert summary.hole_share == pytest.approx((5 * 160 + 240) / (6 * 36 * 64))
    assert summary.quality == Quality(validation_psnr=31.25, validation_peer_psnr=24.5)
    assert (summary.total_s, summary.margin_db) == (132.0, 6.75)
    assert (summary.version, summary.code, summary.config["fit"]) == ("v1", "0.1", {"steps": 200})


def test_the_hole_is_counted_block_by_block_and_sampled_where_it_was_not(archive):
    shot, more = add_shot(archive, "one"), np.ones((2, 36, 64), bool)
    numbers = np.arange(2)
    write_block(shot, Block(6, np.zeros((2, 36, 64, 3), np.uint8), more, numbers, numbers))
    finish_shot(shot)
    exact = (5 * 160 + 240 + 2 * 36 * 64) / (8 * 36 * 64)
    assert summarise(archive)[0].hole_share == pytest.approx(exact)
    shot.update(missing_px=None)
    assert summarise(archive)[0].hole_share == pytest.approx(exact)


def test_the_newest_version_is_shown_unless_another_is_named(archive):
    shot = add_shot(archive, "one")
    for name in ("b", "a"):
        add_version(shot, name)
    assert [s.version for s in summarise(archive)] == ["a"]
    assert [s.version for s in summarise(archive, versions={"one": "b"})] == ["b"]


def test_what_is_planned_and_not_there_yet_is_waiting(archive):
    add_version(add_shot(archive, "one"))
    planned = summarise(archive, ["one", "two"], versions={"one": "v2"})
    assert [(s.shot, s.state, s.version) for s in planned] == [
        ("one", "waiting", None),
        ("two", "waiting", None),
    ]


def test_the_scales_of_a_result_are_its_stages_and_their_times_add_up(archive):
    add_scales(add_shot(archive, "one"), "16x9", "32x18", "64x36")
    (summary,) = summarise(archive)
    assert (summary.version, summary.doing) == ("v001", "done")
    assert [stage.scale for stage in summary.stages] == ["16x9", "32x18", "64x36"]
    assert (summary.fit_s, summary.fill_s) == (3 * 125.0, 3 * 7.0)


def test_a_coarse_scale_is_work_and_no_result(archive):
    add_scales(add_shot(archive, "fits"), "16x9", "32x18", status="fitting", step=70, filled=0)
    add_scales(add_shot(archive, "next"), "16x9")
    add_scales(add_shot(archive, "fills"), "16x9", "32x18", "64x36", status="filling", filled=2)
    add_scales(add_shot(archive, "sinks"), "16x9", status="failed", error="out of memory")
    found = {s.shot: (s.version, s.doing, s.step) for s in summarise(archive)}
    assert found == {
        "fits": ("v001", "fitting 32×18", 70),
        "next": ("v001", "fitting 32×18", None),
        "fills": ("v001", "filling 64×36", 200),
        "sinks": ("v001", "failed 16×9", 200),
    }
    known = [s.shot for s in summarise(archive) if s.quality.validation_psnr is not None]
    assert known == ["fills"]


def test_a_result_begun_later_is_shown_even_at_its_coarsest_scale(archive):
    shot = add_shot(archive, "one")
    add_scales(shot, "16x9", "32x18", "64x36")
    add_scales(shot, "16x9", of="v002", status="fitting")
    (newest,) = summarise(archive)
    (named,) = summarise(archive, versions={"one": "v001"})
    assert (newest.version, newest.doing) == ("v002", "fitting 16×9")
    assert (named.version, named.doing) == ("v001", "done")


def test_a_shot_whose_masks_are_being_made_is_propagating(archive):
    shot = add_shot(archive, "one", given=[0])
    add_masks(shot, made=2, status="fitting", step=12, seconds=None)
    (summary,) = summarise(archive)
    assert (summary.state, summary.step, summary.steps) == ("propagating", 12, 60)
    assert (summary.version, summary.hole_share) == (None, None)


def test_masks_that_were_made_count_as_the_hole_and_as_work(archive):
    shot = add_shot(archive, "one", given=[0])
    add_masks(shot)
    assert [s.state for s in summarise(archive)] == ["waiting"]
    add_version(shot, mask="m001")
    (summary,) = summarise(archive)
    assert (summary.state, summary.total_s) == ("done", 20 + 1 + 125 + 7)
    assert [stage.kind for stage in summary.stages] == ["masks", "fit"]
    assert summary.hole_share == pytest.approx((5 * 160 + 240) / (6 * 36 * 64))


def test_new_masks_for_a_result_to_come_show_before_an_older_result(archive):
    shot = add_shot(archive, "one", given=[0])
    add_masks(shot)
    add_version(shot, "v001", mask="m001")
    add_masks(shot, "m002", status="filling", made=3)
    states = [summarise(archive, versions=v)[0].state for v in ({}, {"one": "v001"})]
    assert states == ["propagating", "done"]


def test_a_failure_of_an_ingest_stands_beside_the_older_result(archive):
    add_version(add_shot(archive, "one"))
    archive.files.write("failures.json", b'{"one": "the source changed"}')
    (summary,) = summarise(archive)
    assert (summary.state, summary.message) == ("failed", "the source changed")
    assert summary.version == "v1"


def test_attributes_of_the_wrong_kind_do_no_harm(archive):
    shot = add_shot(archive, "one")
    shot.create_version("v", {"quality": 3, "seconds": None, "step": "x", "status": None})
    shot.version("v").files.write("curve.json", b"{")
    (summary,) = summarise(archive)
    assert (summary.state, summary.step, summary.total_s) == ("waiting", None, None)


def test_a_shot_whose_description_is_damaged_is_named_and_the_others_are_shown(archive):
    add_shot(archive, "one")
    Path(add_shot(archive, "two").url, "zarr.json").write_text("{")
    first, second = summarise(archive)
    assert first.state == "waiting"
    assert second.state == "failed"
    assert "damaged" in second.message


def test_status_prints_a_row_for_each_shot_and_the_reasons_below(archive, capsys):
    every_state(archive)
    assert main([archive.url]) == 0
    lines = capsys.readouterr().out.splitlines()
    (row,) = (" ".join(line.split()) for line in lines if line.startswith("good"))
    assert row == "good 6 64×36 7.5 % v1 done 200/200 31.25 2 min 12 s"
    assert "re<b>fused: frame 1004 is 8×8, the first is 9×9" in lines
    assert lines[-1] == "7 shots: 2 failed, 2 done, 1 copied, 1 waiting, 1 fitting"


def test_status_names_the_scale_in_work(archive, capsys):
    add_scales(add_shot(archive, "one"), "16x9", "32x18", status="fitting", step=70, filled=0)
    assert main([archive.url]) == 0
    lines = capsys.readouterr().out.splitlines()
    (row,) = (" ".join(line.split()) for line in lines if line.startswith("one"))
    assert row == "one 6 64×36 7.5 % v001 fitting 32×18 70/200 – 4 min 24 s"


def test_shots_that_a_run_is_still_to_bring_in_are_waiting(archive, capsys):
    add_version(add_shot(archive, "one"), "v001")
    keep_run(archive, {"one": "v002", "two": "v001"})
    assert main([archive.url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["no run is at work", "2 shots: 2 waiting"]


def test_status_names_the_driver_and_its_pace(archive, capsys):
    add_version(add_shot(archive, "one"), finished=now_less(60))
    add_version(add_shot(archive, "half"), status="fitting", steps_per_s=2.5, quality=None)
    with held(archive):
        keep_run(archive, {})
        assert main([archive.url]) == 0
    run, pace_of_it, _ = capsys.readouterr().out.splitlines()[-3:]
    assert f"(process {os.getpid()})" in run
    assert "2.5 steps/s · about 0 s left (2 min 12 s a shot, the mean of 1 done; 1 at work)" in (
        pace_of_it
    )


def test_a_run_that_cannot_be_read_is_as_none(archive):
    archive.files.write("run.json", b'{"begun": 3')
    assert read_run(archive) == Run()
    archive.files.write("run.json", b'["x"]')
    assert read_run(archive) == Run()


def test_what_is_known_is_not_read_again(archive):
    add_version(add_shot(archive, "one"))
    kept = Summary("one", "done", message="as it was")
    add_shot(archive, "two")
    assert summarise(archive, known={"one": kept}) == [kept, *summarise(archive, ["two"])]


def test_a_finished_result_says_when(tmp_path):
    fresh = job_fakes.write_shot(
        tmp_path / "one", job_fakes.pixels(3, 24, 32, 3), np.zeros((3, 24, 32), bool)
    )
    job_fakes.run(tmp_path / "a", job_fakes.quick(), fresh)
    (summary,) = summarise(Archive.open(str(tmp_path / "a")))
    age = datetime.now(UTC) - datetime.fromisoformat(summary.finished)
    assert summary.state == "copied"
    assert timedelta(seconds=-1) <= age < timedelta(minutes=5)


def test_json_holds_every_value_and_no_number_json_lacks(archive, capsys):
    quality = QUALITY | {"hole_psnr": float("inf"), "validation_psnr": float("inf")}
    add_version(add_shot(archive, "one"), quality=quality)
    assert main([archive.url, "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert one["quality"]["hole_psnr"] == one["stages"][0]["validation_psnr"] == "inf"
    assert (one["shot"], one["state"], one["fill_s"]) == ("one", "done", 7.0)


def test_a_place_without_an_archive_is_one_line_and_status_2(tmp_path, capsys):
    assert main([str(tmp_path / "none")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_figures_are_written_as_a_person_would():
    assert [duration(s) for s in (None, 0.4, 59.6, 185, 7800)] == [
        "–",
        "0 s",
        "1 min 00 s",
        "3 min 05 s",
        "2 h 10 min",
    ]
    assert [decibels(x) for x in (None, 31.254, float("inf"))] == ["–", "31.25", "∞"]
    assert [percent(x) for x in (None, 0, 0.00042, 0.063)] == ["–", "0 %", "0.042 %", "6.3 %"]
