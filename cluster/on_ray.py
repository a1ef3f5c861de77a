"""The plan on a Ray cluster: one fresh actor for each job and attempt.

The driver owns retries: an actor never restarts by itself, so that each attempt can ask for other
resources and none runs twice. A job's progress streams back as small dicts. The only module that
talks to Ray's core.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

# A private Ray is closed to others on the machine by a token that lives in this process only. Ray
# reads these once, when it is imported.
if "RAY_ADDRESS" not in os.environ and "ray" not in sys.modules:
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    if os.environ["RAY_AUTH_MODE"] == "token":
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray

from cluster import jobs
from cluster.failures import WorkerLost, settle
from cluster.plan import Agenda, Job, Need, Note

IN_FLIGHT = 64
"""Actors at most at a time, waiting ones included: enough to fill a cluster, few to look after."""

STOP_S = 12.0
"""How long jobs may take to save themselves once asked to stop."""


class _Worker:
    """Does one job in a process of its own."""

    def __init__(self) -> None:
        self._stop = False

    @ray.method(concurrency_group="control")
    def request_stop(self) -> None:
        self._stop = True

    @ray.method(num_returns="streaming")
    def run(self, job: Job) -> Iterator[dict[str, Any]]:
        yield {"kind": "started", "pid": os.getpid()}
        gpus = ray.get_gpu_ids()  # with none given, torch would still see every GPU of the node
        if gpus and job.need.gpus < 1:
            import torch

            torch.cuda.set_per_process_memory_fraction(job.need.gpus)
        yield from jobs.run(job, "cuda" if gpus else "cpu", lambda: self._stop)


def attached() -> bool:
    """Whether a cluster was named by whoever started us; else we start a private one."""
    return "RAY_ADDRESS" in os.environ


def connect() -> None:
    """Join the cluster that `RAY_ADDRESS` names, as a submitted job does; else start our own."""
    quiet = {"log_to_driver": False, "logging_level": "error"}
    if attached():
        ray.init(**quiet)
    else:
        ray.init(address="local", include_dashboard=False, **quiet)


def disconnect() -> None:
    """Leave the cluster; a private one ends."""
    ray.shutdown()


def largest_machine() -> Need:
    """Return the most GPUs, cores and memory that one node has."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = max((node.get("GPU", 0) for node in nodes), default=0)
    cpus = max((node.get("CPU", 0) for node in nodes), default=1)
    memory = max((node.get("memory", 0) for node in nodes), default=0)
    return Need(gpus, max(1, int(cpus)), int(memory))


WORKER = ray.remote(max_restarts=0, max_task_retries=0, concurrency_groups={"control": 1})(_Worker)


@dataclass
class _Running:
    job: Job
    actor: Any
    begun: bool = False


def run_on_ray(agenda: Agenda, stop: Callable[[], bool]) -> Iterator[Note]:
    """Do the agenda's jobs, as many at once as the cluster holds; yield what they tell."""
    running: dict[Any, _Running] = {}
    asked_at: float | None = None
    try:
        while True:
            if stop() and asked_at is None:
                asked_at = time.monotonic()
                _ask_to_stop(running)
            while asked_at is None and len(running) < IN_FLIGHT and (job := agenda.ready()):
                stream, started = _start(job)
                running[stream] = started
            if not running or (asked_at and time.monotonic() - asked_at > STOP_S):
                return
            yield from _heard(agenda, running)
    finally:
        for started in running.values():
            ray.kill(started.actor)


def _start(job: Job) -> tuple[Any, _Running]:
    actor = WORKER.options(
        num_gpus=job.need.gpus, num_cpus=job.need.cpus, memory=job.need.memory_bytes or None
    ).remote()
    return actor.run.remote(job), _Running(job, actor)


def _ask_to_stop(running: dict[Any, _Running]) -> None:
    """Ask the actors at work; one that still waits for a machine has nothing to save."""
    for stream, started in list(running.items()):
        if started.begun:
            started.actor.request_stop.remote()
        else:
            ray.kill(started.actor)
            del running[stream]


def _heard(agenda: Agenda, running: dict[Any, _Running]) -> Iterator[Note]:
    """Take one item from whichever streams have one."""
    ready, _ = ray.wait(list(running), num_returns=1, timeout=0.5, fetch_local=False)
    for stream in ready:
        started = running[stream]
        started.begun = True
        try:
            event = ray.get(next(stream))
        except Exception as error:
            _end(running, stream)
            yield settle(agenda, started.job, _plain(error))
            continue
        if event["kind"] == "done":
            agenda.finish(started.job)
        if event["kind"] in ("done", "stopped"):
            _end(running, stream)
        yield Note(started.job, event)


def _end(running: dict[Any, _Running], stream: Any) -> None:
    """Let an actor go: it holds its GPU until it is killed."""
    ray.kill(running.pop(stream).actor)


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
