"""What is done: `python -m cluster.status ARCHIVE [--watch]` prints a line for each shot.

Exit status: 0, or 2 where the archive cannot be read. `cluster/watch.py` is what `--watch` does.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cluster.last_run import read_run
from cluster.lease import Lease, driver
from cluster.pace import Pace, pace
from cluster.summary import RUNNING, Summary, summarise
from storage import Archive, InputError

COLOURS = {
    "failed": "red",
    "done": "green",
    "copied": "green",
    **dict.fromkeys(RUNNING, "cyan"),
}
LOG_COLUMNS = 10_000
"""Where no terminal tells its width, nothing is cut."""


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    try:
        archive = Archive.open(options.archive)
        if options.watch:
            from cluster.watch import watch

            return watch(archive, Console(highlight=False), options.every)
        seen = look(archive)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps([_plain(summary) for summary in seen.shots], indent=2, ensure_ascii=False))
    else:
        _print_table(seen)
    return 0


@dataclasses.dataclass(frozen=True)
class Seen:
    """What an archive showed at one moment.

    Attributes:
        shots: those stored, those the last run is to make, those whose ingest failed; by name.
        driver: who runs jobs on it, None where nobody does.
    """

    shots: list[Summary]
    pace: Pace
    driver: Lease | None


def look(archive: Archive, known: Mapping[str, Summary] | None = None) -> Seen:
    """Read an archive.

    Args:
        known: shots not to be read again, by name.
    """
    who, run = driver(archive), read_run(archive)  # first: without a driver, the rest is final
    shots = summarise(archive, versions=run.versions, known=known)
    return Seen(shots, pace(shots, datetime.now(UTC), run.begun), who)


def duration(seconds: float | None) -> str:
    """Say a time as a person would: `48 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def decibels(value: float | None) -> str:
    """Two decimals; `–` where it is not known, `∞` where the pictures are equal."""
    if value is None:
        return "–"
    return f"{value:.2f}" if math.isfinite(value) else "∞"


def percent(share: float | None) -> str:
    """A share of the frame; small holes keep two digits."""
    if share is None:
        return "–"
    return f"{100 * share:.1f} %" if share >= 0.01 else f"{100 * share:.2g} %"


def tally(summaries: Sequence[Summary]) -> str:
    """Say how many shots are in which state."""
    counts = Counter(summary.state for summary in summaries)
    states = ", ".join(f"{count} {state}" for state, count in counts.most_common())
    plural = "" if len(summaries) == 1 else "s"
    return f"{len(summaries)} shot{plural}" + (f": {states}" if states else "")


def told(seen: Seen) -> list[str]:
    """Say who is at work, how fast, how long still, and how many shots are in which state."""
    if seen.driver is None:
        return ["no run is at work", tally(seen.shots)]
    speed = seen.pace
    return [f"run by {seen.driver}", " · ".join([*_speed(speed), _left(speed)]), tally(seen.shots)]


def _speed(speed: Pace) -> list[str]:
    hour = "–" if speed.per_hour is None else f"{speed.per_hour:.3g}"
    parts = [f"{hour} shots an hour (over {duration(speed.recent_s)})"]
    return parts + ([] if speed.steps_per_s is None else [f"{speed.steps_per_s:.3g} steps/s"])


def _left(speed: Pace) -> str:
    if speed.left_s is None or speed.mean_s is None:
        return "– left"
    if not speed.running:
        return "nothing left but to deliver"
    work = f"{duration(speed.mean_s)} a shot, the mean of {speed.done} done"
    return f"about {duration(speed.left_s)} left ({work}; {speed.running} at work)"


def _print_table(seen: Seen) -> None:
    """A table of all shots, then a line for each that has something to say."""
    terminal = Console(highlight=False)
    console = terminal if terminal.is_terminal else Console(highlight=False, width=LOG_COLUMNS)
    if seen.shots:
        console.print(table(seen.shots))
    for summary in seen.shots:
        if summary.message:
            console.print(Text(f"{summary.shot}: {summary.message}"))
    for line in told(seen):
        console.print(Text(line))


def table(summaries: Sequence[Summary]) -> Table:
    """Return a row for each shot."""
    rows = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True, show_edge=False)
    for name in ("shot", "frames", "size", "hole", "version", "state", "steps", "dB", "time"):
        left = name in ("shot", "version", "state")
        rows.add_column(name, justify="left" if left else "right", no_wrap=True)
    for summary in summaries:
        rows.add_row(*_cells(summary))
    return rows


def _cells(summary: Summary) -> list[Text]:
    stored = summary.frames > 0
    return [
        Text(summary.shot),
        Text(str(summary.frames) if stored else "–"),
        Text(f"{summary.width}×{summary.height}" if stored else "–"),
        Text(percent(summary.hole_share)),
        Text(summary.version or "–"),
        Text(summary.doing, COLOURS.get(summary.state, "")),
        Text(f"{summary.step or 0}/{summary.steps}" if summary.steps else "–"),
        Text(decibels(summary.quality.validation_psnr)),
        Text(duration(summary.total_s)),
    ]


def _plain(value: Any) -> Any:
    """Return JSON values; what JSON cannot hold, an infinite PSNR, becomes text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and math.isinf(value):
        return "inf"
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cluster.status", description="What of an archive is done."
    )
    parser.add_argument("archive", help="folder or URL")
    parser.add_argument("--json", action="store_true", help="every value, for programs")
    parser.add_argument(
        "--watch", action="store_true", help="look again and again, to the run's end"
    )
    parser.add_argument("--every", type=float, default=None, help="between two looks, in seconds")
    return parser


if __name__ == "__main__":
    sys.exit(main())
