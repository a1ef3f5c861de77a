"""What travels with the pictures of a movie: sound, subtitles, chapters, tags, time code."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from storage.sources import InputError

log = logging.getLogger(__name__)

OWN_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder", "ENCODER", "timecode"}


@dataclass(frozen=True)
class Span:
    """A stretch of time in seconds, end excluded; None is the movie's own end."""

    start_s: Fraction
    end_s: Fraction | None

    def holds(self, time_s: Fraction) -> bool:
        return self.start_s <= time_s and (self.end_s is None or time_s < self.end_s)


class Companions:
    """The sound and subtitle packets of a movie, copied unchanged into another.

    Args:
        original: the movie read; its packets are consumed.
        container: the movie written, before its first packet.
        span: the part delivered, which then begins at 0; None for the whole movie as it is.

    Raises:
        InputError: the container written cannot hold the sound.
    """

    def __init__(
        self, original: InputContainer, container: OutputContainer, span: Span | None
    ) -> None:
        self._container = container
        self._span = span
        # Matroska has no time before 0: to keep the sound's run-in all pictures would come late.
        self._matroska = "matroska" in container.format.name
        self._copies: dict[int, Stream] = {}
        for stream in (*original.streams.audio, *original.streams.subtitles):
            if _holds(container, stream, original.name):
                copy = container.add_stream_from_template(stream)
                copy.metadata.update(stream.metadata)
                copy.disposition = stream.disposition
                self._copies[stream.index] = copy
        streams = [original.streams[index] for index in self._copies]
        self._packets = self._within(original.demux(*streams)) if streams else iter(())
        self._waiting: Packet | None = None

    def mux_until(self, time_s: Fraction | None) -> None:
        """Write the packets up to this time of the original; None for all that are left."""
        while (packet := self._waiting or next(self._packets, None)) is not None:
            self._waiting = packet
            if time_s is not None and (packet.dts or 0) * packet.time_base > time_s:
                return
            self._write(packet)
            self._waiting = None

    def _within(self, packets: Iterator[Packet]) -> Iterator[Packet]:
        for packet in packets:
            if packet.dts is None or packet.pts is None:
                continue
            time_s = packet.pts * packet.time_base
            span = self._span
            if span.holds(time_s) if span else time_s >= 0 or not self._matroska:
                yield packet

    def _write(self, packet: Packet) -> None:
        if self._span is not None:
            offset = round(self._span.start_s / packet.time_base)
            packet.pts, packet.dts = (packet.pts or 0) - offset, (packet.dts or 0) - offset
        packet.stream = self._copies[packet.stream_index]
        self._container.mux(packet)


def check_sound(source: str, target: str | os.PathLike[str]) -> None:
    """Refuse a movie file that cannot hold the sound of another; nothing is written.

    Raises:
        InputError: a codec does not go into the target's container.
    """
    scratch = io.BytesIO()
    scratch.name = os.fspath(target)  # by which the container is chosen
    with av.open(source) as original, av.open(scratch, "w") as container:
        for stream in original.streams.audio:
            _holds(container, stream, source)


def copy_tags(original: InputContainer, container: OutputContainer) -> None:
    """Copy title, author and the like; what describes the file itself is left out."""
    for key, value in original.metadata.items():
        if key not in OWN_TAGS:
            container.metadata[key] = value


def advanced_timecode(code: str, frames: int, fps: Fraction) -> str:
    """The time code this many frames later; `;` or `.` before the frames marks drop-frame."""
    rate = round(fps)
    drop = rate // 15 if code[-3] in ";." and rate in (30, 60) else 0
    hours, minutes, seconds, frame = (int(code[i : i + 2]) for i in (0, 3, 6, 9))
    all_minutes = hours * 60 + minutes
    count = (all_minutes * 60 + seconds) * rate + frame + frames
    count -= drop * (all_minutes - all_minutes // 10)
    if drop:
        tens, rest = divmod(count, rate * 600 - 9 * drop)
        count += drop * (9 * tens + max(0, rest - drop) // (rate * 60 - drop))
    whole, frame = divmod(count, rate)
    hours, minutes, seconds = whole // 3600 % 24, whole // 60 % 60, whole % 60
    return f"{hours:02}:{minutes:02}:{seconds:02}{code[-3]}{frame:02}"


def _holds(container: OutputContainer, stream: Stream, path: str) -> bool:
    codec = stream.codec_context.name if stream.codec_context else "unknown"
    if codec in container.supported_codecs:
        return True
    if stream.type == "audio":
        raise InputError(
            f"{container.name} cannot hold the {codec} sound of {path}: deliver as .mov or .mkv"
        )
    log.warning("%s: subtitles in %s are left out, the target cannot hold them", path, codec)
    return False
