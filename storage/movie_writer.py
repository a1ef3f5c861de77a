"""A new movie, of frames that come one by one."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Self

import numpy as np
from av.video.stream import VideoStream

from storage.encoders import choose_encoder
from storage.pixel_formats import PixelFormat
from storage.planes import Planes
from storage.siting import CENTRE
from storage.sources import InputError, SourceInfo
from storage.track import BT709, UNSPECIFIED, Track, add_stream, written_to


class MovieWriter:
    """A new movie of frames like `info`'s: its size, channels, dtype, bit depth and time code.

    FFV1 stores RGB, alpha and grey as they are: they are read back bit for bit. The other codecs
    store BT.709 YUV. Use it in a `with` statement; leaving it finishes the file.

    Args:
        target: file to write; its suffix decides the container.
        info: of the frames.
        fps: frames per second; `info.fps` where not given.
        codec, crf: see `patch_movie`.

    Raises:
        InputError: no rate is known, the frames are floats, or the suffix or codec is unknown.
    """

    def __init__(
        self,
        target: str | os.PathLike[str],
        info: SourceInfo,
        *,
        fps: Fraction | None = None,
        codec: str | None = None,
        crf: float | None = None,
    ) -> None:
        rate = fps or info.fps
        if rate is None:
            raise InputError(f"{info.path} states no frame rate: give one (fps) to make a movie")
        check_samples(info)
        size = (info.width, info.height)
        lossless = choose_encoder(target, _exact_format(info), *size, codec, crf)
        if lossless.codec != "ffv1":
            lossless = choose_encoder(target, _viewing_format(info), *size, codec, crf)
        self._encoder, self._info = lossless, info
        self._form = PixelFormat.of(lossless.pixel_format)
        self._planes = Planes(self._form, BT709, self._form.family != "yuv", 0)
        self._container = written_to(target, 1 / rate)
        self._track = Track(self._container, self._stream(rate))
        self._count = 0

    def write(self, pixels: np.ndarray) -> None:
        """Append one `(H, W, C)` frame."""
        shape = (self._info.height, self._info.width, self._info.channels)
        if pixels.shape != shape or pixels.dtype != self._info.dtype:
            raise ValueError(
                f"frame {self._count} is {pixels.shape} {pixels.dtype}, "
                f"not {shape} {self._info.dtype}"
            )
        frame = self._planes.recoded(self._planes.frame(pixels), self._encoder.pixel_format)
        self._track.encode(frame, self._count, 1)
        self._count += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None and self._count:
            self._track.finish()
        self._container.close()

    def _stream(self, rate: Fraction) -> VideoStream:
        video = add_stream(
            self._container, self._encoder, rate, CENTRE if self._form.family == "yuv" else None
        )
        context = video.codec_context
        context.width, context.height = self._info.width, self._info.height
        context.time_base = 1 / rate
        yuv = self._form.family == "yuv"
        context.colorspace = BT709 if yuv else 0 if self._form.family == "rgb" else UNSPECIFIED
        context.color_range = 1 if yuv else 2
        context.color_primaries = context.color_trc = BT709
        if self._info.timecode:
            video.metadata["timecode"] = self._info.timecode
        return video


def check_samples(info: SourceInfo) -> None:
    """Refuse frames that no movie holds: floats."""
    if info.dtype not in ("uint8", "uint16"):
        raise InputError(f"{info.path} has {info.dtype} frames, a movie cannot: deliver as EXR")


def _exact_format(info: SourceInfo) -> PixelFormat:
    depth = "" if info.bit_depth == 8 else f"{max(9, info.bit_depth)}le"
    names = {1: f"gray{depth}", 2: f"gbrap{depth}", 3: f"gbrp{depth}", 4: f"gbrap{depth}"}
    return PixelFormat.of(names[info.channels])


def _viewing_format(info: SourceInfo) -> PixelFormat:
    """4:2:0 as every player shows it, 10 bits where the frames have more than 8."""
    alpha = "a" if info.channels in (2, 4) else ""
    return PixelFormat.of(f"yuv{alpha}420p" + ("" if info.bit_depth == 8 else "10le"))
