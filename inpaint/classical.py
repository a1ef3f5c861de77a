"""Filling a picture without learning: what every learnt result has to beat."""

from __future__ import annotations

import math

import cv2
import numpy as np

from inpaint.clip import around

LEVELS = 255.0  # OpenCV's formula counts in these: it adds a gradient of unit length to the colour
MARGIN_PX = 5  # beyond the radius: gradients, and the march's own rim
SWEEPS = 8  # of the membrane at each size: more is no better, see docs/decisions.md


def telea(picture: np.ndarray, hole: np.ndarray, radius_px: float = 3) -> np.ndarray:
    """Fill a picture's hole from its rim inward, by fast marching.

    Telea, An Image Inpainting Technique Based on the Fast Marching Method, 2004, in OpenCV's
    implementation. A picture without a known pixel becomes mid-grey.

    Args:
        picture: `(H, W, C)`, any C; uint8, uint16, or float with 1 as white.
        hole: bool `(H, W)`; what lies under it has no influence, nor has NaN or infinity.
        radius_px: how far known pixels are looked at.

    Returns:
        A new `(H, W, C)` of the same dtype, known pixels unchanged.
    """
    if picture.shape[:2] != hole.shape:
        raise ValueError(f"a hole of shape {picture.shape[:2]}, not {hole.shape}")
    white = float(np.iinfo(picture.dtype).max) if picture.dtype.kind == "u" else 1.0
    filled = picture.copy()
    if hole.any():
        region = around(hole, math.ceil(radius_px) + MARGIN_PX)
        part, near = filled[region], hole[region]
        height, width = near.shape
        lost = hole | ~np.isfinite(picture).all(-1) if picture.dtype.kind == "f" else hole
        missing, known = _thick(lost[region].astype(np.uint8)), (~lost).astype(np.uint8)
        for channel in range(picture.shape[2]):
            blank = _mean(picture[..., channel], known) if known.any() else white / 2
            levels = _thick(_levels(part[..., channel], blank, lost[region], white))
            fresh = cv2.inpaint(levels, missing, radius_px, cv2.INPAINT_TELEA)[:height, :width]
            part[near, channel] = _restored(fresh[near], picture.dtype, white)
    return filled


def membrane(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Fill a picture's hole as a membrane spans a frame: without detail, and steady in time.

    The harmonic inpainting of Chan and Shen, Mathematical Models for Local Nontexture Inpaintings,
    2002: Laplace's equation, solved from coarse to fine, `SWEEPS` steps of Jacobi's at each. A
    picture without a known pixel becomes mid-grey.

    Args:
        picture: `(H, W, C)`, any C; uint8, uint16, or float with 1 as white.
        hole: bool `(H, W)`; what lies under it has no influence.

    Returns:
        A new `(H, W, C)` of the same dtype, known pixels unchanged.
    """
    if picture.shape[:2] != hole.shape:
        raise ValueError(f"a hole of shape {hole.shape}, not {picture.shape[:2]}")
    filled = picture.copy()
    if hole.any():
        levels = np.iinfo(picture.dtype).max if picture.dtype.kind == "u" else 0
        region = around(hole, MARGIN_PX)
        near, part = hole[region], picture[region].astype(np.float32)
        part[near] = (levels or 1) / 2
        values = _spanned(part, near)[near]
        filled[region][near] = (values.round() if levels else values).astype(picture.dtype)
    return filled


def _spanned(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Relax the hole of a float32 picture in its place, from what comes of half its size."""
    (height, width), known = hole.shape, (~hole).astype(np.float32)
    if known.any() and hole.any():
        size = (width + 1) // 2, (height + 1) // 2
        share = _resized(known[..., None], size, cv2.INTER_AREA)
        small = _resized(picture * known[..., None], size, cv2.INTER_AREA) / np.maximum(share, 1e-6)
        coarse = _spanned(small, share[..., 0] == 0)
        picture[hole] = _resized(coarse, (width, height), cv2.INTER_LINEAR)[hole]
        y, x = np.nonzero(hole)
        up, down = np.maximum(y - 1, 0) * width + x, np.minimum(y + 1, height - 1) * width + x
        left, right = y * width + np.maximum(x - 1, 0), y * width + np.minimum(x + 1, width - 1)
        flat, own = picture.reshape(-1, picture.shape[2]), y * width + x
        for _ in range(SWEEPS):
            flat[own] = (flat[up] + flat[down] + flat[left] + flat[right]) / 4
    return picture


def _resized(picture: np.ndarray, size: tuple[int, int], how: int) -> np.ndarray:
    """`(H, W, C)` at another width and height; OpenCV takes four channels at a time."""
    parts = [picture[..., first : first + 4] for first in range(0, picture.shape[2], 4)]
    resized = [cv2.resize(part, size, interpolation=how) for part in parts]
    return np.concatenate([part.reshape(*size[::-1], -1) for part in resized], axis=2)


def _mean(plane: np.ndarray, known: np.ndarray) -> float:
    """The mean of what is known of a channel `(H, W)`; `known` is uint8."""
    if plane.dtype == np.float16:  # OpenCV has no halves here
        plane = plane.astype(np.float32)
    return cv2.mean(np.ascontiguousarray(plane), known)[0]


def _thick(plane: np.ndarray) -> np.ndarray:
    """The plane, a single row or column doubled: OpenCV reads beyond the memory of one alone."""
    return np.pad(plane, [(0, int(side == 1)) for side in plane.shape], mode="edge")


def _levels(plane: np.ndarray, blank: float, hole: np.ndarray, white: float) -> np.ndarray:
    """One channel `(H, W)` in OpenCV's levels, its hole blanked: OpenCV reads it at borders."""
    plane = np.where(hole, np.float64(blank), plane)  # in halves, levels would be too coarse
    if white == LEVELS:
        return plane.round().astype(np.uint8)
    return (plane * (LEVELS / white)).astype(np.float32)


def _restored(levels: np.ndarray, dtype: np.dtype, white: float) -> np.ndarray:
    if dtype.kind != "u":
        return (levels / LEVELS).astype(dtype)
    return (levels * (white / LEVELS)).round().clip(0, white).astype(dtype)
