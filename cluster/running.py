"""Running an agenda: on Ray or in this process, fitted to the machines there are, shown as it goes.

with runner("ray") as (run, largest, stop):
    config, need = fitted_to(config, largest)
    failed = follow(run(agenda, stop), display(), "runs/tensorboard")
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal

from cluster.config import Config
from cluster.plan import Need, Note
from cluster.progress import Display, Scalars
from cluster.stop import Stop
from cluster.strict import ConfigError
from storage import InputError


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
def runner(kind: Literal["ray", "serial"]) -> Iterator[tuple[Callable[..., Any], Need, Stop]]:
    """Yield how to run an agenda, the largest machine there is, and whether to stop."""
    stop = Stop()
    if kind == "serial":
        from cluster.serial import largest_machine, run_serial

        with stop.caught():
            yield run_serial, largest_machine(), stop
        return
    from cluster import on_ray

    on_ray.connect()
    try:
        with stop.caught():  # after Ray's start, which puts its own handler in
            yield on_ray.run_on_ray, on_ray.largest_machine(), stop
    finally:
        on_ray.disconnect()


def fitted_to(config: Config, largest: Need) -> tuple[Config, Need]:
    """Decide what was left to the machines: GPUs, cores, capacity.

    Raises:
        ConfigError: no machine has what is asked for.
    """
    wanted = config.resources
    gpus = min(1.0, largest.gpus) if wanted.gpus is None else wanted.gpus
    if gpus > largest.gpus:
        raise ConfigError(f"resources.gpus = {gpus:g}: the largest machine has {largest.gpus:g}")
    if config.precision == "fp16" and not gpus:
        raise ConfigError("precision = fp16: needs a GPU, and no machine has one; use bf16 or off")
    if 0 < largest.memory_bytes < wanted.memory_gb * 2**30:
        found = largest.memory_bytes / 2**30
        raise ConfigError(
            f"resources.memory_gb = {wanted.memory_gb:g}: the largest machine has {found:.1f}"
        )
    need = Need(gpus, min(wanted.cpus, largest.cpus), int(wanted.memory_gb * 2**30))
    if config.capacity == "auto":
        config = config.model_copy(update={"capacity": "base" if gpus else "small"})
    return config, need


def follow(notes: Iterator[Note], shown: Display, tensorboard: str) -> list[Note]:
    """Show a run as it goes; return the notes of the jobs that were given up."""
    given_up = []
    scalars = Scalars(tensorboard)
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
