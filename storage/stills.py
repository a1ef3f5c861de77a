"""One image file written: anew, or as a copy with its hole replaced."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import OpenImageIO as oiio

from storage.pictures import (
    DTYPES,
    LOSSY,
    OIIO_TYPES,
    Still,
    described,
    one_line,
    opened_image,
    read_channels,
    windows,
)
from storage.sources import InputError, Patch, SourceInfo

HOLDS = {
    ".png": {"uint8", "uint16"},
    ".tif": set(OIIO_TYPES),
    ".tiff": set(OIIO_TYPES),
    ".exr": {"float16", "float32"},
    ".dpx": {"uint8", "uint16"},
    ".jpg": {"uint8"},
    ".jpeg": {"uint8"},
}
DPX_NAME = 36
"""Where a DPX file says what it is called, in 100 bytes."""


def patch_image(
    source: str | os.PathLike[str], target: str | os.PathLike[str], patch: Patch | None
) -> None:
    """Copy an image file with its hole replaced.

    Other samples, further channels, windows and metadata stay as they are, bit for bit. None
    copies the file itself. The target's suffix may name another format that holds the samples;
    lossy compression inside a format becomes a lossless one.

    Raises:
        InputError: the source is damaged, or the target's format cannot hold it.
        OSError: the disk does not take it.
    """
    if patch is None and _suffix(source) == _suffix(target):
        _copy(source, target)
        return
    with opened_image(source) as image:
        spec = image.spec()
        still = described(spec, source)
        kinds = {str(form) for form in spec.channelformats} | {str(spec.format)}
        if not kinds <= set(DTYPES):
            raise InputError(f"{source}: {'/'.join(sorted(kinds))} channels cannot be kept exactly")
        stored = read_channels(image, source, 0, spec.nchannels, DTYPES[str(spec.format)])
    if patch is not None:
        stored, spec = _patched(stored, spec, still, patch)
    _write(target, stored, spec, still.bit_depth)


def write_image(
    target: str | os.PathLike[str], pixels: np.ndarray, *, like: SourceInfo | None = None
) -> None:
    """Write `(H, W, C)` as an image file in its own depth; the suffix decides the format.

    Args:
        target: file to write.
        pixels: as in `Frame.pixels`.
        like: source whose bit depth and time code the file shall state.

    Raises:
        InputError: the format is not known or cannot hold this dtype.
        OSError: the disk does not take it.
    """
    height, width, channels = pixels.shape
    spec = oiio.ImageSpec(width, height, channels, OIIO_TYPES[pixels.dtype.name])
    spec.channelnames = {1: ("Y",), 2: ("Y", "A"), 3: tuple("RGB"), 4: tuple("RGBA")}[channels]
    if channels in (2, 4):
        spec.alpha_channel = channels - 1
        spec.attribute("oiio:UnassociatedAlpha", 1)
    depth = like.bit_depth if like else pixels.dtype.itemsize * 8
    if pixels.dtype.kind == "u":
        spec.attribute("oiio:ColorSpace", "srgb_rec709_scene")
    _write(target, pixels, spec, depth)


def check_format(target: str | os.PathLike[str], dtype: str, bit_depth: int, channels: int) -> None:
    """Refuse an image format that cannot hold such samples; the target's suffix decides it.

    Raises:
        InputError: it cannot, or is not known.
    """
    suffix, name = _suffix(target), os.fspath(target)
    if dtype not in HOLDS.get(suffix, ()):
        exact = {s: kinds for s, kinds in HOLDS.items() if s[1:] not in LOSSY}
        fit = ", ".join(sorted(s for s, kinds in exact.items() if dtype in kinds))
        raise InputError(f"{name}: this format cannot hold {dtype}: choose one of {fit}")
    if suffix == ".dpx" and bit_depth == 10 and channels == 4:
        raise InputError(f"{name}: 10-bit DPX with alpha is not kept exactly: choose .png or .tif")


def delivery_suffix(info: SourceInfo) -> str:
    """Suffix, with its dot, of the format in which frames of this source lose nothing."""
    if info.kind == "movie" or info.pixel_format in LOSSY:
        return ".png"
    return ".dpx" if info.pixel_format == "cin" else f".{info.pixel_format}"


def _patched(
    stored: np.ndarray, spec: oiio.ImageSpec, still: Still, patch: Patch
) -> tuple[np.ndarray, oiio.ImageSpec]:
    if patch.hole.shape != (still.height, still.width):
        raise ValueError(f"the hole is {patch.hole.shape}, not {(still.height, still.width)}")
    stored, spec = _reaching(stored, spec, patch.hole)
    inside, reached = windows(spec)
    hole, pixels = patch.hole[inside], patch.pixels[inside]
    for source, channel in enumerate(still.channels):
        view = stored[reached][..., channel]
        view[hole] = pixels[..., source][hole].astype(still.dtype, copy=False)
    return stored, spec


def _reaching(
    stored: np.ndarray, spec: oiio.ImageSpec, hole: np.ndarray
) -> tuple[np.ndarray, oiio.ImageSpec]:
    """The data with their window enlarged where the hole lies outside it."""
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    if not rows.size:
        return stored, spec
    top, left = min(spec.y, spec.full_y + rows[0]), min(spec.x, spec.full_x + columns[0])
    bottom = max(spec.y + spec.height, spec.full_y + rows[-1] + 1)
    right = max(spec.x + spec.width, spec.full_x + columns[-1] + 1)
    if (bottom - top, right - left) == stored.shape[:2]:
        return stored, spec
    grown = np.zeros((bottom - top, right - left, stored.shape[2]), stored.dtype)
    y, x = spec.y - top, spec.x - left
    grown[y : y + spec.height, x : x + spec.width] = stored
    spec.x, spec.y, spec.width, spec.height = int(left), int(top), grown.shape[1], grown.shape[0]
    return grown, spec


def _write(
    target: str | os.PathLike[str], pixels: np.ndarray, spec: oiio.ImageSpec, bit_depth: int
) -> None:
    check_format(target, pixels.dtype.name, bit_depth, pixels.shape[-1])
    _make_lossless(spec, _suffix(target), pixels.dtype, bit_depth)
    with _in_memory() as place:  # OIIO does not tell of a disk that is full, Python does: it writes
        image = oiio.ImageOutput.create(_suffix(target)[1:])
        assert image is not None
        good = image.open(place, spec) and image.write_image(np.ascontiguousarray(pixels))
        if not (image.close() and good):
            raise OSError(f"{target} cannot be written ({one_line(image.geterror())})")
        _copy(place, target)
    if _suffix(target) == ".dpx":
        with open(target, "r+b") as file:
            file.seek(DPX_NAME)
            file.write(os.fsencode(Path(target).name)[:99].ljust(100, b"\0"))


def _copy(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Copy a file's content. An error of writing names no file; `shutil.copyfile`'s, the source."""
    with open(source, "rb") as read, open(target, "wb") as written:
        shutil.copyfileobj(read, written, 1 << 20)


@contextlib.contextmanager
def _in_memory() -> Iterator[str]:
    """The path of an empty file in memory; outside Linux, where there is none, in a folder."""
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryDirectory() as folder:
            yield f"{folder}/image"
        return
    file = os.memfd_create("image")
    try:
        yield f"/proc/self/fd/{file}"
    finally:
        os.close(file)


def _make_lossless(spec: oiio.ImageSpec, suffix: str, dtype: np.dtype, bit_depth: int) -> None:
    if bit_depth not in (8, 16, 32):
        spec.attribute("oiio:BitsPerSample", bit_depth)
    lossy = ("dwa", "b44", "jpeg", "jpg", "lossy")
    if suffix in (".jpg", ".jpeg"):
        spec.attribute("compression", "jpeg:98")
    elif spec.get_string_attribute("compression").startswith(lossy):
        spec.attribute("compression", "zip")
    if suffix == ".png":
        spec.attribute("png:compressionLevel", 4)  # 6 takes half as long again for 2 % less
    if dtype == np.float16:
        oiio.attribute("tiff:half", 1)  # else half becomes float in TIFF


def _suffix(path: str | os.PathLike[str]) -> str:
    return Path(path).suffix.lower()
