"""How fast a training step is, how near to the machine's matrix rate, and what memory it takes.

    python -m benchmarks.step [--device cuda] [--work paper fast] [--seconds 20] [--rounds 5]
        [--threads 1] [--memory]

Prints Markdown tables: a `plain` step (float32, contiguous, eager, unfused gates), what each change
of it brings alone, and all that the project does together. All variants of a table are measured in
one process, in turns, so that other work on the machine hits them alike: × plain is the median of
the rounds' ratios, steps/s the median of the rounds. On one thread of a CPU, seconds are processor
time, which other work hardly changes. FLOPs are those of the network, forward and backward. Peak
memory is that of a fresh process: of the device on a GPU, else all that is resident, torch itself
(some 0.3 GiB) and a compiler included. The clip is noise with a centre rectangle for a hole. Needs
torch, accelerate and numpy only.
"""

from __future__ import annotations

import argparse
import math
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.variants import Variant, Work, ours, simplify, stepper, variants
from inpaint.network import CAPACITIES, build
from inpaint.precision import Precision, resolve
from inpaint.recipes import RECIPES

DTYPES: dict[Precision, torch.dtype] = {"off": torch.float32, "bf16": torch.bfloat16}
LOSSES: dict[str, dict[str, Any]] = {
    "reconstruction": {},
    "+ anti-ambiguity": {"ambiguity": 0.1},
    "+ stabilisation": {"stabilisation": 0.2},
    "+ both": {"ambiguity": 0.1, "stabilisation": 0.2},
}
"""Weights of the reference code."""


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    print(_machine(device, options.threads))
    rates = {one: matrix_rate(dtype, device) for one, dtype in DTYPES.items()}
    _table(
        ["matrix product", "GFLOP/s"],
        [[str(DTYPES[one]), f"{rate / 1e9:,.0f}"] for one, rate in rates.items()],
    )
    for work in works(options):
        _report(work, options, rates)
    return 0


def works(options: argparse.Namespace) -> list[Work]:
    """Return what is asked for, each with the size it is meant for and the recipe's batch."""
    fits = {"paper": [("base", (320, 600))], "fast": [("small", (96, 160))]}
    if options.device != "cpu":
        fits["fast"].append(("base", (240, 432)))
    found = []
    for name in options.work:
        for capacity, size in fits[name]:
            config = replace(RECIPES[name], batch=options.batch or RECIPES[name].batch)
            found.append(Work(name, capacity, options.size or size, config))
    return found


def matrix_rate(dtype: torch.dtype, device: torch.device, tries: int = 7) -> float:
    """Return the FLOP/s of a large matrix product, the best of several.

    float32 may be rounded to TF32 on a GPU, as convolutions may there.
    """
    side, products = (8192, 20) if device.type == "cuda" else (2048, 1)
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    kept = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    seconds = [_seconds(partial(torch.mm, a, b), products, device) for _ in range(tries + 1)]
    torch.set_float32_matmul_precision(kept)
    return 2 * side**3 / min(seconds[1:])


def flops(work: Work, variant: Variant) -> int:
    """Count the FLOPs of the network's forward and backward, without computing anything."""
    network = build(CAPACITIES[work.capacity]).to("meta")
    simplify(network, variant)
    pictures = torch.empty(work.config.batch, 4, *work.size, device="meta")
    with FlopCounterMode(display=False) as counter:
        sum(stage.sum() for stage in network(pictures[:, :3], pictures[:, 3:])).backward()
    return counter.get_total_flops()


def rounds(
    takes: Sequence[Callable[[], Tensor]], seconds: float, count: int, device: torch.device
) -> Iterator[list[float]]:
    """Yield the seconds that a step of each takes, `count` times, each about `seconds` in all."""
    once = [_seconds(take, 1, device) for take in takes]
    steps = [max(1, round(seconds / count / one)) for one in once]
    for _ in range(count):
        yield [_seconds(take, many, device) for take, many in zip(takes, steps, strict=True)]


def peak_gib(work: Work, variant: Variant, options: argparse.Namespace) -> float:
    """Return the peak memory of some steps in a fresh process; NaN where it did not survive."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        try:
            return pool.submit(_peak_gib, work, variant, options).result()
        except (BrokenProcessPool, torch.OutOfMemoryError):
            return math.nan


def _report(work: Work, options: argparse.Namespace, rates: dict[Precision, float]) -> None:
    """Print the tables of a work."""
    height, width = work.size
    what = f"`{work.name}`: `{work.capacity}`, {height}×{width}, batch {work.config.batch}"
    print(f"\n{what}\n", flush=True)
    head = ["step", "GFLOP", "steps/s", "× plain", "of the matrix rate", "peak, GiB"]
    _table(head, _compared(work, options, rates))
    if options.memory:
        print()
        _table(["losses", "peak, GiB"], _regularised(work, options))


def _compared(
    work: Work, options: argparse.Namespace, rates: dict[Precision, float]
) -> Iterator[list[str]]:
    """Yield a row for each variant."""
    device = torch.device(options.device)
    takes, refused = _started(work, device)
    found = list(rounds(list(takes.values()), options.seconds, options.rounds, device))
    for variant, times in zip(takes, zip(*found, strict=True), strict=True):
        speed, cost = 1 / statistics.median(times), flops(work, variant)
        gain = statistics.median(first[0] / t for first, t in zip(found, times, strict=True))
        rate = rates.get(resolve(variant.precision, device), math.nan)
        figures = [f"{speed:.3g}", f"{gain:.2f}", f"{cost * speed / rate:.0%}"]
        peak = peak_gib(work, variant, options)
        yield [variant.name, f"{cost / 1e9:,.1f}", *figures, f"{peak:.2f}"]
    for name, reason in refused.items():
        yield [name, f"not measured: {reason}", *["–"] * 4]


def _started(
    work: Work, device: torch.device
) -> tuple[dict[Variant, Callable[[], Tensor]], dict[str, str]]:
    """Return the variants that have taken their first step, and why others have not."""
    takes, refused = {}, {}
    for variant in variants(work.config.optimizer, device):
        try:
            take = stepper(work, variant, device)
            take()
            takes[variant] = take
        except RuntimeError as error:  # no compiler, or what a graph cannot hold
            if variant.engine == "eager":
                raise
            refused[variant.name] = str(error).strip().splitlines()[0]
    return takes, refused


def _regularised(work: Work, options: argparse.Namespace) -> Iterator[list[str]]:
    """Yield the memory of the project's step under each choice of losses."""
    for name, weights in LOSSES.items():
        config = replace(work.config, regularise_share=1.0, **weights)
        peak = peak_gib(replace(work, config=config), ours(config.optimizer), options)
        yield [name, f"{peak:.2f}"]


def _peak_gib(work: Work, variant: Variant, options: argparse.Namespace) -> float:
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    take = stepper(work, variant, device)
    for _ in range(2):  # the second with the optimiser's own state
        take()
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    # Not getrusage: Linux counts in it what the parent held when this process was started.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20


def _seconds(work: Callable[[], object], times: int, device: torch.device) -> float:
    """Return how long it takes once, waiting for the device at the end only."""
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    _wait(device)
    started = clock()
    for _ in range(times):
        work()
    _wait(device)
    return (clock() - started) / times


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _machine(device: torch.device, threads: int) -> str:
    cpu = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}, {threads} threads"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu
    return f"{name}, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}\n"


def _table(head: Sequence[str], rows: Iterable[list[str]]) -> None:
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def _size(text: str) -> tuple[int, int]:
    width, height = map(int, text.split("x"))
    return height, width


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.step", description=__doc__)
    parser.add_argument("--work", nargs="+", default=["paper", "fast"], choices=["paper", "fast"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20, help="of each variant, in all")
    parser.add_argument("--rounds", type=int, default=5, help="into which they are cut")
    parser.add_argument("--memory", action="store_true", help="that of the regularisers, too")
    parser.add_argument("--size", type=_size, help="WxH in pixels, instead of each work's own")
    parser.add_argument("--batch", type=int, help="instead of each work's own")
    return parser


if __name__ == "__main__":
    sys.exit(main())
