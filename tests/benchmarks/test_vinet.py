"""VINet's benchmark: what it learns is kept, and every way of filling stands in its tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import vinet


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vinet, "SIZE", (32, 48))


def test_what_was_learnt_is_kept_and_measured_again(
    two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learnt, held_out = two
    keep = ["--keep", str(tmp_path / "weights.pt")]
    measured = [held_out, "--donors", *two, "--fits", "2", *keep]
    vinet.main([*measured, "--learn", learnt, "--steps", "3", "--window", "32"])
    first = capsys.readouterr().out
    assert [line for line in first.splitlines() if line.endswith(":")] == [
        "short under the rectangle:",
        "short under the masks of long:",
    ]
    for name in ("Telea", "VINet", "internal, 2 steps, prior: VINet"):
        assert first.count(f"| {name} |") == 2
    vinet.main(measured)
    again = capsys.readouterr().out
    assert figures(again) == figures(first)


def test_without_weights_and_clips_to_learn_from_it_refuses(two: list[str]) -> None:
    with pytest.raises(SystemExit, match="nothing learnt"):
        vinet.main([two[0]])


def figures(tables: str) -> list[str]:
    """The lines without their last cell, the seconds."""
    return [line.rsplit("|", 2)[0] for line in tables.splitlines()]
