"""What of a plan is left, and in which order it is done. Decides; starts nothing.

Shots of higher priority go first, then those already begun, then in the plan's order: results
stream in, and few shots are half done.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any

from cluster.plan import Job

Order = tuple[int, bool, int]
"""Priority, higher first; whether its shot is still to be begun; place in the plan."""

UNITS = ("steps", "flows", "frames")
"""Of a job's progress, one after the other."""


class Agenda:
    """The jobs that are left, those that are done, the shots that failed. Every runner follows it.

    Attributes:
        in_flight: shots at most that are begun and not finished; None leaves it to the runner.
        done: keys of the jobs that are done.
        failed: why, by the shot's name.
        attempts: how often each job was begun, by key.
        needs: the different ones of all jobs.
    """

    def __init__(
        self,
        jobs: Iterable[Job],
        *,
        failed: Mapping[str, str] | None = None,
        in_flight: int | None = None,
    ) -> None:
        plan = list(jobs)
        self.in_flight = in_flight
        self.done: set[str] = set()
        self.failed = dict(failed or {})
        self.attempts: dict[str, int] = {}
        self.needs = frozenset(job.need for job in plan)
        self._place = {job.key: i for i, job in enumerate(plan)}
        self._left = Counter(job.shot.name for job in plan)
        self._begun: set[str] = set()
        self._ready: dict[str, Job] = {}
        self._behind: dict[str, list[Job]] = {}
        self._held: dict[str, int] = {}
        self._furthest: dict[str, tuple[int, int]] = {}
        self._further: set[str] = set()
        first = [job for job in plan if job.after is None]
        self._new = deque(sorted(first, key=self._order))
        for job in plan:
            if job.after is not None:
                self._behind.setdefault(job.after, []).append(job)

    def upcoming(self, in_flight: int | None = None) -> list[Job]:
        """Return the jobs that can be begun, in their order.

        Args:
            in_flight: the runner's bound, where the agenda has none of its own.
        """
        self._begin(self.in_flight or in_flight)
        return sorted(self._ready.values(), key=self._order)

    def take(self, job: Job) -> None:
        """Begin an upcoming job, and count the attempt."""
        del self._ready[job.key]
        self.attempts[job.key] = self.attempts.get(job.key, 0) + 1

    def ready(self, in_flight: int | None = None) -> Job | None:
        """Take the first job that can be begun, None where there is none."""
        job = next(iter(self.upcoming(in_flight)), None)
        if job is not None:
            self.take(job)
        return job

    def heard(self, job: Job, event: Mapping[str, Any]) -> None:
        """Note how far a job at work has got."""
        if event["kind"] != "progress":
            return
        got = UNITS.index(event["unit"]), event["done"]
        if got > self._furthest.get(job.key, (0, 0)):
            self._furthest[job.key] = got
            self._further.add(job.key)

    def finish(self, job: Job) -> None:
        """Enter a job as done; what stands behind it can be begun."""
        self.done.add(job.key)
        for following in self._behind.pop(job.key, ()):
            self._ready[following.key] = following
        self._drop(job)

    def again(self, job: Job) -> None:
        """Put a job back."""
        self._ready[job.key] = job

    def fail(self, job: Job, reason: str) -> None:
        """Give up a job and all that was to follow it; the others go on."""
        self.failed[job.shot.name] = reason
        lost = [job]
        while lost:
            given_up = lost.pop()
            lost += self._behind.pop(given_up.key, ())
            self._drop(given_up)

    def hold(self, job: Job, *, unless_further: bool) -> int:
        """Hold a failed attempt against a job; return how many are held.

        Args:
            unless_further: those before are forgotten where this one got further than all of them.
        """
        held = 0 if unless_further and job.key in self._further else self._held.get(job.key, 0)
        self._further.discard(job.key)
        self._held[job.key] = held + 1
        return held + 1

    def _begin(self, in_flight: int | None) -> None:
        """Begin shots while there may be more of them."""
        while self._new and (
            in_flight is None
            or len(self._begun) < in_flight
            or self._new[0].shot.name in self._begun
        ):
            job = self._new.popleft()
            self._begun.add(job.shot.name)
            self._ready[job.key] = job

    def _order(self, job: Job) -> Order:
        untouched = job.after is None and job.key not in self.attempts
        return -job.shot.priority, untouched, self._place[job.key]

    def _drop(self, job: Job) -> None:
        """Forget what only a job that is left needs."""
        for memory in (self._held, self._furthest):
            memory.pop(job.key, None)
        self._further.discard(job.key)
        self._left[job.shot.name] -= 1
        if not self._left[job.shot.name]:
            self._begun.discard(job.shot.name)
