"""An archive: many shots under one URL.

<archive URL>/      attributes: format number
  <shot>/           see storage/shots.py
  files/            plain files of the whole archive
"""

from __future__ import annotations

from typing import Any

from storage.attributes import (
    check_name,
    info_to_json,
    is_stored,
    read_attributes,
    remove_group,
    write_attributes,
)
from storage.blocks import create_shot_arrays
from storage.boundary import CELL_PX
from storage.codecs import Shuffle
from storage.groups import Mode
from storage.shots import Shot, Version
from storage.sources import InputError, SourceInfo
from storage.urls import Files, folders, is_empty, join, resolve

__all__ = ["FORMAT", "Archive", "Shot", "Version"]

FORMAT = 1
"""Of what this code writes. An archive of a higher number is refused."""


class Archive:
    """Many shots under one URL.

    Attributes:
        url: absolute path or URL; enough to open the archive in another process.
        mode: "r" to read, "a" to write too.
    """

    def __init__(self, url: str, mode: Mode = "r") -> None:
        self.url, self.mode = url, mode

    @classmethod
    def open(cls, url: str, mode: Mode = "r") -> Archive:
        """Open the archive at `url`; mode "a" makes one where nothing is.

        Raises:
            InputError: there is none, it is something else, of a newer format, or not permitted.
        """
        place = resolve(url)
        attributes = read_attributes(place)
        if attributes is None and mode == "a":
            _create(place)
        elif attributes is None:
            raise InputError(f"{place}: no archive here; `python -m storage ingest` makes one")
        else:
            _check_format(place, attributes)
        return cls(place, mode)

    def shots(self) -> list[str]:
        """Return the names of the shots, sorted; incomplete ones too."""
        names = folders(self.url)
        return [name for name in names if is_stored(join(self.url, name))]

    def __contains__(self, name: str) -> bool:
        return is_stored(join(self.url, name))

    def shot(self, name: str) -> Shot:
        """Open a shot.

        Raises:
            InputError: there is none of that name; the message lists those there are.
        """
        if name not in self:
            known = ", ".join(self.shots()) or "none yet"
            raise InputError(f"{self.url}: no shot {name!r}; there are: {known}")
        return Shot(join(self.url, name), self.mode)

    def create_shot(
        self,
        name: str,
        info: SourceInfo,
        fingerprint: str,
        *,
        count: int = 0,
        shuffle: Shuffle = "bitshuffle",
        truth: bool = False,
        attrs: dict[str, Any] | None = None,
    ) -> Shot:
        """Make an empty shot, for `storage.blocks` to write to.

        Args:
            fingerprint: of the source, to see later whether it changed.
            count: number of frames to come, as far as it is known; the arrays grow and shrink.
            truth: whether true pixels will be stored too.
            attrs: what else to store about it, JSON values.

        Raises:
            InputError: the name is taken or cannot be used.
        """
        check_name(name)
        if name in self:
            raise InputError(f"{self.url}: shot {name!r} exists; choose another name or remove it")
        url = join(self.url, name)
        create_shot_arrays(url, info, count, shuffle, truth=truth)
        known = {
            "source": info_to_json(info),
            "fingerprint": fingerprint,
            "shuffle": shuffle,
            "cell_px": CELL_PX,
            "has_truth": truth,
            "stored": 0,
            "complete": False,
        }
        write_attributes(url, known | (attrs or {}))
        return Shot(url, self.mode)

    def remove_shot(self, name: str) -> None:
        """Remove a shot with all its versions and files."""
        remove_group(self.shot(name).url)

    @property
    def files(self) -> Files:
        return Files(join(self.url, "files"))


def _create(place: str) -> None:
    if not is_empty(place):
        raise InputError(f"{place}: holds other things than an archive; choose an empty place")
    write_attributes(place, {"format": FORMAT})


def _check_format(place: str, attributes: dict[str, Any]) -> None:
    found = attributes.get("format")
    if not isinstance(found, int):
        raise InputError(f"{place}: a part of an archive, not an archive; give the folder above it")
    if found > FORMAT:
        raise InputError(
            f"{place}: archive of format {found}, this version reads up to {FORMAT}; update it"
        )
