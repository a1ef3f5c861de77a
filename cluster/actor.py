"""The process that does jobs on a cluster, one after another.

Only `ray` is imported here: what a job needs comes with the function that does it.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from typing import Any

import ray

Work = Callable[[Any, str, Callable[[], bool]], Iterator[dict[str, Any]]]
"""What does a job, as `cluster.jobs.run`."""


class _Worker:
    """Does jobs of one need; an error or a stop is its end."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._stop = False

    def up(self) -> None:
        """Return once there is a process and a place for it."""

    @ray.method(concurrency_group="control")
    def request_stop(self) -> None:
        self._stop = True

    @ray.method(num_returns="streaming")
    def run(self, job: Any) -> Iterator[dict[str, Any]]:
        yield {"kind": "started", "pid": os.getpid()}
        gpus = ray.get_gpu_ids()  # with none given, torch would still see every GPU of the node
        yield from self._work(job, "cuda" if gpus else "cpu", lambda: self._stop)


WORKER = ray.remote(max_restarts=0, max_task_retries=0, concurrency_groups={"control": 1})(_Worker)


def do(job: Any, device: str, stop: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """Do a job with its share of the GPU, and leave nothing there for the next one to trip over."""
    import torch

    from cluster import jobs

    if device == "cuda" and job.need.gpus < 1:
        torch.cuda.set_per_process_memory_fraction(job.need.gpus)
    try:
        yield from jobs.run(job, device, stop)
    finally:
        if device == "cuda":
            gc.collect()  # a prepared network refers to itself
            torch.cuda.empty_cache()
