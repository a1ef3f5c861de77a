"""Running an agenda: on Ray or in this process, fitted to the machines there are, shown as it goes.

with runner("ray") as (run, machines, stop):
    config, need = fitted_to(config, machines)
    failed = follow(run(agenda, stop), display(), "runs/tensorboard")
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from cluster import address
from cluster.bounds import RunnerKind
from cluster.config import Config
from cluster.head import watched
from cluster.initial import with_init
from cluster.plan import Note
from cluster.progress import Display
from cluster.room import Need, described
from cluster.scalars import Scalars
from cluster.stop import Stop
from cluster.strict import ConfigError
from storage import InputError


def configured(
    argv: Sequence[str] | None, usage: str | None, run: Callable[[str | None, list[str]], int]
) -> int:
    """Run a main job that is told `[CONFIG] [key=value …]`; without a word, say how it is used.

    Args:
        argv: the words; None for those of the command line.
        run: takes the configuration file, None where none is named, and the words.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(usage)
        return 0 if words else 2
    path = words.pop(0) if "=" not in words[0] else None
    return exit_status(lambda: run(path, words))


def exit_status(run: Callable[[], int]) -> int:
    """Run a main job; where nothing could be begun, say why, a line each, and return 2."""
    try:
        return run()
    except (ConfigError, InputError) as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before or after the jobs, which see to it themselves
        return 130


@contextlib.contextmanager
def runner(kind: RunnerKind) -> Iterator[tuple[Callable[..., Any], list[Need], Stop]]:
    """Yield how to run an agenda, what each machine has, and whether to stop."""
    stop = Stop()
    if kind == "serial":
        from cluster.serial import machines, run_serial

        with stop.caught():
            yield run_serial, machines(), stop
        return
    from cluster import gauges, on_ray

    def run(*asked: Any) -> Iterator[Note]:
        return gauges.gauged(on_ray.run_on_ray(*asked))

    on_ray.connect()
    try:
        with (
            watched(address.named()),
            stop.caught(),
        ):  # after Ray's start, which puts its own handler in
            yield run, on_ray.machines(), stop
    finally:
        on_ray.disconnect()


def fitted_to(config: Config, machines: Sequence[Need]) -> tuple[Config, Need]:
    """Decide what was left to the machines: GPUs, cores, capacity.

    Raises:
        ConfigError: no machine has what is asked for, or there is no such warm start.
    """
    wanted, most = config.resources, max(machine.gpus for machine in machines)
    gpus = min(1.0, most) if wanted.gpus is None else wanted.gpus
    if gpus > most:
        raise ConfigError(f"resources.gpus = {gpus:g}: the largest machine has {most:g}")
    if config.precision == "fp16" and not gpus:
        raise ConfigError("precision = fp16: needs a GPU, and no machine has one; use bf16 or off")
    need = Need(gpus, 1, int(wanted.memory_gb * 2**30))
    able = [machine for machine in machines if not need.lacking(machine)]
    if not able:
        raise ConfigError(
            f"resources: no machine has {need} at once; there are: {described(machines)}"
        )
    cpus = min(wanted.cpus, max(machine.cpus for machine in able))
    if config.capacity == "auto":
        config = config.model_copy(update={"capacity": "base" if gpus else "small"})
    return with_init(config), replace(need, cpus=cpus)


def follow(notes: Iterator[Note], shown: Display, tensorboard: str) -> list[Note]:
    """Show a run as it goes; return the notes of the jobs that were given up."""
    given_up = []
    scalars = Scalars(tensorboard, shown.say)
    try:
        for note in notes:
            shown.show(note)
            scalars.show(note)
            if note.event["kind"] == "failed":
                shown.say(note.event["detail"]) if note.event["detail"] else None
                given_up += [] if note.event["again"] else [note]
    finally:
        scalars.close()
    return given_up
