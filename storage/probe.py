"""What a movie file says of itself, and what must be decided where it is silent."""

from __future__ import annotations

import contextlib
import logging
import struct
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideData
from av.stream import Disposition
from av.video.reformatter import ColorPrimaries, ColorTrc
from av.video.stream import VideoStream

from storage.pixel_formats import PixelFormat, RefusedFormat
from storage.planes import Planes
from storage.siting import chroma_place
from storage.sources import InputError, SourceInfo

log = logging.getLogger(__name__)

UNSPECIFIED = 2  # FFmpeg's number where no matrix, primaries or transfer curve is stated
FULL = 2  # FFmpeg's number of the full range
MATRICES = {0: "rgb", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m"}
MATRICES |= {9: "bt2020nc", 10: "bt2020c"}


@dataclass(frozen=True)
class Probe:
    """A movie's facts.

    Attributes:
        info: as every source has.
        coded_size: width and height before rotation.
        colour_tags: FFmpeg's numbers of range, matrix, primaries and transfer, as stated.
        matrix: the matrix used, decided by the height where none is stated.
        full_range: whether samples use the whole range of codes.
        chroma_place: where chroma samples sit, FFmpeg's name.
        pixel_aspect: width of a pixel over its height, where stated.
    """

    info: SourceInfo
    coded_size: tuple[int, int]
    colour_tags: tuple[int, int, int, int]
    matrix: int
    full_range: bool
    chroma_place: str
    pixel_aspect: Fraction | None

    def planes(self) -> Planes:
        """A fresh converter between this movie's frames and pixels."""
        form = PixelFormat.of(self.info.pixel_format)
        return Planes(form, self.matrix, self.full_range, self.info.rotation)


def probe(container: InputContainer, stream: int | None, path: str) -> Probe:
    """The facts of one video stream; decodes its first frame.

    Raises:
        InputError: no video, an undecodable first frame, or samples of a kind not handled.
    """
    video = _chosen(container, stream, path)
    frame = _first_frame(container, video, path)
    try:
        found = Probe(
            info=_info(container, video, frame, path),
            coded_size=(frame.width, frame.height),
            colour_tags=(
                frame.color_range,
                frame.colorspace,
                frame.color_primaries,
                frame.color_trc,
            ),
            matrix=_matrix(frame, path),
            full_range=frame.color_range == FULL or frame.format.name.startswith("yuvj"),
            chroma_place=chroma_place(frame),
            pixel_aspect=_fraction(video.sample_aspect_ratio),
        )
        found.planes()
    except RefusedFormat as error:
        raise InputError(
            f"{path}: {error}; convert the movie to YUV, RGB or grey of 8 to 16 bits"
        ) from None
    return found


def video_stream(container: InputContainer, index: int) -> VideoStream:
    """The video stream with this index in the file."""
    return next(stream for stream in container.streams.video if stream.index == index)


def _chosen(container: InputContainer, stream: int | None, path: str) -> VideoStream:
    covers = Disposition.attached_pic  # a picture of an album or a film, not a film
    videos = [s for s in container.streams.video if not s.disposition & covers]
    indices = [video.index for video in videos]
    if not videos:
        raise InputError(f"{path} has no video stream: it is sound only, damaged or cut short")
    if stream is not None and stream not in indices:
        raise InputError(f"{path}: stream {stream} is not video; video streams are {indices}")
    best = container.streams.best("video")
    wanted = stream if stream is not None else best.index if best is not None else indices[0]
    chosen = wanted if wanted in indices else indices[0]
    if stream is None and len(indices) > 1:
        log.info("%s has the video streams %s: %d is taken", path, indices, chosen)
    return video_stream(container, chosen)


def _first_frame(container: InputContainer, video: VideoStream, path: str) -> av.VideoFrame:
    with contextlib.suppress(StopIteration, av.error.EOFError):
        try:
            return next(container.decode(video))
        except av.error.FFmpegError as error:
            raise InputError(
                f"{path}: frame 0 cannot be decoded ({error.strerror}): repair or export it again"
            ) from None
    raise InputError(f"{path} has no frames")


def _info(
    container: InputContainer, video: VideoStream, frame: av.VideoFrame, path: str
) -> SourceInfo:
    form = PixelFormat.of(frame.format.name)
    rotation = _rotation(frame, path)
    width, height = frame.width, frame.height
    if rotation in (90, 270):
        width, height = height, width
    return SourceInfo(
        kind="movie",
        path=path,
        height=height,
        width=width,
        channels=form.channels,
        dtype=form.dtype,
        bit_depth=form.bits,
        count=video.frames or None,
        fps=_fraction(video.average_rate or video.guessed_rate),
        time_base=_fraction(video.time_base),
        rotation=rotation,
        stream=video.index,
        pixel_format=form.name,
        colour=_colour(frame),
        channel_names=tuple("YA" if form.channels < 3 else "RGBA")[: form.channels],
        timecode=_timecode(container),
        audio=bool(container.streams.audio),
    )


def _fraction(value: Any) -> Fraction | None:
    """PyAV 19 has a rational type of its own, which is neither hashed nor stored as a fraction."""
    return None if value is None else Fraction(value.numerator, value.denominator)


def _rotation(frame: av.VideoFrame, path: str) -> int:
    side_data: Any = frame.side_data
    matrix = side_data.get(SideData.DISPLAYMATRIX)
    if matrix is None:
        return 0
    a, b, _, c, d = struct.unpack_from("<5i", bytes(matrix))
    degrees = round(frame.rotation) % 360
    if a * d - b * c < 0 or degrees % 90:
        raise InputError(f"{path} asks to be shown mirrored or askew: export it upright")
    return degrees


def _matrix(frame: av.VideoFrame, path: str) -> int:
    is_yuv = PixelFormat.of(frame.format.name).family == "yuv"
    if frame.colorspace != UNSPECIFIED or not is_yuv:
        return frame.colorspace
    number, name = (1, "BT.709") if frame.height >= 720 else (6, "BT.601")
    log.info("%s states no colour matrix: %s is assumed for its height", path, name)
    return number


def _colour(frame: av.VideoFrame) -> dict[str, str]:
    return {
        "range": {1: "limited", FULL: "full"}.get(frame.color_range, "unspecified"),
        "matrix": MATRICES.get(frame.colorspace, "unspecified"),
        "primaries": _name(ColorPrimaries, frame.color_primaries),
        "transfer": _name(ColorTrc, frame.color_trc),
    }


def _name(kind: type[IntEnum], value: int) -> str:
    try:
        return kind(value).name.lower()
    except ValueError:
        return str(value)


def _timecode(container: InputContainer) -> str | None:
    for holder in (container, *container.streams):
        if code := holder.metadata.get("timecode"):
            return str(code)
    return None
