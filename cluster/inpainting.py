"""The inpaint job: from a shot of the archive to a version of its result, at one scale.

read → fit (checkpoints) → fill (frame by frame) → measure. Killed at any moment and run again, it
goes on from the last checkpoint and the last frame written. Methods that learn nothing begin at
fill.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cluster import __version__, cores
from cluster.carrying import carry, clear
from cluster.config import fit_config
from cluster.feedforward import Trained
from cluster.fitting import Event, Fitting, Stop, Work
from cluster.footage import material, tone_for
from cluster.initial import start
from cluster.plan import Job
from cluster.plates import VALIDATION
from cluster.quality import against_truth, telea_at
from cluster.shot_frames import ShotFrames
from inpaint.classical import telea
from inpaint.clip import Whole, enlarge
from inpaint.fill import fill
from inpaint.flow_propagation import fill_with, follow, stretches
from inpaint.internal import fit
from inpaint.learning import begin
from inpaint.network import CAPACITIES, Network, build
from inpaint.prior import blended, weigh
from inpaint.recipes import FitConfig
from inpaint.tone import Tone
from storage import Archive, Shot, Version


def inpaint(job: Job, device: str, stop: Stop) -> Iterator[Event]:
    """Write the job's version of its shot. Yields events as `cluster.jobs` describes them."""
    cores.take(job.need.cpus)
    shot = Archive.open(job.archive, "a").shot(job.shot.name)
    if _is_done(shot, job.version):
        yield {"kind": "done"}
        return
    version = _opened(shot, job)
    work = Work.claim(version)
    if not any(np.asarray(version.hole[t]).any() for t in range(len(shot))):
        yield from _copy_through(work, version)
    elif job.config.method == "internal":
        yield from _learn(job, work, version, torch.device(device), stop)
    else:
        yield from _without_learning(job, work, version, torch.device(device), stop)


def _is_done(shot: Shot, version: str) -> bool:
    if version not in shot.versions():
        return False
    return shot.version(version).attrs.get("status") in ("done", "copied")


def _opened(shot: Shot, job: Job) -> Version:
    """Open the version, or make it."""
    if job.version in shot.versions():
        return shot.version(job.version)
    described: dict[str, Any] = {"config": dict(job.fitted), "status": "queued"}
    if job.masks is not None:
        described["mask"] = job.masks
    if job.part_of is not None:
        described["part_of"] = job.part_of
    return shot.create_version(job.version, described | {"code": __version__})


def _copy_through(work: Work, version: Version) -> Iterator[Event]:
    yield {"kind": "log", "text": "no frame has a hole: copied through"}
    blank = np.zeros(version.shot.frames.shape[1:], version.shot.info.dtype)
    for t in np.flatnonzero(~version.done):
        version.write(int(t), blank)
    work.update(status="copied", step=0, steps=0)
    yield {"kind": "done"}


def _learn(
    job: Job, work: Work, version: Version, device: torch.device, stop: Stop
) -> Iterator[Event]:
    """Fit a network at the job's scale, fill with it, and measure the result."""
    tone, config = tone_for(version), _config(job, version)
    work.update(batch=config.batch)
    with contextlib.ExitStack() as closing:
        given = material(job, version, tone, device, closing)
        network = _network(job, version, config.seed)
        if job.coarser is None and job.config.init is not None and (doubt := start(network, job)):
            yield {"kind": "log", "text": doubt}
        state = begin(network, config, device)
        fitting = Fitting.resume(work, network, state)
        reports = fit(network, given.footage, config, state, given.exam)
        if not (yield from fitting.run(reports, job.config.checkpoint_every_s, stop)):
            return
        work.update(status="filling", seconds=work.seconds(fit=fitting.fitted_s()))
        accelerator, blend = state.accelerator, None
        if given.exam is not None and (parts := given.carry(accelerator)):
            if (carried := (yield from carry(work, parts, stop))) is None:
                return
            blend = weigh(network, given.exam, carried, accelerator)
        if job.part_of is not None:
            version.files.write(VALIDATION, given.judged(network, accelerator, blend).dump())
        made = fill(network, given.frames, accelerator, start=work.start, **_tiles(job))
        filled = blended(made, given.frames, blend)
        if (yield from work.write(_pictures(job, filled, version, tone), stop)):
            estimate = {
                "validation_psnr": fitting.last_psnr if blend is None else blend.validation_psnr,
                "validation_peer_psnr": telea_at(given.exam),
            }
            yield _finish(work, estimate | against_truth(version, tone), state.step)


def _config(job: Job, version: Version) -> FitConfig:
    """The fit's configuration at the job's scale; a batch once halved stays so."""
    config = fit_config(job.config)
    batch = min(config.batch, version.attrs.get("batch", config.batch))
    config = dataclasses.replace(config, batch=batch)
    if job.coarser is None:
        return config
    return dataclasses.replace(config, steps=job.config.progressive.steps or -(-config.steps // 2))


def _tiles(job: Job) -> dict[str, int]:
    """Whole frames are done whole where they can be; finer scales in tiles a core's cache holds."""
    largest_px, window_px = job.config.resources.tile_px, job.config.progressive.window_px
    tile_px = largest_px if job.coarser is None else min(largest_px, 2 * window_px)
    return {"tile_px": tile_px, "overlap_px": tile_px // 8}


def _network(job: Job, version: Version, seed: int) -> Network:
    channels = version.shot.frames.shape[-1]
    return build(CAPACITIES[job.config.capacity], channels, seed, prior=job.coarser is not None)


def _without_learning(
    job: Job, work: Work, version: Version, device: torch.device, stop: Stop
) -> Iterator[Event]:
    """Fill with a method that learns nothing of the shot, and measure the result."""
    assert job.scale is not None
    tone, trained = tone_for(version), None
    work.update(status="filling", step=0, steps=0, seconds=work.seconds(fit=0))
    match job.config.method:
        case "telea":
            written = yield from work.write(_telea(version, work.start), stop)
        case "flow":
            written = yield from _follow(job, work, version, tone, stop)
        case _:
            trained = Trained(job, version, tone, device)
            if trained.doubt:
                yield {"kind": "log", "text": trained.doubt}
            filled = _pictures(job, trained.fill(work.start), version, tone)
            written = yield from work.write(filled, stop)
    if written:
        estimate = trained.estimate() if trained else {}
        yield _finish(work, estimate | against_truth(version, tone), 0)


def _telea(version: Version, start: int) -> Iterator[tuple[int, np.ndarray]]:
    for t in range(start, len(version.shot)):
        pixels, hole = np.asarray(version.shot.frames[t]), np.asarray(version.hole[t])
        yield t, telea(pixels, hole)


def _follow(
    job: Job, work: Work, version: Version, tone: Tone, stop: Stop
) -> Generator[Event, None, bool]:
    """Fill along the flow; return False where it was asked to stop."""
    assert job.scale is not None
    frames = ShotFrames(version, tone, job.scale.size)
    pictures, start = Whole(frames), work.start
    parts, before = stretches(frames.unknown_px(), math.prod(frames.size)), 0
    total = sum(part.flows for part in parts)
    for part in parts:
        if part.core.stop > start:
            found = yield from work.follow(follow(pictures, part), before, total, stop)
            if found is None:
                return False
            made = enumerate(fill_with(pictures, part, found, start), max(start, part.core.start))
            del found  # or it would be held while the next part is followed
            filled = _pictures(job, ((t, _in_unit(one.pixels)) for t, one in made), version, tone)
            if not (yield from work.write(filled, stop)):
                return False
        before += part.flows
    return True


def _in_unit(pixels: np.ndarray) -> Tensor:
    """`(H, W, C)` uint8 or float to `(C, H, W)` in 0 to 1."""
    full = 255 if pixels.dtype == np.uint8 else 1
    return torch.from_numpy(pixels.astype(np.float32) / full).permute(2, 0, 1)


def _pictures(
    job: Job, filled: Iterator[tuple[int, Tensor]], version: Version, tone: Tone
) -> Iterator[tuple[int, np.ndarray]]:
    """Bring pictures `(C, h, w)` in 0 to 1 to the source's size and values."""
    assert job.scale is not None
    height, width = size = version.shot.info.height, version.shot.info.width
    if job.scale.factor is not None:  # its last pixels may reach beyond the source
        size = job.scale.height * job.scale.factor, job.scale.width * job.scale.factor
    for t, picture in filled:
        full = enlarge(picture[None], size)[0, :, :height, :width].permute(1, 2, 0)
        yield t, tone.decode(full.cpu().numpy())


def _finish(work: Work, quality: dict[str, float | None], step: int) -> Event:
    """Declare the result done."""
    work.check()
    clear(work.version.files)
    work.update(status="done", step=step, quality=quality, error=None)
    return {"kind": "done", "quality": quality}
