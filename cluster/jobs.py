"""Doing a job: a generator of small dicts, the same in this process and in an actor.

Every dict has a `kind`:
    started    pid: of the process that does it, where it is not the driver
    progress   done, total, unit (steps, flows, frames); a fit adds loss, learning_rate, rate,
               validation_psnr, entry
    log        text: something a person should know
    stopped    it was asked to stop, and saved what it had
    done       what there is to say of it
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from typing import Any

from cluster.inpainting import inpaint
from cluster.measure import measure
from cluster.plan import Job
from cluster.propagating import propagate
from cluster.regrain import regrain
from storage import Archive, InputError, Source
from storage.export import export
from storage.ingest import ingest
from storage.masks import Mask, open_mask
from storage.media import open_source
from storage.urls import be_patient, plain_errors

Event = dict[str, Any]
Stop = Callable[[], bool]


def run(job: Job, device: str, stop: Stop) -> Iterator[Event]:
    """Do a job to its end, or until `stop` says so.

    Args:
        device: for the tensors: `cpu` or `cuda`.
        stop: asked every few moments.

    Raises:
        PlaceError: where the archive lies, nothing can be read or written any more.
    """
    be_patient(job.archive)
    with plain_errors(job.archive):
        yield from _events(job, device, stop)


def _events(job: Job, device: str, stop: Stop) -> Iterator[Event]:
    if job.kind in ("propagate", "inpaint"):
        yield from (inpaint if job.kind == "inpaint" else propagate)(job, device, stop)
        return
    works = {"ingest": _ingesting, "measure": measure, "export": _exporting}
    work = works[job.kind](job)
    with contextlib.closing(work):
        for event in work:
            yield event
            if stop():
                yield {"kind": "stopped"}
                return
    yield {"kind": "done"}


def open_shot(job: Job) -> tuple[Source, Mask, Source | None]:
    """Open a shot's source, mask and truth, and see that they fit, without reading the frames.

    Raises:
        InputError: one is missing, cannot be read, or does not fit.
    """
    shot, options = job.shot, job.config.hole
    source = open_source(shot.source)
    mask = open_mask(
        shot.mask,
        source,
        threshold=options.threshold,
        invert=options.invert,
        grow_px=options.grow_px,
        few=shot.few,
    )
    mask.check(shot.first, shot.last)
    truth = shot.truth and (source if shot.truth == shot.source else open_source(shot.truth))
    return source, mask, truth or None


def _ingesting(job: Job) -> Generator[Event, None, None]:
    source, mask, truth = open_shot(job)
    shot = job.shot
    archive = Archive.open(job.archive, "a")
    total = source.info.count
    if shot.first is not None and shot.last is not None:
        total = shot.last - shot.first + 1
    for stored in ingest(
        archive, shot.name, source, mask, first=shot.first, last=shot.last, truth=truth
    ):
        yield {"kind": "progress", "done": stored, "total": total, "unit": "frames"}


def _exporting(job: Job) -> Generator[Event, None, None]:
    if job.shot.export is None:
        raise InputError(f"shot {job.shot.name!r}: no place to export to; give export=…")
    shot, how = Archive.open(job.archive, "a").shot(job.shot.name), job.config.delivery
    for written in export(
        shot,
        job.version,
        job.shot.export,
        codec=how.codec,
        crf=how.crf,
        fps=Fraction(how.fps) if shot.info.fps is None else None,
        overwrite=how.overwrite,
        retouch=regrain(shot.version(job.version), how.grain, job.config.seed),
    ):
        yield {"kind": "progress", "done": written, "total": len(shot), "unit": "frames"}
