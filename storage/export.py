"""A shot and one version of its result into a movie or a sequence.

A movie is read again from its source and a sequence's files too, and only what lies inside the hole
is replaced there: everything the archive does not keep (sound, metadata, further channels, the YUV
samples themselves) comes back as it was.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from storage.encode import MovieWriter, patch_movie
from storage.images import ImageSequence
from storage.ingest import FILE_NAMES
from storage.media import open_source
from storage.shots import Shot, Version
from storage.sources import InputError, Patch, Source, SourceInfo
from storage.stills import delivery_suffix, patch_image, write_image
from storage.targets import Target
from storage.urls import plain_errors
from storage.video import Movie

What = Literal["result", "fill", "confidence"]
Item = TypeVar("Item")


def export(
    shot: Shot,
    version: str | None,
    target: str | os.PathLike[str],
    *,
    what: What = "result",
    codec: str | None = None,
    crf: float | None = None,
    fps: Fraction | None = None,
    source: str | None = None,
    overwrite: bool = False,
) -> Iterator[int]:
    """Write a shot's result to `target`; yield the number of frames written so far.

    The target is a movie's file name, a folder, or a pattern such as `plate.%04d.png`. It appears
    whole or not at all. One that this version wrote before in the same way is left as it is, where
    the archive is open to write and can remember it.

    Args:
        version: name of the result; None exports the original frames.
        what: the result; the fill alone, transparent outside the hole (images only); or how sure
            each pixel is, 255 outside the hole.
        codec, crf: of a movie; by default what the target's suffix stands for.
        fps: of a movie made of a sequence, where the sequence states none.
        source: where the shot's source lies now, if it moved.
        overwrite: replace what is at the target.

    Raises:
        InputError: the version is not complete, the source is gone or changed, the target exists or
            cannot hold this.
    """
    job = _Job(
        shot,
        None if version is None else shot.version(version),
        Target.of(target),
        what,
        {"codec": codec, "crf": crf, "fps": None if fps is None else str(fps)},
    )
    job.check()
    with plain_errors(str(job.target.path)):
        if not overwrite and job.target.existing(job.names()):
            if not job.written_before():
                raise InputError(f"{job.target.path}: exists; choose another name, or overwrite it")
            yield len(shot)
            return
        with job.target.being_written() as folder:
            yield from _write(job, folder, codec, crf, fps, source)
        job.remember()


@dataclass(frozen=True)
class _Job:
    shot: Shot
    version: Version | None
    target: Target
    what: What
    settings: dict[str, Any]

    def check(self) -> None:
        """Refuse what cannot be exported."""
        if not self.shot.complete:
            raise InputError(
                f"{self.shot.url}: the shot is not complete; run its ingest to the end"
            )
        if self.version is None and self.what != "result":
            raise InputError(f"{self.shot.url}: name the version whose {self.what} is wanted")
        if self.what == "fill" and self.target.kind == "movie":
            raise InputError(
                f"{self.target.path}: the fill alone is transparent; export it to a folder"
            )
        if self.version is not None and not (done := self.version.done).all():
            missing = int(self.shot.numbers[int(np.argmin(done))])
            raise InputError(
                f"{self.version.url}: {int(done.sum())} of {len(done)} frames are done, frame "
                f"{missing} is the first missing; run its job to the end"
            )

    @property
    def patches(self) -> bool:
        """Whether the export is the source with its hole replaced, kind for kind."""
        sequence = self.target.kind != "movie"
        return self.what == "result" and sequence == (self.shot.info.kind == "sequence")

    def names(self) -> list[str]:
        """Return the names of the files to write, one a frame or one movie."""
        if self.target.kind == "movie":
            return [self.target.name]
        if self.target.kind == "pattern":
            return [self.target.numbered(int(number)) for number in self.shot.numbers]
        stored = self.shot.files.read(FILE_NAMES)
        if stored is None:
            return [f"{self.shot.name}.{n:04d}{self.suffix()}" for n in self.shot.numbers]
        return [_with_suffix(name, self.suffix()) for name in json.loads(stored)]

    def suffix(self) -> str:
        usual = delivery_suffix(self.shot.info)
        if self.what == "confidence":
            return ".png"
        if self.what == "fill" and usual not in (".png", ".tif", ".tiff", ".exr"):
            return ".png"
        return usual

    def info(self) -> SourceInfo:
        """Return what the written frames are like."""
        info = self.shot.info
        if self.what == "confidence":
            grey = replace(info, channels=1, channel_names=("Y",), dtype="uint8", bit_depth=8)
            return replace(grey, pixel_format="", colour={})
        if self.what == "fill":
            colours = info.channel_names[: 1 if info.channels < 3 else 3]
            return replace(info, channels=len(colours) + 1, channel_names=(*colours, "A"))
        return info

    def patch(self, t: int) -> Patch | None:
        """Return what to replace in the source's frame `t`; None where there is no hole."""
        if self.version is None:
            return None
        hole = np.asarray(self.shot.hole[t])
        return Patch(np.asarray(self.version.filled[t]), hole) if hole.any() else None

    def picture(self, t: int) -> np.ndarray:
        """Return frame `t` as it is to be written, `(H, W, C)`."""
        if self.version is None:
            return np.asarray(self.shot.frames[t])
        if self.what == "result":
            return self.version.result(t)
        hole = np.asarray(self.shot.hole[t])
        if self.what == "confidence":
            return np.where(hole, self.version.confidence[t], np.uint8(255))[..., None]
        filled = np.asarray(self.version.filled[t])
        colours = filled[..., : 1 if filled.shape[-1] < 3 else 3]
        opaque = np.iinfo(filled.dtype).max if filled.dtype.kind == "u" else 1
        alpha = (hole * filled.dtype.type(opaque)).astype(filled.dtype)
        return np.concatenate([colours, alpha[..., None]], axis=-1)

    def written_before(self) -> bool:
        """Return whether what lies at the target is this very export."""
        found = (self.version or self.shot).attrs.get("exports", {}).get(str(self.target.path))
        return found is not None and found == self._record()

    def remember(self) -> None:
        if self.shot.mode == "a":
            keeper = self.version or self.shot
            known = keeper.attrs.get("exports", {})
            keeper.update(exports=known | {str(self.target.path): self._record()})

    def _record(self) -> dict[str, Any]:
        files = self.target.fingerprint(self.names())
        return {"what": self.what, **self.settings, "files": files}


def _write(
    job: _Job,
    folder: Path,
    codec: str | None,
    crf: float | None,
    fps: Fraction | None,
    place: str | None,
) -> Iterator[int]:
    """Write the frames under the temporary folder, in whichever of the four ways it takes."""
    count, names = len(job.shot), job.names()
    if job.patches:
        source = _same_source(job.shot, place)
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


def _same_source(shot: Shot, place: str | None) -> Source:
    """Open the shot's source again and see that it is still what was ingested."""
    info, attrs = shot.info, shot.attrs
    stream = info.stream if info.kind == "movie" else None
    path = place or info.path
    source = open_source(path, fps=info.fps if stream is None else None, stream=stream)
    if source.fingerprint() != attrs["fingerprint"] and source.sha256() != attrs["sha256"]:
        raise InputError(
            f"{path}: not what shot {shot.name!r} was ingested from; give its place now as `source`"
        )
    return source


def _with_suffix(name: str, suffix: str) -> str:
    """Return the name with this suffix; one that says the same already stays (`.TIF`, `.tiff`)."""
    stem, _, own = name.rpartition(".")
    alike = {"tiff": "tif", "jpeg": "jpg"}
    plain = own.lower()
    return name if "." + alike.get(plain, plain) == suffix else stem + suffix


def _file(source: Source, number: int) -> str:
    assert isinstance(source, ImageSequence)
    return source.files[number]


def _side_by_side(work: Callable[[Item], None], items: Iterable[Item]) -> Iterator[int]:
    """Do the work for all items on a few threads; yield how many are done, in order."""
    workers = min(8, os.cpu_count() or 1)
    running: deque[Future[None]] = deque()
    done = 0
    with ThreadPoolExecutor(workers) as pool:
        for item in items:
            running.append(pool.submit(work, item))
            while len(running) > workers or (running and running[0].done()):
                running.popleft().result()
                done += 1
                yield done
        while running:
            running.popleft().result()
            done += 1
            yield done
