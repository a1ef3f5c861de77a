"""Movie frames as pixels, and pixels back into a movie frame's own planes.

A decoded frame is YUV, RGB or grey, packed or planar, 8 to 16 bits. `Planes` knows one movie's
kind: it shows frames as `(H, W, C)` and writes a hole's samples back, touching nothing else.
"""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from storage.pixel_formats import PixelFormat, RefusedFormat
from storage.sources import Patch

# Default flags darken luma by more than one code value on the way to RGB and back.
ACCURATE = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}


class Planes:
    """Conversion between one movie's frames and pixels.

    Args:
        form: the movie's pixel format.
        matrix: FFmpeg's colour matrix number, already decided where the movie states none.
        full_range: whether samples use the whole range of codes.
        rotation: degrees counter-clockwise from the coded picture to the displayed one.
    """

    def __init__(self, form: PixelFormat, matrix: int, full_range: bool, rotation: int) -> None:
        if form.family == "yuv" and matrix not in MATRICES:
            raise RefusedFormat(f"colour matrix {matrix} is not supported")
        self.form = form
        self._matrix = MATRICES.get(matrix, Colorspace.ITU709)
        self._range = ColorRange.JPEG if full_range else ColorRange.MPEG
        self._turns = rotation // 90
        self._repack, self._show = VideoReformatter(), VideoReformatter()
        self._store, self._recode = VideoReformatter(), VideoReformatter()

    def pixels(self, frame: av.VideoFrame) -> np.ndarray:
        """The frame as displayed, `(H, W, C)` in the full range of its dtype."""
        return np.ascontiguousarray(np.rot90(self._coded_pixels(frame), self._turns))

    def patched(self, frame: av.VideoFrame, patch: Patch) -> av.VideoFrame:
        """The frame in its planar format with the patch's hole replaced.

        In subsampled planes a sample is replaced when its block of pixels touches the hole.
        """
        planar = self.planar(frame)
        if not patch.hole.any():
            return planar
        planar.make_writable()
        hole = np.rot90(patch.hole, -self._turns)
        pixels = np.rot90(patch.pixels, -self._turns)
        if self.form.family == "yuv":
            self._patch_yuv(frame, planar, pixels, hole)
        else:
            for channel, plane in enumerate(component_views(planar)):
                plane[hole] = narrowed(pixels[..., channel][hole], self.form.bits)
        return planar

    def planar(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The same samples in the planar format."""
        return self._repack.reformat(
            frame,
            format=self.form.planar,
            interpolation=ACCURATE,
            src_colorspace=self._matrix,
            dst_colorspace=self._matrix,
            src_color_range=self._range,
            dst_color_range=self._range,
        )

    def recoded(self, planar: av.VideoFrame, name: str) -> av.VideoFrame:
        """A planar frame in another planar format, for an encoder that lacks the first."""
        return self._recode.reformat(
            planar,
            format=name,
            interpolation=ACCURATE,
            src_colorspace=self._matrix,
            dst_colorspace=self._matrix,
            src_color_range=self._range,
            dst_color_range=self._range,
        )

    def frame(self, pixels: np.ndarray) -> av.VideoFrame:
        """A new planar frame holding these pixels; missing channels are grey or opaque."""
        if self.form.family == "yuv":
            kind = "rgb24" if pixels.dtype == np.uint8 else "rgb48le"
            colour = np.ascontiguousarray(_colour(pixels))
            planar = self._stored(av.VideoFrame.from_ndarray(colour, kind))
            if self.form.alpha:
                component_views(planar)[3][:] = narrowed(_alpha(pixels), self.form.bits)
            return planar
        planar = av.VideoFrame(pixels.shape[1], pixels.shape[0], self.form.planar)
        channels = pixels
        if self.form.family == "rgb":
            channels = np.concatenate([_colour(pixels), _alpha(pixels)[..., None]], axis=-1)
        for channel, plane in enumerate(component_views(planar)):
            plane[:] = narrowed(channels[..., channel], self.form.bits)
        return planar

    def _coded_pixels(self, frame: av.VideoFrame) -> np.ndarray:
        bits = self.form.bits
        if self.form.family != "yuv":
            views = component_views(self.planar(frame))
            return np.stack([widened(view, bits) for view in views], axis=-1)
        colour = _packed_view(self._shown(frame))
        if not self.form.alpha:
            return colour
        alpha = component_views(self.planar(frame))[3]
        return np.concatenate([colour, widened(alpha, bits)[..., None]], axis=-1)

    def _shown(self, frame: av.VideoFrame) -> av.VideoFrame:
        return self._show.reformat(
            frame,
            format="rgb24" if self.form.bits == 8 else "rgb48le",
            interpolation=ACCURATE,
            src_colorspace=self._matrix,
            dst_colorspace=self._matrix,
            src_color_range=self._range,
            dst_color_range=ColorRange.JPEG,
        )

    def _patch_yuv(
        self, frame: av.VideoFrame, planar: av.VideoFrame, pixels: np.ndarray, hole: np.ndarray
    ) -> None:
        # Known pixels take part in the conversion, so that chroma filters see no edge; and it is
        # the source's own frame that is painted, as it knows where its chroma samples sit.
        shown = self._shown(frame)
        _packed_view(shown)[hole] = pixels[..., :3][hole]
        views = zip(component_views(planar), component_views(self._stored(shown)), strict=True)
        for component, (plane, fresh) in enumerate(views):
            if component == 3:
                plane[hole] = narrowed(pixels[..., 3][hole], self.form.bits)
            else:
                touched = footprint(hole, plane.shape)
                plane[touched] = fresh[touched]

    def _stored(self, shown: av.VideoFrame) -> av.VideoFrame:
        return self._store.reformat(
            shown,
            format=self.form.planar,
            interpolation=ACCURATE,
            src_colorspace=self._matrix,
            dst_colorspace=self._matrix,
            src_color_range=ColorRange.JPEG,
            dst_color_range=self._range,
        )


def component_views(frame: av.VideoFrame) -> list[np.ndarray]:
    """The samples of a planar frame, one `(h, w)` view per component (Y U V A, R G B A)."""
    views = []
    packed = 2 if frame.format.name.startswith("ya") else 1
    for position, component in enumerate(frame.format.components):
        plane = frame.planes[component.plane]
        dtype = np.dtype(np.uint8 if component.bits == 8 else "<u2")
        rows: np.ndarray = np.frombuffer(memoryview(plane), dtype).reshape(
            -1, plane.line_size // dtype.itemsize
        )
        first = position if packed > 1 else 0
        views.append(rows[: plane.height, first : plane.width * packed : packed])
    return views


def _packed_view(frame: av.VideoFrame) -> np.ndarray:
    """The samples of an RGB frame, one `(h, w, 3)` view."""
    plane = frame.planes[0]
    dtype = np.dtype(np.uint8 if frame.format.components[0].bits == 8 else "<u2")
    rows: np.ndarray = np.frombuffer(memoryview(plane), dtype)
    rows = rows.reshape(-1, plane.line_size // dtype.itemsize)
    return rows[: frame.height, : frame.width * 3].reshape(frame.height, frame.width, 3)


def footprint(hole: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Samples of a plane of this shape whose block of pixels touches the hole."""
    if hole.shape == shape:
        return hole
    high, wide = (-(-pixels // samples) for pixels, samples in zip(hole.shape, shape, strict=True))
    padded = np.zeros((shape[0] * high, shape[1] * wide), bool)
    padded[: hole.shape[0], : hole.shape[1]] = hole
    blocks = padded.reshape(shape[0], high, shape[1], wide)
    return np.asarray(blocks.any(axis=(1, 3)))


def widened(samples: np.ndarray, bits: int) -> np.ndarray:
    """Samples of 9 to 15 bits in the full range of uint16: the top bits repeat below."""
    if bits in (8, 16):
        return samples
    return (samples << (16 - bits)) | (samples >> (2 * bits - 16))


def narrowed(samples: np.ndarray, bits: int) -> np.ndarray:
    """The nearest code of `bits` bits; undoes `widened` exactly."""
    if bits in (8, 16):
        return samples
    top = (1 << bits) - 1
    return ((samples.astype(np.uint32) * top + 32767) // 65535).astype(np.uint16)


def _colour(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., :3] if pixels.shape[-1] > 2 else np.repeat(pixels[..., :1], 3, axis=-1)


def _alpha(pixels: np.ndarray) -> np.ndarray:
    if pixels.shape[-1] in (2, 4):
        return pixels[..., -1]
    return np.full(pixels.shape[:2], np.iinfo(pixels.dtype).max, pixels.dtype)
