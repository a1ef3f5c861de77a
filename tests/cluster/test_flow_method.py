"""`method=flow`: a shot filled along its optical flow, at its own size, in bounded memory."""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from job_fakes import failures, pan, quick, result, run, write_shot

from cluster.backlog import ShotSpec
from cluster.config import Config
from cluster.prepare import planned_scales
from inpaint.flow_propagation import MISSING_BYTES, follow
from storage import Version

COUNT = 6


@pytest.fixture
def shot(tmp_path: Path) -> ShotSpec:
    return replace(write_shot(tmp_path / "one", *pan(COUNT, 40, 72)), export=None)


def by(method: str, *words: str) -> Config:
    return quick(f"method={method}", "size=null", *words)


def error(version: Version) -> float:
    """Mean squared, in levels, in the hole."""
    frames, hole = pan(COUNT, 40, 72)
    made = np.stack([version.result(t) for t in range(COUNT)])
    return float(np.square(made[hole].astype(float) - frames[hole]).mean())


def test_it_shows_what_other_frames_show(shot: ShotSpec, tmp_path: Path) -> None:
    for method in ("flow", "telea"):
        assert failures(run(tmp_path / method, by(method), shot)) == {}
    flow, telea = (error(result(tmp_path / method, "one")) for method in ("flow", "telea"))
    assert flow < telea / 10


def test_it_works_at_the_sources_own_size_unless_another_is_asked_for() -> None:
    assert [scale.size for scale in planned_scales(by("flow"), (2160, 3840))] == [(2160, 3840)]
    smaller = quick("method=flow", "size=96x54")
    assert [scale.size for scale in planned_scales(smaller, (2160, 3840))] == [(54, 96)]


def test_it_tells_of_its_flows_and_then_of_its_frames(shot: ShotSpec, tmp_path: Path) -> None:
    notes = run(tmp_path / "a", by("flow"), shot)
    told = [n.event for n in notes if n.event["kind"] == "progress" and n.job.kind == "inpaint"]
    assert list(dict.fromkeys((e["unit"], e["done"], e["total"]) for e in told)) == [
        *(("flows", n + 1, 2 * COUNT) for n in range(2 * COUNT)),
        *(("frames", n + 1, COUNT) for n in range(COUNT)),
    ]


@pytest.mark.parametrize("stretches", [1, 3])
def test_stopped_anywhere_it_goes_on_to_the_same_result(
    stretches: int, shot: ShotSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if stretches > 1:
        missing_px = int(pan(COUNT, 40, 72)[1].sum())
        monkeypatch.setattr(
            "inpaint.flow_propagation.HELD_BYTES",
            (MISSING_BYTES * missing_px + COUNT * 3 * 40 * 72 / 8) / stretches,
        )
    events = run(tmp_path / "whole", by("flow"), shot)
    whole = result(tmp_path / "whole", "one")
    flows = [note.event["done"] for note in events if note.event.get("unit") == "flows"]
    assert flows.count(1) == 1
    assert max(flows) == {1: 12, 3: 24}[stretches]  # each is shown the whole clip one way or both
    for stop_at in range(2, len(events) - 3, 4):
        archive = tmp_path / f"at{stop_at}"
        assert len(run(archive, by("flow"), shot, until_note=stop_at)) < len(events)
        assert failures(run(archive, by("flow"), shot)) == {}
        for t in range(COUNT):
            assert np.array_equal(result(archive, "one").result(t), whole.result(t)), stop_at


def test_what_a_stretch_has_found_is_let_go_before_the_next_is_followed(
    shot: ShotSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Found(list):
        """A list that can be referred to weakly."""

    before, held = list[weakref.ref[Found]](), list[int]()

    def watched(*arguments):
        held.append(sum(one() is not None for one in before))
        found = Found((yield from follow(*arguments)))
        before.append(weakref.ref(found))
        return found

    monkeypatch.setattr("cluster.inpainting.follow", watched)
    monkeypatch.setattr("inpaint.flow_propagation.HELD_BYTES", 1)
    assert failures(run(tmp_path / "a", by("flow"), shot)) == {}
    assert held == [0] * COUNT
