"""Zarr arrays as this package makes them: format 3, named dimensions, packed, with checksums."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import zarr

from storage.chunks import Layout
from storage.codecs import Shuffle, compressors
from storage.urls import Files, join, open_store, plain_errors

DIMENSIONS = ("t", "y", "x", "c")


def create_array(
    url: str, name: str, shape: tuple[int, ...], dtype: str, layout: Layout, shuffle: Shuffle
) -> None:
    """Make the array `name` of the group at `url`, empty; it reads as zero."""
    with plain_errors(url):
        zarr.create_array(
            open_store(url, read_only=False),
            name=name,
            shape=shape,
            dtype=dtype,
            chunks=layout.chunks,
            shards=layout.shards,
            compressors=compressors(shuffle),
            fill_value=0,
            dimension_names=DIMENSIONS[: len(shape)],
            zarr_format=3,
        )


def open_array(url: str, name: str, mode: Literal["r", "a"] = "r") -> zarr.Array:
    """Open the array `name` of the group at `url`, to read or to write too."""
    with plain_errors(url):
        store = open_store(url, read_only=mode == "r")
        return zarr.open_array(store, path=name, mode="r" if mode == "r" else "r+", zarr_format=3)


def write_every_chunk(array: zarr.Array, where: Any, values: np.ndarray) -> None:
    """Write, keeping chunks of zeros too: then a chunk that is missing was lost."""
    array.with_config({"write_empty_chunks": True})[where] = values


def write_inside(array: zarr.Array, t: int, values: np.ndarray, hole: np.ndarray) -> None:
    """Write what of a frame lies inside its hole, and only the chunks that hold some of it.

    A frame with a hole leaves at least one chunk, were it all zero; a frame without leaves none.

    Args:
        values: `(H, W)` or `(H, W, C)`;  hole: `(H, W)` bool.
    """
    if not hole.any():
        return
    inside = np.where(hole if values.ndim == 2 else hole[..., None], values, values.dtype.type(0))
    if inside.any():
        array[t] = inside
    else:
        write_every_chunk(array, t, inside)


def grown(url: str, name: str, length: int) -> zarr.Array:
    """Open an array to write, at least `length` long."""
    array = open_array(url, name, "a")
    if array.shape[0] < length:
        array.resize((length, *array.shape[1:]))
    return array


def cut(url: str, name: str, length: int) -> None:
    """Cut an array to `length`."""
    array = open_array(url, name, "a")
    if array.shape[0] != length:
        array.resize((length, *array.shape[1:]))


def stored_frames(url: str, name: str) -> set[int]:
    """Return the frame indices for which an array keeps a file: `<name>/c/<t>/0/0/0`."""
    keys = (key.split("/") for key in Files(join(url, name, "c")).names())
    return {int(key[0]) for key in keys if all(part.isdigit() for part in key)}
