"""A run in the metrics of its Ray cluster, beside Ray's own: for Prometheus, Grafana and alarms.

    ray_cleanplate_steps_per_second      of all fits at work together
    ray_cleanplate_jobs_running          jobs at work
    ray_cleanplate_shots_done_total      results finished by this driver
    ray_cleanplate_shots_failed_total    shots that it gave up

The first two carry the tag `kind`, of the job. A shot's name is no tag: every value of a tag is a
series of its own, kept for good.
"""

from __future__ import annotations

from collections.abc import Iterator

from ray.util.metrics import Counter, Gauge

from cluster.plan import Kind, Note

KINDS: tuple[Kind, ...] = ("ingest", "propagate", "inpaint", "measure", "export")


def gauged(notes: Iterator[Note]) -> Iterator[Note]:
    """Pass a run's notes on, and keep its metrics."""
    gauges = Gauges()
    for note in notes:
        gauges.show(note)
        yield note


class Gauges:
    """The metrics of one run; needs a Ray that is up."""

    def __init__(self) -> None:
        tags = ("kind",)
        self._speed = Gauge("cleanplate_steps_per_second", "steps of all fits at work", tags)
        self._running = Gauge("cleanplate_jobs_running", "jobs at work", tags)
        self._done = Counter("cleanplate_shots_done", "results finished by this driver")
        self._failed = Counter("cleanplate_shots_failed", "shots given up by this driver")
        self._rates: dict[Kind, dict[str, float]] = {kind: {} for kind in KINDS}
        for kind in KINDS:
            self._set(kind)

    def show(self, note: Note) -> None:
        job, event = note.job, note.event
        rates = self._rates[job.kind]
        if event["kind"] == "progress":
            rates[job.key] = event.get("rate", 0.0)
        elif event["kind"] in ("done", "failed", "stopped"):
            rates.pop(job.key, None)
        else:
            rates.setdefault(job.key, 0.0)
        if event["kind"] == "done" and job.kind == "inpaint" and job.part_of is None:
            self._done.inc()
        if event["kind"] == "failed" and not event["again"]:
            self._failed.inc()
        self._set(job.kind)

    def _set(self, kind: Kind) -> None:
        rates = self._rates[kind]
        self._speed.set(sum(rates.values()), {"kind": kind})
        self._running.set(len(rates), {"kind": kind})
