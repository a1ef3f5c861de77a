"""What an error means, and whether the job is tried again."""

from __future__ import annotations

import errno

import pytest
import torch
from job_fakes import job, quick

from cluster.agenda import Agenda
from cluster.config import fit_config
from cluster.failures import Failure, WorkerLost, classify, retry, settle
from cluster.fitting import Superseded
from cluster.plan import Job
from cluster.strict import ConfigError
from storage import InputError, PlaceError

ERRORS = [
    (InputError("plate.1004.png: cut short"), "input"),
    (ConfigError("fit.steps: missing"), "input"),
    (PlaceError("/archive: the disk is full"), "place"),
    (OSError(errno.ENOSPC, "No space left on device"), "place"),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), "place"),
    (PermissionError(errno.EACCES, "Permission denied"), "place"),
    (torch.OutOfMemoryError("CUDA out of memory"), "memory"),
    (MemoryError(), "memory"),
    (WorkerLost("the worker process is gone"), "lost"),
    (Superseded("a later attempt has taken over"), "superseded"),
    (OSError(errno.EIO, "Input/output error"), "bug"),
    (ZeroDivisionError("division by zero"), "bug"),
    (FloatingPointError("the loss is nan at step 7"), "bug"),
]


@pytest.mark.parametrize(("error", "cause"), ERRORS, ids=lambda value: str(value)[:30])
def test_an_error_has_one_cause_and_a_reason_of_one_line(error, cause):
    failure = classify(error)
    assert failure.cause == cause
    assert failure.reason
    assert "\n" not in failure.reason


def test_a_reason_of_many_lines_becomes_one_and_an_empty_one_the_errors_name():
    assert classify(InputError("two\n  lines")).reason == "two lines"
    assert classify(MemoryError()).reason == "out of memory (MemoryError)"


def test_only_a_bug_comes_with_its_traceback():
    try:
        [].pop()
    except IndexError as error:
        failure = classify(error)
    assert failure.reason == "IndexError: pop from empty list"
    assert "[].pop()" in failure.detail
    assert all(classify(error).detail == "" for error, cause in ERRORS if cause != "bug")


@pytest.mark.parametrize(
    ("cause", "attempts"),
    [("input", 1), ("place", 1), ("superseded", 1), ("bug", 2), ("lost", 5), ("memory", 4)],
)
def test_how_often_a_job_is_tried_depends_on_the_cause(cause, attempts):
    tried, current = 0, job(config=quick("max_attempts=5", "fit.batch=8"))
    while current is not None and tried < 99:
        tried += 1
        current = retry(current, Failure(cause, "why"), tried)
    assert tried == attempts


@pytest.mark.parametrize("cause", ["lost", "memory", "bug"])
def test_one_attempt_at_most_is_one_attempt(cause):
    assert retry(job(config=quick("max_attempts=1")), Failure(cause, "why"), 1) is None


def test_a_lost_worker_is_followed_by_the_same_job():
    lost = job()
    assert retry(lost, Failure("lost", "gone"), 1) == lost


def batches(first: Job) -> list[int]:
    """Return the batch of every attempt of a job that always runs out of memory."""
    found, current, attempt = [], first, 1
    while current is not None and attempt < 99:
        found.append(fit_config(current.config).batch)
        current = retry(current, Failure("memory", "out of memory"), attempt)
        attempt += 1
    return found


def test_out_of_memory_halves_the_batch_down_to_one():
    assert batches(job(config=quick("max_attempts=9", "fit.batch=8"))) == [8, 4, 2, 1]
    paper = quick("max_attempts=9", "recipe=paper", "fit.batch=null")
    assert batches(job(config=paper)) == [5, 2, 1]
    assert batches(job(config=quick("max_attempts=2", "fit.batch=8"))) == [8, 4]


def test_a_smaller_batch_leaves_everything_else_as_it_was():
    before = job(config=quick("fit.batch=8", "fit.learning_rate=1e-4", "seed=3"))
    after = retry(before, Failure("memory", "out of memory"), 1)
    words = ["fit.batch=4", "fit.learning_rate=1e-4", "seed=3", "resources.tile_px=512"]
    assert after.config == quick(*words)
    assert (after.key, after.version, after.need) == (before.key, before.version, before.need)


def test_the_smallest_batch_and_tile_are_the_end():
    config = quick("max_attempts=9", "fit.batch=1", "resources.tile_px=600")
    tiles, current = [], job(config=config)
    while current is not None and len(tiles) < 9:
        tiles.append(current.config.resources.tile_px)
        current = retry(current, Failure("memory", "out of memory"), len(tiles))
    assert tiles == [600, 300, 256]


def test_what_is_tried_with_less_says_with_how_much():
    agenda = Agenda([job("a", config=quick("fit.batch=8"))])
    event = settle(agenda, agenda.ready(), MemoryError()).event
    said = "; now with a batch of 4 and tiles of 512 pixels"
    assert event["reason"] == "out of memory (MemoryError)" + said


def test_a_settled_error_is_another_attempt_or_the_end_of_the_shot():
    agenda = Agenda([job("a"), job("b")])
    note = settle(agenda, agenda.ready(), WorkerLost("gone"))
    assert (note.event["kind"], note.event["again"], agenda.failed) == ("failed", True, {})
    note = settle(agenda, agenda.ready(), InputError("cut short"))
    assert (note.event["reason"], note.event["again"]) == ("cut short", False)
    assert agenda.failed == {"a": "cut short"}
    assert [waiting.key for waiting in agenda.upcoming()] == ["inpaint b v001"]
