"""From a shot of the archive to what a fit learns from, fills and is judged by."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import zarr
from accelerate import Accelerator

from cluster.config import Config, fit_config
from cluster.feedforward import trained_vinet
from cluster.plan import Job
from cluster.plates import VALIDATION, Judged, Plates
from inpaint.clip import Footage, Frames, Whole, load
from inpaint.holes import validation_hole
from inpaint.internal import Exam, examined
from inpaint.network import Network
from inpaint.prior import Blend, Part, parts
from inpaint.tone import Tone, tone_of
from inpaint.vinet.fill import carried_by
from storage import InputError, Shot, Version


@dataclass(frozen=True)
class Material:
    """What a fit learns from, is run over and judged by.

    Attributes:
        carry: gives the parts in which the prior is carried into the holes, once the fit is over;
            none where there is none.
        judged: gives the validation hole as the finer scales need it, once the fit is over.
    """

    footage: Footage
    frames: Frames
    exam: Exam | None
    carry: Callable[[Accelerator], Sequence[Part]]
    judged: Callable[[Network, Accelerator, Blend | None], Judged]


def material(
    job: Job, version: Version, tone: Tone, device: torch.device, closing: contextlib.ExitStack
) -> Material:
    if job.coarser is None:
        assert job.scale is not None
        return whole(version.shot, version.hole, job.config, job.scale.size, tone, device)
    return _windows(job, version, tone, device, closing)


def whole(
    shot: Shot,
    hole: zarr.Array,
    config: Config,
    size: tuple[int, int],
    tone: Tone,
    device: torch.device,
) -> Material:
    """The shot's frames, whole, at the coarsest scale."""
    clip = load(pairs(shot, hole), len(shot), size, tone)
    judge = validation_hole(clip.hole, config.validation_share, config.seed)
    judge = (judge & ~clip.unknown).to(device)
    clip = clip.to(device).hiding(judge)
    if bool(clip.unknown.all()):
        raise InputError(
            f"shot {shot.name!r}: the hole covers every pixel of every frame; nothing is left "
            "to learn from"
        )

    def carried(accelerator: Accelerator) -> list[Part]:
        match fit_config(config).prior:
            case "propagated":
                unknown_px = [int(torch.count_nonzero(frame)) for frame in clip.unknown]
                return parts(Whole(clip), unknown_px, math.prod(size))
            case "vinet":
                vinet = trained_vinet(config, clip.frames.shape[1], shot.name).to(device)
                frames = range(len(clip))
                return [Part(frames, len(frames), lambda: carried_by(vinet, clip, accelerator))]
        return []

    def judged(network: Network, accelerator: Accelerator, blend: Blend | None) -> Judged:
        return Judged.of(network, clip, judge, accelerator, blend)

    return Material(clip, clip, examined(clip, judge), carried, judged)


def _windows(
    job: Job, version: Version, tone: Tone, device: torch.device, closing: contextlib.ExitStack
) -> Material:
    """Windows of the shot's frames at a finer scale."""
    assert job.scale is not None
    assert job.coarser is not None
    coarser, options = version.shot.version(job.coarser), job.config.progressive
    judged = Judged.read(coarser.files.read(VALIDATION) or b"")
    plates = Plates(version, coarser, judged, tone, job.scale)
    seed, share = job.config.seed, options.uniform_share
    pool = plates.pool(where_to_look(version), options.window_px, share, seed, device)
    closing.callback(pool.close)
    exam = plates.exam(options.window_px, device)

    def carried(_: Accelerator) -> list[Part]:
        if fit_config(job.config).prior != "propagated":
            return []
        return parts(plates, plates.unknown_px(), math.prod(plates.size))

    return Material(pool, plates, exam, carried, lambda *_: judged)


def where_to_look(version: Version) -> np.ndarray:
    """Return how much each cell of each frame is worth learning from, `(T, rows, columns)`.

    The boundary of the hole counts; where it has none, missing whole frames, those frames do.
    """
    index = version.boundary
    if index.any():
        return index
    missing = [np.asarray(version.hole[t]).any() for t in range(len(version.shot))]
    return np.broadcast_to(np.array(missing)[:, None, None], index.shape)


def pairs(shot: Shot, hole: zarr.Array) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield each frame `(H, W, C)` with its hole `(H, W)` bool, of the `(T, H, W)` given."""
    for t in range(len(shot)):
        yield np.asarray(shot.frames[t]), np.asarray(hole[t])


def tone_for(version: Version) -> Tone:
    return tone_of(version.shot.info.dtype, pairs(version.shot, version.hole))
