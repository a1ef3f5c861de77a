from datetime import UTC, datetime, timedelta

from cluster.pace import pace
from cluster.summary import Summary

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def done(minutes_ago, took_s=600.0):
    at = (NOW - timedelta(minutes=minutes_ago)).isoformat()
    return Summary("done", "done", finished=at, fit_s=took_s)


def fitting(spent_s=0.0, steps_per_s=None):
    return Summary("busy", "fitting", fit_s=spent_s, steps_per_s=steps_per_s)


WAITING = Summary("late", "waiting")


def test_the_rate_is_that_of_the_last_hour():
    shots = [done(10), done(30), done(59), done(61), done(500)]
    assert pace(shots, NOW, NOW - timedelta(hours=9)).per_hour == 3


def test_a_run_of_less_than_an_hour_is_counted_over_its_own_time():
    shots = [done(5), done(10), done(100)]  # the last by an earlier run
    assert pace(shots, NOW, NOW - timedelta(minutes=15)).per_hour == 8


def test_slow_shots_are_counted_over_the_whole_run():
    shots = [done(20), done(200), done(500)]
    assert pace(shots, NOW, NOW - timedelta(hours=10)).per_hour == 0.3


def test_what_is_left_is_shared_by_the_shots_at_work():
    shots = [done(5, 500), done(6, 700), fitting(spent_s=200), fitting(), WAITING, WAITING]
    known = pace(shots, NOW)
    assert (known.mean_s, known.done, known.running) == (600, 2, 2)
    assert known.left_s == (400 + 600 + 2 * 600) / 2


def test_the_last_shots_take_as_long_as_the_longest_of_them():
    shots = [done(5), fitting(spent_s=550), fitting(spent_s=100), fitting(spent_s=900)]
    assert pace(shots, NOW).left_s == 500


def test_the_time_left_is_unknown_before_a_shot_is_done_and_while_nothing_is_at_work():
    assert pace([fitting(), WAITING], NOW).left_s is None
    assert pace([done(5), WAITING], NOW).left_s is None
    assert pace([done(5)], NOW).left_s == 0
    assert pace([], NOW).per_hour is None


def test_the_speeds_of_the_fits_at_work_add_up():
    filling = Summary("near", "filling", steps_per_s=9.0)
    shots = [fitting(steps_per_s=2.5), fitting(steps_per_s=4), fitting(), filling]
    assert pace(shots, NOW).steps_per_s == 6.5
    assert pace([filling], NOW).steps_per_s is None


def test_a_time_that_cannot_be_read_counts_for_nothing():
    odd = [Summary("a", "done", finished=text) for text in ("", "soon", "2026-11-21T11:59:00")]
    assert pace(odd, NOW).recent == 0
