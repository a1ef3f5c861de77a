"""Frames into movie files: a copy of a movie with its holes replaced, or a new movie.

The container and the default codec follow the target's suffix: `.mkv` is lossless FFV1,
`.mp4` and `.mov` are H.264 at a quality that shows no difference.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Self, TypeVar

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.frame import PictureType
from av.video.stream import VideoStream

from storage.companions import Companions, Span, advanced_timecode, copy_tags
from storage.encoders import Encoder, choose_encoder
from storage.pixel_formats import PixelFormat
from storage.planes import Planes
from storage.siting import CENTRE
from storage.sources import InputError, Patch, SourceInfo, frame_range
from storage.video import RATE, Movie

Item = TypeVar("Item")

BT709 = 1  # FFmpeg's number of the matrix, the primaries and the transfer curve alike
UNSPECIFIED = 2


def patch_movie(
    source: Movie,
    target: str | os.PathLike[str],
    patches: Iterable[Patch | None],
    *,
    first: int | None = None,
    last: int | None = None,
    codec: str | None = None,
    crf: float | None = None,
) -> Iterator[int]:
    """Copy frames `first` to `last` of a movie with their holes replaced; yield frames written.

    Samples outside the hole's footprint keep the source's values up to the codec; a lossless one
    returns them bit for bit. Presentation times, sound, subtitles, colour tags, rotation, pixel
    aspect and time code are the source's; a part of the movie starts at time 0.

    Args:
        source: the movie; it is decoded again.
        target: file to write; its suffix decides the container.
        patches: one `Patch`, or None for an untouched frame, per frame of the range.
        first, last: numbers of the first and last frame; all frames where not given.
        codec: `ffv1`, `h264`, `h265` or `prores`; by the suffix where not given.
        crf: quality of H.264 and H.265, lower is better.

    Raises:
        InputError: the source is damaged, or the target cannot hold what it carries.
        ValueError: the number of patches is not the number of frames.
    """
    planes = source.planes()
    encoder = choose_encoder(target, planes.form, *source.probe.coded_size, codec, crf)

    def drawn(frame: av.VideoFrame, patch: Patch | None) -> av.VideoFrame:
        fresh = planes.planar(frame) if patch is None else planes.patched(frame, patch)
        return planes.recoded(fresh, encoder.pixel_format)

    yield from _copied(source, target, encoder, patches, drawn, None, first, last)


def remake_movie(
    source: Movie,
    target: str | os.PathLike[str],
    pictures: Iterable[np.ndarray],
    size: tuple[int, int],
    *,
    first: int | None = None,
    last: int | None = None,
    codec: str | None = None,
    crf: float | None = None,
) -> Iterator[int]:
    """Write other pictures in the place of a movie's frames; yield frames written.

    All but the samples is as `patch_movie` leaves it, save that a turned movie comes out upright.

    Args:
        pictures: `(H, W, C)` of the movie's dtype, as displayed, one a frame of the range.
        size: their height and width.
        first, last, codec, crf: see `patch_movie`.
    """
    planes = source.planes()
    encoder = choose_encoder(target, planes.form, size[1], size[0], codec, crf)

    def drawn(_: av.VideoFrame, picture: np.ndarray) -> av.VideoFrame:
        return planes.recoded(planes.frame(picture), encoder.pixel_format)

    yield from _copied(source, target, encoder, pictures, drawn, size, first, last)


def _copied(
    source: Movie,
    target: str | os.PathLike[str],
    encoder: Encoder,
    items: Iterable[Item],
    drawn: Callable[[av.VideoFrame, Item], av.VideoFrame],
    size: tuple[int, int] | None,
    first: int | None,
    last: int | None,
) -> Iterator[int]:
    """Write what is drawn of each frame and its item, with all that travels with the frames.

    Args:
        size: height and width of what is drawn; None where it is the coded frame's.
    """
    count = source.count()
    first, last = frame_range(source.path, 0, count, first, last)
    whole = (first, last) == (0, count - 1)
    span = None if whole else Span(*source.times(first, last))
    with source.opened() as original, _written(target, source.time_base) as container:
        track = _Track(container, _copied_stream(container, source, encoder, size))
        companions = Companions(original, container, span)
        _copy_headings(original, container, track.video, source, first)
        frames = source.decoded() if whole else source.decoded(first, last)
        for written, ((_, frame), item) in enumerate(zip(frames, items, strict=True), 1):
            pts, duration, unit = frame.pts or 0, frame.duration, source.time_base
            start = round(span.start_s / unit) if span else 0
            track.encode(drawn(frame, item), pts - start, duration)
            companions.mux_until(pts * unit)
            yield written
        track.finish()
        companions.mux_until(None)


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
        if info.dtype not in ("uint8", "uint16"):
            raise InputError(f"{info.path} has {info.dtype} frames, a movie cannot: deliver as EXR")
        size = (info.width, info.height)
        lossless = choose_encoder(target, _exact_format(info), *size, codec, crf)
        if lossless.codec != "ffv1":
            lossless = choose_encoder(target, _viewing_format(info), *size, codec, crf)
        self._encoder, self._info = lossless, info
        self._form = PixelFormat.of(lossless.pixel_format)
        self._planes = Planes(self._form, BT709, self._form.family != "yuv", 0)
        self._container = _written(target, 1 / rate)
        self._track = _Track(self._container, self._stream(rate))
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
        video = _add_stream(
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


class _Track:
    """The video stream being written.

    Encoders guess durations, so each frame's own is kept. The last packet is not the last picture
    shown where frames are reordered; its duration makes the whole as long as the pictures are.
    """

    def __init__(self, container: OutputContainer, video: VideoStream) -> None:
        self.video = video
        self._container = container
        self._durations: dict[int, int] = {}
        self._first_pts: int | None = None
        self._first_dts: int | None = None
        self._end_pts = 0

    def encode(self, frame: av.VideoFrame, pts: int, duration: int) -> None:
        frame.pict_type = PictureType.NONE  # else the source's I, P and B frames are repeated
        frame.pts, frame.time_base = pts, self.video.codec_context.time_base
        self._durations[pts] = duration
        self._first_pts = pts if self._first_pts is None else self._first_pts
        self._end_pts = pts + duration
        for packet in self.video.encode(frame):
            self._mux(packet)

    def finish(self) -> None:
        packets = self.video.encode(None)
        for place, packet in enumerate(packets, 1):
            self._mux(packet, is_last=place == len(packets))

    def _mux(self, packet: Packet, is_last: bool = False) -> None:
        if self._first_dts is None:
            self._first_dts = packet.dts
        duration = self._durations.pop(packet.pts or 0, 0)
        if is_last and None not in (packet.dts, self._first_pts, self._first_dts):
            length = self._end_pts - (self._first_pts or 0)
            duration = length - ((packet.dts or 0) - (self._first_dts or 0))
        if duration > 0:
            packet.duration = duration
        self._container.mux(packet)


def _exact_format(info: SourceInfo) -> PixelFormat:
    depth = "" if info.bit_depth == 8 else f"{max(9, info.bit_depth)}le"
    names = {1: f"gray{depth}", 2: f"gbrap{depth}", 3: f"gbrp{depth}", 4: f"gbrap{depth}"}
    return PixelFormat.of(names[info.channels])


def _viewing_format(info: SourceInfo) -> PixelFormat:
    """4:2:0 as every player shows it, 10 bits where the frames have more than 8."""
    alpha = "a" if info.channels in (2, 4) else ""
    return PixelFormat.of(f"yuv{alpha}420p" + ("" if info.bit_depth == 8 else "10le"))


def _written(target: str | os.PathLike[str], time_base: Fraction) -> OutputContainer:
    options = {}
    if os.fspath(target).lower().endswith((".mp4", ".mov", ".m4v")):
        options["video_track_timescale"] = str(time_base.denominator)
    return av.open(os.fspath(target), "w", container_options=options)


def _add_stream(
    container: OutputContainer, encoder: Encoder, rate: Fraction, chroma_place: str | None
) -> VideoStream:
    options = encoder.options
    if chroma_place is not None:
        options["chroma_sample_location"] = chroma_place
    video = container.add_stream(encoder.name, rate=rate, options=options)
    assert isinstance(video, VideoStream)
    video.codec_context.pix_fmt = encoder.pixel_format
    video.codec_context.thread_type = "AUTO"
    return video


def _copied_stream(
    container: OutputContainer, source: Movie, encoder: Encoder, size: tuple[int, int] | None
) -> VideoStream:
    place = None if source.probe.chroma_place == CENTRE else source.probe.chroma_place
    if size is not None:  # planes made anew, as MovieWriter's
        place = CENTRE if source.planes().form.family == "yuv" else None
    video = _add_stream(container, encoder, source.info.fps or RATE, place)
    context = video.codec_context
    context.width, context.height = source.probe.coded_size if size is None else size[::-1]
    context.time_base = video.time_base = source.time_base
    context.color_range, context.colorspace, context.color_primaries, context.color_trc = (
        source.probe.colour_tags
    )
    stored = PixelFormat.of(encoder.pixel_format)
    if stored.family == "yuv" and context.colorspace == 0:
        context.colorspace = BT709  # RGB went through this matrix to be stored as YUV
    if source.probe.pixel_aspect:
        context.sample_aspect_ratio = source.probe.pixel_aspect
    if source.info.rotation and size is None:
        video.set_display_rotation(source.info.rotation)
    return video


def _copy_headings(
    original: InputContainer,
    container: OutputContainer,
    video: VideoStream,
    source: Movie,
    first: int,
) -> None:
    copy_tags(original, container)
    if source.info.timecode:
        fps = source.info.fps or RATE
        video.metadata["timecode"] = advanced_timecode(source.info.timecode, first, fps)
    if first == 0:
        container.set_chapters(original.chapters())
