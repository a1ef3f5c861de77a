"""The evaluation: `python -m cluster.evaluate CONFIG data=FOLDER [key=value …]`.

sequences → clips and holes of the protocols → plan → runner → measures → table, page. Started again
after any end, it does what is left. Exit status: 0 all measured, 1 some failed (named), 2 bad
configuration or input, 130 or 143 stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from cluster import __version__, cores
from cluster.agenda import Agenda
from cluster.backlog import absolute, output
from cluster.comparison import page
from cluster.config import Config
from cluster.lease import Folder, held
from cluster.measure import read_measures
from cluster.plan import Job, Note, fitted_part, plan
from cluster.prepare import Refused, make_folder, planned_scales, prepare
from cluster.progress import Display, display
from cluster.protocols import Trial, Trials, find_sequences, lay_out
from cluster.room import Need
from cluster.rows import EvaluateConfig, in_row, load_evaluation, rows_of
from cluster.running import configured, fitted_to, follow, runner
from cluster.strict import ConfigError, working_area
from cluster.table import Cell, Evaluation
from cluster.tabulated import as_json, markdown
from storage import Archive, InputError
from storage.urls import Files, plain_errors


def main(argv: Sequence[str] | None = None) -> int:
    return configured(argv, __doc__, lambda *asked: evaluate(load_evaluation(*asked)))


def evaluate(config: EvaluateConfig) -> int:
    """Run an evaluation to its end, write its table and page; return the exit status.

    Raises:
        ConfigError, InputError: nothing could be begun.
    """
    rows, out = rows_of(config), Path(output(config.out))
    with held(Folder(str(out))):
        trials = _trials(config, out)
        archive = Archive.open(str(out / "archive" / _label(config)), "a")
        with plain_errors(archive.url), held(archive):
            return _evaluated(config, rows, trials, archive, out)


def _evaluated(
    config: EvaluateConfig, rows: Mapping[str, Config], trials: Trials, archive: Archive, out: Path
) -> int:
    size, shown = working_area(config.size), display()
    try:
        with runner(config.runner) as (run, machines, stop):
            planned = [_planned(n, row, trials, size, archive, machines) for n, row in rows.items()]
            agenda = Agenda({job.key: job for row in planned for job in row.jobs}.values())
            named = _ByRow(shown, {row.version: row.name for row in planned})
            given_up = follow(run(agenda, stop), named, str(out / "tensorboard"))
    finally:
        shown.close()
    cells = [_cell(trial, row, given_up, archive) for trial in trials.all for row in planned]
    _write(_evaluation(config, trials, planned, cells), archive, out)
    if stop():
        print("stopped; the same command goes on from here")
        return 128 + stop.signal
    return _status(cells, given_up)


def _trials(config: EvaluateConfig, out: Path) -> Trials:
    """Write the clips and holes, as far as they are not there.

    Raises:
        ConfigError, InputError: nothing can be evaluated.
    """
    if config.data is None:
        raise ConfigError("data: missing; a folder of sequences, such as data=DAVIS")
    sequences = find_sequences(absolute(config.data), config.sequences)
    folder, size = out / "clips" / _label(config), working_area(config.size)
    make_folder(str(folder))
    print(f"{len(sequences)} sequences, their clips in {folder}", flush=True)
    trials = lay_out(sequences, config.protocols, folder, size, config.frames, config.seed)
    if not trials.good:
        raise InputError("\n".join(f"{t.shot.name}: {t.refused}" for t in trials.all))
    return trials


def _label(config: EvaluateConfig) -> str:
    """Name what clips depend on, so that no other evaluation's are taken for them."""
    return config.size + (f".{config.frames}" if config.frames else "")


def _status(cells: Sequence[Cell], given_up: Sequence[Note]) -> int:
    measured = [cell for cell in cells if cell.measures is not None]
    if not measured and {note.event["cause"] for note in given_up} == {"input"}:
        return 2
    return 0 if len(measured) == len(cells) else 1


@dataclass(frozen=True)
class PlannedRow:
    """A row of the table and what is to be done for it.

    Attributes:
        fitted: what its results depend on.
        version: of each shot.
        refused: shots that cannot be done so, and why.
    """

    name: str
    fitted: dict[str, Any]
    version: str
    jobs: list[Job]
    refused: Refused


def _planned(
    name: str,
    config: Config,
    trials: Trials,
    size: tuple[int, int],
    archive: Archive,
    machines: Sequence[Need],
) -> PlannedRow:
    """Plan a row; rows of one configuration share a version, whatever their names."""
    with in_row(name):
        config, need = fitted_to(config, machines)
    fitted = fitted_part(config, planned_scales(config, size))
    digest = hashlib.sha256(json.dumps(fitted, sort_keys=True).encode()).hexdigest()[:8]
    kind = config.recipe if config.method == "internal" else config.method
    config = config.model_copy(update={"version": f"{kind}-{digest}"})
    shots = [trial.shot for trial in trials.good]
    intents, refused = prepare(config, shots, {shot.name: size for shot in shots}, archive)
    jobs = plan(intents, archive.url, config, need, measure=True)
    return PlannedRow(name, fitted, config.version, jobs, refused)


class _ByRow:
    """Shows notes under shot and row: several rows work on one shot at a time."""

    def __init__(self, inner: Display, rows: Mapping[str, str]) -> None:
        self._inner, self._rows = inner, rows

    def show(self, note: Note) -> None:
        job = note.job
        row = self._rows.get(job.part_of or job.version, "")
        if job.kind != "ingest" and row:
            shot = replace(job.shot, name=f"{job.shot.name} {row}")
            note = replace(note, job=replace(job, shot=shot))
        self._inner.show(note)

    def say(self, text: str) -> None:
        self._inner.say(text)

    def close(self) -> None:
        self._inner.close()


def _cell(trial: Trial, row: PlannedRow, given_up: Sequence[Note], archive: Archive) -> Cell:
    shot, measures = trial.shot.name, None
    reasons = [trial.refused, row.refused.get(shot, "")]
    for note in given_up:
        job = note.job
        ours = job.kind == "ingest" or row.version in (job.version, job.part_of)
        reasons += [note.event["reason"]] if ours and job.shot.name == shot else []
    reason = next(filter(None, reasons), "")
    if not reason and shot in archive and row.version in archive.shot(shot).versions():
        measures = read_measures(archive.shot(shot).version(row.version))
    reason = "" if measures else reason or "not done yet"
    return Cell(row.name, trial.sequence, trial.protocol, shot, row.version, measures, reason)


def _evaluation(
    config: EvaluateConfig, trials: Trials, rows: Sequence[PlannedRow], cells: Sequence[Cell]
) -> Evaluation:
    return Evaluation(
        data=absolute(config.data or ""),
        size=config.size,
        frames=config.frames,
        seed=config.seed,
        protocols=config.protocols,
        assignment=trials.assignment,
        rows={row.name: row.fitted for row in rows},
        cells=cells,
        code=__version__,
        machine=_machine(),
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
    )


def _machine() -> dict[str, str]:
    """Say where the table is made; each result names its own device."""
    gpu = {"gpu": torch.cuda.get_device_name(0)} if torch.cuda.is_available() else {}
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    named = {name: f"{name} {version}" for name, version in versions.items()}
    return {"system": platform.platform(), "cores": f"{cores.available()} cores"} | gpu | named


def _write(evaluation: Evaluation, archive: Archive, out: Path) -> None:
    """Write table and page, and print the table."""
    files, text = Files(str(out)), markdown(evaluation)
    files.write("table.md", text.encode())
    files.write("index.html", page(evaluation, archive).encode())
    files.write("table.json", json.dumps(as_json(evaluation), indent=1, allow_nan=False).encode())
    print(f"\n{text}\n  table  {out / 'table.md'}, table.json\n  page   {out / 'index.html'}")


if __name__ == "__main__":
    sys.exit(main())
