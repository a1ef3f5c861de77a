"""The simulation's plan and its figure for waiting GPUs."""

from __future__ import annotations

import pytest

from benchmarks.schedule import idle_share, planned


def test_a_shot_is_read_in_then_fitted_scale_by_scale_then_delivered() -> None:
    jobs = planned(2, 3)
    kinds = [(job.kind, job.need.gpus) for job in jobs[:5]]
    assert kinds == [("ingest", 0), *[("inpaint", 1)] * 3, ("export", 0)]
    assert [job.after for job in jobs[1:5]] == [job.key for job in jobs[:4]]
    assert len(jobs) == 10


def test_gpus_that_never_wait_are_never_idle() -> None:
    naps = [(f"{n}{gpu}", gpu, float(n), n + 1.0) for n in range(9) for gpu in (1, 2)]
    share, start_s, tail_s = idle_share(naps, 2)
    assert (share, start_s, tail_s) == (0, 0, 0)


def test_a_gap_between_two_naps_counts_and_what_is_before_and_after_does_not() -> None:
    one = [("a", 1, 0.0, 10.0), ("c", 1, 10.0, 20.0)]
    two = [("b", 2, 5.0, 11.0), ("d", 2, 12.0, 15.0)]
    share, start_s, tail_s = idle_share([*one, *two], 2)
    assert (start_s, tail_s) == (5, 5)
    assert share == pytest.approx(1 / 20)  # b ends at 11, d begins at 12
