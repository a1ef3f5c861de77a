"""A movie's packets, walked through once without decoding: when its frames are shown."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction

from av.container import InputContainer

from storage.probe import video_stream
from storage.sources import InputError


@dataclass(frozen=True)
class Index:
    """When each frame is shown, and where decoding may begin.

    Attributes:
        pts: presentation times in display order; empty where the container lacks them.
        keys: presentation times of the key frames, in order.
    """

    pts: tuple[int, ...]
    keys: tuple[int, ...]

    def entry_before(self, number: int) -> int | None:
        """A key frame safely before the frame; None for the movie's beginning.

        It is the last but one: frames after an open group's key frame may need the group before.
        """
        if not self.pts:
            return None
        before = bisect_right(self.keys, self.pts[number])
        return self.keys[before - 2] if before > 2 else None


def index(container: InputContainer, stream: int, path: str) -> Index:
    """Walk through the packets of one video stream; `InputError` if the file is cut short."""
    video = video_stream(container, stream)
    times, keys, count, end = set(), [], 0, 0
    for packet in container.demux(video):
        if packet.size == 0 or packet.is_discard:
            continue
        if packet.is_corrupt:
            raise InputError(f"{path} is cut short at frame {count}: copy or export it again")
        count += 1
        if packet.pts is None:
            continue
        times.add(packet.pts)
        end = max(end, packet.pts + (packet.duration or 0))
        if packet.is_keyframe:
            keys.append(packet.pts)
    if "matroska" in container.format.name and video.time_base is not None:
        _refuse_early_end(path, count, end * video.time_base, video.metadata.get("DURATION"))
    if len(times) != count:
        return Index((), ())
    return Index(tuple(sorted(times)), tuple(sorted(keys)))


def _refuse_early_end(path: str, count: int, end_s: Fraction, duration: str | None) -> None:
    """Matroska tells its length first, so that a file cut short looks whole but for this."""
    stated = re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", duration or "")
    if stated is None or count == 0:
        return
    wanted_s = int(stated[1]) * 3600 + int(stated[2]) * 60 + Fraction(stated[3])
    if end_s + 2 * end_s / count < wanted_s:  # the last frame's duration may be rounded
        raise InputError(
            f"{path} is cut short after frame {count - 1}, {float(end_s):.2f} "
            f"of {float(wanted_s):.2f} seconds: copy or export it again"
        )
