"""What an archive shows at a moment, in words and as a table: for `cluster.status` and `watch`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from cluster.inventory import summarise
from cluster.last_run import read_run
from cluster.lease import Lease, driver
from cluster.pace import Pace, pace
from cluster.summary import RUNNING, Summary
from storage import Archive

COLOURS = {
    "failed": "red",
    "done": "green",
    "copied": "green",
    **dict.fromkeys(RUNNING, "cyan"),
}


@dataclass(frozen=True)
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
