"""Jobs that only sleep. Light, since every worker process imports it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cluster.room import Need


@dataclass(frozen=True)
class Sleeper:
    """Stands for a shot."""

    name: str
    priority: int = 0


@dataclass(frozen=True)
class Nap:
    """Stands for a job, as `cluster.plan.Job` with nothing to do."""

    key: str
    shot: Sleeper
    need: Need
    after: str | None
    seconds: float


def nap(job: Nap, device: str, stop: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """Sleep; say from when to when, by the machine's clock."""
    began_at = time.time()
    time.sleep(job.seconds)
    yield {"kind": "done", "began_at": began_at, "ended_at": time.time()}
