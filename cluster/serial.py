"""The plan in this process, one job after another: for tests, for debugging, without Ray."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import torch

from cluster import cores, jobs
from cluster.agenda import Agenda
from cluster.failures import settle
from cluster.plan import Note
from cluster.room import Need


def machines() -> list[Need]:
    """Return what this machine has."""
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return [Need(torch.cuda.device_count(), cores.available(), memory_bytes)]


def run_serial(agenda: Agenda, stop: Callable[[], bool]) -> Iterator[Note]:
    """Do the agenda's jobs in order; yield what they tell."""
    while not stop() and (job := agenda.ready(in_flight=1)) is not None:
        device = "cuda" if job.need.gpus else "cpu"
        try:
            for event in jobs.run(job, device, stop):
                agenda.heard(job, event)
                if event["kind"] == "done":
                    agenda.finish(job)
                yield Note(job, event)
        except Exception as error:
            yield settle(agenda, job, error)
