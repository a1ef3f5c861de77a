"""Dense optical flow between two frames, and what can be done with it. No learning.

Shapes: `H W C` and `H W`. A flow `(H, W, 2)` float32 holds x, then y, in pixels: what `here` shows
at `p`, `there` shows at `p + flow[p]`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SMALLEST_PX = 16
"""Smaller pictures are mirrored up to this side: DIS finds no patches in them."""


@dataclass(frozen=True)
class Motion:
    """Where each pixel of a frame is found in another.

    Attributes:
        flow: `(H, W, 2)` float32 in pixels.
        visible: bool `(H, W)`; False where the pixel is occluded in the other frame or outside it.
    """

    flow: np.ndarray
    visible: np.ndarray


def motion(here: np.ndarray, there: np.ndarray) -> Motion:
    """Follow each pixel of `here` to `there`, and find which of them are not to be seen there.

    Args:
        here: `(H, W, C)`, any C; uint8, or float in [0, 1].
        there: the same.
    """
    forward, backward = flow(here, there), flow(there, here)
    return Motion(forward, inside(forward) & ~occluded(forward, backward))


def flow(here: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Estimate the flow from one picture to another, on the mean of their channels.

    Kroeger et al., Fast Optical Flow using Dense Inverse Search, 2016, in OpenCV's implementation,
    preset MEDIUM, but down to the full resolution.

    Args:
        here: `(H, W, C)`, any C; uint8, or float in [0, 1].
        there: the same.

    Returns:
        `(H, W, 2)` float32.
    """
    if here.shape != there.shape:
        raise ValueError(f"two pictures of one shape, not {here.shape} and {there.shape}")
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)
    height, width = here.shape[:2]
    return search.calc(_grey(here), _grey(there), None)[:height, :width]


def occluded(forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """Bool `(H, W)`: what the way there and back does not lead home.

    `|fw + bw| > 0.01 (|fw| + |bw|) + 0.5`, the test of Lai et al., Learning Blind Video Temporal
    Consistency, 2018, without their squares, as the field's warping errors have it.

    Args:
        forward: `(H, W, 2)`, here to there.
        backward: `(H, W, 2)`, there to here.
    """
    back = warped(backward, forward)
    error, way = (np.linalg.norm(v, axis=2) for v in (forward + back, forward))
    return error > 0.01 * (way + np.linalg.norm(back, axis=2)) + 0.5


def inside(flow: np.ndarray) -> np.ndarray:
    """Bool `(H, W)`: what the flow does not lead out of the picture."""
    height, width = flow.shape[:2]
    x, y = np.moveaxis(places(flow), 2, 0)
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


def places(flow: np.ndarray) -> np.ndarray:
    """Return where the flow leads, `(H, W, 2)` float32: x and y in pixels."""
    height, width = flow.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([x, y], axis=2) + flow


def warped(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Look `there` up where the flow leads: the picture as seen from `here`.

    Bilinear, beyond the border the nearest pixel. By OpenCV and not by torch's `grid_sample`:
    flows and frames at rest are numpy, and nothing is differentiated. Places are rounded to 1/32
    of a pixel, well below what DIS gets right.

    Args:
        picture: `(H, W)` or `(H, W, C)`, C up to 4, uint8 or float32.
        flow: `(H, W, 2)`.

    Returns:
        The same shape and dtype.
    """
    border = cv2.BORDER_REPLICATE
    seen = cv2.remap(picture, places(flow), None, cv2.INTER_LINEAR, borderMode=border)
    return seen.reshape(picture.shape)


def completed(field: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Fill a field, such as a flow, inside a hole smoothly from outside.

    Pull-push: averages of what is known go down a pyramid, and up again where nothing is (Gortler
    et al., The Lumigraph, 1996, section 3.4). A field without a known value becomes 0.

    Args:
        field: `(H, W, C)` float32; what lies in the hole has no influence.
        hole: bool `(H, W)`.

    Returns:
        A new `(H, W, C)` float32, unchanged outside the hole.
    """
    known = (~hole).astype(np.float32)
    levels = [(np.where(hole[..., None], 0, field).astype(np.float32), known)]
    while max(levels[-1][1].shape) > 1 and not levels[-1][1].all():
        values, weight = (cv2.pyrDown(plane) for plane in levels[-1])
        levels.append((values.reshape(*weight.shape, -1), weight))
    values, weight = levels.pop()
    filled = values / np.maximum(weight, 1e-6)[..., None]
    for values, weight in reversed(levels):
        above = cv2.pyrUp(filled, dstsize=weight.shape[::-1]).reshape(values.shape)
        filled = values + (1 - weight)[..., None] * above
    return filled


def _grey(picture: np.ndarray) -> np.ndarray:
    """The mean over channels in 0 to 255, `(H, W)` uint8, and at least `SMALLEST_PX` on a side."""
    white = 1 if picture.dtype == np.uint8 else 255
    levels = picture.mean(axis=2, dtype=np.float32) * white
    grey = levels.round().clip(0, 255).astype(np.uint8)
    missing = [(0, max(0, SMALLEST_PX - side)) for side in grey.shape]
    return np.pad(grey, missing, mode="symmetric")
