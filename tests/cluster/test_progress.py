"""What a person sees of a run: lines in a log, bars on a terminal."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from itertools import pairwise

import pytest
from job_fakes import job, note

from cluster.plan import Note
from cluster.progress import Bars, Lines, display, figures


class Log:
    """Lines as written to a file, and the clock they go by."""

    def __init__(self) -> None:
        self.now_s, self.text = 100.0, list[str]()
        self.lines = Lines(self.text.append, lambda: self.now_s)

    def show(self, note: Note, after_s: float = 0) -> list[str]:
        """Show a note some time later; return the lines written for it."""
        self.now_s += after_s
        before = len(self.text)
        self.lines.show(note)
        return self.text[before:]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def clear(self) -> None:
        self.seek(self.truncate(0))


@pytest.fixture
def terminal(monkeypatch) -> Terminal:
    """A terminal wide enough for everything."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    return Terminal()


def test_a_shot_writes_a_line_a_minute_at_most():
    log = Log()
    written = [log.show(note(done=step), after_s=7) for step in range(1, 61)]
    at_s = [7 * i for i, lines in enumerate(written) if lines]
    assert at_s[0] == 0
    assert all(60 <= later - earlier < 67 for earlier, later in pairwise(at_s))
    assert len(at_s) == 7


def test_each_shot_has_a_minute_of_its_own():
    log = Log()
    assert log.show(note(name="a")) != []
    assert log.show(note(name="b"), after_s=1) != []
    assert log.show(note(name="a"), after_s=1) == []


def test_a_line_says_what_is_done_of_how_much_and_how_long_the_rest_takes():
    assert Log().show(note()) == ["one: fitting 3/100 steps, loss 0.2500, 2.0 steps/s, 48 s left"]
    assert Log().show(note(total=1000))[0].endswith(", 8 min left")
    filling = note(unit="frames", done=2, total=None)
    assert Log().show(filling) == ["one: filling 2 frames"]


def test_what_is_done_next_gets_a_line_at_once():
    log = Log()
    log.show(note())
    assert log.show(note(unit="frames", total=8), after_s=1) == ["one: filling 3/8 frames"]


def test_a_failure_is_named_at_once_with_its_reason():
    log = Log()
    log.show(note())
    assert log.show(note("failed", reason="plate.1004.png: cut short", again=False)) == [
        "one: fitting FAILED: plate.1004.png: cut short"
    ]
    assert log.show(note("failed", reason="the worker is gone", again=True)) == [
        "one: fitting failed, trying again: the worker is gone"
    ]


def test_a_stop_a_remark_and_an_end_are_told_at_once():
    quality = {"validation_psnr": 31.25, "validation_peer_psnr": 24.5}
    assert Log().show(note("log", text="goes on from step 4")) == ["one: goes on from step 4"]
    assert Log().show(note("stopped")) == [
        "one: fitting stopped; the same command goes on from here"
    ]
    assert Log().show(note("done", quality=quality)) == [
        "one: filled: validation hole 31.25 dB (per-frame Telea 24.50 dB)"
    ]
    assert Log().show(Note(job(kind="ingest"), {"kind": "done"})) == []


def test_a_figure_that_is_not_known_is_left_out():
    assert figures({}) == figures({"hole_psnr": None, "telea_hole_psnr": 3.0}) == ""
    assert figures({"hole_psnr": 20.0, "telea_hole_psnr": None}) == ": hole 20.00 dB"


def test_a_terminal_gets_bars_and_a_file_lines(terminal):
    with redirect_stdout(terminal):
        bars = display()
        bars.close()
    with redirect_stdout(io.StringIO()):
        assert isinstance(display(), Lines)
    assert isinstance(bars, Bars)


def test_bars_show_every_shot_at_work_and_drop_those_that_are_done(terminal):
    with redirect_stdout(terminal):
        bars = Bars()
        for name in ("a", "b"):
            bars.show(note(name=name))
        bars.show(note("done", name="a", quality={}))
        terminal.clear()
        bars.close()
    drawn = terminal.getvalue()
    assert "3/100 steps, loss 0.2500" in drawn
    assert [name for name in ("a  ", "b  ") if name in drawn] == ["b  "]


def test_what_bars_tell_stays_above_them(terminal):
    with redirect_stdout(terminal):
        bars = Bars()
        bars.show(note())
        bars.show(note("failed", reason="[red] plate.1004.png: cut short", again=False))
        bars.say("archive /archive")
        bars.close()
    assert "one: fitting FAILED: [red] plate.1004.png: cut short\n" in terminal.getvalue()
    assert "archive /archive\n" in terminal.getvalue()


def test_bars_turn_from_fitting_to_filling(terminal):
    with redirect_stdout(terminal):
        bars = Bars()
        bars.show(note(done=100))
        bars.show(note(unit="frames", done=1, total=8))
        terminal.clear()
        bars.close()
    assert "filling" in terminal.getvalue()
    assert "fitting" not in terminal.getvalue()
