"""The report in a real browser: what a person sees once its script has run."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from report_fakes import add_shot, add_version, every_state

from cluster.report import write_report
from storage import Archive

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page in")


@pytest.fixture
def archive(tmp_path):
    return Archive.open(str(tmp_path / "archive"), "a")


def browsed(archive: Archive, folder: Path, script: str = "", address: str = "") -> str:
    """Return the page as it stands after its scripts ran, `script` of the test the last."""
    file = folder / "report.html"
    write_report(archive, str(file))
    page = file.read_text(encoding="utf-8").replace("</body>", f"<script>{script}</script></body>")
    file.write_text(page, encoding="utf-8")
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    command = [CHROMIUM, *flags.split(), "--disable-sync", "--disable-component-update"]
    command += [f"--user-data-dir={folder / 'profile'}", "--dump-dom", file.as_uri() + address]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    return done.stdout.decode()


def shown(dom: str) -> list[str]:
    """Return the names of the shots that can be seen, from the top."""
    articles = re.findall(r'<article id="[^"]*" data-name="([^"]*)"([^>]*)>', dom)
    return [name for name, rest in articles if "hidden" not in rest]


def listed(dom: str) -> list[str]:
    """Return those of the list above them."""
    rows = re.findall(r'<li data-shot="[^"]*"([^>]*)>.*?<span class="name">(.*?)</span>', dom, re.S)
    return [name for rest, name in rows if "hidden" not in rest]


def test_the_slider_wipes_and_the_frames_change(archive, tmp_path):
    add_version(add_shot(archive, "one"))
    act = """const press = (which, change) => {
        const control = document.querySelector(which);
        change(control);
        control.dispatchEvent(new Event("input", {bubbles: true})); };
        press(".wipe", (c) => { c.value = 80; });
        press(".viewer .frames label:last-of-type input", (c) => { c.checked = true; });
        press(".toggle input", (c) => { c.checked = true; });"""
    dom = browsed(archive, tmp_path, act)
    (viewer,) = re.findall(r'<div class="viewer([^"]*)" style="([^"]*)"', dom)
    assert "outlined" in viewer[0]
    assert "--cut: 80%" in viewer[1]
    hidden = re.findall(r'data-frame="(\d)"( hidden="")?', dom)
    assert [number for number, gone in hidden if not gone] == ["4"]


def test_a_link_shows_the_shots_that_it_names_in_its_order(archive, tmp_path):
    every_state(archive)
    add_version(add_shot(archive, "sh10"), seconds={"fit": 10.0})
    add_version(add_shot(archive, "sh9"), seconds={"fit": 90.0})
    dom = browsed(archive, tmp_path, address="#q=sh&state=done&sort=name")
    assert shown(dom) == listed(dom) == ["sh9", "sh10"]
    assert ">2 of 9</output>" in dom
    assert '<form class="find" role="search">' in dom


def test_what_is_typed_filters_by_reason_and_stands_in_the_address(archive, tmp_path):
    every_state(archive)
    act = """const q = document.querySelector(".find [name=q]");
        document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "/", bubbles: true}));
        const focused = document.activeElement.name;
        q.value = "MEMORY out";
        q.dispatchEvent(new Event("input", {bubbles: true}));
        document.title = focused + location.hash;"""
    dom = browsed(archive, tmp_path, act)
    assert shown(dom) == listed(dom) == ["broken"]
    assert "<title>q#q=MEMORY+out</title>" in dom


def test_escape_brings_every_shot_back_and_an_order_puts_the_unknown_last(archive, tmp_path):
    every_state(archive)
    act = """const q = document.querySelector(".find [name=q]");
        q.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape", bubbles: true}));"""
    dom = browsed(archive, tmp_path, act, "#q=nothing%20has%20this&sort=margin")
    names = shown(dom)
    assert len(names) == 7
    assert names[0] == "poor"
    assert set(names[-4:]) == {"re&lt;b&gt;fused", "half", "fresh", "empty"}
    assert re.search(r'<p class="empty none" hidden', dom)
