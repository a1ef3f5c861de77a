"""One shot of an archive, and the versions of its result.

    <shot>/                     attributes: source, fingerprint, mask, number of frames, complete
      frames   (T, H, W, C)     the source's own dtype
      hole     (T, H, W)        bool, True where pixels are missing
      numbers  (T,)             int64, the frames' own numbers
      pts      (T,)             int64, presentation times in units of the source's time base
      truth    (T, H, W, C)     optional; the true pixels, stored only inside the hole
      files/                    plain files
      results/<version>/        attributes: whatever the writer keeps, status for one
        filled      (T, H, W, C)   stored only inside the hole
        confidence  (T, H, W)      uint8, stored only inside the hole
        done        (T,)           uint8, 1 where the frame is written; set after its data
        files/                     plain files: checkpoint, curves

A shot is written by one `ingest`, a version by one writer. A result is
`where(hole, filled, frames)`, so a pixel outside the hole cannot change.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal

import numpy as np
import zarr

from storage.arrays import create_array, open_array, write_inside
from storage.attributes import (
    check_name,
    info_from_json,
    read_attributes,
    remove_group,
    write_attributes,
)
from storage.chunks import frame_layout, mask_layout, vector_layout
from storage.sources import InputError, SourceInfo
from storage.urls import Files, folders, join, plain_errors, remove_tree

Mode = Literal["r", "a"]


class Shot:
    """Frames and holes of one shot, and the versions of its result.

    Attributes:
        name, url: the URL is enough to open the shot in another process.
        mode: "r" to read, "a" to write too.
    """

    def __init__(self, url: str, mode: Mode = "r") -> None:
        self.url, self.mode = url, mode
        self.name = url.rsplit("/", 1)[-1]

    @classmethod
    def open(cls, url: str, mode: Mode = "r") -> Shot:
        """Open the shot at `url`.

        Raises:
            InputError: there is no shot.
        """
        if read_attributes(url) is None:
            raise InputError(
                f"{url}: no shot here; `python -m storage ls` names an archive's shots"
            )
        return cls(url, mode)

    @property
    def attrs(self) -> dict[str, Any]:
        """What is stored about the shot, as it is now."""
        return read_attributes(self.url) or {}

    def update(self, **attributes: Any) -> None:
        """Store these attributes (JSON values) beside the others."""
        write_attributes(self.url, self.attrs | attributes)

    @cached_property
    def info(self) -> SourceInfo:
        return info_from_json(self.attrs["source"])

    @property
    def complete(self) -> bool:
        """Whether every frame is stored; nothing may be read from a shot that is not."""
        return bool(self.attrs.get("complete"))

    def __len__(self) -> int:
        """The number of frames stored."""
        return int(self.attrs.get("stored", 0))

    @cached_property
    def frames(self) -> zarr.Array:
        return open_array(self.url, "frames", self.mode)

    @cached_property
    def hole(self) -> zarr.Array:
        return open_array(self.url, "hole", self.mode)

    @cached_property
    def truth(self) -> zarr.Array | None:
        """True pixels inside the hole and zero elsewhere, where they are known."""
        return open_array(self.url, "truth", self.mode) if self.attrs.get("has_truth") else None

    @cached_property
    def numbers(self) -> np.ndarray:
        """The frames' own numbers, `(T,)` int64."""
        return np.asarray(open_array(self.url, "numbers", self.mode)[: len(self)])

    @cached_property
    def pts(self) -> np.ndarray:
        """Presentation times; of a sequence, the frames counted from 0."""
        return np.asarray(open_array(self.url, "pts", self.mode)[: len(self)])

    @property
    def files(self) -> Files:
        return Files(join(self.url, "files"))

    def versions(self) -> list[str]:
        """Return the names of the results, oldest first."""
        results = join(self.url, "results")
        stored = {name: read_attributes(join(results, name)) for name in folders(results)}
        found = {name: attrs for name, attrs in stored.items() if attrs is not None}
        return sorted(found, key=lambda name: (found[name].get("created", ""), name))

    def version(self, name: str) -> Version:
        """Open a result.

        Raises:
            InputError: there is none of that name; the message lists those there are.
        """
        if read_attributes(self._result(name)) is None:
            known = ", ".join(self.versions()) or "none yet"
            raise InputError(f"{self.url}: no version {name!r}; there are: {known}")
        return Version(self._result(name), self.mode)

    def create_version(self, name: str, attrs: dict[str, Any] | None = None) -> Version:
        """Make an empty result.

        Raises:
            InputError: the name is taken or unusable, or the shot is not complete.
        """
        check_name(name)
        if not self.complete:
            raise InputError(f"{self.url}: the shot is not complete; run its ingest to the end")
        if read_attributes(self._result(name)) is not None:
            raise InputError(
                f"{self.url}: version {name!r} exists; choose another name or remove it"
            )
        _create_version_arrays(self, self._result(name))
        created = datetime.now(UTC).isoformat(timespec="microseconds")
        write_attributes(self._result(name), {"created": created, **(attrs or {})})
        return Version(self._result(name), self.mode)

    def remove_version(self, name: str) -> None:
        """Remove a result and the files beside it."""
        remove_group(self.version(name).url)

    def _result(self, name: str) -> str:
        return join(self.url, "results", name)


class Version:
    """One result of a shot: fills of its holes.

    Attributes:
        name, url: the URL is enough to open the version in another process.
        shot: the shot it belongs to.
    """

    def __init__(self, url: str, mode: Mode = "r") -> None:
        self.url, self.mode = url, mode
        shot_url, _, self.name = url.rsplit("/", 2)
        self.shot = Shot(shot_url, mode)

    @classmethod
    def open(cls, url: str, mode: Mode = "r") -> Version:
        """Open the version at `url`.

        Raises:
            InputError: there is no version.
        """
        shot_url, _, name = url.rsplit("/", 2)
        return Shot.open(shot_url, mode).version(name)

    @property
    def attrs(self) -> dict[str, Any]:
        """What is stored about the version, as it is now."""
        return read_attributes(self.url) or {}

    def update(self, **attributes: Any) -> None:
        """Store these attributes (JSON values) beside the others."""
        write_attributes(self.url, self.attrs | attributes)

    @cached_property
    def filled(self) -> zarr.Array:
        return open_array(self.url, "filled", self.mode)

    @cached_property
    def confidence(self) -> zarr.Array:
        return open_array(self.url, "confidence", self.mode)

    @property
    def done(self) -> np.ndarray:
        """`(T,)` bool: the frames that are written, as it is now."""
        return np.asarray(open_array(self.url, "done", self.mode)[:]).astype(bool)

    @property
    def complete(self) -> bool:
        return bool(self.done.all())

    @property
    def files(self) -> Files:
        return Files(join(self.url, "files"))

    def write(self, t: int, pixels: np.ndarray, confidence: np.ndarray | None = None) -> None:
        """Store frame `t` of the result; only what lies inside the hole is kept.

        Args:
            pixels: `(H, W, C)` of the frames' dtype; any values outside the hole.
            confidence: `(H, W)` uint8, 255 = sure; none stored where None.
        """
        shape, dtype = self.filled.shape[1:], self.filled.dtype
        if pixels.shape != shape or pixels.dtype != dtype:
            raise ValueError(f"expected {dtype} {shape}, got {pixels.dtype} {pixels.shape}")
        with plain_errors(self.url):
            hole = np.asarray(self.shot.hole[t])
            write_inside(self.filled, t, pixels, hole)
            if confidence is not None:
                write_inside(self.confidence, t, confidence.astype(np.uint8, copy=False), hole)
            self._marks[t] = 1

    def result(self, t: int) -> np.ndarray:
        """Return frame `t` of the result, `(H, W, C)`: the original with its hole filled."""
        hole = np.asarray(self.shot.hole[t])
        frame = np.asarray(self.shot.frames[t])
        return np.where(hole[..., None], self.filled[t], frame) if hole.any() else frame

    @cached_property
    def _marks(self) -> zarr.Array:
        return open_array(self.url, "done", self.mode)


def _create_version_arrays(shot: Shot, url: str) -> None:
    remove_tree(url)  # what a broken attempt left
    write_attributes(join(shot.url, "results"), None)
    count, height, width, channels = shot.frames.shape
    shuffle = shot.attrs["shuffle"]
    layout = frame_layout(height, width, channels)
    create_array(url, "filled", shot.frames.shape, shot.info.dtype, layout, shuffle)
    mask = mask_layout(height, width)
    create_array(url, "confidence", (count, height, width), "uint8", mask, shuffle)
    create_array(url, "done", (count,), "uint8", vector_layout(), "noshuffle")
