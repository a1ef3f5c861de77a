"""Where a movie's chroma samples sit between its pixels.

FFmpeg carries this with every frame, and converts by it, but PyAV does not show it. A wrong place
shifts colours by up to half a pixel, so it is read off a conversion and handed to the encoder.
"""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from storage.pixel_formats import PixelFormat

SIZE = 32
CENTRE = "center"  # what FFmpeg takes where nothing is stated
PLACES = {  # chroma sample's place (across, down) in quarters of its 2×2 block
    (0, 1): "left",
    (1, 1): CENTRE,
    (0, 0): "topleft",
    (1, 0): "top",
    (0, 2): "bottomleft",
    (1, 2): "bottom",
}


def chroma_place(frame: av.VideoFrame) -> str:
    """FFmpeg's name of the place of this frame's chroma samples; `center` where it has none.

    A ramp in each chroma plane is brought to full resolution: the value in the middle tells how
    far from the corner of its block a sample was taken to be.
    """
    if PixelFormat.of(frame.format.name).family != "yuv":
        return CENTRE
    reformatter = VideoReformatter()
    ramp = reformatter.reformat(frame, width=SIZE, height=SIZE, format="yuv420p")
    steps = np.arange(SIZE // 2, dtype=np.uint8) * 8 + 64
    _, across, down = (_view(plane) for plane in ramp.planes)
    across[:], down[:] = steps[None, :], steps[:, None]
    full = reformatter.reformat(ramp, format="yuv444p", interpolation=Interpolation.BILINEAR)
    _, across, down = (_view(plane) for plane in full.planes)
    middle = SIZE // 2
    return PLACES.get((_quarters(across[middle, middle]), _quarters(down[middle, middle])), CENTRE)


def _quarters(value: np.uint8) -> int:
    exact = 64 + 8 * SIZE // 4  # of a sample in the corner; a quarter of a block less is 2 less
    return round((exact - int(value)) / 2)


def _view(plane: av.video.plane.VideoPlane) -> np.ndarray:
    rows: np.ndarray = np.frombuffer(memoryview(plane), np.uint8)
    return rows.reshape(-1, plane.line_size)[: plane.height, : plane.width]
