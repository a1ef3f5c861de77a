"""Movie files as frames, streaming.

A movie's frames are numbered from 0 in the order a viewer sees them. `Movie` opens the file and
decodes; `probe` says what the file is, `packets` when its frames are shown, `planes` turns what is
decoded into pixels.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from storage import ffv1
from storage.packets import Index, index
from storage.planes import Planes
from storage.probe import probe, video_stream
from storage.sources import Frame, InputError, frame_range

RATE = Fraction(25)  # of a movie that states neither times nor a rate


class Movie:
    """One video stream of a movie file.

    Args:
        path: the file.
        stream: index of the video stream; where not given, the one a player would choose.

    Raises:
        InputError: no such file, no video in it, or its first frame cannot be decoded.
    """

    def __init__(self, path: str | os.PathLike[str], *, stream: int | None = None) -> None:
        self.path = os.path.abspath(path)
        with self.opened() as container:
            self.probe = probe(container, stream, self.path)
        self.info = self.probe.info

    def frames(self, first: int | None = None, last: int | None = None) -> Iterator[Frame]:
        """Yield the frames `first` to `last` as displayed; see `Source`."""
        planes = self.planes()
        for number, frame in self.decoded(first, last):
            yield Frame(number, frame.pts, planes.pixels(frame))

    def count(self) -> int:
        """Number of frames; walks through the packets once without decoding."""
        return len(self._index.pts) or sum(1 for _ in self._decoded_from_start())

    def fingerprint(self) -> str:
        """Digest of name, size, modification time and stream."""
        state = os.stat(self.path)
        text = f"{os.path.basename(self.path)}\0{state.st_size}\0{state.st_mtime_ns}"
        return hashlib.sha256(f"{text}\0{self.info.stream}".encode()).hexdigest()

    def sha256(self) -> str:
        """Digest of the file."""
        with Path(self.path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def decoded(
        self, first: int | None = None, last: int | None = None
    ) -> Iterator[tuple[int, av.VideoFrame]]:
        """Yield (number, frame as decoded) for the range, in display order.

        Raises:
            InputError: a frame is damaged, missing, or of another size than the first.
        """
        if first is None and last is None:
            yield from self._decoded_from_start()
            return
        wanted, last = frame_range(self.path, 0, self.count(), first, last)
        for number, frame in self._decoded_near(wanted):
            if number < wanted:
                continue
            if number > wanted:
                break
            yield number, frame
            wanted += 1
            if wanted > last:
                return
        raise self._damaged(wanted, "it is missing")

    @property
    def time_base(self) -> Fraction:
        """Unit of the frames' presentation times in seconds."""
        return self.info.time_base or 1 / RATE

    def times(self, first: int, last: int) -> tuple[Fraction, Fraction | None]:
        """When frame `first` is shown and when the frame after `last` is, in seconds.

        The second is None where no frame follows.
        """
        pts, unit = self._index.pts, self.time_base
        if not pts:
            return self._counted_pts(first) * unit, self._counted_pts(last + 1) * unit
        return pts[first] * unit, pts[last + 1] * unit if last + 1 < len(pts) else None

    def planes(self) -> Planes:
        """A fresh converter between this movie's frames and pixels."""
        return self.probe.planes()

    @contextlib.contextmanager
    def opened(self) -> Iterator[InputContainer]:
        """The file, opened for reading; `InputError` where it cannot be."""
        try:
            container = av.open(self.path)
        except FileNotFoundError:
            raise InputError(f"{self.path}: no such file") from None
        except PermissionError:
            raise InputError(f"{self.path}: no permission to read it") from None
        except av.error.FFmpegError as error:
            raise InputError(
                f"{self.path} cannot be read as a movie ({error.strerror}): "
                "it is damaged, cut short or of an unknown format"
            ) from None
        with container:
            yield container

    @cached_property
    def _index(self) -> Index:
        with self.opened() as container:
            return index(container, self.info.stream, self.path)

    def _decoded_near(self, first: int) -> Iterator[tuple[int, av.VideoFrame]]:
        start = self._index.entry_before(first)
        if start is None:
            yield from self._decoded_from_start()
            return
        numbers: dict[int | None, int] = {pts: number for number, pts in enumerate(self._index.pts)}
        for frame in self._decode(start):
            if frame.pts in numbers:
                yield numbers[frame.pts], frame

    def _decoded_from_start(self) -> Iterator[tuple[int, av.VideoFrame]]:
        expected, number, before, interlaced = len(self._index.pts), -1, None, False
        for number, frame in enumerate(self._decode()):
            interlaced = interlaced or frame.interlaced_frame
            if frame.pts is None or not expected:
                frame.pts = self._counted_pts(number)
            if before is not None and frame.pts <= before:
                raise InputError(f"{self.path}: frame {number} is shown before frame {number - 1}")
            before = frame.pts
            yield number, frame
        missing = expected - number - 1
        if missing > 0 and not interlaced:  # the two fields of a picture may be two packets
            raise InputError(
                f"{self.path}: {missing} of {expected} frames cannot be decoded: "
                "repair or export it again"
            )

    def _decode(self, seek_pts: int | None = None) -> Iterator[av.VideoFrame]:
        seen, damaged = 0, set[int | None]()
        with self.opened() as container:
            video = _strict(video_stream(container, self.info.stream))
            if seek_pts is not None:
                container.seek(seek_pts, stream=video)
            packets = container.demux(video)
            while True:
                try:
                    packet = next(packets)
                    frames = packet.decode()
                except (StopIteration, av.error.EOFError):
                    return
                except av.error.FFmpegError as error:
                    raise self._damaged(self._undecodable(seen), error.strerror) from None
                if not _whole(packet) and not _before(packet.pts, seek_pts):
                    damaged.add(packet.pts)
                for frame in frames:
                    self._check(frame, seen, frame.pts in damaged)
                    yield frame
                    seen += 1

    def _check(self, frame: av.VideoFrame, seen: int, damaged: bool) -> None:
        now = (frame.width, frame.height, frame.format.name)
        first = (*self.probe.coded_size, self.info.pixel_format)
        if damaged or frame.is_corrupt:
            raise self._damaged(self._number(frame.pts, seen), "its data are damaged")
        if now != first:
            raise InputError(
                f"{self.path}: frame {self._number(frame.pts, seen)} is {now[0]}×{now[1]} {now[2]},"
                f" the first is {first[0]}×{first[1]} {first[2]}: export it in one size"
            )

    def _damaged(self, number: int, reason: str | None) -> InputError:
        return InputError(
            f"{self.path}: frame {number} cannot be decoded ({reason}): repair or export it again"
        )

    def _undecodable(self, seen: int) -> int:
        """Number of the frame that breaks decoding; exact, as one thread decodes again."""
        with self.opened() as container:
            video = _strict(video_stream(container, self.info.stream), threads=False)
            for packet in container.demux(video):
                try:
                    packet.decode()
                except av.error.FFmpegError:
                    return self._number(packet.pts, seen)
        return seen

    def _number(self, pts: int | None, seen: int) -> int:
        return self._index.pts.index(pts) if pts in self._index.pts else seen

    def _counted_pts(self, number: int) -> int:
        return round(number / (self.info.fps or RATE) / self.time_base)


def _strict(video: VideoStream, threads: bool = True) -> VideoStream:
    """Have damage told of rather than concealed.

    Several threads hand out reordered frames of H.264 before their damage is known, so one decodes
    them. Codecs that reorder are not asked to stop at every fault: after a seek the first frames
    may refer to some before it, and would count as damaged.
    """
    codec = video.codec_context
    racing = codec.name == "h264" and codec.has_b_frames
    video.thread_type = "AUTO" if threads and not racing else "NONE"
    if not codec.has_b_frames:
        codec.options = {"err_detect": "explode"}
    return video


def _before(pts: int | None, entry: int | None) -> bool:
    """Whether a seek, which may land far before its entry, only passes a packet."""
    return pts is not None and entry is not None and pts < entry


def _whole(packet: av.Packet) -> bool:
    """Whether a packet is as it was written, as far as its codec tells without decoding.

    FFV1's versions 0 and 1 have no checksums and no extradata; version 2 was never released.
    """
    codec = packet.stream.codec_context
    if codec.name != "ffv1" or not codec.extradata:
        return True
    return ffv1.whole(bytes(packet))
