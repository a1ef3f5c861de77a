"""How long planning takes, and how long GPUs wait, on a simulated cluster.

    python -m benchmarks.schedule [--shots 1000] [--scales 3] [--gpus 64] [--nodes 4] [--seconds 4]
    python -m benchmarks.schedule --grow 100 1000 10000

The plan, the agenda, the runner and Ray are real; GPUs, cores and the work are not: a job sleeps,
fits for half to one and a half times `seconds`, reading in and delivery for a tenth. Planning is
all from the manifest to the agenda, files not opened. A GPU is idle while no job sleeps on it, by
the workers' own clocks: from when every GPU had a job once (until then processes are started, all
on this one machine) to when fewer shots than GPUs are left (then some have nothing to do).
`--grow` plans, then runs the agenda through without Ray, each number in a fresh process.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import random
import resource
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

from benchmarks.naps import Nap, Sleeper, nap
from cluster.agenda import Agenda
from cluster.backlog import shots_of
from cluster.config import load_config
from cluster.on_ray import run_on_ray
from cluster.plan import Intent, Job, plan
from cluster.prepare import planned_scales
from cluster.room import Need, place, shots_at_once

SIZE = 4320, 7680
CORES = 4
"""Of every node, for reading in and delivery; fitting takes a GPU and no core."""


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    if options.grow:
        _grow(options.grow, options.scales, options.gpus)
        return 0
    began_at = time.perf_counter()
    jobs = planned(options.shots, options.scales)
    print(f"planning            {time.perf_counter() - began_at:.2f} s, {len(jobs)} jobs")
    with _cluster(options.nodes, options.gpus // options.nodes):
        measured = simulate(jobs, options.gpus, options.seconds)
    _tell(measured, options.gpus)
    return 0


@dataclass(frozen=True)
class Measured:
    """What a run was like.

    Attributes:
        run_s: from the first call to the last job's end.
        driver_s: processor time of the driver.
        naps: of the GPUs: shot, process, from when, to when, in seconds of one clock.
        failed: shots that were given up.
    """

    run_s: float
    driver_s: float
    naps: Sequence[tuple[str, int, float, float]]
    jobs: int
    failed: int


def planned(shots: int, scales: int) -> list[Job]:
    """Return the jobs of a backlog that a manifest names."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "backlog.csv"
        with manifest.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["source", "mask", "export", "priority"])
            rows.writerows([f"{n:05d}.mov", "alpha", f"out/{n:05d}.mov", 0] for n in range(shots))
        factors = [2**power for power in reversed(range(scales - 1))]
        words = [f"shots={manifest}", "capacity=small", f"progressive.scales={factors}"]
        config = load_config(None, words)
        sizes = tuple(planned_scales(config, SIZE))
        intents = [Intent(shot, "v001", sizes, {}) for shot in shots_of(config)]
        return plan(intents, "/archive", config, Need(1, 0))


def simulate(jobs: Sequence[Job], gpus: int, seconds: float) -> Measured:
    """Sleep through the jobs on the Ray that runs."""
    naps: list[Nap] = list(_naps(jobs, seconds))
    agenda: Any = Agenda(naps)  # type: ignore[arg-type]
    began_at, driver_at = time.perf_counter(), time.process_time()
    slept, done, process = [], 0, dict[str, int]()
    for note in run_on_ray(agenda, lambda: False, nap):
        event = note.event
        if event["kind"] == "started":
            process[note.job.key] = event["pid"]
        elif event["kind"] == "done":
            done += 1
            pid = process.pop(note.job.key)
            if note.job.need.gpus:
                slept.append((note.job.shot.name, pid, event["began_at"], event["ended_at"]))
    run_s, driver_s = time.perf_counter() - began_at, time.process_time() - driver_at
    return Measured(run_s, driver_s, slept, done, len(agenda.failed))


def idle_share(
    naps: Sequence[tuple[str, int, float, float]], gpus: int
) -> tuple[float, float, float]:
    """Return the share of time in which GPUs waited, and the seconds before and after it counts."""
    first: dict[int, float] = {}
    last: dict[str, float] = {}
    for shot, pid, began_at, ended_at in naps:
        first[pid] = min(first.get(pid, began_at), began_at)
        last[shot] = max(last.get(shot, ended_at), ended_at)
    full_at, tail_at = sorted(first.values())[gpus - 1], sorted(last.values())[-gpus]
    slept = sum(max(0.0, min(ended, tail_at) - max(began, full_at)) for _, _, began, ended in naps)
    share = 1 - slept / (gpus * (tail_at - full_at))
    return share, full_at - min(first.values()), max(last.values()) - tail_at


def _naps(jobs: Sequence[Job], seconds: float) -> Iterator[Nap]:
    """The jobs with a length instead of work."""
    lengths = random.Random(0)
    for job in jobs:
        long = seconds * lengths.uniform(0.5, 1.5) if job.need.gpus else seconds / 10
        shot = Sleeper(job.shot.name, job.shot.priority)
        yield Nap(job.key, shot, job.need, job.after, long)


@contextlib.contextmanager
def _cluster(nodes: int, gpus: int) -> Iterator[None]:
    """Start nodes with this many GPUs each that are none."""
    quiet = {"worker_maximum_startup_concurrency": 4, "enable_worker_prestart": False}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, "_system_config": quiet},
    )
    for _ in range(nodes):
        cluster.add_node(num_cpus=CORES, num_gpus=gpus, object_store_memory=80 * 2**20)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
    try:
        yield
    finally:
        ray.shutdown()
        cluster.shutdown()


def _tell(measured: Measured, gpus: int) -> None:
    idle, start_s, tail_s = idle_share(measured.naps, gpus)
    print(f"GPUs idle           {100 * idle:.2f} %")
    print(f"run                 {measured.run_s:.0f} s, start {start_s:.0f} s, tail {tail_s:.0f} s")
    print(f"jobs                {measured.jobs}, {measured.jobs / measured.run_s:.1f} a second")
    print(f"given up            {measured.failed} shots")
    print(f"driver, processor   {1e3 * measured.driver_s / measured.jobs:.1f} ms a job")
    print(f"driver, peak memory {_peak_mb():.0f} MB")


def _grow(numbers: Sequence[int], scales: int, gpus: int) -> None:
    print(f"| shots | jobs | planning, s | deciding, ms a job | driver, MB |\n|{'---|' * 5}")
    for shots in numbers:
        with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
            row = fresh.submit(_grown, shots, scales, gpus).result()
        print(f"| {shots:,} | {row[0]:,} | {row[1]:.2f} | {row[2]:.2f} | {row[3]:.0f} |")


def _grown(shots: int, scales: int, gpus: int) -> tuple[int, float, float, float]:
    """Plan, then hand every job out and take it back; return jobs, s, ms a job, MB."""
    began_at = time.perf_counter()
    jobs = planned(shots, scales)
    agenda, machines = Agenda(jobs), [Need(8, 8 * CORES)] * (gpus // 8)
    planned_s = time.perf_counter() - began_at
    in_flight = shots_at_once(machines, agenda.needs)
    working: deque[Job] = deque()
    while True:
        taken = [job.need for job in working]
        for job in place(agenda.upcoming(in_flight), machines, taken).now:
            agenda.take(job)
            working.append(job)
        if not working:
            break
        agenda.finish(working.popleft())
    decided_s = time.perf_counter() - began_at - planned_s
    assert len(agenda.done) == len(jobs)
    return len(jobs), planned_s, 1e3 * decided_s / len(jobs), _peak_mb()


def _peak_mb() -> float:
    """The most memory that this process has had, all that is imported included."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.schedule", description=__doc__)
    parser.add_argument("--shots", type=int, default=1000)
    parser.add_argument("--scales", type=int, default=3)
    parser.add_argument("--gpus", type=int, default=64)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=4, help="that a fit sleeps, in the mean")
    parser.add_argument("--grow", type=int, nargs="+", help="numbers of shots to plan, without Ray")
    return parser


if __name__ == "__main__":
    sys.exit(main())
