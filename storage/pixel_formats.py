"""FFmpeg's pixel formats, as far as reading and writing their samples needs to know them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from av.video.format import VideoFormat


class RefusedFormat(ValueError):
    """Samples of a kind that is not handled."""


@dataclass(frozen=True)
class PixelFormat:
    """What matters of a decoder's pixel format.

    Attributes:
        name: FFmpeg's name.
        planar: the little-endian planar format that holds the same samples.
        bits: per sample.
        family: `yuv`, `rgb` or `grey`.
        alpha: whether a fourth (or second) component is alpha.
    """

    name: str
    planar: str
    bits: int
    family: str
    alpha: bool

    @classmethod
    def of(cls, name: str) -> PixelFormat:
        """Describe the format; `RefusedFormat` says why it is not supported."""
        form = VideoFormat(name)
        bits = form.components[0].bits
        alpha = len(form.components) in (2, 4)
        family = "rgb" if form.is_rgb else "grey" if len(form.components) < 3 else "yuv"
        planar = _planar(name, family, bits, alpha)
        odd = re.search("f16|f32|xyz|bayer|pal8", name)
        if odd or planar is None or not 8 <= bits <= 16:
            raise RefusedFormat(f"pixel format {name} is not supported")
        return cls(name, planar, bits, family, alpha)

    @property
    def channels(self) -> int:
        return (1 if self.family == "grey" else 3) + self.alpha

    @property
    def dtype(self) -> str:
        return "uint8" if self.bits == 8 else "uint16"


def _planar(name: str, family: str, bits: int, alpha: bool) -> str | None:
    depth = "" if bits == 8 else f"{bits}le"
    if family == "rgb":
        return f"gbr{'a' if alpha else ''}p{depth}"
    if family == "grey":
        return f"ya{bits}{'le' if bits > 8 else ''}" if alpha else f"gray{depth}"
    if name.startswith("yuvj"):
        return name.replace("yuvj", "yuv")
    if match := re.fullmatch(r"(yuva?4\d\dp\d*)(?:le|be)?", name):
        return match[1] + ("le" if bits > 8 else "")
    packed = {"nv12": "420", "nv21": "420", "nv16": "422", "nv24": "444", "nv42": "444"}
    packed |= {"uyvy422": "422", "yuyv422": "422", "yvyu422": "422", "nv20le": "422"}
    packed |= {f"p{i}{bits}le": f"4{i}{i}" if i else "420" for i in (0, 2, 4)}
    return f"yuv{packed[name]}p{depth}" if name in packed else None
