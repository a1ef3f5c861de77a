"""The main job: `python -m cluster.launch [CONFIG] [key=value …]`.

config → shots → plan → runner (Ray or serial) → report. Started again after any end, it does what
is left. Exit status: 0 all done, 1 some shots failed (named), 2 bad configuration or input,
75 the cluster's head is gone, 130 or 143 stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from cluster.agenda import Agenda
from cluster.backlog import ShotSpec, in_submitted_job, job_advice, output, shots_of
from cluster.config import Config, load_config
from cluster.demo import write_demo
from cluster.last_run import keep_run
from cluster.lease import held
from cluster.plan import Job, plan
from cluster.prepare import Refused, check_needs, check_sources, make_folder, prepare
from cluster.progress import display, figures
from cluster.report import write_report
from cluster.running import exit_status, fitted_to, follow, runner
from storage import Archive, InputError, PlaceError
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
    return exit_status(lambda: launch(load_config(path or (None if named else DEMO), words)))


def launch(config: Config) -> int:
    """Run a configuration to its end; return the exit status.

    Raises:
        ConfigError, InputError: nothing could be begun.
    """
    for line in job_advice(config):
        print(line, flush=True)
    config = _with_outputs(config)
    _make_places(config)
    shots = shots_of(_with_demo(config))
    archive = Archive.open(config.archive, "a")
    with plain_errors(archive.url), held(archive):
        return _launched(config, shots, archive)


def _launched(config: Config, shots: Sequence[ShotSpec], archive: Archive) -> int:
    good, sizes, refused = check_sources(config, shots, archive)
    _go_on_without(refused, shots)
    shown = display()
    if in_submitted_job():
        shown.say(f"archive {config.archive}, report {config.report}")
    try:
        with runner(config.runner) as (run, machines, stop):
            config, need = fitted_to(config, machines)
            good, too_large = check_needs(config, good, need, machines)
            intents, homeless = prepare(config, good, sizes, archive)
            refused |= too_large | homeless
            _go_on_without(refused, shots)
            for name, why in refused.items():
                shown.say(f"{name}: refused: {why}")
            jobs = plan(intents, archive.url, config, need)
            keep_run(archive, {intent.shot.name: intent.version for intent in intents})
            agenda = Agenda(jobs, failed=refused, in_flight=config.in_flight)
            assert config.tensorboard is not None
            given_up = follow(run(agenda, stop), shown, config.tensorboard)
    finally:
        shown.close()
    versions = {intent.shot.name: intent.version for intent in intents}
    lost = False
    try:
        with plain_errors(archive.url):
            _note_failures(archive, agenda, jobs)
            report = _report(config, shots, archive, versions)
            _summarise(config, shots, agenda, archive, versions, report)
    except PlaceError as error:  # the archive is gone: not 2, for something was begun
        lost = True
        print(f"error: {error}", file=sys.stderr)
    _name_failures(agenda, shots)
    if stop():
        print("stopped; the same command goes on from here")
        return 128 + stop.signal
    causes = {note.event["cause"] for note in given_up}
    if len(agenda.failed) == len(shots) and causes == {"input"}:
        return 2
    return 1 if agenda.failed or lost else 0


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


def _go_on_without(refused: Refused, shots: Sequence[ShotSpec]) -> None:
    """Raise where no shot is left."""
    if len(refused) == len(shots):
        raise InputError("\n".join(f"shot {name}: {why}" for name, why in refused.items()))


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


def _report(
    config: Config, shots: Sequence[ShotSpec], archive: Archive, versions: dict[str, str]
) -> str:
    """Write the report; return where it lies, or why there is none: the shots are done anyway."""
    assert config.report is not None
    try:
        with plain_errors(config.report):
            write_report(archive, config.report, shots=[s.name for s in shots], versions=versions)
    except InputError as error:
        return f"none: {error}; then `cleanplate report {archive.url} -o {config.report}`"
    return config.report


def _summarise(
    config: Config,
    shots: Sequence[ShotSpec],
    agenda: Agenda,
    archive: Archive,
    versions: dict[str, str],
    report: str,
) -> None:
    """Print what came of every shot that is done, and where to look."""
    print()
    for shot in shots:
        if f"inpaint {shot.name} {versions.get(shot.name)}" not in agenda.done:
            continue
        attrs = archive.shot(shot.name).version(versions[shot.name]).attrs
        print(f"{shot.name} {versions[shot.name]}{figures(attrs.get('quality') or {})}")
        if f"export {shot.name} {versions[shot.name]}" in agenda.done:
            print(f"  export  {shot.export}")
    print(f"  report  {report}")


def _name_failures(agenda: Agenda, shots: Sequence[ShotSpec]) -> None:
    """Print the shots that failed, last of all: a job shows the end of its log."""
    for name, why in agenda.failed.items():
        print(f"{name}: FAILED: {why}")
    if agenda.failed:
        print(f"{len(agenda.failed)} of {len(shots)} shots failed")


if __name__ == "__main__":
    sys.exit(main())
