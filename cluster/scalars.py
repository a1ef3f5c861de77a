"""The curves of a run, for TensorBoard."""

from __future__ import annotations

import time
from collections.abc import Callable

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import directory_check
from tensorboardX.summary import scalar

from cluster.plan import Note
from cluster.progress import ENDS

SHOWN = ("loss", "learning_rate", "rate", "validation_psnr")
FLUSHED_EVERY_S = 30.0
"""To an object store, all that was written goes anew each time."""


class Scalars:
    """Loss, learning rate, speed and validation PSNR of every shot.

    They only show a run. Where they cannot be written, that is said once, and the run goes on.

    Args:
        folder: path or URL; a folder in it for each result.
        say: shows a line.
    """

    def __init__(self, folder: str, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self._curves: dict[str, _Curves] = {}
        self._lost = False

    def show(self, note: Note) -> None:
        if not self._lost:
            self._kept(lambda: self._show(note))

    def close(self) -> None:
        for curves in self._curves.values():
            self._kept(curves.close)

    def _show(self, note: Note) -> None:
        event, run = note.event, f"{note.job.shot.name}/{note.job.version}"
        if event["kind"] in ENDS and run in self._curves:  # each holds a file open
            self._curves.pop(run).close()
        if event["kind"] == "progress" and event.get("entry"):
            if run not in self._curves:
                self._curves[run] = _Curves(f"{self._folder}/{run}", event["done"])
            self._curves[run].add(event["done"], {name: event[name] for name in SHOWN})

    def _kept(self, write: Callable[[], None]) -> None:
        try:
            write()
        except Exception as error:  # a disk's, or any that an object store's library has
            if not self._lost:
                self._say(f"{self._folder}: no more curves are kept: {error}")
            self._lost = True


class _Curves:
    """One file of events, written at once: a thread of its own would end, or wait, unseen."""

    def __init__(self, folder: str, step: int) -> None:
        directory_check(folder)
        self._events, self._flushed = EventsWriter(f"{folder}/events"), time.monotonic()
        # What an attempt before this one wrote of later steps no longer counts.
        self._write(step, file_version="brain.Event:2")
        self._write(step, session_log=SessionLog(status=SessionLog.START))

    def add(self, step: int, values: dict[str, float | None]) -> None:
        for name, value in values.items():
            if value is not None:
                self._write(step, summary=scalar(name, value))
        if time.monotonic() - self._flushed > FLUSHED_EVERY_S:
            self._events.flush()
            self._flushed = time.monotonic()

    def close(self) -> None:
        self._events.close()

    def _write(self, step: int, **what: object) -> None:
        self._events.write_event(Event(step=step, wall_time=time.time(), **what))
