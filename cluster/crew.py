"""The actors of a run: which are asked for, which job each gets, when each is let go.

The driver owns retries: an actor never restarts by itself, so that no job runs twice and each
attempt after a failure begins in a fresh process.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import ray

from cluster.actor import WORKER, Work
from cluster.agenda import Agenda
from cluster.failures import WorkerLost, settle
from cluster.plan import Job, Note
from cluster.room import Need, Placement, place, shots_at_once

COUNTED_EVERY_S = 2.0
"""How often the cluster's machines are counted: they come and go."""

KEPT_S = 30.0
"""How long an actor is kept that has nothing to do and holds no GPU: a fresh one costs seconds."""


@dataclass(eq=False)
class Member:
    """An actor.

    Attributes:
        need: what it holds, and so the need of every job it is given.
        job: what it does, None where it is idle or still to come up.
        over: its job said its last word.
        idle_at: since when there is nothing for it to do, by the monotonic clock.
    """

    actor: Any
    need: Need
    job: Job | None = None
    over: bool = False
    idle_at: float = 0.0


class Crew:
    """The actors: those still to come up, those at work, and those between two jobs.

    An actor gets a job only once it is up, so that none waits with it while others pass by.
    """

    def __init__(self, agenda: Agenda, work: Work, machines: Callable[[], list[Need]]) -> None:
        self._agenda = agenda
        self._work = ray.put(work)
        self._count = machines
        self._coming: dict[Any, Member] = {}
        self._working: dict[Any, Member] = {}
        self._idle: list[Member] = []
        self._machines: list[Need] = []
        self._counted_at = -COUNTED_EVERY_S
        self._stranded: set[str] = set()
        self._waiting = False

    def __bool__(self) -> bool:
        """Whether there is something to do."""
        return self._waiting or bool(self._working)

    def fill(self) -> Iterator[Note]:
        """Give every job that there is room for an actor, and let those go that have none."""
        placement = self._placement()
        self._waiting = bool(placement.now or placement.ahead)
        wanted = Counter(job.need for job in placement.ahead)
        for job in placement.now:
            idle = next((one for one in self._idle if one.need == job.need), None)
            if idle is None:
                wanted[job.need] += 1
            else:
                self._give(idle, job)
        self._await(wanted)
        self._let_go(placement.room)
        for job in placement.ahead[:1]:
            if job.key not in self._stranded and not job.need.fits(self._machines):
                self._stranded.add(job.key)
                yield Note(job, {"kind": "log", "text": f"waits for a machine with {job.need}"})

    def heard(self) -> Iterator[Note]:
        """Take one item from each actor that has one."""
        refs = [*self._coming, *self._working]
        ray.wait(refs, num_returns=1, timeout=0.5, fetch_local=False)
        ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)
        for ref in ready:
            if ref in self._coming:
                yield from self._arrived(ref)
            else:
                yield from self._told(ref)

    def stop(self) -> None:
        """Ask the actors at work to save themselves; the others have nothing to save."""
        self._dismiss_idle()
        self._waiting = False
        for member in self._working.values():
            member.actor.request_stop.remote()

    def dismiss(self) -> None:
        """End the actors."""
        self._dismiss_idle()
        for member in self._working.values():
            ray.kill(member.actor)

    def _placement(self) -> Placement[Job]:
        if time.monotonic() - self._counted_at >= COUNTED_EVERY_S:
            self._machines, self._counted_at = self._count(), time.monotonic()
        upcoming = self._agenda.upcoming(shots_at_once(self._machines, self._agenda.needs))
        return place(upcoming, self._machines, (one.need for one in self._working.values()))

    def _await(self, wanted: Counter[Need]) -> None:
        """Ask for as many actors as are wanted; call off those that have long been one too many."""
        now = time.monotonic()
        for ref, member in list(self._coming.items()):
            if wanted[member.need]:
                wanted[member.need] -= 1
                member.idle_at = now
            elif now - member.idle_at >= KEPT_S:
                ray.kill(self._coming.pop(ref).actor)
        for need in wanted.elements():
            self._ask_for(need)

    def _ask_for(self, need: Need) -> None:
        new = WORKER.options(
            num_gpus=need.gpus, num_cpus=need.cpus, memory=need.memory_bytes or None
        ).remote(self._work)
        self._coming[new.up.remote()] = Member(new, need, idle_at=time.monotonic())

    def _give(self, member: Member, job: Job) -> None:
        self._agenda.take(job)
        self._idle.remove(member)
        member.job, member.over = job, False
        self._working[member.actor.run.remote(job)] = member

    def _dismiss_idle(self) -> None:
        for member in (*self._coming.values(), *self._idle):
            ray.kill(member.actor)
        self._coming.clear()
        self._idle.clear()

    def _let_go(self, room: Need) -> None:
        """Keep those idle for a while that hold no GPU and stand in no one's way."""
        now, kept = time.monotonic(), []
        for member in self._idle:
            young = not member.need.gpus and now - member.idle_at < KEPT_S
            if young and not member.need.lacking(room):
                room -= member.need
                kept.append(member)
            else:
                ray.kill(member.actor)
        self._idle = kept

    def _rest(self, member: Member) -> None:
        member.job, member.idle_at = None, time.monotonic()
        self._idle.append(member)

    def _arrived(self, ref: Any) -> Iterator[Note]:
        """Take an actor on; hold one that could not begin against the job that waited for it."""
        member = self._coming.pop(ref)
        try:
            ray.get(ref)
            self._rest(member)
        except Exception as error:
            ray.kill(member.actor)
            waiting = (job for job in self._agenda.upcoming(1) if job.need == member.need)
            if (job := next(waiting, None)) is not None:
                self._agenda.take(job)
                why = str(error).strip().splitlines()[-1]
                yield settle(self._agenda, job, WorkerLost(f"no worker could begin: {why}"))

    def _told(self, stream: Any) -> Iterator[Note]:
        """Pass on what a job tells; after its last word its actor is free, after an error gone."""
        member = self._working[stream]
        job = member.job
        assert job is not None
        try:
            event = ray.get(next(stream))
        except Exception as error:
            del self._working[stream]
            if member.over and isinstance(error, StopIteration):
                self._rest(member)
                return
            ray.kill(member.actor)
            if not member.over:
                yield settle(self._agenda, job, _plain(error))
            return
        self._agenda.heard(job, event)
        if event["kind"] == "done":
            self._agenda.finish(job)
        member.over = event["kind"] in ("done", "stopped")
        yield Note(job, event)


def _plain(error: Exception) -> Exception:
    """Return the job's own error, or `WorkerLost` where the actor itself is gone."""
    if isinstance(error, ray.exceptions.RayTaskError):
        cause = error.cause
        if isinstance(cause, Exception):
            cause.add_note(str(error))
            return cause
    if isinstance(error, (ray.exceptions.RayActorError, StopIteration)):
        return WorkerLost(f"the worker process is gone ({type(error).__name__})")
    return error
