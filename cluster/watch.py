"""`status --watch`: looks at an archive again and again while a run is at work on it.

On a terminal it redraws; in a log it writes a few lines now and then. It ends with the run that it
saw at work, or where nobody is at work and nothing is left to do; before a run it waits for one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import datetime

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from cluster.seen import Seen, look, table, told
from cluster.summary import RUNNING, Summary
from storage import Archive

EVERY_S, EVERY_IN_A_LOG_S = 5.0, 60.0
AGAIN_S = 300.0
"""Between two readings of shots that are done, which only another run changes."""

SETTLED = ("done", "copied")


def watch(archive: Archive, console: Console, every_s: float | None = None) -> int:
    """Show the archive until nothing more is to be expected, or until Ctrl-C; return 0."""
    with contextlib.suppress(KeyboardInterrupt):
        if console.is_terminal:
            with Live(console=console, auto_refresh=False) as live:
                for seen in looks(archive, every_s or EVERY_S):
                    live.update(view(seen, console.height), refresh=True)
        else:
            _log(looks(archive, every_s or EVERY_IN_A_LOG_S))
    return 0


def looks(
    archive: Archive, pause_s: float, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Seen]:
    """Look, pause at least as long as that took, look again; read what can have changed."""
    known, read_at, seen_at_work = dict[str, Summary](), time.monotonic(), False
    while True:
        began_at = time.monotonic()
        if began_at - read_at > AGAIN_S:
            known, read_at = {}, began_at
        seen = look(archive, known)
        known = {s.shot: s for s in seen.shots if s.state in SETTLED}
        yield seen
        seen_at_work |= seen.driver is not None
        if seen.driver is None and (seen_at_work or _over(seen)):
            return
        sleep(max(pause_s, time.monotonic() - began_at))


def view(seen: Seen, height: int) -> Group:
    """Draw the whole, the failures with their reasons and the shots at work, in so many lines."""
    running = [summary for summary in seen.shots if summary.state in RUNNING]
    lines = told(seen)
    room = max(6, height - len(lines) - 4)
    shown = _cut(_failed(seen), room // 2 if running else room)
    parts = [Text(line, no_wrap=True, overflow="ellipsis") for line in [*lines, *shown]]
    rows = room - len(shown)
    left = [Text(f"… and {len(running) - rows} more at work")] if len(running) > rows else []
    return Group(*parts, *([table(running[:rows])] if running else []), *left)


def _log(seen_so_far: Iterator[Seen]) -> None:
    """Print where the whole stands, and each failure once."""
    known = set[str]()
    for seen in seen_so_far:
        new = [line for line in _failed(seen) if line not in known]
        known.update(new)
        print(f"{datetime.now():%Y-%m-%d %H:%M:%S}", *told(seen), *new, sep="\n  ", flush=True)


def _failed(seen: Seen) -> list[str]:
    return [f"{s.shot}: {s.message or 'failed'}" for s in seen.shots if s.state == "failed"]


def _cut(lines: list[str], most: int) -> list[str]:
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], f"… and {len(lines) - most + 1} more failed"]


def _over(seen: Seen) -> bool:
    return all(summary.state in (*SETTLED, "failed") for summary in seen.shots)
