import io

import pytest
from report_fakes import add_shot, add_version, every_state
from rich.console import Console

from cluster import watch as watching
from cluster.lease import held
from cluster.watch import looks, view, watch
from storage import Archive


@pytest.fixture
def archive(tmp_path):
    return Archive.open(str(tmp_path / "archive"), "a")


def test_a_watch_ends_with_the_run_that_it_saw_at_work(archive):
    shot = add_shot(archive, "one")
    lease = held(archive)
    lease.__enter__()

    def pause(_):
        if not shot.versions():
            add_version(shot, status="fitting")
        else:
            lease.__exit__(None, None, None)

    states = [[s.state for s in seen.shots] for seen in looks(archive, 0, pause)]
    assert states == [["waiting"], ["fitting"], ["fitting"]]


def test_a_watch_of_what_is_done_looks_once_and_before_a_run_it_waits(archive):
    add_version(add_shot(archive, "one"))
    assert len(list(looks(archive, 0, pytest.fail))) == 1
    shot, pauses = add_shot(archive, "two"), []

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 2:
            add_version(shot, status="failed")

    assert len(list(looks(archive, 0, pause))) == 3


def test_what_is_done_is_read_again_only_after_a_while(archive, monkeypatch):
    add_version(add_shot(archive, "one"))
    waiting, pauses = add_shot(archive, "two"), []

    def pause(_):
        pauses.append(0)
        if len(pauses) == 1:
            add_version(archive.shot("one"), "v2", status="fitting")
        elif len(pauses) == 2:
            monkeypatch.setattr(watching, "AGAIN_S", -1)
        else:
            for shot in (waiting, archive.shot("one")):
                add_version(shot, "v3")

    firsts = [seen.shots[0].state for seen in looks(archive, 0, pause)]
    assert firsts == ["done", "done", "fitting", "done"]


def test_a_log_holds_each_failure_once(archive, capsys):
    every_state(archive)
    for name in ("half", "fresh"):
        add_version(archive.shot(name), "v2", status="failed", error="no space")
    assert watch(archive, Console(file=io.StringIO()), 0.01) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:3] == ["  no run is at work", "  7 shots: 4 failed, 2 done, 1 copied"]
    assert "  fresh: no space" in lines
    assert len(lines) == 7


def test_the_view_of_a_terminal_fits_it_and_says_what_it_leaves_out(archive):
    for i in range(30):
        add_version(add_shot(archive, f"bad{i}"), status="failed", error="no space", filled=0)
        add_version(add_shot(archive, f"run{i}"), status="fitting", filled=0)
    seen = next(looks(archive, 0))
    console = Console(width=80, height=20, file=io.StringIO())
    console.print(view(seen, console.height))
    drawn = console.file.getvalue()
    assert drawn.count("\n") <= 20
    assert "more failed" in drawn
    assert "more at work" in drawn


def test_ctrl_c_ends_a_watch_with_0(archive, monkeypatch):
    add_shot(archive, "one")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(watching.time, "sleep", interrupted)
    monkeypatch.setattr(looks, "__defaults__", (interrupted,))
    assert watch(archive, Console(file=io.StringIO())) == 0
    terminal = Console(file=io.StringIO(), force_terminal=True, width=80, height=20)
    assert watch(archive, terminal) == 0
    assert "1 shot: 1 waiting" in terminal.file.getvalue()
