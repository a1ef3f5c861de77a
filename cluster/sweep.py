"""The sweep: `python -m cluster.sweep CONFIG archive=… [key=value …]`.

space → trials on Ray Tune → table, page, best.yaml. Every trial fits the same shots of the archive
with the same compute, and is judged at their validation holes; the first is the default. Started
again after any end, it does what is left. Exit status: 0 all tried, 1 some trials failed (named),
2 bad configuration or input, 75 the cluster's head is gone, 130 or 143 stopped by Ctrl-C or
SIGTERM.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from cluster.backlog import output
from cluster.config import Config, fit_config
from cluster.lease import Folder, held
from cluster.outcome import Outcome, markdown, recommended
from cluster.prepare import make_folder
from cluster.running import configured, fitted_to, runner
from cluster.space import Dimension, SweepConfig, base_of, load_sweep, space_of
from cluster.sweep_page import page
from cluster.trial import Task
from storage import Archive, InputError, Shot
from storage.urls import Files


def main(argv: Sequence[str] | None = None) -> int:
    return configured(argv, __doc__, lambda *asked: sweep(load_sweep(*asked)))


def sweep(config: SweepConfig) -> int:
    """Run a sweep to its end, write what came of it; return the exit status.

    Raises:
        ConfigError, InputError: nothing could be begun.
    """
    base = base_of(config)
    space = space_of(config, base)
    archive = Archive.open(output(config.archive))
    shots = sampled(archive, config)
    from cluster import on_tune

    on_tune.check_searcher(config)
    with runner("ray") as (_, machines, stop):
        base, need = fitted_to(base, machines)
        folder = _folder(config, base, space, archive, shots)
        task = Task(archive.url, tuple(s.name for s in shots), base, config.budget_steps, need)
        with held(Folder(str(folder))):
            print(f"{config.trials} trials on {', '.join(task.shots)}, in {folder}", flush=True)
            trials = on_tune.search(task, config, space, folder / "tune")
            outcome = Outcome(folder.name, task, space, trials, config.trials)
            _write(outcome, folder)
    if stop():
        print("stopped; the same command goes on from here")
        return 128 + stop.signal
    return 0 if outcome.complete and not outcome.failed else 1


def sampled(archive: Archive, config: SweepConfig) -> list[Shot]:
    """Return the shots to try on: those named, or a sample.

    Raises:
        InputError: one cannot be used, or none can.
    """
    names = archive.shots() if config.shots is None else config.shots
    whole = {name: archive.shot(name) for name in names}
    unfit = {name: why for name, shot in whole.items() if (why := _unfit(shot))}
    if config.shots is not None and unfit:
        raise InputError("\n".join(f"shot {name}: {why}" for name, why in unfit.items()))
    good = sorted(whole.keys() - unfit.keys())
    if not good:
        raise InputError(f"{archive.url}: no shot to try on; run a launch to bring some in")
    if config.shots is not None:
        return list(whole.values())
    chosen = random.Random(config.seed).sample(good, min(config.sample, len(good)))
    return [whole[name] for name in chosen]


def _unfit(shot: Shot) -> str:
    """Say why a shot cannot be tried on; empty where it can."""
    if not shot.complete:
        return "not every frame is stored; run its launch to the end"
    if shot.given is not None:
        return "has masks for a few frames only"
    return "" if shot.boundary.any() else "has no hole"


def _folder(
    config: SweepConfig,
    base: Config,
    space: Sequence[Dimension],
    archive: Archive,
    shots: Sequence[Shot],
) -> Path:
    """Make the folder of this sweep, named by all that its figures depend on."""
    asked = {
        "base": base.model_dump(mode="json", exclude={"resources", "max_attempts"}),
        "fit": dataclasses.asdict(fit_config(base)),
        "space": [dataclasses.asdict(dimension) for dimension in space],
        "archive": archive.url,
        "shots": [[shot.name, shot.attrs["fingerprint"]] for shot in shots],
        **config.model_dump(include={"trials", "budget_steps", "searcher", "scheduler", "seed"}),
    }
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]
    beside = os.path.dirname(archive.url) if "://" not in archive.url else "cleanplate-runs"
    folder = Path(output(config.out or os.path.join(beside, "sweeps")), f"sweep-{digest}")
    make_folder(str(folder))
    return folder


def _write(outcome: Outcome, folder: Path) -> None:
    """Write table, page and, of a sweep that is complete, the best configuration."""
    files, text = Files(str(folder)), markdown(outcome)
    files.write("table.md", text.encode())
    files.write("index.html", page(outcome).encode())
    print(f"\n{text}\n")
    for trial in outcome.failed:
        print(f"trial {trial.number} FAILED: {trial.reason}")
    if not outcome.complete:
        print(f"not complete: {outcome.ended} of {outcome.wanted} trials; no best.yaml yet")
    elif outcome.best is not None:
        files.write("best.yaml", recommended(outcome, outcome.best).encode())
        print(f"{outcome.verdict}\n  best   {folder / 'best.yaml'}")
    print(f"  table  {folder / 'table.md'}\n  page   {folder / 'index.html'}")


if __name__ == "__main__":
    sys.exit(main())
