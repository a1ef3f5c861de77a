"""Which jobs there is room for, and which wait."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from cluster.room import LOOK_AHEAD, Need, described, place, shots_at_once

GPU, HALF, CORE = Need(1, 2), Need(0.5, 2), Need()


@dataclass(frozen=True)
class Wish:
    need: Need
    name: str = ""


def names(wishes: list[Wish]) -> str:
    return "".join(wish.name for wish in wishes)


def test_jobs_are_placed_in_their_order_until_the_room_is_taken():
    jobs = [Wish(GPU, name) for name in "abcd"]
    placed = place(jobs, [Need(2, 32)] * 2, [GPU, GPU])
    assert (names(placed.now), names(placed.ahead)) == ("ab", "cd")
    assert placed.room == Need(0, 56)


def test_a_job_of_one_core_passes_by_those_that_wait_for_a_gpu():
    jobs = [Wish(GPU, "g"), Wish(GPU, "h"), Wish(CORE, "c")]
    assert names(place(jobs, [Need(1, 8)], []).now) == "gc"


def test_a_small_job_does_not_take_what_an_earlier_large_one_waits_for():
    jobs = [Wish(GPU, "large"), Wish(HALF, "small")]
    placed = place(jobs, [Need(2, 64)], [HALF, GPU])
    assert (names(placed.now), names(placed.ahead)) == ("", "large")


def test_a_job_larger_than_every_machine_holds_up_nothing():
    jobs = [Wish(Need(2, 2), "lost"), Wish(GPU, "one")]
    placed = place(jobs, [Need(1, 32), Need(1, 32)], [GPU])
    assert (names(placed.now), names(placed.ahead)) == ("one", "lost")


def test_only_a_few_actors_wait_ahead():
    placed = place([Wish(GPU)] * 99, [Need(2, 64)], [])
    assert (len(placed.now), len(placed.ahead)) == (2, LOOK_AHEAD)


@pytest.mark.parametrize("share", [1 / 3, 0.1, 0.5, 0.07])
def test_as_many_shares_of_a_gpu_fit_as_make_it_up(share):
    fitting = place([Wish(Need(share))] * 99, [Need(1, 33)] * 3, []).now
    assert len(fitting) == 3 * int(1 / share + 1e-9)


def test_a_machine_must_have_everything_at_once():
    large = Need(1, 4, 64 * 2**30)
    assert large.lacking(Need(8, 2, 2**40)) == {"cpus"}
    assert large.lacking(Need(0, 128, 2**40)) == {"gpus"}
    assert large.lacking(Need(1, 4, 64 * 2**30)) == set()


def test_machines_are_described_by_kind():
    told = described([GPU, Need(0, 1, 2**30), GPU])
    assert told == "2 × 1 GPU, 2 cores; 1 × 0 GPUs, 1 core, 1.0 GB of memory"


def test_twice_as_many_shots_are_begun_as_can_be_fitted_at_a_time():
    assert shots_at_once([Need(16, 99)] * 4, [CORE, GPU]) == 128
    assert shots_at_once([Need(4, 999)], [CORE, HALF]) == 16
    assert shots_at_once([Need(0, 8)], [CORE, Need(0, 2)]) == 16
    assert shots_at_once([], []) == 2
