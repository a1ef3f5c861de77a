"""The plan in this process, one job after another: for tests, for debugging, without Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from cluster import jobs
from cluster.failures import settle
from cluster.plan import Agenda, Need, Note


def largest_machine() -> Need:
    """Return what this machine has."""
    return Need(gpus=torch.cuda.device_count(), cpus=jobs.cores())


def run_serial(agenda: Agenda, stop: Callable[[], bool]) -> Iterator[Note]:
    """Do the agenda's jobs in order; yield what they tell."""
    while not stop() and (job := agenda.ready()) is not None:
        device = "cuda" if job.need.gpus else "cpu"
        try:
            for event in jobs.run(job, device, stop):
                if event["kind"] == "done":
                    agenda.finish(job)
                yield Note(job, event)
        except Exception as error:
            yield settle(agenda, job, error)
