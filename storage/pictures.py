"""One image file read: what it says of its picture, and the picture.

A picture is what a viewer shows: in an EXR file the display window, black where the file's data
window does not reach. Samples are never scaled, clamped or multiplied by alpha.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import OpenImageIO as oiio

from storage.rates import frame_rate
from storage.sources import InputError

SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".exr", ".dpx", ".cin"}
LOSSY = {"jpg", "jpeg"}
DTYPES = {"uint8": "uint8", "uint16": "uint16", "half": "float16", "float": "float32"}
OIIO_TYPES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class Still:
    """What an image file says of its picture.

    Attributes:
        height, width: of the displayed picture.
        channels: indices of the file's channels that are the picture, in order.
        names: what the file calls them.
        dtype, bit_depth: of a sample.
        colour: colour space as the file or its format states it.
        fps, timecode: where the file states them.
    """

    height: int
    width: int
    channels: tuple[int, ...]
    names: tuple[str, ...]
    dtype: str
    bit_depth: int
    colour: str
    fps: Fraction | None
    timecode: str | None

    @property
    def kind(self) -> tuple[int, int, int, str, int]:
        """What must be the same in every frame of a sequence."""
        return (self.width, self.height, len(self.channels), self.dtype, self.bit_depth)


def read_image(path: str | os.PathLike[str]) -> tuple[Still, np.ndarray]:
    """The file's description and its picture `(H, W, C)`.

    Raises:
        InputError: missing, damaged or cut short, or of a kind this package does not take.
    """
    with opened_image(path) as image:
        spec = image.spec()
        still = described(spec, path)
        first, last = min(still.channels), max(still.channels)
        stored = read_channels(image, path, first, last + 1, still.dtype)
    picked = stored[..., [index - first for index in still.channels]]
    inside, reached = windows(spec)
    if picked[reached].shape[:2] == (still.height, still.width):
        return still, np.ascontiguousarray(picked[reached])
    shown = np.zeros((still.height, still.width, picked.shape[-1]), picked.dtype)
    shown[inside] = picked[reached]
    return still, shown


def describe_image(path: str | os.PathLike[str]) -> Still:
    """The file's description; its samples are not read."""
    with opened_image(path) as image:
        return described(image.spec(), path)


@contextlib.contextmanager
def opened_image(path: str | os.PathLike[str]) -> Iterator[oiio.ImageInput]:
    raw = oiio.ImageSpec()
    raw.attribute("oiio:UnassociatedAlpha", 1)  # else colours are multiplied by alpha
    raw.attribute("oiio:RawColor", 1)
    image = oiio.ImageInput.open(os.fspath(path), raw)
    if image is None:
        reason = one_line(oiio.geterror())
        if not os.path.exists(path):
            raise InputError(f"{os.fspath(path)}: no such file")
        raise InputError(f"{os.fspath(path)} cannot be read as an image ({reason}): replace it")
    try:
        yield image
    finally:
        image.close()


def read_channels(
    image: oiio.ImageInput, path: str | os.PathLike[str], first: int, end: int, dtype: str
) -> np.ndarray:
    stored = image.read_image(0, 0, first, end, OIIO_TYPES[dtype])
    reason = image.geterror()
    if stored is None or reason:
        raise InputError(
            f"{os.fspath(path)} is damaged or cut short ({one_line(reason)}): "
            "copy or export it again"
        )
    return stored.reshape(*stored.shape[:2], end - first)


def described(spec: oiio.ImageSpec, path: str | os.PathLike[str]) -> Still:
    name = os.fspath(path)
    if spec.deep or spec.depth > 1 or spec.get_int_attribute("oiio:subimages", 1) > 1:
        raise InputError(f"{name} is deep or has several parts: write one flat part")
    if spec.get_int_attribute("Orientation", 1) != 1:
        raise InputError(f"{name} is stored turned or mirrored: save it upright")
    channels, names = _picture_channels(spec, name)
    forms = spec.channelformats or (spec.format,) * spec.nchannels
    kinds = {str(forms[index]) for index in channels}
    if len(kinds) > 1 or not kinds <= set(DTYPES):
        raise InputError(
            f"{name} has {'/'.join(sorted(kinds))} samples: "
            "convert it to 8 or 16 bits, half or float"
        )
    dtype = DTYPES[kinds.pop()]
    return Still(
        height=spec.full_height,
        width=spec.full_width,
        channels=channels,
        names=names,
        dtype=dtype,
        bit_depth=_bit_depth(spec, dtype),
        colour=spec.get_string_attribute("oiio:ColorSpace"),
        fps=_fps(spec),
        timecode=_timecode(spec),
    )


def _picture_channels(spec: oiio.ImageSpec, path: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    names = list(spec.channelnames)
    for wanted in ("RGBA", "RGB", "YA"):
        if set(wanted) <= set(names):
            return tuple(names.index(name) for name in wanted), tuple(wanted)
    if len(names) == 1 or ("Y" in names and not {"C", "RY"} & set(names)):
        index = names.index("Y") if "Y" in names else 0
        return (index,), (names[index],)
    raise InputError(
        f"{path} has the channels {', '.join(names)}: no R, G, B among them, rename or shuffle them"
    )


def _bit_depth(spec: oiio.ImageSpec, dtype: str) -> int:
    size = np.dtype(dtype).itemsize * 8
    stated = spec.get_int_attribute("oiio:BitsPerSample", size)
    return stated if 8 < stated < size else size


def windows(spec: oiio.ImageSpec) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where the data lie inside the displayed picture, and which of the data are displayed."""
    inside, reached = [], []
    for shown, size, start, length in (
        (spec.full_y, spec.full_height, spec.y, spec.height),
        (spec.full_x, spec.full_width, spec.x, spec.width),
    ):
        begin, end = max(shown, start), max(min(shown + size, start + length), max(shown, start))
        inside.append(slice(begin - shown, end - shown))
        reached.append(slice(begin - start, end - start))
    return (inside[0], inside[1]), (reached[0], reached[1])


def _fps(spec: oiio.ImageSpec) -> Fraction | None:
    stated = spec.getattribute("FramesPerSecond")
    if isinstance(stated, tuple) and len(stated) == 2 and stated[1] > 0:
        return Fraction(int(stated[0]), int(stated[1]))
    for name in ("dpx:TemporalFrameRate", "dpx:FrameRate"):
        rate = spec.get_float_attribute(name, 0.0)
        if 1 <= rate <= 1000:  # fields left blank hold zero, or noise
            return frame_rate(f"{rate:.6g}")
    return None


def _timecode(spec: oiio.ImageSpec) -> str | None:
    """SMPTE 12M time code from its packed decimal digits; all zero counts as not stated."""
    stated = spec.getattribute("smpte:TimeCode")
    if not isinstance(stated, tuple) or not stated or stated[0] in (0, 0xFFFFFFFF):
        return None
    bits = int(stated[0]) & 0xFFFFFFFF
    fields = [(bits >> shift & mask) for shift, mask in ((24, 63), (16, 127), (8, 127), (0, 63))]
    hours, minutes, seconds, frames = ((field >> 4) * 10 + (field & 15) for field in fields)
    mark = ";" if bits & 64 else ":"
    return f"{hours:02}:{minutes:02}:{seconds:02}{mark}{frames:02}"


def one_line(text: str) -> str:
    return " ".join(text.split())[:200] or "no reason given"
