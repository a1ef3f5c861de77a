"""The training: `python -m cluster.train CONFIG archive=… [key=value …]`.

archive → shots that can be learnt from → workers that share every step (Ray Train) → weights, with
which `cluster.launch` begins its fits, or with VINet's fills (`init=…`). Started again after any
end, with any number of workers, it goes on from the last checkpoint. Exit status: 0 trained, 1
failed (the reason is said), 2 bad configuration or input, 75 the cluster's head is gone, 130 or 143
stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from cluster import __version__
from cluster.failures import classify
from cluster.initial import Start
from cluster.lease import Folder, held
from cluster.order import Crew, Order, fitted, survey
from cluster.progress import LINE_EVERY_S
from cluster.running import configured, runner
from cluster.strict import ConfigError
from cluster.train_config import Training, load_training
from inpaint.checkpoint import read
from inpaint.warmstart import pack
from storage import Files, InputError
from storage.urls import exists


def main(argv: Sequence[str] | None = None) -> int:
    return configured(argv, __doc__, lambda *asked: train(load_training(*asked)))


def train(config: Training) -> int:
    """Train to the end and write the weights; return the exit status.

    Raises:
        ConfigError, InputError: nothing could be begun.
    """
    order, left_out = survey(config)
    for name, why in left_out.items():
        print(f"{name}: left out: {why}")
    try:
        with runner("ray") as (_, machines, stop):
            from cluster import on_train

            order, crew = fitted(order, machines)
            if _is_trained(order):
                print(f"{order.out}: trained already, from the same shots and configuration")
                return 0
            print(_told(order, crew), flush=True)
            folder = f"{order.out}.train"
            with held(Folder(folder)):
                content = on_train.run_training(order, folder, crew, stop, _teller(order))
    except (ConfigError, InputError):
        raise
    except Exception as error:
        failure = classify(error)
        print(f"error: training failed: {failure.reason}\n{failure.detail}", file=sys.stderr)
        return 1
    if content is None:
        print("stopped; the same command goes on from here")
        return 128 + stop.signal
    _write(order, content)
    return 0


def _is_trained(order: Order) -> bool:
    """Whether the weights are there already.

    Raises:
        InputError: another training's are.
    """
    if not exists(order.out):
        return False
    trained = Start.read(order.out).description
    if {key: trained.get(key) for key in order.description} != order.description:
        raise InputError(f"{order.out}: of another training; give another out=, or remove it")
    return True


def _told(order: Order, crew: Crew) -> str:
    frames = sum(lot.frames for lot in order.lots)
    return (
        f"{len(order.lots)} shots, {frames} frames; capacity {order.config.capacity}; "
        f"{crew.workers} × {crew.each}"
    )


def _teller(order: Order) -> Callable[[dict[str, Any]], None]:
    """Return what prints a line about where the training stands: once a minute, and measured."""
    steps, last_s = order.config.fit.steps, -LINE_EVERY_S

    def tell(entry: dict[str, Any]) -> None:
        nonlocal last_s
        score = entry["validation_psnr"]
        if score is None and time.monotonic() - last_s < LINE_EVERY_S:
            return
        last_s = time.monotonic()
        left_s = (steps - entry["step"]) / max(entry["steps_per_s"], 1e-9)
        measured = "" if score is None else f", validation holes {score:.2f} dB"
        print(
            f"step {entry['step']}/{steps}, loss {entry['loss']:.4f}{measured}, "
            f"{entry['steps_per_s']:.1f} steps/s, {left_s / 60:.0f} min left",
            flush=True,
        )

    return tell


def _write(order: Order, content: bytes) -> None:
    """Keep the weights of the last checkpoint, and say how to use them."""
    held = read(content)
    folder, _, name = order.out.rpartition("/")
    packed = pack(held["network"], order.description | {"code": __version__})
    Files(folder).write(name, packed)
    print(f"\n  weights  {order.out}\n  use      python -m cluster.launch … init={order.out}")


if __name__ == "__main__":
    sys.exit(main())
