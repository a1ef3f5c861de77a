"""A shot and one version of its result into a movie or a sequence, as they are or remade.

A movie is read again from its source and a sequence's files too, and only what lies inside the hole
is replaced there: everything the archive does not keep (sound, metadata, further channels, the YUV
samples themselves) comes back as it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import numpy as np

from storage.companions import check_sound
from storage.deliverable import check_apart
from storage.delivery import Delivery, Retouch, What
from storage.images import ImageSequence
from storage.in_order import in_order
from storage.media import open_source
from storage.movie_copy import patch_movie, remake_movie
from storage.movie_writer import MovieWriter
from storage.shots import Shot
from storage.sources import InputError, Source
from storage.stills import patch_image, write_image
from storage.targets import Target
from storage.urls import plain_errors
from storage.video import Movie

Item = TypeVar("Item")


def export(
    shot: Shot,
    version: str | None,
    target: str | os.PathLike[str],
    *,
    what: What = "result",
    masks: str | None = None,
    codec: str | None = None,
    crf: float | None = None,
    fps: Fraction | None = None,
    source: str | None = None,
    overwrite: bool = False,
    retouch: Retouch | None = None,
) -> Iterator[int]:
    """Write a shot's result to `target`; yield the number of frames written so far.

    The target is a movie's file name, a folder, or a pattern such as `plate.%04d.png`. A file, and
    a folder that is new, appears whole or not at all. What this version wrote before in the same
    way is left as it is, and what it wrote in another way is replaced unless it was changed since,
    where the archive is open to write and can remember it.

    Args:
        version: name of the result; None exports the original frames, or the shot's own mask.
        what: the result; the fill alone, transparent outside the hole (images only); how sure each
            pixel is, 255 outside the hole; or the mask, 255 inside the hole and 0 outside.
        masks: name of a mask version, whose mask is exported; for no `version`.
        codec, crf: of a movie; by default what the target's suffix stands for.
        fps: of a movie made of a sequence, where the sequence states none.
        source: where the shot's source lies now, if it moved.
        overwrite: replace what is at the target; other files in a folder stay.
        retouch: a last touch to the hole of a result, or of its fill.

    Raises:
        InputError: the version is not complete, the source is gone or changed, the target exists or
            cannot hold this.
    """
    job = Delivery(
        shot,
        None if version is None else shot.version(version),
        None if masks is None else shot.mask_version(masks),
        Target.of(target),
        what,
        {"codec": codec, "crf": crf, "fps": None if fps is None else str(fps)},
        retouch,
    )
    job.check()
    with plain_errors(str(job.target.path)):
        if job.lies_in(job.target.folder) or (not overwrite and _finished(job)):
            yield len(shot)
            return
        check_apart(job.target, job.names(), job.sources(source))
        original = _same_source(job, source) if job.patches else None
        with job.target.being_written() as folder:
            yield from _write(job, folder, original, codec, crf, fps)
            if not overwrite:  # writing takes its time
                _check_free(job, job.replaceable())
            job.remember(folder)
        job.target.publish(folder)
        job.arrived()


def remake(
    shot: Shot,
    version: str,
    target: str | os.PathLike[str],
    pictures: Iterable[np.ndarray],
    size: tuple[int, int],
    *,
    codec: str | None = None,
    crf: float | None = None,
    fps: Fraction | None = None,
    source: str | None = None,
    overwrite: bool = False,
) -> Iterator[int]:
    """Write pictures made of a shot's result to `target`; yield the number written so far.

    They take the frames' places: names, numbers and depth; from movie to movie, times, sound and
    colour tags too. A file, and a folder that is new, appears whole or not at all. No picture is
    taken before all that can be refused is.

    Args:
        pictures: `(H, W, C)` of the frames' dtype and channels, one a frame.
        size: their height and width.
        codec, crf, fps, source, overwrite: see `export`.

    Raises:
        InputError: the version is not complete, the source is gone or changed, the target exists or
            cannot hold this.
    """
    job = Delivery(shot, shot.version(version), None, Target.of(target), "result", {"codec": codec})
    job.check()
    info, names = replace(shot.info, height=size[0], width=size[1]), job.names()
    with plain_errors(str(job.target.path)):
        if not overwrite:
            _check_free(job)
        check_apart(job.target, names, job.sources(source))
        copied = job.target.kind == shot.info.kind == "movie"
        movie = _same_source(job, source) if copied else None
        with job.target.being_written() as folder:
            if isinstance(movie, Movie):
                first, last = shot.attrs["settings"]["range"]
                yield from remake_movie(
                    movie,
                    folder / names[0],
                    pictures,
                    size,
                    first=first,
                    last=last,
                    codec=codec,
                    crf=crf,
                )
            elif job.target.kind == "movie":
                with MovieWriter(folder / names[0], info, fps=fps, codec=codec, crf=crf) as writer:
                    for written, picture in enumerate(pictures, 1):
                        writer.write(picture)
                        yield written
            else:
                files = (folder / name for name in names)
                pairs = zip(files, pictures, strict=True)
                yield from _side_by_side(lambda pair: write_image(*pair, like=info), pairs, 0)
        job.target.publish(folder)


def _finished(job: Delivery) -> bool:
    """Whether this export was killed on its way to its target; it is moved there now.

    Raises:
        InputError: something else is there.
    """
    target = job.target
    halfway = job.lies_in(target.partial, target.folder)
    moved = [name for name in job.names() if not (target.partial / name).exists()]
    _check_free(job, [*(moved if halfway else ()), *job.replaceable()])
    if halfway:
        target.publish(target.partial)
        job.arrived()
    return halfway


def _check_free(job: Delivery, ours: Sequence[str] = ()) -> None:
    if job.target.existing(job.names(), ours):
        raise InputError(f"{job.target.path}: exists; choose another name, or overwrite it")


def _write(
    job: Delivery,
    folder: Path,
    source: Source | None,
    codec: str | None,
    crf: float | None,
    fps: Fraction | None,
) -> Iterator[int]:
    """Write the frames under the temporary folder, in whichever of the four ways it takes."""
    count, names = len(job.shot), job.names()
    if source is not None:
        if isinstance(source, Movie):
            first, last = job.shot.attrs["settings"]["range"]
            patches = map(job.patch, range(count))
            yield from patch_movie(
                source, folder / names[0], patches, first=first, last=last, codec=codec, crf=crf
            )
            return
        files = [_file(source, int(number)) for number in job.shot.numbers]
        yield from _side_by_side(
            lambda t: patch_image(files[t], folder / names[t], job.patch(t)), range(count)
        )
    elif job.target.kind == "movie":
        with MovieWriter(folder / names[0], job.info(), fps=fps, codec=codec, crf=crf) as movie:
            for t in range(count):
                movie.write(job.picture(t))
                yield t + 1
    else:
        info = job.info()
        yield from _side_by_side(
            lambda t: write_image(folder / names[t], job.picture(t), like=info), range(count)
        )


def _same_source(job: Delivery, place: str | None) -> Source:
    """Open the shot's source again: it is still what was ingested, and the target can take it."""
    shot, info, attrs = job.shot, job.shot.info, job.shot.attrs
    stream = info.stream if info.kind == "movie" else None
    path = place or info.path
    source = open_source(path, fps=info.fps if stream is None else None, stream=stream)
    if source.fingerprint() != attrs["fingerprint"] and source.sha256() != attrs["sha256"]:
        raise InputError(
            f"{path}: not what shot {shot.name!r} was ingested from; give its place now as `source`"
        )
    if isinstance(source, Movie):
        check_sound(path, job.target.path)
    return source


def _file(source: Source, number: int) -> str:
    assert isinstance(source, ImageSequence)
    return source.files[number]


def _side_by_side(
    work: Callable[[Item], None], items: Iterable[Item], ahead: int = 8
) -> Iterator[int]:
    """Do the work for all items on a few threads; yield how many are done."""
    threads = min(8, os.cpu_count() or 1)
    for done, _ in enumerate(in_order(work, items, threads, ahead=ahead), 1):
        yield done
