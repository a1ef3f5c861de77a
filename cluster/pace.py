"""How fast shots get done and how long the rest will take, from what the archive keeps.

A shot that is done says how much work one takes: the time its fits and fills took. What is left of
the others, shared by those at work now, is the time left.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cluster.summary import RUNNING, Summary

RECENT_S = 3600.0
FEW = 3
"""Shots done in the last hour that make a rate; of fewer, the whole run does."""


@dataclass(frozen=True)
class Pace:
    """None where it is not known.

    Attributes:
        recent, recent_s: shots done of late, and over how long.
        steps_per_s: of the fits at work together, when each was last saved.
        left_s: until every shot is done, at the number of shots now at work.
        mean_s, done: work of a shot, and of how many that are done it is the mean.
        running: shots at work.
    """

    recent: int = 0
    recent_s: float | None = None
    steps_per_s: float | None = None
    left_s: float | None = None
    mean_s: float | None = None
    done: int = 0
    running: int = 0

    @property
    def per_hour(self) -> float | None:
        """Shots done in an hour."""
        return 3600 * self.recent / self.recent_s if self.recent and self.recent_s else None


def pace(summaries: Sequence[Summary], now: datetime, begun: datetime | None = None) -> Pace:
    """Tell a run's pace.

    Args:
        now, begun: with time zones; `begun` is the run's start, None where it is not known.
    """
    running = [summary for summary in summaries if summary.state in RUNNING]
    waiting = [summary for summary in summaries if summary.state in ("waiting", "ingesting")]
    took = [s.total_s for s in summaries if s.state == "done" and s.total_s is not None]
    mean_s = statistics.fmean(took) if took else None
    recent, recent_s = _recent(summaries, now, begun)
    speeds = [s.steps_per_s for s in running if s.state != "filling" and s.steps_per_s is not None]
    return Pace(
        recent=recent,
        recent_s=recent_s,
        steps_per_s=sum(speeds) if speeds else None,
        left_s=None if mean_s is None else _left_s(running, len(waiting), mean_s),
        mean_s=mean_s,
        done=len(took),
        running=len(running),
    )


def _left_s(running: Sequence[Summary], waiting: int, mean_s: float) -> float | None:
    """Share what is left among the shots at work; None where none is and some wait."""
    left = [max(0.0, mean_s - (summary.total_s or 0)) for summary in running]
    if not running:
        return None if waiting else 0.0
    return max(max(left), (sum(left) + waiting * mean_s) / len(running))


def _recent(
    summaries: Sequence[Summary], now: datetime, begun: datetime | None
) -> tuple[int, float | None]:
    """Count the shots done in the last hour, or in the whole run where those are few."""
    ages_s = [(now - at).total_seconds() for at in map(_finished, summaries) if at is not None]
    run_s = None if begun is None else max(1.0, (now - begun).total_seconds())
    hour_s = RECENT_S if run_s is None else min(RECENT_S, run_s)
    recent = sum(age <= hour_s for age in ages_s)
    if run_s is None or recent >= FEW:
        return recent, hour_s
    return sum(age <= run_s for age in ages_s), run_s


def _finished(summary: Summary) -> datetime | None:
    try:
        at = datetime.fromisoformat(summary.finished)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None
