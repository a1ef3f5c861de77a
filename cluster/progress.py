"""Telling how a run goes: bars on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from cluster.plan import Note

LINE_EVERY_S = 60.0
ENDS = ("done", "failed", "stopped")
DOING = {
    "ingest": "reading in",
    "propagate": "masks",
    "inpaint": "fitting",
    "measure": "measuring",
    "export": "exporting",
}
INPAINTING = {"steps": "fitting", "flows": "following", "frames": "filling"}


class Display(Protocol):
    """Shows the notes of a run."""

    def show(self, note: Note) -> None: ...

    def say(self, text: str) -> None: ...

    def close(self) -> None: ...


def display() -> Display:
    """Return bars where a person watches, lines where a file does."""
    return Bars() if sys.stdout.isatty() else Lines()


class Lines:
    """Plain lines: when a job begins, fails or ends, and once a minute in between."""

    def __init__(
        self,
        write: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write or (lambda text: print(text, flush=True))
        self._clock = clock
        self._last: dict[str, tuple[str, float]] = {}

    def show(self, note: Note) -> None:
        shot, event = note.job.shot.name, note.event
        if (text := told(note)) is not None:
            self._write(f"{shot}: {text}")
        elif event["kind"] == "progress":
            doing = _doing(note)
            before, at = self._last.get(shot, ("", 0.0))
            if before != doing or self._clock() - at >= LINE_EVERY_S:
                self._last[shot] = (doing, self._clock())
                self._write(f"{shot}: {doing} {_count(event)}{_details(event)}")
        if event["kind"] in ENDS:
            self._last.pop(shot, None)

    def say(self, text: str) -> None:
        self._write(text)

    def close(self) -> None:
        pass


class Bars:
    """One moving bar for each shot at work; what is worth keeping scrolls above them."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.fields[shot]:<20}"),
            TextColumn("{task.fields[doing]:<10}"),
            BarColumn(),
            TextColumn("{task.fields[count]}{task.fields[details]}"),
            console=Console(highlight=False),
        )
        self._tasks: dict[str, TaskID] = {}
        self._doing: dict[str, str] = {}
        self._progress.start()

    def show(self, note: Note) -> None:
        shot, event = note.job.shot.name, note.event
        if (text := told(note)) is not None:
            self._progress.console.print(f"{shot}: {text}", markup=False)
        if event["kind"] == "progress":
            self._advance(shot, _doing(note), event)
        elif event["kind"] in ENDS and shot in self._tasks:
            self._progress.remove_task(self._tasks.pop(shot))
            self._doing.pop(shot)

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, soft_wrap=True)

    def close(self) -> None:
        self._progress.stop()

    def _advance(self, shot: str, doing: str, event: dict[str, Any]) -> None:
        shown: dict[str, Any] = {"count": _count(event), "details": _details(event)}
        if self._doing.get(shot) != doing and shot in self._tasks:
            self._progress.remove_task(self._tasks.pop(shot))
        if shot not in self._tasks:
            self._tasks[shot] = self._progress.add_task("", shot=shot, doing=doing, **shown)
            self._doing[shot] = doing
        self._progress.update(
            self._tasks[shot], completed=event["done"], total=event["total"], **shown
        )


def told(note: Note) -> str | None:
    """Return the line that an event is worth in every display, None where it is only progress."""
    event, doing = note.event, DOING[note.job.kind]
    if event["kind"] == "log":
        return str(event["text"])
    if event["kind"] == "failed":
        return (
            f"{doing} {'failed, trying again' if event['again'] else 'FAILED'}: {event['reason']}"
        )
    if event["kind"] == "stopped":
        return f"{doing} stopped; the same command goes on from here"
    if event["kind"] == "done" and note.job.kind == "inpaint" and event.get("quality"):
        return "filled" + figures(event["quality"])
    return None


def figures(quality: dict[str, float | None]) -> str:
    """Say a result's quality in words, each figure beside its peer."""
    parts = []
    for name, key, peer in (
        ("validation hole", "validation_psnr", "validation_peer_psnr"),
        ("hole", "hole_psnr", "telea_hole_psnr"),
    ):
        ours, theirs = quality.get(key), quality.get(peer)
        if ours is not None:
            beside = "" if theirs is None else f" (per-frame Telea {theirs:.2f} dB)"
            parts.append(f"{name} {ours:.2f} dB{beside}")
    return ": " + ", ".join(parts) if parts else ""


def _doing(note: Note) -> str:
    job, doing = note.job, DOING[note.job.kind]
    if job.kind == "inpaint":
        doing = INPAINTING[note.event["unit"]]
    finer = job.scale is not None and (job.coarser or job.part_of)
    return f"{doing} {job.scale.label}" if job.scale is not None and finer else doing


def _count(event: dict[str, Any]) -> str:
    total = "" if event["total"] is None else f"/{event['total']}"
    return f"{event['done']}{total} {event['unit']}"


def _details(event: dict[str, Any]) -> str:
    if event["unit"] != "steps":
        return ""
    left_s = (event["total"] - event["done"]) / max(event["rate"], 1e-9)
    minutes = f"{left_s / 60:.0f} min" if left_s >= 60 else f"{left_s:.0f} s"
    return f", loss {event['loss']:.4f}, {event['rate']:.1f} steps/s, {minutes} left"
