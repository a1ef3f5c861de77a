"""A fit inside a job: resumed from its last good checkpoint, saved every so often, fenced.

An attempt at a version numbers itself there, and writes only while no later attempt has taken
over: an actor thought dead that comes back stops.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import numpy as np
import torch

from inpaint import checkpoint
from inpaint.learning import Report, State
from storage import Version
from storage.mask_versions import MaskVersion

Event = dict[str, Any]
Stop = Callable[[], bool]
T = TypeVar("T")
KEPT_CHECKPOINTS = 2


class Superseded(Exception):
    """A later attempt has taken the version over; this one may write no more."""


@dataclass
class Work:
    """One attempt at a version; it writes only while no later attempt has taken over.

    Attributes:
        filling_s: spent on filling, and on what comes before it.
    """

    version: Version | MaskVersion
    attempt: int
    filling_s: float = 0.0

    @classmethod
    def claim(cls, version: Version | MaskVersion) -> Work:
        """Number this attempt."""
        attempt = int(version.attrs.get("attempt", 0)) + 1
        version.update(attempt=attempt, error=None)
        return cls(version, attempt, version.attrs.get("seconds", {}).get("fill", 0.0))

    @property
    def attrs(self) -> dict[str, Any]:
        return self.version.attrs

    @property
    def start(self) -> int:
        """The first frame that is not written."""
        done = self.version.done
        return len(done) if done.all() else int(np.argmin(done))

    def update(self, **attributes: Any) -> None:
        """Store attributes; with the end of the work goes its time, in UTC."""
        self.check()
        if attributes.get("status") in ("done", "copied"):
            attributes["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
        self.version.update(**attributes)

    def seconds(self, **spent: float) -> dict[str, float]:
        """Return how long each part of the work took, with what is newly known."""
        return self.attrs.get("seconds", {}) | {name: round(s, 1) for name, s in spent.items()}

    def check(self) -> None:
        if self.version.attrs.get("attempt") != self.attempt:
            raise Superseded(f"{self.version.url}: a later attempt has taken over")

    def follow(
        self, flows: Generator[tuple[int, int], None, T], before: int, total: int, stop: Stop
    ) -> Generator[Event, None, T | None]:
        """Tell how far following is; return what it returns, None where it was asked to stop.

        Args:
            before: flows done before these.
            total: of all.
        """
        began_at = time.monotonic()
        while True:
            try:
                done, _ = next(flows)
            except StopIteration as end:
                self._filled_since(began_at)
                return end.value
            yield {"kind": "progress", "unit": "flows", "done": before + done, "total": total}
            if stop():
                self._filled_since(began_at)
                yield {"kind": "stopped"}
                return None

    def write(
        self, frames: Iterator[tuple[int, np.ndarray]], stop: Stop
    ) -> Generator[Event, None, bool]:
        """Write frames, by their index; return False where it was asked to stop."""
        began_at, count, stopped = time.monotonic(), len(self.version.done), False
        for t, values in frames:
            self.check()
            self.version.write(t, values)
            yield {"kind": "progress", "unit": "frames", "done": t + 1, "total": count}
            if stopped := stop():
                break
        self._filled_since(began_at)
        if stopped:
            yield {"kind": "stopped"}
        return not stopped

    def _filled_since(self, began_at: float) -> None:
        self.filling_s += time.monotonic() - began_at
        self.update(seconds=self.seconds(fill=self.filling_s))


@dataclass
class Fitting:
    """A fit in progress and what is kept of it: checkpoints and the curve beside the version.

    Attributes:
        seconds: spent before this attempt.
        steps_per_s: of late.
    """

    work: Work
    network: torch.nn.Module
    state: State
    curve: list[dict[str, Any]] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    steps_per_s: float | None = None
    began_at: float = 0.0
    saved_at: float = 0.0

    @classmethod
    def resume(cls, work: Work, network: torch.nn.Module, state: State) -> Fitting:
        """Put network and state where the last good checkpoint left them."""
        fitting = cls(work, network, state)
        for name in reversed(_checkpoints(work)):
            try:
                checkpoint.restore(work.version.files.read(name) or b"", network, state)
                break
            except checkpoint.DamagedCheckpoint as error:
                fitting.damaged[name] = str(error)
        stored = json.loads(work.version.files.read("curve.json") or b"[]")
        fitting.curve = [entry for entry in stored if entry["step"] <= state.step]
        fitting.seconds = fitting.curve[-1]["seconds"] if fitting.curve else 0.0
        return fitting

    def run(
        self, reports: Iterator[Report], save_every_s: float, stop: Stop
    ) -> Generator[Event, None, bool]:
        """Follow a fit to its end; return False where it was asked to stop, and saved itself."""
        yield from self._start()
        end = self.state.end
        for report in reports:
            yield self._note(report)
            if self.state.end != end:
                text = f"gains little more: ends at step {self.state.end}, not {end}"
                yield {"kind": "log", "text": text}
                end = self.state.end
            if stop():
                self._save()
                yield {"kind": "stopped"}
                return False
            if time.monotonic() - self.saved_at >= save_every_s:
                self._save()
        self._save()
        return True

    @property
    def last_psnr(self) -> float | None:
        """The last figure at the validation hole, in dB."""
        scores = [e["validation_psnr"] for e in self.curve if e["validation_psnr"] is not None]
        return scores[-1] if scores else None

    def fitted_s(self) -> float:
        return self.seconds + time.monotonic() - self.began_at

    def _start(self) -> Iterator[Event]:
        self.work.update(
            status="fitting",
            step=self.state.step,
            steps=self.state.end,
            device=_device_name(self.state.device),
        )
        self.began_at = self.saved_at = time.monotonic()
        for name, reason in self.damaged.items():
            text = f"{name} is damaged, the one before is used ({reason})"
            yield {"kind": "log", "text": text}
        if self.state.step:
            yield {"kind": "log", "text": f"goes on from step {self.state.step}"}

    def _note(self, report: Report) -> Event:
        """Add a report to the curve; return it as an event."""
        self.steps_per_s = round(report.steps_per_s, 3)
        if report.entry:
            self.curve.append(
                {
                    "step": report.step,
                    "loss": report.loss,
                    "learning_rate": report.learning_rate,
                    "validation_psnr": report.validation_psnr,
                    "seconds": round(self.fitted_s(), 3),
                }
            )
        return {
            "kind": "progress",
            "unit": "steps",
            "done": report.step,
            "total": self.state.end,
            "loss": report.loss,
            "learning_rate": report.learning_rate,
            "rate": report.steps_per_s,
            "validation_psnr": report.validation_psnr,
            "entry": report.entry,
        }

    def _save(self) -> None:
        """Write checkpoint and curve; keep the last few checkpoints, and none that is damaged."""
        self.work.check()
        files = self.work.version.files
        files.write("curve.json", json.dumps(self.curve).encode())
        name = f"checkpoint-{self.state.step:08d}.pt"
        good = [found for found in _checkpoints(self.work) if found not in self.damaged]
        if name not in good:
            files.write(name, checkpoint.dump(self.network, self.state))
            good.append(name)
        for old in {*good[:-KEPT_CHECKPOINTS], *self.damaged} - {name}:
            files.remove(old)
        self.damaged.clear()
        self.work.update(
            step=self.state.step,
            steps=self.state.end,
            seconds=self.work.seconds(fit=self.fitted_s()),
            steps_per_s=self.steps_per_s,
        )
        self.saved_at = time.monotonic()


def _checkpoints(work: Work) -> list[str]:
    return sorted(name for name in work.version.files.names() if name.startswith("checkpoint-"))


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return "CPU, 1 thread" if threads == 1 else f"CPU, {threads} threads"
