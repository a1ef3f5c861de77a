"""A copy of a movie, its holes replaced or its pictures made anew, with all that travels with them.

The container and the default codec follow the target's suffix: `.mkv` is lossless FFV1,
`.mp4` and `.mov` are H.264 at a quality that shows no difference.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.video.stream import VideoStream

from storage.companions import Companions, Span, advanced_timecode, copy_tags
from storage.encoders import Encoder, choose_encoder
from storage.pixel_formats import PixelFormat
from storage.siting import CENTRE
from storage.sources import Patch, frame_range
from storage.track import BT709, Track, add_stream, written_to
from storage.video import RATE, Movie

Item = TypeVar("Item")


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
    with source.opened() as original, written_to(target, source.time_base) as container:
        track = Track(container, _copied_stream(container, source, encoder, size))
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


def _copied_stream(
    container: OutputContainer, source: Movie, encoder: Encoder, size: tuple[int, int] | None
) -> VideoStream:
    place = None if source.probe.chroma_place == CENTRE else source.probe.chroma_place
    if size is not None:  # planes made anew, as MovieWriter's
        place = CENTRE if source.planes().form.family == "yuv" else None
    video = add_stream(container, encoder, source.info.fps or RATE, place)
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
