"""The main job: `python -m cluster.launch [CONFIG] [key=value …]`.

config → shots → plan → runner (Ray or serial) → report. Started again after any end, it does what
is left. Exit status: 0 all done, 1 some shots failed (named), 2 bad configuration or input,
130 or 143 stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cluster.backlog import ShotSpec, in_submitted_job, output, shots_of
from cluster.config import Config, ConfigError, load_config
from cluster.demo import write_demo
from cluster.plan import Agenda, Job, Need, Note
from cluster.prepare import Refused, check_sources, make_folder, prepare
from cluster.progress import Display, Scalars, display, figures
from cluster.report import write_report
from cluster.serial import run_serial
from cluster.stop import Stop
from storage import Archive, InputError

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
    except KeyboardInterrupt:  # before or after the jobs, which see to it themselves
        return 130


def launch(config: Config) -> int:
    """Run a configuration to its end; return the exit status.

    Raises:
        ConfigError, InputError: nothing could be begun.
    """
    config = _with_outputs(config)
    _make_places(config)
    shots = shots_of(_with_demo(config))
    archive = Archive.open(config.archive, "a")
    good, refused = check_sources(config, shots, archive)
    _go_on_without(refused, shots)
    shown = display()
    if in_submitted_job():
        shown.say(f"archive {config.archive}, report {config.report}")
    try:
        with _runner(config) as (run, largest, stop):
            config, need = _fitted_to(config, largest)
            jobs, homeless = prepare(config, good, archive, need)
            _go_on_without(refused | homeless, shots)
            for name, why in (refused | homeless).items():
                shown.say(f"{name}: refused: {why}")
            agenda = Agenda(list(jobs), failed=refused | homeless)
            causes = _follow(run(agenda, stop), shown, config)
    finally:
        shown.close()
    _note_failures(archive, agenda, jobs)
    versions = {job.shot.name: job.version for job in jobs}
    assert config.report is not None
    write_report(archive, config.report, shots=[s.name for s in shots], versions=versions)
    _summarise(config, shots, agenda, archive, versions)
    if stop():
        print("stopped; the same command goes on from here")
        return 128 + stop.signal
    if len(agenda.failed) == len(shots) and causes == {"input"}:
        return 2
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
        if "://" not in folder:
            make_folder(folder)


def _with_demo(config: Config) -> Config:
    """Draw the demonstration clip if it is the source, beside the archive."""
    if config.source != DEMO or config.mask is not None:
        return config
    folder = os.path.join(os.path.dirname(config.archive), "clip")
    clip = write_demo(folder, frames=36, size=(192, 108))
    places = {"source": clip.frames, "mask": clip.masks, "truth": clip.truth}
    update: dict[str, Any] = {key: str(place) for key, place in places.items()}
    if config.export is not None:
        update["export"] = os.path.join(os.path.dirname(config.archive), config.export)
    return config.model_copy(update=update | {"name": DEMO})


@contextlib.contextmanager
def _runner(config: Config) -> Iterator[tuple[Callable[..., Any], Need, Stop]]:
    """Yield how to run an agenda, the largest machine there is, and whether to stop."""
    stop = Stop()
    if config.runner == "serial":
        from cluster.serial import largest_machine

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


def _fitted_to(config: Config, largest: Need) -> tuple[Config, Need]:
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


def _go_on_without(refused: Refused, shots: Sequence[ShotSpec]) -> None:
    """Raise where no shot is left."""
    if len(refused) == len(shots):
        raise InputError("\n".join(f"shot {name}: {why}" for name, why in refused.items()))


def _follow(notes: Iterator[Note], shown: Display, config: Config) -> set[str]:
    """Show a run as it goes; return why shots failed."""
    causes = set()
    assert config.tensorboard is not None
    scalars = Scalars(config.tensorboard)
    try:
        for note in notes:
            shown.show(note)
            scalars.show(note)
            if note.event["kind"] == "failed":
                shown.say(note.event["detail"]) if note.event["detail"] else None
                causes |= set() if note.event["again"] else {note.event["cause"]}
    finally:
        scalars.close()
    return causes


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
                version = shot.version(job.version)
                if version.attrs.get("status") not in ("done", "copied"):  # by another driver
                    version.update(status="failed", error=reason)


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
            print(f"  export  {shot.export}")
    print(f"  report  {config.report}")


if __name__ == "__main__":
    sys.exit(main())
