"""The propagate job: from the masks of a few frames to a mask version with one for every frame.

read → fit (checkpoints) → look for the object frame by frame. Killed at any moment and run again,
it goes on from the last checkpoint and the last frame written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch

from cluster import __version__, cores
from cluster.config import propagate_config
from cluster.fitting import Event, Fitting, Stop, Work
from cluster.footage import pairs
from cluster.plan import Job, propagated_part
from inpaint.clip import Clip, load, working_size
from inpaint.learning import begin
from inpaint.propagate import fit, predict
from inpaint.segmentation import CAPACITIES, build
from inpaint.tone import tone_of
from storage import Archive, Shot
from storage.mask_versions import MaskVersion


def propagate(job: Job, device: str, stop: Stop) -> Iterator[Event]:
    """Write the job's mask version of its shot. Yields events as `cluster.jobs` describes them."""
    cores.take(job.need.cpus)
    assert job.masks is not None
    shot = Archive.open(job.archive, "a").shot(job.shot.name)
    masks = _opened(shot, job, job.masks)
    if masks.attrs.get("status") == "done":
        yield {"kind": "done"}
        return
    work, given = Work.claim(masks), _given(shot)
    config, options = propagate_config(job.config), job.config.propagate
    capacity = CAPACITIES[options.capacity or ("base" if device == "cuda" else "small")]
    clip = _clip(shot, capacity.working_px).to(torch.device(device))
    network = build(capacity, clip.frames.shape[1], config.seed)
    state = begin(network, config, torch.device(device))
    fitting = Fitting.resume(work, network, state)
    reports = fit(network, clip, given, config, state)
    if not (yield from fitting.run(reports, job.config.checkpoint_every_s, stop)):
        return
    work.update(status="filling", seconds=work.seconds(fit=fitting.fitted_s()))
    found = predict(network, clip, given, config, state.accelerator, work.start)
    holes = (
        (t, _at_source(shot, t, mask[0].cpu().numpy(), given, options.grow_px)) for t, mask in found
    )
    if (yield from work.write(holes, stop)):
        work.update(status="done", step=state.step, error=None)
        yield {"kind": "done"}


def _opened(shot: Shot, job: Job, name: str) -> MaskVersion:
    """Open the mask version, or make it."""
    if name in shot.masks():
        return shot.mask_version(name)
    described = {"config": propagated_part(job.config), "status": "queued", "code": __version__}
    return shot.create_mask_version(name, described)


def _given(shot: Shot) -> list[int]:
    """The frames that show the object: one that was given empty says only that it is not there."""
    given = range(len(shot)) if shot.given is None else shot.given
    return [t for t in given if np.asarray(shot.hole[t]).any()]


def _clip(shot: Shot, working_px: int) -> Clip:
    """The frames at the working size, with the masks that were given."""
    size = working_size(shot.info.height, shot.info.width, working_px)
    tone = tone_of(shot.info.dtype, pairs(shot, shot.hole))
    return load(pairs(shot, shot.hole), len(shot), size, tone)


def _at_source(
    shot: Shot, t: int, mask: np.ndarray, given: Sequence[int], grow_px: int
) -> np.ndarray:
    """Bring a mask `(h, w)` bool to the source's size; a given one comes back as it was given."""
    if t in given:
        return np.asarray(shot.hole[t])
    size = shot.info.width, shot.info.height
    full = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) > 0.5
    if grow_px:
        box = np.ones((2 * grow_px + 1, 2 * grow_px + 1), np.uint8)
        full = cv2.dilate(full.astype(np.uint8), box) > 0
    return full
