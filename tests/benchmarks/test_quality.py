"""The quality benchmark: its holes, its figures, its tables, and that it goes on where it was."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fillings import Figures, Work, back_and_forth, compared, measure, read, seen_to
from benchmarks.quality import kept, main, report, works

SIZE = (32, 48)


def test_the_rectangle_is_a_sixteenth_of_every_frame(two: list[str]) -> None:
    frames, holes = read(Work(two[0], None, SIZE, "Telea"))
    assert frames.shape == (4, *SIZE, 3)
    assert holes.mean(axis=(1, 2)).tolist() == [1 / 16] * 4


def test_the_other_clips_masks_go_forth_and_back_until_they_are_enough(two: list[str]) -> None:
    _, holes = read(Work(two[0], two[1], SIZE, "Telea"))
    assert [int(hole.any(axis=0).argmax()) for hole in holes] == [20, 21, 22, 22]
    assert back_and_forth(3, 8) == [0, 1, 2, 2, 1, 0, 0, 1]


def test_a_known_error_gives_its_psnr_and_the_truth_is_as_sharp_as_itself(two: list[str]) -> None:
    frames, holes = read(Work(two[0], two[1], SIZE, "Telea"))
    frames //= 2
    filled = np.where(holes[..., None], frames + 51, frames)  # a fifth of white
    assert compared(filled, frames, holes)["hole_psnr"] == pytest.approx(13.98, abs=0.01)
    truth = compared(frames, frames, holes)
    assert truth["hole_psnr"] is None
    assert (truth["hole_ssim"], truth["sharpness"]) == (pytest.approx(1), 1)


def test_a_share_counts_as_reached_where_the_curve_never_falls_below_it_again() -> None:
    curve = [(10, 19.5), (20, 15.0), (30, 19.1), (40, 20.0)]
    assert seen_to(0.95, curve) == 30
    assert seen_to(0.99, curve) == 40
    assert seen_to(0.5, curve) == 10
    assert seen_to(0.95, []) is None


def test_the_same_command_measures_nothing_twice(
    two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    command = [*two, "--steps", "2", "--size", "48x32", "--out", str(out)]
    main([*command, "--recipes", "paper"])
    first = out.read_text()
    main(command)
    tables = capsys.readouterr()
    assert out.read_text().startswith(first)
    assert len(out.read_text().splitlines()) == 2 * 2 * 5
    assert tables.err.count("seed 0") == 2 * 2 * 2
    main(command)
    again = capsys.readouterr()
    assert again.err == ""
    assert tables.out.endswith(again.out)


def test_every_recipe_sees_as_many_frames_in_batches_of_its_own(two: list[str]) -> None:
    asked = {"protocols": ["rectangle"], "recipes": ["paper", "fast"], "seeds": [0], "steps": 3}
    fit = {"batch": 4, "capacity": "small", "device": "cpu", "jobs": 1}
    found = works(Namespace(clips=two[:1], size=SIZE, **asked, **fit))
    fits = [(work, work.config) for work in found if work.config is not None]
    assert [(work.method, one.steps, one.batch) for work, one in fits] == [
        ("paper", 3, 4),
        ("fast", 6, 2),
    ]
    assert [measure(work).seen for work, _ in fits] == [12, 12]


def test_the_tables_show_each_clip_and_how_far_fast_is_ahead(two: list[str]) -> None:
    asked = {"protocols": ["objects"], "recipes": ["paper", "fast"], "seeds": [0, 2], "steps": 99}
    fit = {"batch": 1, "capacity": "small", "device": "cpu", "jobs": 1}
    options = Namespace(clips=two, size=SIZE, **asked, **fit)
    found = {}
    for work in works(options):
        hole = {"paper": 20, "fast": 23 if work.clip == two[0] else 19}.get(work.method, 21)
        hole_psnr = hole + (work.config.seed if work.config else 0)
        found[work] = Figures(30, hole_psnr, 0.9, 0.5, 2e-3, None, 1.5, curve=[(99, hole_psnr)])
    rows = report(options, found)
    means = "22.00 | 30.00 | 0.900 | 0.500 | 20.0 | – | – | 99 | 99 | 99 | 1.5 |"
    assert f"| fast | 24.00 ± 1.00 | 20.00 ± 1.00 | {means}" in rows
    assert "| `objects`: fast − paper | +3.00 | −1.00 | +1.00 | −1.00 |" in rows
    assert "| `objects`: fast − flow propagation | +3.00 | −1.00 | +1.00 | −1.00 |" in rows


def test_another_setting_is_another_work(tmp_path: Path) -> None:
    work = Work("a/clip", None, SIZE, "Telea")
    assert dataclasses.replace(work, clip="b/clip").key == work.key
    for change in ({"clip": "a/other"}, {"donor": "a/other"}, {"size": (96, 160)}):
        assert dataclasses.replace(work, **change).key != work.key
    (tmp_path / "out.json").write_text('{"work": {}}\n')
    with pytest.raises(SystemExit, match="line 1 is no result"):
        kept(tmp_path / "out.json", [work])


def test_a_line_that_was_cut_short_is_taken_off(tmp_path: Path) -> None:
    work = Work("a/clip", None, SIZE, "Telea")
    file = tmp_path / "out.json"
    file.write_text('{"work": {"cl')
    assert kept(file, [work]) == {}
    assert file.read_text() == ""
    file.write_text('{"fps": 24}')
    with pytest.raises(SystemExit, match="line 1 is no result"):
        kept(file, [work])
    assert file.read_text() == '{"fps": 24}'


def test_one_clip_alone_has_no_other_whose_masks_to_take(two: list[str]) -> None:
    with pytest.raises(SystemExit, match="another clip's masks"):
        main(two[:1])
