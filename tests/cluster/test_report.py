import base64
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from report_fakes import add_masks, add_scales, add_shot, add_version, every_state, hole_at

from cluster import report
from cluster.charts import area_chart, loss_chart, validation_chart
from cluster.lineage import lineage
from cluster.pictures import Display, display_of
from cluster.previews import previews
from cluster.report import UNREADABLE, main, write_report
from storage import Archive


@pytest.fixture
def archive(tmp_path):
    return Archive.open(str(tmp_path / "archive"), "a")


@pytest.fixture
def page(archive, tmp_path):
    """Return a function that writes the report and gives back its text."""

    def write(**options):
        write_report(archive, str(tmp_path / "report.html"), **options)
        return (tmp_path / "report.html").read_text(encoding="utf-8")

    return write


def titles(text):
    return re.findall(r"<h2>(.*?)</h2>", text)


def decoded(picture):
    return cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(int)


def test_shots_stand_worst_first_and_are_counted(archive, page):
    every_state(archive)
    text = page()
    names = ["broken", "re&lt;b&gt;fused", "poor", "good", "half", "fresh", "empty"]
    assert titles(text) == names
    strip = re.findall(r"<dt>(.*?)</dt><dd>(\d+)</dd>", text)
    assert strip == [("shots", "7"), ("done", "3"), ("running", "1"), ("failed", "2")]


def test_only_the_shots_asked_for_are_shown(archive, page):
    every_state(archive)
    assert titles(page(shots=["good", "half"])) == ["good", "half"]


def test_the_page_asks_for_nothing_outside_itself(archive, page):
    every_state(archive)
    text = page()
    addresses = re.findall(r"""(?:src|href)=["']([^"']*)|url\(["']?([^"')]*)""", text)
    assert {a.partition(":")[0] for pair in addresses for a in pair if a and a[0] != "#"} == {
        "data"
    }
    assert "default-src 'none'" in text


def test_names_messages_and_configuration_cannot_become_markup(archive, page):
    evil = "</pre><script>alert(1)</script>"
    add_version(add_shot(archive, "one"), status="failed", error=evil, config={"note": evil})
    text = page()
    assert text.count("<script>") == 1
    assert text.count("&lt;script&gt;") >= 2


def test_every_tag_that_is_opened_is_closed(archive, page):
    every_state(archive)
    checker = Balance()
    checker.feed(page())
    assert checker.open == []


def test_without_a_script_every_shot_shows_and_no_control_is_left_dead(archive, page):
    every_state(archive)
    text = page().partition("<script>")[0]
    assert '<form class="find" role="search" hidden>' in text
    assert not re.search(r"<article[^>]* hidden", text)


def test_every_shot_has_a_button_that_shows_it(archive, page):
    every_state(archive)
    text = page()
    buttons = re.findall(r'name="state" value="(\w+)"><span>\w+ <b>(\d+)</b>', text)
    groups = Counter(re.findall(r'data-group="(\w+)"', text))
    assert {name: int(count) for name, count in buttons} == groups
    assert groups == {"failed": 2, "done": 2, "running": 1, "waiting": 1, "copied": 1}


def test_an_empty_archive_gives_a_page_that_says_so(archive, page):
    assert "No shots yet" in page()


def test_a_damaged_shot_keeps_its_place_without_pictures(archive, page):
    shot = add_shot(archive, "one")
    file = next(p for p in Path(shot.url, "frames").rglob("*") if p.is_file() and p.stem == "0")
    file.write_bytes(file.read_bytes()[:-9])
    add_version(add_shot(archive, "two"))
    text = page()
    assert titles(text) == ["two", "one"]
    assert UNREADABLE.split("`")[0] in text


def test_many_pictures_lie_beside_the_page_and_old_ones_go(archive, page, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "INLINE_BYTES", 1)
    add_version(add_shot(archive, "one"))
    page()
    folder = tmp_path / "report_files"
    stale, other = folder / f"{0:020x}.webp", folder / "mine.webp"
    for file in (stale, other):
        file.touch()
    sources = set(re.findall(r'src="([^"]*)"', page()))
    assert sources == {f"report_files/{p.name}" for p in folder.iterdir() if p != other}
    assert not stale.exists()


def test_a_page_that_cannot_be_written_leaves_the_old_one(archive, page, tmp_path, monkeypatch):
    old = page()
    monkeypatch.setattr(report, "_page", lambda *_, **__: "\ud800")
    with pytest.raises(UnicodeEncodeError):
        page()
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == old


def test_the_command_writes_where_it_is_told_and_refuses_a_folder(archive, tmp_path, capsys):
    target = tmp_path / "deep" / "my page.html"
    assert main([archive.url, "-o", str(target)]) == 0
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert main([archive.url, "-o", str(tmp_path)]) == 2
    assert "is a folder; name an HTML file" in capsys.readouterr().err
    assert main([str(tmp_path / "none")]) == 2


def test_the_frame_with_the_largest_hole_is_shown_first(archive):
    shot = add_shot(archive, "one", frames=12)
    add_version(shot)
    shown = previews(lineage(shot))
    assert len(shown.frames) == 5
    assert shown.frames[shown.first].number == 1003
    numbers = [frame.number for frame in shown.frames]
    assert numbers == sorted(numbers)


def test_after_differs_from_before_inside_the_hole(archive):
    shot = add_shot(archive, "one")
    add_version(shot)
    shown = previews(lineage(shot))
    frame, hole = shown.frames[2], shot.hole[2]
    assert decoded(frame.after)[hole].mean() < 40 < decoded(frame.before)[hole].mean()
    assert decoded(shown.slice.after)[:, 25:29].mean() < 40


def test_what_is_not_filled_has_no_after(archive):
    shot, plain = add_shot(archive, "one"), add_shot(archive, "two", holes=False)
    add_version(shot, filled=3)
    add_version(plain)
    shown = previews(lineage(shot))
    assert [frame.after is not None for frame in shown.frames] == [True, True, True, False, False]
    assert shown.slice.after is None
    shown = previews(lineage(plain))
    assert all(frame.after is None for frame in shown.frames)
    assert shown.slice is None


def test_frames_and_slice_go_through_the_hole_that_is_filled(archive):
    shot = add_shot(archive, "one", given=[0], truth=True)
    add_masks(shot)
    add_version(shot, mask="m001")
    shown = previews(lineage(shot))
    assert [frame.number for frame in shown.frames] == [1001, 1002, 1003, 1005, 1006]
    hole = np.stack([hole_at(t)[shown.slice.number] for t in range(len(shot))])
    rows = np.flatnonzero(hole.repeat(shown.slice.height // len(shot), axis=0))
    after, truth = (decoded(p).reshape(-1, 3) for p in (shown.slice.after, shown.slice.truth))
    assert after[rows].mean() < 40 < 215 < truth[rows].mean()


def test_masks_that_were_made_are_shown_with_those_given_and_those_that_stand_out(archive):
    shot = add_shot(archive, "one", given=[0, 5], frames=40)
    add_masks(shot)
    shot.mask_version("m001").write(23, np.zeros((36, 64), bool))
    review = previews(lineage(shot)).review
    numbers = [frame.number for frame in review.frames]
    assert {1001, 1006, 1003, 1024, 1040} <= set(numbers)
    assert numbers == sorted(numbers)
    assert (review.given_numbers, review.empty_numbers) == ([1001, 1006], [1024])


def test_masks_still_in_the_making_are_shown_as_far_as_they_go(archive, page):
    shot = add_shot(archive, "one", given=[0])
    add_masks(shot, made=3, status="filling")
    review = previews(lineage(shot)).review
    assert [frame.number for frame in review.frames] == [1001, 1002, 1003]
    assert np.isnan(review.shares[3:]).all()
    text = page()
    assert '<span class="state propagating">propagating</span>' in text
    assert "--masks m001" not in text


def test_the_page_says_how_to_export_the_masks_that_were_made(archive, page):
    add_masks(add_shot(archive, "one", given=[0]))
    assert "one one-masks/ --masks m001</pre>" in page()


def test_a_coarser_scale_stands_in_for_a_result_to_come(archive, page):
    shot = add_shot(archive, "one")
    add_scales(shot, "16x9", "32x18", status="fitting", filled=2)
    assert all(frame.after is not None for frame in previews(lineage(shot)).frames)
    text = page()
    assert "fitting 32×18</span>" in text
    assert "Filled at 16×9 so far" in text
    assert re.findall(r"<th scope=\"row\">(\d.*?)</th>", text) == ["16×9", "32×18"]


@pytest.mark.parametrize(
    ("dtype", "channels"), [("uint8", 1), ("uint16", 4), ("float16", 3), ("float32", 2)]
)
def test_every_kind_of_pixel_becomes_a_picture_of_at_most_720_px(archive, dtype, channels):
    shot = add_shot(archive, "one", dtype=dtype, channels=channels, size=(40, 900), frames=1)
    (frame,) = previews(lineage(shot)).frames
    assert (frame.width, frame.height) == (720, 32)
    assert decoded(frame.before).shape == (32, 720, 3)


def test_linear_light_is_shown_in_order_and_never_overflows():
    light = np.array([-1, 0, 0.18, 1, 50, np.inf, np.nan], np.float32)
    shown = Display(white=40)(light)
    assert shown[1] == shown[0] == shown[-1] == 0
    assert 0 < shown[2] < shown[3] < shown[4] == shown[5] == 255
    assert Display()(np.array([0.18], np.float32)) == 118  # middle grey in sRGB
    assert display_of(np.full((4, 4, 3), 9.0, np.float32)).white == 9
    assert display_of(np.full((4, 4, 3), 0.5, np.float16)).white == 1


def test_charts_rise_with_the_values_and_hold_the_peer():
    gain = validation_chart([10, 20, 30], [20.0, None, 30.0], 25.0)
    assert gain.path == "M33.33 93.10L100.00 6.90"
    assert gain.last[1] < gain.peer < 100
    assert [tick.label for tick in gain.ticks] == ["20", "25", "30"]
    loss = loss_chart(list(range(1, 1001)), [1 / s for s in range(1, 1001)])
    assert loss.path.count("L") < 200
    assert "0.01" in [tick.label for tick in loss.ticks]
    assert loss_chart([1, 2], [0.0, None]) is None


def test_the_chart_of_areas_starts_at_zero_and_breaks_where_no_mask_is_made():
    chart = area_chart(np.array([0.1, 0.1, np.nan, 0.2, 0.0]), [0, 2])
    assert chart.path == "M0 54.55L25 54.55M75 9.09L100 100"
    assert chart.marks == ((0.0, 54.55),)
    assert [tick.label for tick in chart.ticks] == ["0 %", "10 %", "20 %"]
    assert area_chart(np.array([0.1]), [0]) is None
    assert area_chart(np.zeros(3), []).path == "M0 100L50 100L100 100"


def test_frame_numbers_are_listed_as_runs():
    assert report._runs([7]) == "7"
    assert report._runs([1, 2, 3, 7, 9, 10]) == "1–3, 7, 9–10"
    assert report._runs(list(range(0, 40, 2))) == "0, 2, 4, 6, 8, 10, 12, 14, …"
    assert report._runs([]) == ""


def test_pictures_in_the_page_are_webp(archive, page):
    add_version(add_shot(archive, "one"))
    found = re.findall(r'src="data:image/webp;base64,([^"]*)"', page())
    assert len(found) == 12
    assert all(base64.b64decode(data)[8:12] == b"WEBP" for data in found)


class Balance(HTMLParser):
    """Keeps the tags that are open."""

    VOID = ("meta", "link", "img", "input", "br")

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
