"""The main job: `python -m cluster.launch [CONFIG] [key=value …]`.

config → shots → plan → runner (Ray or serial) → report. Started again after any end, it does what
is left. Exit status: 0 all done, 1 some shots failed (named), 2 bad configuration or input,
130 or 143 stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cluster.backlog import ShotSpec, in_submitted_job, output, shots_of
from cluster.config import Config, ConfigError, load_config
from cluster.demo import write_demo
from cluster.failures import classify
from cluster.jobs import open_shot
from cluster.plan import Agenda, Job, Need, fitted_part, plan, version_for
from cluster.progress import Display, Scalars, display, figures
from cluster.report import write_report
from cluster.serial import run_serial
from storage import Archive, InputError
from storage.origin import Origin
from storage.targets import Target
from storage.urls import plain_errors

DEMO = "demo"
"""As `source`: the clip the project draws itself."""


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    path = words.pop(0) if words and "=" not in words[0] else None
    named = any(word.startswith(("source=", "shots=")) for word in words)
    try:
        return launch(load_config(path or (None if named else DEMO), words))
    except (ConfigError, InputError) as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 2


def launch(config: Config) -> int:
    """Run a configuration to its end; return the exit status.

    Raises:
        ConfigError, InputError: nothing could be begun.
    """
    config = _with_outputs(config)
    _make_places(config)
    shots = shots_of(_with_demo(config))
    archive = Archive.open(config.archive, "a")
    shown = display()
    if in_submitted_job():
        shown.say(f"archive {config.archive}, report {config.report}")
    try:
        with _runner(config) as (run, largest, stop):
            config, need = _fitted_to(config, largest)
            jobs, refused = _prepare(config, shots, archive, need)
            if len(refused) == len(shots):
                raise InputError("\n".join(f"shot {name}: {why}" for name, why in refused.items()))
            for name, why in refused.items():
                shown.say(f"{name}: refused: {why}")
            agenda = Agenda(list(jobs), failed=dict(refused))
            _follow(run(agenda, stop), shown, config)
            stopped = stop()
    finally:
        shown.close()
    _note_failures(archive, agenda, jobs)
    versions = {job.shot.name: job.version for job in jobs}
    assert config.report is not None
    write_report(archive, config.report, shots=[s.name for s in shots], versions=versions)
    _summarise(config, shots, agenda, archive, versions)
    if stopped:
        print("stopped; the same command goes on from here")
        return 128 + stop.signal
    return 1 if agenda.failed else 0


def _with_outputs(config: Config) -> Config:
    """Return the configuration with every place it writes to absolute."""
    archive = output(config.archive)
    beside = os.path.dirname(archive) if "://" not in archive else output("cleanplate-runs")
    places = {
        "archive": archive,
        "report": output(config.report or os.path.join(beside, "report.html")),
        "tensorboard": output(config.tensorboard or os.path.join(beside, "tensorboard")),
    }
    return config.model_copy(update=places)


def _make_places(config: Config) -> None:
    """Make the folders of report and curves, so that a run does not fail at its end.

    Raises:
        InputError: one cannot be written to.
    """
    assert config.report is not None
    assert config.tensorboard is not None
    for folder in (os.path.dirname(config.report), config.tensorboard):
        if "://" in folder:
            continue
        with plain_errors(folder):
            os.makedirs(folder, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, "not writable", folder)


def _with_demo(config: Config) -> Config:
    """Draw the demonstration clip if it is the source, beside the archive."""
    if config.source != DEMO:
        return config
    folder = os.path.join(os.path.dirname(config.archive), "clip")
    clip = write_demo(folder, frames=36, size=(192, 108))
    places = {"source": clip.frames, "mask": clip.masks, "truth": clip.truth}
    update: dict[str, Any] = {key: str(place) for key, place in places.items()}
    if config.export is not None:
        update["export"] = os.path.join(os.path.dirname(config.archive), config.export)
    return config.model_copy(update=update | {"name": DEMO})


class _Stop:
    """Set by Ctrl-C and SIGTERM; a second one ends the process at once."""

    def __init__(self) -> None:
        self.signal = 0

    def __call__(self) -> bool:
        return self.signal != 0

    def catch(self, number: int, frame: object) -> None:
        if self.signal:
            os._exit(128 + number)
        self.signal = number


@contextlib.contextmanager
def _runner(config: Config) -> Iterator[tuple[Callable[..., Any], Need, _Stop]]:
    """Yield how to run an agenda, the largest machine there is, and whether to stop."""
    stop = _Stop()
    if config.runner == "serial":
        from cluster.serial import largest_machine

        with _signals(stop):
            yield run_serial, largest_machine(), stop
        return
    from cluster import on_ray

    on_ray.connect()
    try:
        with _signals(stop):  # after Ray's start, which puts its own handler in
            yield on_ray.run_on_ray, on_ray.largest_machine(), stop
    finally:
        on_ray.disconnect()


@contextlib.contextmanager
def _signals(stop: _Stop) -> Iterator[None]:
    before = {
        number: signal.signal(number, stop.catch) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _fitted_to(config: Config, largest: Need) -> tuple[Config, Need]:
    """Decide what was left to the machines: GPUs, cores, capacity.

    Raises:
        ConfigError: no machine has what is asked for.
    """
    wanted = config.resources
    gpus = min(1.0, largest.gpus) if wanted.gpus is None else wanted.gpus
    if gpus > largest.gpus:
        raise ConfigError(f"resources.gpus = {gpus:g}: the largest machine has {largest.gpus:g}")
    need = Need(gpus, min(wanted.cpus, largest.cpus), int(wanted.memory_gb * 2**30))
    if config.capacity == "auto":
        config = config.model_copy(update={"capacity": "base" if gpus else "small"})
    return config, need


def _prepare(
    config: Config, shots: Sequence[ShotSpec], archive: Archive, need: Need
) -> tuple[list[Job], dict[str, str]]:
    """Look at every shot before anything starts; return jobs, and why shots were refused."""
    versions, good, refused = {}, [], {}
    for shot in shots:
        try:
            _check(Job("ingest", shot, archive.url, "", config))
            version, attrs = _version(config, shot, archive)
            _check_target(shot, attrs, config.delivery.overwrite)
            versions[shot.name] = version
            good.append(shot)
        except (InputError, ConfigError, OSError) as error:
            refused[shot.name] = classify(error).reason
    return plan(good, versions, archive.url, config, need), refused


def _check(job: Job) -> None:
    source, mask, truth = open_shot(job)
    Origin(source, mask, truth, job.shot.first, job.shot.last).check()


def _check_target(shot: ShotSpec, attrs: dict[str, Any], overwrite: bool) -> None:
    """Refuse before the work an export that would be refused after it."""
    if shot.export is None:
        return
    target = Target.of(shot.export)
    ours = overwrite or str(target.path) in attrs.get("exports", {})
    if target.kind != "pattern" and not ours and target.existing([target.name]):
        raise InputError(
            f"{target.path}: exists; choose another export, or delivery.overwrite=true"
        )


def _version(config: Config, shot: ShotSpec, archive: Archive) -> tuple[str, dict[str, Any]]:
    """Return the version to write, and what is stored about it."""
    stored = archive.shot(shot.name) if shot.name in archive else None
    versions = {} if stored is None else {v: stored.version(v).attrs for v in stored.versions()}
    assert config.capacity != "auto"
    version = version_for(config, fitted_part(config, config.capacity), versions)
    return version, versions.get(version, {})


def _follow(notes: Iterator[Any], shown: Display, config: Config) -> None:
    assert config.tensorboard is not None
    scalars = Scalars(config.tensorboard)
    try:
        for note in notes:
            shown.show(note)
            scalars.show(note)
            if note.event["kind"] == "failed" and note.event["detail"]:
                shown.say(note.event["detail"])
    finally:
        scalars.close()


def _note_failures(archive: Archive, agenda: Agenda, jobs: Sequence[Job]) -> None:
    """Keep each failed shot's reason in the archive, and forget those mended."""
    known = json.loads(archive.files.read("failures.json") or b"{}")
    seen = {job.shot.name for job in jobs} | set(agenda.failed)
    left = {name: why for name, why in known.items() if name not in seen} | agenda.failed
    if left != known:
        archive.files.write("failures.json", json.dumps(left, indent=1).encode())
    for job in jobs:
        reason = agenda.failed.get(job.shot.name)
        begun = job.kind == "inpaint" and job.after in agenda.done
        if begun and reason and job.key not in agenda.done:
            shot = archive.shot(job.shot.name)
            if job.version in shot.versions():
                shot.version(job.version).update(status="failed", error=reason)


def _summarise(
    config: Config,
    shots: Sequence[ShotSpec],
    agenda: Agenda,
    archive: Archive,
    versions: dict[str, str],
) -> None:
    """Print what became of every shot, and where to look."""
    print()
    for shot in shots:
        if shot.name in agenda.failed:
            print(f"{shot.name}: FAILED: {agenda.failed[shot.name]}")
            continue
        if f"inpaint {shot.name}" not in agenda.done:
            continue
        attrs = archive.shot(shot.name).version(versions[shot.name]).attrs
        print(f"{shot.name} {versions[shot.name]}{figures(attrs.get('quality') or {})}")
        if f"export {shot.name}" in agenda.done:
            print(
                f"  movie   {shot.export}"
                if "." in os.path.basename(shot.export or "")
                else f"  frames  {shot.export}"
            )
    print(f"  report  {config.report}")


if __name__ == "__main__":
    sys.exit(main())
