"""The video stream of a movie that is being written, and the file around it."""

from __future__ import annotations

import os
from fractions import Fraction

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import PictureType
from av.video.stream import VideoStream

from storage.encoders import Encoder

BT709 = 1  # FFmpeg's number of the matrix, the primaries and the transfer curve alike
UNSPECIFIED = 2


def written_to(target: str | os.PathLike[str], time_base: Fraction) -> OutputContainer:
    """Open a file to write a movie whose presentation times are counted in `time_base`, in s."""
    options = {}
    if os.fspath(target).lower().endswith((".mp4", ".mov", ".m4v")):
        options["video_track_timescale"] = str(time_base.denominator)
    return av.open(os.fspath(target), "w", container_options=options)


def add_stream(
    container: OutputContainer, encoder: Encoder, rate: Fraction, chroma_place: str | None
) -> VideoStream:
    """Add a stream as an encoder makes it.

    Args:
        rate: frames per second.
        chroma_place: FFmpeg's name of where chroma samples lie; None leaves it open.
    """
    options = encoder.options
    if chroma_place is not None:
        options["chroma_sample_location"] = chroma_place
    video = container.add_stream(encoder.name, rate=rate, options=options)
    assert isinstance(video, VideoStream)
    video.codec_context.pix_fmt = encoder.pixel_format
    video.codec_context.thread_type = "AUTO"
    return video


class Track:
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
        """Write a frame, its time and duration in the stream's time base."""
        frame.pict_type = PictureType.NONE  # else the source's I, P and B frames are repeated
        frame.pts, frame.time_base = pts, self.video.codec_context.time_base
        self._durations[pts] = duration
        self._first_pts = pts if self._first_pts is None else self._first_pts
        self._end_pts = pts + duration
        for packet in self.video.encode(frame):
            self._mux(packet)

    def finish(self) -> None:
        """Write what the encoder still holds."""
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
