"""How what a hole hides moves from one frame to the next. No learning.

What is removed mostly stands before a background that moves as the camera does, and leaves traces
around the hole that do not: a shadow, an edge. So motions around are told apart before they are
continued into the hole, and not averaged. Shapes: `H W C`; see `inpaint.flow`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from inpaint.flow import completed, flow, inside, places, warped

FAR = 12  # as far as this part of a side from a hole, a flow sees what was put into it at random
RIM_PX = 2  # the same where that agrees with the motion around
ALIKE_PX = 1.0  # what differs by less from the camera's motion moves with it
CAMERA_SHARE = 0.3  # of what is seen around, from which a pixel is taken for background
GRID_PX = 4  # between the pixels that the camera's motion is fitted to


@dataclass(frozen=True)
class Step:
    """Motion from one frame to the next, known or continued.

    Attributes:
        flow: `(H, W, 2)` float32, in pixels.
        error: `(H, W)` float32, the squared difference that it leaves, where 1 is white.
    """

    flow: np.ndarray
    error: np.ndarray


def hidden_motion(
    here: np.ndarray, there: np.ndarray, hole: np.ndarray, hole_there: np.ndarray
) -> Step:
    """Estimate the flow and continue it into the hole.

    The camera's motion is a homography, as it is before a plane or when a camera turns. Where
    enough of what is seen around moves with it, the hole is taken for background, and continues
    what differs from it by little; elsewhere it continues the rest, as on a subject that moves.
    Where nothing is to be seen of the motion, it is none, and its error that of black for white.

    Args:
        here: `(H, W, 1)` float32 in [0, 1], its hole filled somehow.
        there: the same.
        hole: bool `(H, W)`, of `here`.
        hole_there: of `there`.

    Source: homographies for a background that the camera passes by, Granados et al., Background
    Inpainting for Videos with Dynamic Objects and a Free-moving Camera, 2012; the two layers are
    ours.
    """
    far_px = max(RIM_PX, min(hole.shape) // FAR)
    rough = _continued(flow(here, there), here, there, hole, hole_there, far_px)
    alike = _holes_alike(here, there, hole, hole_there, rough.flow)
    return _continued(flow(*alike), here, there, hole, hole_there, RIM_PX)


def _continued(
    way: np.ndarray,
    here: np.ndarray,
    there: np.ndarray,
    hole: np.ndarray,
    hole_there: np.ndarray,
    rim_px: int,
) -> Step:
    """Keep a flow where it has seen both pictures, and continue it elsewhere."""
    near, near_there = (_grown(each, rim_px) for each in (hole, hole_there))
    unseen = near | (warped(near_there.astype(np.float32), way) > 0)
    if unseen.all():
        return Step(np.zeros_like(way), np.ones_like(here[..., 0]))
    error = np.square(here - warped(there, way))
    camera = _camera(way, ~unseen & inside(way))
    field = np.concatenate([way - camera, error], axis=2)
    field = np.where(unseen[..., None], _in_layers(field, unseen), field)
    return Step(field[..., :2] + camera, field[..., 2])


def _grown(hole: np.ndarray, rim_px: int) -> np.ndarray:
    side = 2 * rim_px + 1
    return cv2.dilate(hole.astype(np.uint8), np.ones((side, side), np.uint8)) > 0


def _camera(way: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Fit a homography to most of a flow (RANSAC), as a flow.

    None where too little is seen, or in too thin a strip to say what is far from it.
    """
    start, none = places(np.zeros_like(way)), np.zeros_like(way)
    grid = (slice(None, None, GRID_PX),) * 2
    few, moves = start[grid][seen[grid]], way[grid][seen[grid]]
    if len(few) < 4:
        return none
    found, _ = cv2.findHomography(few, few + moves, cv2.RANSAC, ALIKE_PX)
    if found is None:
        return none
    motion = cv2.perspectiveTransform(start.reshape(-1, 1, 2), found).reshape(start.shape) - start
    return motion if np.abs(motion).max() <= 2 * np.abs(moves).max() + ALIKE_PX else none


def _holes_alike(
    here: np.ndarray, there: np.ndarray, hole: np.ndarray, hole_there: np.ndarray, way: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Put into each picture's hole what the other shows there.

    What differs in a hole would bend the flow far around it: it is estimated from coarse to fine.
    """
    back = -way  # near enough: a frame moves little from one place to the next
    shown = hole_there & inside(back) & (warped(hole.astype(np.float32), back) == 0)
    return (
        np.where((hole & inside(way))[..., None], warped(there, way), here),
        np.where(shown[..., None], warped(here, back), there),
    )


def _in_layers(field: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """Continue a field, motion by camera taken off, into what is unseen: one of two layers."""
    with_camera = np.linalg.norm(field[..., :2], axis=2) <= ALIKE_PX
    share = completed(with_camera[..., None].astype(np.float32), unseen)
    background, rest = (completed(field, unseen | ~layer) for layer in (with_camera, ~with_camera))
    return np.where(share > CAMERA_SHARE, background, rest)
