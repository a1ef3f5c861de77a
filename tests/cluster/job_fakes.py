"""Jobs for the deciding modules, and small shots on disk for the working ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cluster.agenda import Agenda
from cluster.backlog import ShotSpec
from cluster.config import Config, load_config
from cluster.plan import Intent, Job, Kind, Note, plan
from cluster.prepare import planned_scales
from cluster.room import Need
from cluster.serial import run_serial
from storage import Archive, Version
from storage.media import open_source
from storage.stills import write_image

QUICK = ("runner=serial", "capacity=small", "precision=off", "resources.cpus=1", "fit.batch=2")
QUICK += ("fit.steps=4", "fit.report_every=1", "fit.validate_every=2", "checkpoint_every_s=1e-9")
"""A run of a moment, with a checkpoint after every step."""


def quick(*words: str) -> Config:
    """Return the configuration of a run of a moment; the words replace its values."""
    return load_config(None, [*QUICK, *words])


def job(name: str = "one", kind: Kind = "inpaint", config: Config | None = None) -> Job:
    """Return a job on a shot that lies nowhere."""
    shot = ShotSpec(name, f"/plates/{name}", "alpha")
    return Job(kind, shot, "/archive", "v001", config or quick())


def note(kind: str = "progress", name: str = "one", **event: Any) -> Note:
    """Return what a job might tell: by default that 3 of 100 steps are done."""
    steps = {"done": 3, "total": 100, "unit": "steps", "loss": 0.25, "rate": 2.0}
    steps |= {"learning_rate": 1e-3, "validation_psnr": None, "entry": True}
    return Note(job(name), {"kind": kind, **(steps if kind == "progress" else {}), **event})


def pixels(count: int, height: int, width: int, channels: int, dtype: str = "uint8") -> np.ndarray:
    """Return noise `(T, H, W, C)`; floats go below 0 and above 1 and carry NaN and infinity."""
    random = np.random.default_rng(0)
    if np.dtype(dtype).kind == "u":
        return random.integers(0, np.iinfo(dtype).max, (count, height, width, channels), dtype)
    frames = random.normal(0.5, 1, (count, height, width, channels)).astype(dtype)
    frames[0, 0, 0, 0], frames[0, -1, -1, 0] = np.nan, np.inf
    return frames


def moving_hole(count: int, height: int, width: int) -> np.ndarray:
    """Return a square `(T, H, W)` bool that moves one pixel a frame."""
    hole = np.zeros((count, height, width), bool)
    for t in range(count):
        hole[t, height // 4 : height // 2, width // 4 + t : width // 2 + t] = True
    return hole


def write_shot(
    folder: Path, frames: np.ndarray, hole: np.ndarray, suffix: str = ".png"
) -> ShotSpec:
    """Write frames and masks as numbered files from 1001 on, to be exported to `<folder>/out`."""
    for what in ("frames", "masks"):
        (folder / what).mkdir(parents=True)
    for number, (picture, missing) in enumerate(zip(frames, hole, strict=True), start=1001):
        write_image(folder / "frames" / f"plate.{number}{suffix}", picture)
        painted = missing[..., None].astype(np.uint8) * 255
        write_image(folder / "masks" / f"mask.{number}.png", painted)
    places = [str(folder / what) for what in ("frames", "masks", "out")]
    return ShotSpec(folder.name, places[0], places[1], export=places[2])


def intent(shot: ShotSpec, config: Config, version: str = "v001") -> Intent:
    """Return what is to become of a shot on disk."""
    info = open_source(shot.source).info
    scales = planned_scales(config, (info.height, info.width))
    return Intent(shot, version, tuple(scales), {}, "m001" if shot.few else None)


def agenda_of(archive: Path, config: Config, *shots: ShotSpec) -> Agenda:
    """Return all there is to do to the shots, each result called `v001`."""
    intents = [intent(shot, config) for shot in shots]
    return Agenda(plan(intents, str(archive), config, Need(cpus=1)))


def pan(count: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Fine texture that passes by 6 px a frame behind a still hole: its frames and holes."""
    noise = np.random.default_rng(0).random((height, width + count * 6, 3))
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    wide = np.interp(smooth, (smooth.min(), smooth.max()), (0, 255)).astype(np.uint8)
    frames = np.stack([wide[:, t * 6 : t * 6 + width] for t in range(count)])
    hole = np.zeros(frames.shape[:3], bool)
    hole[:, height // 3 : height * 2 // 3, width // 3 : width // 2] = True
    return frames, hole


def run(
    archive: Path,
    config: Config,
    *shots: ShotSpec,
    until_step: int = 10**9,
    until_note: int = 10**9,
) -> list[Note]:
    """Do the shots in this process; return what was told.

    Asked to stop after a step of a fit, or after a number of notes.
    """
    told: list[Note] = []

    def stop() -> bool:
        return _step(told) >= until_step or len(told) >= until_note

    for note in run_serial(agenda_of(archive, config, *shots), stop):
        told.append(note)
    return told


def _step(told: list[Note]) -> int:
    return max((n.event["done"] for n in told if n.event.get("unit") == "steps"), default=0)


def result(archive: Path, name: str) -> Version:
    return Archive.open(str(archive)).shot(name).version("v001")


def logs(notes: list[Note]) -> list[str]:
    return [told.event["text"] for told in notes if told.event["kind"] == "log"]


def failures(notes: list[Note]) -> dict[str, str]:
    """Return why each shot was given up."""
    failed = (told for told in notes if told.event["kind"] == "failed" and not told.event["again"])
    return {told.job.shot.name: told.event["reason"] for told in failed}
