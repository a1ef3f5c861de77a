"""In which order jobs are handed out, and when a job is given up."""

from __future__ import annotations

from dataclasses import replace

from job_fakes import job, quick

from cluster.agenda import Agenda
from cluster.backlog import ShotSpec
from cluster.failures import WorkerLost, settle
from cluster.plan import Intent, Job, plan
from cluster.room import ONE_CORE
from inpaint.progressive import Scale

WHOLE = (Scale(90, 160),)
FINER = (Scale(90, 160), Scale(540, 960, 4, 6.0), Scale(2160, 3840, 1, 4.0))


def shot(name: str, priority: int = 0) -> ShotSpec:
    return ShotSpec(name, f"{name}.mov", "alpha", priority=priority)


def planned(*shots: ShotSpec, scales: tuple[Scale, ...] = WHOLE) -> list[Job]:
    intents = [Intent(each, "v1", scales, {}) for each in shots]
    return plan(intents, "/archive", quick(), ONE_CORE)


def in_order(agenda: Agenda, in_flight: int | None = None) -> list[str]:
    """Do all that is left, one job after another."""
    done = []
    while (taken := agenda.ready(in_flight)) is not None:
        done.append(taken.key)
        agenda.finish(taken)
    return done


def test_a_job_is_handed_out_once_what_it_waits_for_is_done():
    agenda = Agenda(planned(shot("a"), shot("b")))
    first, second = agenda.ready(), agenda.ready()
    assert (first.key, second.key, agenda.ready()) == ("ingest a", "ingest b", None)
    agenda.finish(second)
    assert (agenda.ready().key, agenda.ready()) == ("inpaint b v1", None)
    agenda.finish(first)
    assert agenda.ready().key == "inpaint a v1"


def test_a_shot_that_is_begun_goes_before_the_next():
    assert in_order(Agenda(planned(shot("a"), shot("b")))) == [
        *("ingest a", "inpaint a v1"),
        *("ingest b", "inpaint b v1"),
    ]


def test_a_shot_of_higher_priority_goes_before_those_begun():
    agenda = Agenda(planned(shot("low"), shot("high", priority=1)))
    low = next(each for each in agenda.upcoming() if each.shot.name == "low")
    agenda.take(low)
    agenda.finish(low)
    assert in_order(agenda) == ["ingest high", "inpaint high v1", "inpaint low v1"]


def test_no_more_shots_are_begun_than_may_be():
    agenda = Agenda(planned(shot("a"), shot("b"), shot("c")), in_flight=2)
    first = agenda.ready(in_flight=99)
    assert (agenda.ready().key, agenda.ready()) == ("ingest b", None)
    agenda.finish(first)
    fit = agenda.ready()
    assert (fit.key, agenda.ready()) == ("inpaint a v1", None)
    agenda.finish(fit)
    assert agenda.ready().key == "ingest c"


def test_a_shot_given_up_makes_place_for_another():
    agenda = Agenda(planned(shot("a"), shot("b")), in_flight=1)
    agenda.fail(agenda.ready(), "the disk is full")
    assert in_order(agenda) == ["ingest b", "inpaint b v1"]
    assert agenda.failed == {"a": "the disk is full"}


def test_a_job_that_fails_takes_along_what_follows_it_and_nothing_else():
    jobs = planned(shot("a"), scales=FINER)
    agenda = Agenda([*jobs, replace(jobs[1], version="v2")])
    agenda.finish(agenda.ready())
    agenda.fail(agenda.ready(), "why")
    assert in_order(agenda) == ["inpaint a v2"]


def test_a_job_put_back_is_the_next_and_its_attempts_are_counted():
    agenda = Agenda([job("a", "ingest"), job("b", "ingest")])
    agenda.take(agenda.upcoming()[1])
    agenda.again(job("b", "ingest"))
    assert agenda.ready() == job("b", "ingest")
    assert agenda.attempts == {"ingest b": 2}


def test_the_scales_of_different_shots_overlap():
    agenda = Agenda(planned(shot("a"), shot("b"), scales=FINER))
    for ingest in (agenda.ready(), agenda.ready()):
        agenda.finish(ingest)
    first, second = agenda.ready(), agenda.ready()
    assert {first.shot.name, second.shot.name} == {"a", "b"}
    assert agenda.ready() is None
    agenda.finish(first)
    assert agenda.ready().version == "v1.960x540"


def lost_at(agenda: Agenda, unit: str, done: int) -> bool:
    """Lose the worker of the next job after this progress; return whether it is tried again."""
    taken = agenda.ready()
    agenda.heard(taken, {"kind": "progress", "unit": unit, "done": done})
    return settle(agenda, taken, WorkerLost("gone")).event["again"]


def test_a_job_that_gets_further_each_time_survives_any_number_of_lost_machines():
    agenda = Agenda([job("a", config=quick("max_attempts=2"))])
    assert all(lost_at(agenda, "steps", step) for step in range(1, 50))
    assert all(lost_at(agenda, "frames", frame) for frame in range(1, 20))
    assert agenda.attempts == {"inpaint a v001": 68}


def test_a_job_that_kills_its_worker_at_one_place_is_given_up():
    agenda = Agenda([job("a", config=quick("max_attempts=3"))])
    assert [lost_at(agenda, "steps", 700) for _ in range(3)] == [True, True, False]
    assert agenda.failed == {"a": "gone"}


def test_running_out_of_memory_is_held_against_a_job_however_far_it_got():
    agenda = Agenda([job("a", config=quick("max_attempts=2", "fit.batch=8"))])
    again = []
    for step in (5, 9):
        taken = agenda.ready()
        agenda.heard(taken, {"kind": "progress", "unit": "steps", "done": step})
        again.append(settle(agenda, taken, MemoryError()).event["again"])
    assert again == [True, False]
