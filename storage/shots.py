"""One shot of an archive, the versions of its masks and of its result.

    <shot>/                     attributes: source, fingerprint, mask, number of frames, complete,
                                how many pixels are missing in all frames together
      frames    (T, H, W, C)    the source's own dtype
      hole      (T, H, W)       bool, True where pixels are missing
      boundary  (T, h, w)       uint32, the hole's boundary pixels in each cell of 128 × 128
      numbers   (T,)            int64, the frames' own numbers
      pts       (T,)            int64, presentation times in units of the source's time base
      truth     (T, H, W, C)    optional; the true pixels, stored only inside the hole, or whole
                                where masks were given for a few frames only (attribute `given`)
      files/                    plain files
      masks/<version>/          attributes: whatever the writer keeps
        hole        (T, H, W)      bool, in the place of the shot's own
        boundary    (T, h, w)      uint32, of this hole
        done        (T,)           uint8, 1 where the frame is written; set after its data
        files/                     plain files
      results/<version>/        attributes: whatever the writer keeps, status for one; `mask` names
                                the mask version whose hole is filled, if not the shot's own;
                                `part_of` the result that this is a coarser scale of
        filled      (T, H, W, C)   stored only inside the hole
        confidence  (T, H, W)      uint8, stored only inside the hole
        done        (T,)           uint8, 1 where the frame is written; set after its data
        files/                     plain files: checkpoint, curves

A shot is written by one `ingest`, a version by one writer. A result is
`where(hole, filled, frames)`, so a pixel outside the hole cannot change.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any

import numpy as np
import zarr

from storage.arrays import create_array, open_array, write_inside
from storage.attributes import info_from_json, read_attributes
from storage.boundary import CELL_PX, read_boundary
from storage.chunks import frame_layout, mask_layout, vector_layout
from storage.groups import Group, Marked, Mode, Shelf
from storage.mask_versions import MaskVersion, create_mask_arrays
from storage.sources import InputError, SourceInfo
from storage.urls import plain_errors


class Shot(Group):
    """Frames and holes of one shot, and the versions of its masks and of its result."""

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

    @property
    def given(self) -> list[int] | None:
        """Indices of the frames that a mask was given for; None where every frame has its own."""
        return self.attrs.get("given")

    @cached_property
    def frames(self) -> zarr.Array:
        return open_array(self.url, "frames", self.mode)

    @cached_property
    def hole(self) -> zarr.Array:
        return open_array(self.url, "hole", self.mode)

    @cached_property
    def boundary(self) -> np.ndarray:
        """Boundary pixels of the hole in each cell, `(T, rows, columns)` uint32.

        A cell is a square of `boundary.CELL_PX`; see `boundary.counts`.
        """
        return read_boundary(self, self.hole, len(self))

    @cached_property
    def truth(self) -> zarr.Array | None:
        """True pixels, where they are known: whole frames where masks were given for a few frames,
        else those inside the shot's own hole, and zero elsewhere."""
        return open_array(self.url, "truth", self.mode) if self.attrs.get("has_truth") else None

    @cached_property
    def numbers(self) -> np.ndarray:
        """The frames' own numbers, `(T,)` int64."""
        return np.asarray(open_array(self.url, "numbers", self.mode)[: len(self)])

    @cached_property
    def pts(self) -> np.ndarray:
        """Presentation times; of a sequence, the frames counted from 0."""
        return np.asarray(open_array(self.url, "pts", self.mode)[: len(self)])

    def masks(self) -> list[str]:
        """Return the names of the mask versions, oldest first."""
        return self._masks.names()

    def read_masks(self) -> list[tuple[MaskVersion, dict[str, Any]]]:
        """Return the mask versions with their attributes, oldest first, each read once."""
        found = self._masks.read().items()
        return [(MaskVersion(self._masks.place(name), self.mode), attrs) for name, attrs in found]

    def mask_version(self, name: str) -> MaskVersion:
        """Open a mask version; `InputError` names those there are where it is not one of them."""
        return MaskVersion(self._masks.find(name), self.mode)

    def create_mask_version(self, name: str, attrs: dict[str, Any] | None = None) -> MaskVersion:
        """Make an empty mask version.

        Raises:
            InputError: the name is taken or unusable, or the shot is not complete.
        """
        self._check_complete()
        arrays = partial(
            create_mask_arrays, count=len(self), height=self.info.height, width=self.info.width
        )
        url = self._masks.create(name, {"cell_px": CELL_PX, **(attrs or {})}, arrays)
        return MaskVersion(url, self.mode)

    def remove_mask_version(self, name: str) -> None:
        """Remove a mask version and the files beside it; `InputError` while a result uses it."""
        for version in map(self.version, self.versions()):
            if version.attrs.get("mask") == name:
                raise InputError(
                    f"{self.url}: result {version.name!r} fills mask version {name!r}; "
                    "remove that result first"
                )
        self._masks.remove(name)

    def versions(self) -> list[str]:
        """Return the names of the results, oldest first."""
        return self._results.names()

    def read_versions(self) -> list[tuple[Version, dict[str, Any]]]:
        """Return the results with their attributes, oldest first, each read once."""
        found = self._results.read().items()
        return [(Version(self._results.place(name), self.mode), attrs) for name, attrs in found]

    def version(self, name: str) -> Version:
        """Open a result; `InputError` names those there are where it is not one of them."""
        return Version(self._results.find(name), self.mode)

    def newest(self) -> Version:
        """Return the newest result of which every frame is done; a scale on the way to one is none.

        Raises:
            InputError: there is none yet.
        """
        for version, attrs in reversed(self.read_versions()):
            if "part_of" not in attrs and version.complete:
                return version
        raise InputError(f"{self.url}: no version yet that is done; run the shot's inpainting")

    def create_version(self, name: str, attrs: dict[str, Any] | None = None) -> Version:
        """Make an empty result.

        Args:
            attrs: what to store about it; `mask` names the mask version whose hole is filled, in
                the place of the shot's own.

        Raises:
            InputError: the name is taken or unusable, there is no such mask version, or the shot or
                the mask version is not complete.
        """
        self._check_complete()
        mask = (attrs or {}).get("mask")
        if mask is not None and not (masks := self.mask_version(mask)).complete:
            raise InputError(f"{masks.url}: not every frame has its mask; run its job to the end")
        url = self._results.create(name, attrs or {}, partial(_create_version_arrays, self))
        return Version(url, self.mode)

    def remove_version(self, name: str) -> None:
        """Remove a result and the files beside it."""
        self._results.remove(name)

    @property
    def _masks(self) -> Shelf:
        return Shelf(self.url, "masks", "mask version")

    @property
    def _results(self) -> Shelf:
        return Shelf(self.url, "results", "version")

    def _check_complete(self) -> None:
        if not self.complete:
            raise InputError(f"{self.url}: the shot is not complete; run its ingest to the end")


class Version(Marked):
    """One result of a shot: fills of its holes."""

    @classmethod
    def open(cls, url: str, mode: Mode = "r") -> Version:
        """Open the version at `url`.

        Raises:
            InputError: there is no version.
        """
        shot_url, _, name = url.rsplit("/", 2)
        return Shot.open(shot_url, mode).version(name)

    @cached_property
    def shot(self) -> Shot:
        """The shot it belongs to."""
        return Shot(self.url.rsplit("/", 2)[0], self.mode)

    @cached_property
    def mask(self) -> MaskVersion | None:
        """The mask version whose hole is filled; None where it is the shot's own hole."""
        name = self.attrs.get("mask")
        return None if name is None else self.shot.mask_version(name)

    @property
    def hole(self) -> zarr.Array:
        """The hole that is filled, `(T, H, W)` bool."""
        return self.shot.hole if self.mask is None else self.mask.hole

    @property
    def boundary(self) -> np.ndarray:
        """Where that hole's boundary lies, see `Shot.boundary`."""
        return self.shot.boundary if self.mask is None else self.mask.boundary

    @cached_property
    def filled(self) -> zarr.Array:
        return open_array(self.url, "filled", self.mode)

    @cached_property
    def confidence(self) -> zarr.Array:
        return open_array(self.url, "confidence", self.mode)

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
            hole = np.asarray(self.hole[t])
            write_inside(self.filled, t, pixels, hole)
            if confidence is not None:
                write_inside(self.confidence, t, confidence.astype(np.uint8, copy=False), hole)
            self.mark(t)

    def result(self, t: int) -> np.ndarray:
        """Return frame `t` of the result, `(H, W, C)`: the original with its hole filled."""
        hole = np.asarray(self.hole[t])
        frame = np.asarray(self.shot.frames[t])
        return np.where(hole[..., None], self.filled[t], frame) if hole.any() else frame


def _create_version_arrays(shot: Shot, url: str) -> None:
    count, height, width, channels = shot.frames.shape
    shuffle = shot.attrs["shuffle"]
    layout = frame_layout(height, width, channels)
    create_array(url, "filled", shot.frames.shape, shot.info.dtype, layout, shuffle)
    mask = mask_layout(height, width)
    create_array(url, "confidence", (count, height, width), "uint8", mask, shuffle)
    create_array(url, "done", (count,), "uint8", vector_layout(), "noshuffle")
