"""What an export writes: which frames, under which names, in which form."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from storage.deliverable import check_form
from storage.ingest import FILE_NAMES
from storage.mask_versions import MaskVersion
from storage.shots import Shot, Version
from storage.sources import InputError, Patch, SourceInfo
from storage.stills import delivery_suffix
from storage.targets import Target, fingerprint, stamp

What = Literal["result", "fill", "confidence", "mask"]


@dataclass(frozen=True)
class Retouch:
    """A last touch to what lies inside the hole, which the archive does not keep.

    Attributes:
        name: what it is: an export made with another one is another export.
        apply: from the index of a frame, the result `(H, W, C)` and its hole `(H, W)` to the
            result as it is to be written; what it changes outside the hole is left out.
    """

    name: str
    apply: Callable[[int, np.ndarray, np.ndarray], np.ndarray]

    def result(self, version: Version, t: int) -> np.ndarray:
        """Return frame `t` of a version's result, `(H, W, C)`, touched inside the hole alone."""
        result, hole = version.result(t), np.asarray(version.hole[t])
        if not hole.any():
            return result
        return np.where(hole[..., None], self.apply(t, result, hole), result)


@dataclass(frozen=True)
class Delivery:
    """One thing to export, whole: a result, the original frames, or a mask.

    Attributes:
        shot: whose frames they are.
        version: the result; None for the original frames, or the shot's own mask.
        masks: the mask version whose mask is wanted; for no `version`.
        target, what: where to, and what of the version; see `export`.
        settings: what else decides how the files come out, JSON values.
        retouch: of the result, see `Retouch`.
    """

    shot: Shot
    version: Version | None
    masks: MaskVersion | None
    target: Target
    what: What
    settings: dict[str, Any]
    retouch: Retouch | None = None

    def check(self) -> None:
        """Refuse what cannot be exported."""
        if not self.shot.complete:
            raise InputError(
                f"{self.shot.url}: the shot is not complete; run its ingest to the end"
            )
        if self.masks is not None and (self.what != "mask" or self.version is not None):
            raise InputError(f"{self.masks.url}: a mask version has nothing but a mask to export")
        if self.version is None and self.what in ("fill", "confidence"):
            raise InputError(f"{self.shot.url}: name the version whose {self.what} is wanted")
        if self.what == "fill" and self.target.kind == "movie":
            raise InputError(
                f"{self.target.path}: the fill alone is transparent; export it to a folder"
            )
        needed = self.masks if self.what == "mask" else self.version
        if needed is not None and not (done := needed.done).all():
            missing = int(self.shot.numbers[int(np.argmin(done))])
            raise InputError(
                f"{needed.url}: {int(done.sum())} of {len(done)} frames are done, frame "
                f"{missing} is the first missing; run its job to the end"
            )
        check_form(self.info(), self.target, self.suffix(), self.settings["codec"])

    @property
    def patches(self) -> bool:
        """Whether the export is the source with its hole replaced, kind for kind."""
        sequence = self.target.kind != "movie"
        return self.what == "result" and sequence == (self.shot.info.kind == "sequence")

    def names(self) -> list[str]:
        """Return the names of the files to write, one a frame or one movie."""
        if self.target.kind != "folder":
            return self.target.names(self.shot.numbers)
        if (stored := self._stored_names()) is None:
            return [f"{self.shot.name}.{n:04d}{self.suffix()}" for n in self.shot.numbers]
        return [_with_suffix(name, self.suffix()) for name in stored]

    def sources(self, place: str | None) -> list[Path]:
        """Return the files of the shot's source and its place: where it was, or `place` now."""
        path = Path(place or self.shot.info.path)
        names = self._stored_names()
        if names is None:
            return [path]
        return [path, *((path if path.is_dir() else path.parent) / name for name in names)]

    def suffix(self) -> str:
        usual = delivery_suffix(self.shot.info)
        if self.what in ("confidence", "mask"):
            return ".png"
        if self.what == "fill" and usual not in (".png", ".tif", ".tiff", ".exr"):
            return ".png"
        return usual

    def info(self) -> SourceInfo:
        """Return what the written frames are like."""
        info = self.shot.info
        if self.what in ("confidence", "mask"):
            grey = replace(info, channels=1, channel_names=("Y",), dtype="uint8", bit_depth=8)
            return replace(grey, pixel_format="", colour={})
        if self.what == "fill":
            colours = info.channel_names[: info.colours]
            return replace(info, channels=len(colours) + 1, channel_names=(*colours, "A"))
        return info

    def patch(self, t: int) -> Patch | None:
        """Return what to replace in the source's frame `t`; None where there is no hole."""
        if self.version is None:
            return None
        hole = np.asarray(self.version.hole[t])
        return Patch(self._filled(self.version, t), hole) if hole.any() else None

    def picture(self, t: int) -> np.ndarray:
        """Return frame `t` as it is to be written, `(H, W, C)`."""
        if self.what == "mask":
            hole = np.asarray(self._keeper.hole[t])
            return np.where(hole, np.uint8(255), np.uint8(0))[..., None]
        if self.version is None:
            return np.asarray(self.shot.frames[t])
        if self.what == "result":
            if self.retouch is None:
                return self.version.result(t)
            return self.retouch.result(self.version, t)
        hole = np.asarray(self.version.hole[t])
        if self.what == "confidence":
            return np.where(hole, self.version.confidence[t], np.uint8(255))[..., None]
        filled = self._filled(self.version, t)
        colours = filled[..., : self.shot.info.colours]
        opaque = np.iinfo(filled.dtype).max if filled.dtype.kind == "u" else 1
        alpha = (hole * filled.dtype.type(opaque)).astype(filled.dtype)
        return np.concatenate([colours, alpha[..., None]], axis=-1)

    def lies_in(self, *folders: Path) -> bool:
        """Return whether the files there, in the first folder that has each, are this export's."""
        return _settled(self._known()) == self._record(*folders)

    def replaceable(self) -> list[str]:
        """Return the names at the target under which lies what this version wrote, in any form."""
        known, names, folder = self._known(), self.names(), self.target.folder
        if self.shot.mode != "a" or known.get("what") != self.what:
            return []
        if known["files"] == fingerprint(names, folder):
            return names
        moving = known.get("moving", {})
        return [name for name in names if (stamp(folder / name) or None) in moving.get(name, ())]

    def remember(self, folder: Path) -> None:
        """Keep what is written in this folder and about to be moved to its place.

        Only where the archive is open to write. Of each file is kept what it is to replace, too, so
        that it is known on whichever way it is stopped.
        """
        ours = self.replaceable()
        before = {name: stamp(self.target.folder / name) for name in ours}
        moving = {name: [before.get(name), stamp(folder / name)] for name in self.names()}
        self._keep({**self._record(folder), "moving": moving})

    def arrived(self) -> None:
        """Say that what was remembered lies in its place."""
        self._keep(_settled(self._known()))

    def _keep(self, record: dict[str, Any]) -> None:
        if self.shot.mode == "a":
            known = self._keeper.attrs.get("exports", {})
            self._keeper.update(exports=known | {str(self.target.path): record})

    def _known(self) -> dict[str, Any]:
        """What was kept of an export to this target."""
        return dict(self._keeper.attrs.get("exports", {}).get(str(self.target.path), {}))

    def _filled(self, version: Version, t: int) -> np.ndarray:
        """Return frame `t` as it is to be written; what is outside the hole means nothing."""
        if self.retouch is None:
            return np.asarray(version.filled[t])
        return self.retouch.result(version, t)

    def _stored_names(self) -> list[str] | None:
        stored = self.shot.files.read(FILE_NAMES)
        return None if stored is None else list(json.loads(stored))

    @property
    def _keeper(self) -> Shot | Version | MaskVersion:
        return self.masks or self.version or self.shot

    def _record(self, *folders: Path) -> dict[str, Any]:
        touched = {} if self.retouch is None else {"retouch": self.retouch.name}
        files = fingerprint(self.names(), *folders)
        return {"what": self.what, **self.settings, **touched, "files": files}


def _settled(record: dict[str, Any]) -> dict[str, Any]:
    """What is kept of an export when nothing is on the move."""
    return {key: value for key, value in record.items() if key != "moving"}


def _with_suffix(name: str, suffix: str) -> str:
    """Return the name with this suffix; one that says the same already stays (`.TIF`, `.tiff`)."""
    stem, _, own = name.rpartition(".")
    alike = {"tiff": "tif", "jpeg": "jpg"}
    plain = own.lower()
    return name if "." + alike.get(plain, plain) == suffix else stem + suffix
