"""The main job as a person starts it: its exit status, and the one line each mistake gets."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from job_fakes import QUICK, moving_hole, pixels, write_shot

from cluster.__main__ import main as cleanplate
from cluster.launch import main
from storage import Archive, PlaceError
from storage.media import open_source
from storage.stills import write_image

SIZE = (32, 32)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """A current folder with a good shot in `one`, outside any cluster."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    write_shot(tmp_path / "one", pixels(3, *SIZE, 3), moving_hole(3, *SIZE))
    return tmp_path


def launch(*words: str) -> int:
    """Start the good shot, or what the words say instead."""
    given = {word.split("=")[0] for word in words}
    one = ["source=one/frames", "mask=one/masks"] if "shots" not in given else []
    return main([*QUICK, *one, "archive=runs/archive", *words])


def refusal(capsys, *words: str) -> str:
    """Return the one line with which a launch is refused."""
    assert launch(*words) == 2
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err
    (line,) = printed.err.splitlines()
    return line


def test_a_good_shot_ends_with_0_a_result_a_report_and_curves(here, capsys):
    assert launch("export=out.mkv") == 0
    version = Archive.open("runs/archive").shot("one").version("v001")
    assert version.attrs["status"] == "done"
    said = capsys.readouterr().out
    assert f"  export  {here}/out.mkv" in said
    assert f"  report  {here}/runs/report.html" in said
    for made in ("out.mkv", "runs/report.html", "runs/tensorboard/one/v001"):
        assert Path(made).exists()


def test_the_same_command_again_is_0_and_changes_no_result(here):
    assert launch("export=out.mkv") == launch("export=out.mkv") == 0
    assert Archive.open("runs/archive").shot("one").versions() == ["v001"]


def test_another_configuration_makes_another_version_and_keeps_the_first(here):
    assert launch() == 0
    before = Archive.open("runs/archive").shot("one").version("v001").result(0)
    assert launch("seed=1") == 0
    shot = Archive.open("runs/archive").shot("one")
    assert shot.versions() == ["v001", "v002"]
    assert np.array_equal(shot.version("v001").result(0), before)


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("source=none.mov", "shot none: {here}/none.mov: no such file or folder"),
        ("mask=none", "shot one: {here}/none: no such file or folder"),
        ("mask=alpha", "shot one: {here}/one/frames has no alpha to take the mask from"),
        ("truth=none.mov", "shot one: {here}/none.mov: no such file or folder"),
        (
            "range=1001-1009",
            "shot one.1001-1009: {here}/one/frames has frames 1001 to 1003",
        ),
        ("fit.stepps=3", "fit.stepps: is not a known key; did you mean 'steps'?"),
        ("fit.steps=many", "fit.steps = 'many': expected a valid integer"),
        ("fit.steps=0", "fit.steps = 0: expected greater than or equal to 1"),
        ("resources.gpus=8", "resources.gpus = 8: the largest machine has "),
        ("export=out.png", "shot one: {here}/out.png: no number in the name; write out.%04d.png"),
        ("archive=one", "{here}/one: holds other things than an archive; choose an empty place"),
        ("archive=one/frames/plate.1001.png", "{here}/one/frames/plate.1001.png"),
        ("archive=one/frames/plate.1001.png/x", "{here}/one/frames/plate.1001.png"),
        ("report=one/frames/plate.1001.png/r.html", "{here}/one/frames/plate.1001.png"),
        (
            "tensorboard=one/frames/plate.1001.png",
            "{here}/one/frames/plate.1001.png: a file",
        ),
    ],
)
def test_what_cannot_be_begun_is_refused_in_one_line(word, line, here, capsys):
    said = refusal(capsys, *(["report=r.html", "tensorboard=t"] if "archive" in word else []), word)
    assert said.startswith("error: " + line.format(here=here))


def paint(folder: Path, count: int, height: int, width: int) -> None:
    folder.mkdir()
    for number in range(1001, 1001 + count):
        write_image(folder / f"mask.{number}.png", np.full((height, width, 1), 255, np.uint8))


def test_masks_that_do_not_fit_the_frames_are_refused_with_both_figures(here, capsys):
    paint(here / "few", 2, *SIZE)
    paint(here / "small", 3, 30, 31)
    assert refusal(capsys, "mask=few").startswith(
        f"error: shot one: {here}/few has 2 masks (1001 to 1002), 3 frames are wanted"
    )
    assert refusal(capsys, "mask=small").startswith(
        f"error: shot one: {here}/small/mask.1001.png: the mask is 31×30, the frames of "
    )


def test_a_damaged_movie_is_refused_by_name(clips, here, capsys):
    movie = clips / "io" / "corrupted.mp4"
    info = open_source(str(movie)).info
    paint(here / "mask", 1, info.height, info.width)
    assert launch(f"source={movie}", "mask=mask/mask.1001.png") == 2
    printed = capsys.readouterr()
    assert f"corrupted: FAILED: {movie}" in printed.out
    assert "Traceback" not in printed.err + printed.out


def test_an_archive_of_a_newer_format_is_refused(here, capsys):
    Archive.open("runs/archive", "a")
    described = here / "runs" / "archive" / "zarr.json"
    newer = json.loads(described.read_text())
    newer["attributes"]["cleanplate"]["format"] = 99
    described.write_text(json.dumps(newer))
    assert refusal(capsys).startswith(f"error: {here}/runs/archive: archive of format 99, this")


@pytest.mark.parametrize("place", ["archive=closed/a", "report=closed/r", "tensorboard=closed"])
def test_a_place_without_permission_is_refused(place, here, capsys):
    (here / "closed").mkdir(mode=0o500)
    if os.access(here / "closed", os.W_OK):
        pytest.skip("this user may write everywhere")
    words = ["report=r.html", "tensorboard=t"] if "archive" in place else []
    assert "no permission" in refusal(capsys, *words, place)


def test_an_export_that_would_replace_something_is_refused_before_the_work(here, capsys):
    (here / "out.mkv").write_text("mine")
    assert refusal(capsys, "export=out.mkv") == (
        f"error: shot one: {here}/out.mkv: exists; choose another export, or "
        "delivery.overwrite=true"
    )
    assert Archive.open("runs/archive").shots() == []
    assert launch("export=out.mkv", "delivery.overwrite=true") == 0
    assert (here / "out.mkv").read_bytes()[:4] != b"mine"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["export=o.webm"], "{here}/o.webm: movies are written as .mkv, .mp4, .m4v, .mov"),
        (["export=o.mp4", "delivery.codec=prores"], "{here}/o.mp4: .mp4 cannot hold prores"),
        (["export=one/old.%04d.png"], "{here}/one/old.%04d.png: exists; choose another export"),
        (["export=one/frames"], "{here}/one/frames: {here}/one/frames is read from"),
        (["export=one/masks"], "{here}/one/masks: {here}/one/masks is read from"),
    ],
)
def test_an_export_that_cannot_work_is_refused_before_the_work(words, line, here, capsys):
    write_image(here / "one" / "old.1003.png", pixels(1, *SIZE, 3)[0])
    overwrite = ["delivery.overwrite=true"] if "old" not in words[0] else []
    said = refusal(capsys, *words, *overwrite)
    assert said.startswith("error: shot one: " + line.format(here=here))
    assert Archive.open("runs/archive").shots() == []


def test_a_version_of_another_configuration_is_refused(here, capsys):
    assert launch("version=final") == 0
    capsys.readouterr()
    said = refusal(capsys, "version=final", "seed=1")
    assert said.startswith("error: shot one: version 'final' was made with another seed (0); ")


def backlog(folder: Path, *names: str) -> str:
    rows = [f"{name}/frames,{name}/masks,{name}" for name in names]
    (folder / "show.csv").write_text("\n".join(["source,mask,name", *rows]))
    return "shots=show.csv"


def test_when_every_shot_is_refused_each_gets_a_line_and_the_end_is_2(here, capsys):
    assert launch(backlog(here, "x", "y")) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: shot {name}: {here}/{name}/frames: no such file or folder" for name in "xy"
    ]


def test_broken_shots_are_named_the_others_finish_and_the_end_is_1(here, capsys):
    write_shot(here / "torn", pixels(3, *SIZE, 3), moving_hole(3, *SIZE))
    write_image(here / "torn" / "frames" / "plate.1002.png", pixels(1, 30, 32, 3)[0])
    write_shot(here / "blank", pixels(2, *SIZE, 3), np.ones((2, *SIZE), bool))
    assert launch(backlog(here, "gone", "torn", "blank", "one")) == 1
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err
    archive = Archive.open("runs/archive")
    known = json.loads(archive.files.read("failures.json"))
    assert known.keys() == {"gone", "torn", "blank"}
    assert "plate.1002.png" in known["torn"]
    assert all(f"{name}: FAILED: {why}" in printed.out for name, why in known.items())
    assert archive.shot("one").version("v001").attrs["status"] == "done"
    assert archive.shot("blank").version("v001").attrs["status"] == "failed"


def test_a_mended_shot_is_forgotten_as_a_failure(here):
    write_shot(here / "torn", pixels(3, *SIZE, 3), moving_hole(3, *SIZE))
    file = here / "torn" / "frames" / "plate.1002.png"
    good = file.read_bytes()
    file.write_bytes(good[: len(good) // 2])
    assert launch(backlog(here, "torn", "one")) == 1
    file.write_bytes(good)
    assert launch(backlog(here, "torn", "one")) == 0
    assert json.loads(Archive.open("runs/archive").files.read("failures.json")) == {}


def test_a_result_that_cannot_be_delivered_is_kept(here, capsys, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("storage.export.patch_image", full)
    assert launch("export=out.%04d.png") == 1
    assert f"one: FAILED: {here}/out.%04d.png: the disk is full" in capsys.readouterr().out
    assert Archive.open("runs/archive").shot("one").version("v001").attrs["status"] == "done"


def test_a_place_that_cannot_be_made_is_refused_before_the_work(here, capsys):
    (here / "file").write_text("")
    assert launch("export=file/out.%04d.png") == 2
    assert f"error: shot one: {here}/file: a file stands where" in capsys.readouterr().err
    assert Archive.open("runs/archive").shots() == []


def test_a_folder_that_is_there_may_lie_in_a_closed_one(here, monkeypatch, capsys):
    closed, access = here / "closed", os.access
    (closed / "deliveries").mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda at, mode: at != str(closed) and access(at, mode))
    assert "no permission" in refusal(capsys, "export=closed/new")
    assert launch("export=closed/deliveries") == 0
    assert len(list((closed / "deliveries").iterdir())) == 3


def test_a_signal_ends_the_run_with_a_checkpoint_and_its_number(here, capsys):
    handler = signal.getsignal(signal.SIGTERM)
    begun = here / "runs" / "archive" / "one" / "results" / "v001" / "zarr.json"
    threading.Thread(target=terminate_once, args=[begun], daemon=True).start()
    assert launch("fit.steps=100000", "checkpoint_every_s=60") == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == handler
    assert "stopped; the same command goes on from here" in capsys.readouterr().out
    version = Archive.open("runs/archive").shot("one").version("v001")
    step = version.attrs["step"]
    assert 0 < step < 100_000
    assert f"checkpoint-{step:08d}.pt" in version.files.names()


def terminate_once(begun: Path, timeout_s: float = 60) -> None:
    """Send this process SIGTERM as soon as the file is there."""
    end_s = time.monotonic() + timeout_s
    while not begun.exists():
        if time.monotonic() > end_s:
            return
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_precision_that_no_machine_has_is_refused_before_the_work(here, capsys):
    assert launch("precision=fp16") == 2
    assert capsys.readouterr().err.startswith("error: precision = fp16: needs a GPU")
    assert Archive.open("runs/archive").shots() == []


def test_settings_may_follow_the_options_of_inpaint(here, capsys):
    words = ["inpaint", "one", "--mask", "masks", "-o", "clean.mkv", "fit.nonsense=1"]
    assert cleanplate(words) == 2
    assert "fit.nonsense: is not a known key" in capsys.readouterr().err


def test_help_names_the_exit_statuses(capsys):
    assert main(["--help"]) == 0
    assert "Exit status" in capsys.readouterr().out


def test_a_report_that_cannot_be_written_costs_no_shot(here, capsys, monkeypatch):
    def full(*_, **__):
        raise PlaceError("runs/report.html: the disk is full")

    monkeypatch.setattr("cluster.launch.write_report", full)
    assert launch("export=out.mkv") == 0
    said = capsys.readouterr().out
    assert f"  export  {here}/out.mkv" in said
    assert "  report  none: runs/report.html: the disk is full; then `cleanplate report" in said


def test_of_an_archive_lost_at_the_end_the_failures_are_named_all_the_same(
    here, capsys, monkeypatch
):
    def gone(*_):
        raise PermissionError(13, "Permission denied", "runs/archive")

    write_shot(here / "two", pixels(3, 8, 8, 3), moving_hole(3, *SIZE))
    monkeypatch.setattr("cluster.launch._note_failures", gone)
    assert launch(backlog(here, "one", "two")) == 1
    printed = capsys.readouterr()
    assert "error: runs/archive: no permission" in printed.err
    assert "two: FAILED" in printed.out
