"""A version of a shot's masks: holes that were made rather than ingested, kept to be reviewed."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import zarr

from storage.arrays import create_array, open_array
from storage.boundary import create_hole_arrays, read_boundary, write_holes
from storage.chunks import vector_layout
from storage.groups import Marked, Mode, Shelf
from storage.urls import plain_errors


class MaskVersion(Marked):
    """Holes for every frame of a shot; a result may be made for them instead of the shot's own."""

    @classmethod
    def open(cls, url: str, mode: Mode = "r") -> MaskVersion:
        """Open the mask version at `url`.

        Raises:
            InputError: there is no mask version.
        """
        shot_url, folder, name = url.rsplit("/", 2)
        return cls(Shelf(shot_url, folder, "mask version").find(name), mode)

    @cached_property
    def hole(self) -> zarr.Array:
        return open_array(self.url, "hole", self.mode)

    @property
    def boundary(self) -> np.ndarray:
        """Where the holes' boundaries lie, see `Shot.boundary`; as it is now."""
        return read_boundary(self, self.hole, self.hole.shape[0])

    def write(self, t: int, hole: np.ndarray) -> None:
        """Store the hole `(H, W)` bool of frame `t`."""
        shape = self.hole.shape[1:]
        if hole.shape != shape or hole.dtype != bool:
            raise ValueError(f"expected bool {shape}, got {hole.dtype} {hole.shape}")
        with plain_errors(self.url):
            write_holes(self.hole, self._counts, t, hole[None])
            self.mark(t)

    @cached_property
    def _counts(self) -> zarr.Array:
        return open_array(self.url, "boundary", self.mode)


def create_mask_arrays(url: str, count: int, height: int, width: int) -> None:
    """Make the arrays of a mask version, empty."""
    create_hole_arrays(url, count, height, width)
    create_array(url, "done", (count,), "uint8", vector_layout(), "noshuffle")
