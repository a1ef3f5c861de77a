"""A prior kept beside its version while the shot is being filled, part by part.

A part that was carried into the holes once is read again by an attempt that goes on, and a long
shot's prior is never held whole.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator, Sequence

from cluster.fitting import Event, Stop, Work
from inpaint import prior
from inpaint.checkpoint import DamagedCheckpoint
from inpaint.prior import Carried, Part
from storage import Files


class Kept:
    """What was carried into each frame; one part of it is held."""

    def __init__(self, files: Files) -> None:
        self._files, self._ends = files, list[int]()
        self._at, self._held = -1, list[Carried]()

    def __getitem__(self, t: int) -> Carried:
        if (part := bisect_right(self._ends, t)) != self._at:
            self._at, self._held = part, prior.restore(self._files.read(name(part)) or b"")
        return self._held[t - self._ends[part] + len(self._held)]

    def add(self, carried: list[Carried]) -> None:
        """Go on with the next part, which is in its file."""
        self._at, self._held = len(self._ends), carried
        self._ends.append(len(carried) + (self._ends[-1] if self._ends else 0))


def carry(work: Work, parts: Sequence[Part], stop: Stop) -> Generator[Event, None, Kept | None]:
    """Carry what is not in its file yet; return all, None where it was asked to stop."""
    files = work.version.files
    kept = Kept(files)
    for n, part in enumerate(parts):
        carried = None
        if (content := files.read(name(n))) is not None:
            try:
                carried = _restored(content, part.count)
            except DamagedCheckpoint as error:
                yield {"kind": "log", "text": f"{name(n)} is damaged, it is made anew ({error})"}
        if carried is None:
            if (carried := (yield from work.watch(part.carry(), "flows", stop))) is None:
                return None
            content = prior.dump(carried)
            work.check()
            files.write(name(n), content)
        kept.add(carried)
    return kept


def clear(files: Files) -> None:
    """Remove what was kept."""
    for each in files.names():
        if each.startswith("prior-"):
            files.remove(each)


def name(part: int) -> str:
    """Return a part's file name."""
    return f"prior-{part:04d}.pt"


def _restored(content: bytes, count: int) -> list[Carried]:
    carried = prior.restore(content)
    if len(carried) != count:
        raise DamagedCheckpoint(f"of {len(carried)} frames, not {count}")
    return carried
