"""Which encoder writes a movie, and in which pixel format it keeps the most of a source."""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import av
from av.video.format import VideoFormat

from storage.pixel_formats import PixelFormat, RefusedFormat
from storage.sources import InputError

log = logging.getLogger(__name__)

DEFAULT_CODECS = {".mkv": "ffv1", ".mp4": "h264", ".m4v": "h264", ".mov": "h264"}
ENCODERS = {"ffv1": "ffv1", "h264": "libx264", "h265": "libx265", "prores": "prores_ks"}
DEFAULT_CRF = 12.0  # of H.264 and H.265: no visible difference, a tenth of the lossless size


@dataclass(frozen=True)
class Encoder:
    """An encoder and its settings.

    Attributes:
        codec: `ffv1`, `h264`, `h265` or `prores`.
        pixel_format: FFmpeg's name of the format it is fed with.
        crf: quality of H.264 and H.265, lower is better.
    """

    codec: str
    pixel_format: str
    crf: float

    @property
    def name(self) -> str:
        """FFmpeg's name of the encoder."""
        return ENCODERS[self.codec]

    @property
    def options(self) -> dict[str, str]:
        """FFmpeg's options of the encoder."""
        if self.codec == "ffv1":
            return {"level": "3", "g": "1", "slicecrc": "1"}
        if self.codec == "prores":
            return {"profile": "hq" if "422" in self.pixel_format else "4444", "vendor": "apl0"}
        quiet = {"x265-params": "log-level=error"} if self.codec == "h265" else {}
        return {"crf": f"{self.crf:g}", "preset": "medium", **quiet}


def choose_encoder(
    target: str | os.PathLike[str],
    wanted: PixelFormat,
    width: int,
    height: int,
    codec: str | None = None,
    crf: float | None = None,
) -> Encoder:
    """The encoder for a target file that keeps the most of the wanted pixel format.

    Raises:
        InputError: the suffix or the codec is not known, or they do not go together.
    """
    codec = codec_for(target, codec)
    best = min(_formats(codec, width, height), key=lambda form: _loss(wanted, form))
    if best.bits < wanted.bits or best.alpha < wanted.alpha:
        log.warning(
            "%s stores %s as %s, which loses precision or alpha: ffv1 in .mkv keeps them",
            codec,
            wanted.name,
            best.name,
        )
    return Encoder(codec, best.name, DEFAULT_CRF if crf is None else crf)


def codec_for(target: str | os.PathLike[str], codec: str | None = None) -> str:
    """The codec asked for, else the one that the target's suffix stands for.

    Raises:
        InputError: the suffix or the codec is not known, or they do not go together.
    """
    suffix = Path(target).suffix.lower()
    if suffix not in DEFAULT_CODECS:
        known = ", ".join(DEFAULT_CODECS)
        raise InputError(f"{os.fspath(target)}: movies are written as {known}: choose one of them")
    codec = codec or DEFAULT_CODECS[suffix]
    if codec not in ENCODERS:
        raise InputError(f"codec {codec} is not known: choose one of {', '.join(ENCODERS)}")
    holds = {".mkv": set(ENCODERS), ".mov": {"h264", "h265", "prores"}}
    if codec not in holds.get(suffix, {"h264", "h265"}):
        raise InputError(f"{os.fspath(target)}: {suffix} cannot hold {codec}, .mkv can: use it")
    return codec


def _formats(codec: str, width: int, height: int) -> list[PixelFormat]:
    """Formats the encoder takes at this size; only FFV1 subsamples odd sizes."""
    found = []
    for form in av.codec.Codec(ENCODERS[codec], "w").video_formats or ():
        whole = width % (8 // form.chroma_width(8)) == 0 == height % (8 // form.chroma_height(8))
        if not whole and codec != "ffv1":
            continue
        with contextlib.suppress(RefusedFormat):
            found.append(PixelFormat.of(form.name))
    return found


def _loss(wanted: PixelFormat, form: PixelFormat) -> tuple[int, ...]:
    """What is lost, then what is wasted, by storing `wanted` in `form`; smaller is better."""
    chroma = _chroma_samples(form) - _chroma_samples(wanted)
    return (
        int(form.alpha < wanted.alpha),
        int(form.family == "grey" != wanted.family),
        max(0, wanted.bits - form.bits),
        max(0, -chroma),
        int(form.family != wanted.family),
        max(0, form.bits - wanted.bits),
        max(0, chroma),
        int(form.alpha > wanted.alpha),
    )


def _chroma_samples(form: PixelFormat) -> int:
    area = VideoFormat(form.planar)
    return 0 if form.family == "grey" else area.chroma_width(8) * area.chroma_height(8)
