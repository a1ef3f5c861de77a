"""A prior kept beside its version while the shot is being filled, part by part.

A part that was carried into the holes once is read again by an attempt that goes on, and of a prior
in parts one is held.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from cluster.fitting import Event, Stop, Work
from inpaint import prior
from inpaint.checkpoint import DamagedCheckpoint
from inpaint.prior import Carried, Part
from storage import Files


class Kept:
    """What was carried into each frame; one part of it is held."""

    def __init__(self, files: Files) -> None:
        self._files, self._parts = files, list[range]()
        self._at, self._held = range(0), list[Carried]()

    def __getitem__(self, t: int) -> Carried:
        if t not in self._at:
            frames = next(each for each in self._parts if t in each)
            self._held = prior.restore(self._files.read(file_of(frames)) or b"")
            self._at = frames
        return self._held[t - self._at.start]

    def add(self, frames: range, carried: list[Carried]) -> None:
        """Go on with the next part, which is in its file."""
        self._parts.append(frames)
        self._at, self._held = frames, carried


def carry(work: Work, parts: Sequence[Part], stop: Stop) -> Generator[Event, None, Kept | None]:
    """Carry what is not in its file yet; return all, None where it was asked to stop."""
    files, total, before = work.version.files, sum(part.steps for part in parts), 0
    kept = Kept(files)
    for part in parts:
        file, carried = file_of(part.frames), None
        if (content := files.read(file)) is not None:
            try:
                carried = _restored(content, len(part.frames))
            except DamagedCheckpoint as error:
                yield {"kind": "log", "text": f"{file} is damaged, it is made anew ({error})"}
        if carried is None:
            if (carried := (yield from work.follow(part.carry(), before, total, stop))) is None:
                return None
            content = prior.dump(carried)
            work.check()
            files.write(file, content)
        kept.add(part.frames, carried)
        before += part.steps
    return kept


def clear(files: Files) -> None:
    """Remove what was kept."""
    for each in files.names():
        if each.startswith("prior"):  # an earlier release's has no number
            files.remove(each)


def file_of(frames: range) -> str:
    """Return a part's file name."""
    return f"prior-{frames.start:06d}.pt"


def _restored(content: bytes, count: int) -> list[Carried]:
    carried = prior.restore(content)
    if len(carried) != count:
        raise DamagedCheckpoint(f"of {len(carried)} frames, not {count}")
    return carried
