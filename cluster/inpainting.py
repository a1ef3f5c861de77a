"""The inpaint job: from a shot of the archive to a version of its result.

load → fit (checkpoints) → fill (frame by frame) → measure. Killed at any moment and run again, it
goes on from the last checkpoint and the last frame written.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cluster import __version__
from cluster.config import fit_config, working_area
from cluster.plan import Job, fitted_part
from cluster.quality import against_truth, telea_at
from inpaint import checkpoint
from inpaint.clip import Clip, enlarge, load, working_size
from inpaint.fill import fill
from inpaint.holes import validation_hole
from inpaint.internal import FitConfig, Report, State, begin, fit
from inpaint.network import CAPACITIES, Network, build
from inpaint.tone import Tone, tone_of
from storage import Archive, InputError, Shot, Version

Event = dict[str, Any]
KEPT_CHECKPOINTS = 2


class Superseded(Exception):
    """A later attempt has taken the version over; this one may write no more."""


def inpaint(job: Job, device: str, stop: Callable[[], bool]) -> Iterator[Event]:
    """Write the job's version of its shot. Yields events as `cluster.jobs` describes them."""
    torch.set_num_threads(job.need.cpus)
    shot = Archive.open(job.archive, "a").shot(job.shot.name)
    if _is_done(shot, job.version):
        yield {"kind": "done"}
        return
    work = _claim(shot, job)
    if not _has_hole(shot):
        yield from _copy_through(work)
        return
    config = fit_config(job.config)
    tone = tone_of(shot.info.dtype, _pairs(shot))
    clip = load(_pairs(shot), len(shot), _size(job, shot), tone)
    judge = validation_hole(clip.hole, job.config.validation_share, config.seed) & ~clip.unknown
    clip = clip.hiding(judge).to(torch.device(device))
    _refuse_blank(clip, shot)
    fitting = _Fitting.resume(work, clip, judge.to(device), config, _capacity(job))
    yield from fitting.start()
    for report in fit(fitting.network, clip, config, fitting.state, fitting.judge):
        yield fitting.note(report)
        if stop():
            fitting.save()
            yield {"kind": "stopped"}
            return
        if fitting.since_saved() >= job.config.checkpoint_every_s:
            fitting.save()
    fitting.save()
    for event in _fill_frames(fitting, tone, shot):
        yield event
        if stop():
            yield {"kind": "stopped"}
            return
    yield _finish(fitting, shot, tone)


@dataclass
class _Work:
    """One attempt at a version; it writes only while no later attempt has taken over."""

    version: Version
    attempt: int

    @property
    def attrs(self) -> dict[str, Any]:
        return self.version.attrs

    def update(self, **attributes: Any) -> None:
        self.check()
        self.version.update(**attributes)

    def check(self) -> None:
        if self.version.attrs.get("attempt") != self.attempt:
            raise Superseded(f"{self.version.url}: a later attempt has taken over")


def _is_done(shot: Shot, version: str) -> bool:
    if version not in shot.versions():
        return False
    return shot.version(version).attrs.get("status") in ("done", "copied")


def _claim(shot: Shot, job: Job) -> _Work:
    """Open the version, or make it, and number this attempt."""
    if job.version in shot.versions():
        version = shot.version(job.version)
    else:
        described = {"config": fitted_part(job.config, _capacity(job)), "status": "queued"}
        version = shot.create_version(job.version, described | {"code": __version__})
    attempt = int(version.attrs.get("attempt", 0)) + 1
    version.update(attempt=attempt, error=None)
    return _Work(version, attempt)


def _has_hole(shot: Shot) -> bool:
    return any(np.asarray(shot.hole[t]).any() for t in range(len(shot)))


def _pairs(shot: Shot) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for t in range(len(shot)):
        yield np.asarray(shot.frames[t]), np.asarray(shot.hole[t])


def _copy_through(work: _Work) -> Iterator[Event]:
    yield {"kind": "log", "text": "no frame has a hole: copied through"}
    shot = work.version.shot
    blank = np.zeros(shot.frames.shape[1:], shot.info.dtype)
    for t in np.flatnonzero(~work.version.done):
        work.version.write(int(t), blank)
    work.update(status="copied", step=0, steps=0)
    yield {"kind": "done"}


def _capacity(job: Job) -> str:
    assert job.config.capacity != "auto", "the driver decides the capacity"
    return job.config.capacity


def _size(job: Job, shot: Shot) -> tuple[int, int]:
    height, width = shot.info.height, shot.info.width
    if job.config.size is not None:
        wanted = working_area(job.config.size)
        return min(wanted[0], height), min(wanted[1], width)
    return working_size(height, width, CAPACITIES[_capacity(job)].working_px)


def _refuse_blank(clip: Clip, shot: Shot) -> None:
    if bool(clip.unknown.all()):
        raise InputError(
            f"shot {shot.name!r}: the hole covers every pixel of every frame; nothing is left to "
            "learn from"
        )


@dataclass
class _Fitting:
    """A fit in progress and what is kept of it: checkpoints and the curve beside the version."""

    work: _Work
    clip: Clip
    judge: Tensor
    network: Network
    state: State
    config: FitConfig
    curve: list[dict[str, Any]]
    damaged: dict[str, str]
    seconds: float = 0.0
    began_at: float = 0.0
    saved_at: float = 0.0

    @classmethod
    def resume(
        cls, work: _Work, clip: Clip, judge: Tensor, config: FitConfig, capacity: str
    ) -> _Fitting:
        """Build the network and put it where the last good checkpoint left it."""
        network = build(CAPACITIES[capacity], clip.frames.shape[1], config.seed)
        state = begin(network, config, clip.frames.device)
        damaged = {}
        for name in reversed(_checkpoints(work.version)):
            try:
                checkpoint.restore(work.version.files.read(name) or b"", network, state)
                break
            except checkpoint.DamagedCheckpoint as error:
                damaged[name] = str(error)
        stored = json.loads(work.version.files.read("curve.json") or b"[]")
        curve = [entry for entry in stored if entry["step"] <= state.step]
        seconds = curve[-1]["seconds"] if curve else 0.0
        return cls(work, clip, judge, network, state, config, curve, damaged, seconds)

    def start(self) -> Iterator[Event]:
        self.work.update(
            status="fitting",
            step=self.state.step,
            steps=self.config.steps,
            device=_device_name(self.state.device),
        )
        self.began_at = self.saved_at = time.monotonic()
        for name, reason in self.damaged.items():
            text = f"{name} is damaged, the one before is used ({reason})"
            yield {"kind": "log", "text": text}
        if self.state.step:
            yield {"kind": "log", "text": f"goes on from step {self.state.step}"}

    def note(self, report: Report) -> Event:
        """Add a report to the curve; return it as an event."""
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
            "total": self.config.steps,
            "loss": report.loss,
            "learning_rate": report.learning_rate,
            "rate": report.steps_per_s,
            "validation_psnr": report.validation_psnr,
            "entry": report.entry,
        }

    def fitted_s(self) -> float:
        return self.seconds + time.monotonic() - self.began_at

    def since_saved(self) -> float:
        return time.monotonic() - self.saved_at

    def save(self) -> None:
        """Write checkpoint and curve; keep the last few checkpoints, and none that is damaged."""
        self.work.check()
        files = self.work.version.files
        files.write("curve.json", json.dumps(self.curve).encode())
        name = f"checkpoint-{self.state.step:08d}.pt"
        good = [found for found in _checkpoints(self.work.version) if found not in self.damaged]
        if name not in good:
            files.write(name, checkpoint.dump(self.network, self.state))
            good.append(name)
        for old in {*good[:-KEPT_CHECKPOINTS], *self.damaged} - {name}:
            files.remove(old)
        self.damaged.clear()
        self.work.update(step=self.state.step)
        self.saved_at = time.monotonic()


def _checkpoints(version: Version) -> list[str]:
    return sorted(name for name in version.files.names() if name.startswith("checkpoint-"))


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"


def _fill_frames(fitting: _Fitting, tone: Tone, shot: Shot) -> Iterator[Event]:
    """Write the frames that are not written yet."""
    work, began_at = fitting.work, time.monotonic()
    work.update(status="filling", seconds={"fit": round(fitting.fitted_s(), 1)})
    done = work.version.done
    start = len(done) if done.all() else int(np.argmin(done))
    size = (shot.info.height, shot.info.width)
    for t, picture in fill(fitting.network, fitting.clip, fitting.state.accelerator, start=start):
        full = enlarge(picture[None], size)[0].permute(1, 2, 0).cpu().numpy()
        work.check()
        work.version.write(t, tone.decode(full))
        yield {"kind": "progress", "unit": "frames", "done": t + 1, "total": len(shot)}
    seconds = work.attrs["seconds"] | {"fill": round(time.monotonic() - began_at, 1)}
    work.update(seconds=seconds)


def _finish(fitting: _Fitting, shot: Shot, tone: Tone) -> Event:
    """Measure the result and declare it done."""
    scores = [e["validation_psnr"] for e in fitting.curve if e["validation_psnr"] is not None]
    quality = {
        "validation_psnr": scores[-1] if scores else None,
        "validation_peer_psnr": telea_at(fitting.clip, fitting.judge),
        **against_truth(fitting.work.version, shot, tone),
    }
    fitting.work.update(status="done", step=fitting.state.step, quality=quality, error=None)
    return {"kind": "done", "quality": quality}
