"""What went wrong, and whether to try again. Decides; acts on nothing."""

from __future__ import annotations

import errno
import traceback
from dataclasses import dataclass, replace
from typing import Literal

import torch

from cluster.agenda import Agenda
from cluster.config import fit_config, propagate_config
from cluster.fitting import Superseded
from cluster.plan import Job, Note
from cluster.strict import ConfigError
from storage import InputError, PlaceError

SMALLEST_TILE_PX = 256
Cause = Literal["input", "place", "memory", "lost", "superseded", "bug"]


class WorkerLost(Exception):
    """The process or the machine that ran a job is gone."""


@dataclass(frozen=True)
class Failure:
    """Why a job failed.

    Attributes:
        cause: `input`: the user's to mend; `place`: disk full or not permitted; `memory`: of the
            device; `lost`: the worker is gone; `superseded`: another run has taken the shot over;
            `bug`: anything else.
        reason: one line.
        detail: the traceback of a bug, else empty.
    """

    cause: Cause
    reason: str
    detail: str = ""


def settle(agenda: Agenda, job: Job, error: BaseException) -> Note:
    """Enter an error into the agenda, as another attempt or as the end of the shot; tell of it."""
    failure = classify(error)
    held = agenda.hold(job, unless_further=failure.cause == "lost")
    again = retry(job, failure, held)
    reason = failure.reason
    if again is not None and again.config != job.config:
        tile_px = again.config.resources.tile_px
        reason += f"; now with a batch of {_batch(again)} and tiles of {tile_px} pixels"
    if again is None:
        agenda.fail(job, failure.reason)
    else:
        agenda.again(again)
    return Note(
        job,
        {
            "kind": "failed",
            "reason": reason,
            "cause": failure.cause,
            "detail": failure.detail,
            "again": again is not None,
        },
    )


def classify(error: BaseException) -> Failure:
    """Say what an error of a job means."""
    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, PlaceError):
        return Failure("place", reason)
    if isinstance(error, (InputError, ConfigError)):
        return Failure("input", reason)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES):
        return Failure("place", reason)
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return Failure("memory", f"out of memory ({reason})")
    if isinstance(error, WorkerLost):
        return Failure("lost", reason)
    if isinstance(error, Superseded):
        return Failure("superseded", reason)
    detail = "".join(traceback.format_exception(error))
    return Failure("bug", f"{type(error).__name__}: {reason}", detail)


def retry(job: Job, failure: Failure, attempt: int) -> Job | None:
    """Return the job to run instead, None to give the shot up.

    A user's mistake, a full disk or a shot taken over is not tried again; out of memory is, with
    half the batch and smaller tiles; a lost worker is, from its checkpoint; anything else is, once.

    Args:
        attempt: the one that failed, counted from 1, and again from 1 where it got further than
            those before and then lost its worker: machines come and go, a shot goes on.
    """
    if failure.cause in ("input", "place", "superseded") or attempt >= job.config.max_attempts:
        return None
    if failure.cause == "memory":
        return _with_less_at_once(job)
    if failure.cause == "bug" and attempt > 1:
        return None
    return job


def _with_less_at_once(job: Job) -> Job | None:
    """Halve what is on the device at once; a job that learns nothing is tried as it is."""
    config, batch = job.config, _batch(job)
    if batch is None:
        return job
    tile_px = max(SMALLEST_TILE_PX, config.resources.tile_px // 2 // 4 * 4)
    if batch == 1 and tile_px == config.resources.tile_px:
        return None
    group = "propagate" if job.kind == "propagate" else "fit"
    options = getattr(config, group).model_copy(update={"batch": max(1, batch // 2)})
    resources = config.resources.model_copy(update={"tile_px": tile_px})
    return replace(job, config=config.model_copy(update={group: options, "resources": resources}))


def _batch(job: Job) -> int | None:
    """Samples that a job learns from at once, None where it learns nothing."""
    if job.kind == "propagate":
        return propagate_config(job.config).batch
    learns = job.kind == "inpaint" and job.config.method == "internal"
    return fit_config(job.config).batch if learns else None
