"""The painter of a red double-decker bus; lengths and colours are those of `Canvas`."""

from __future__ import annotations

import cv2
import numpy as np

from cluster.demo.canvas import CREAM, INK, Canvas

BUS_LENGTH, BUS_HEIGHT = 0.47, 0.31


def paint_bus(scale: int) -> np.ndarray:
    """Paint a red double-decker that drives to the right, with its shadow.

    Returns:
        `(H, W, 4)` uint8, `BUS_HEIGHT` and `BUS_LENGTH` units large; its lower edge is the road.
    """
    canvas = Canvas(BUS_LENGTH, BUS_HEIGHT, scale)
    _bus_body(canvas)
    _bus_windows(canvas)
    for x in (0.115, 0.365):
        canvas.oval(x, 0.262, 0.041, 0.041, (96, 14, 22))
        canvas.oval(x, 0.266, 0.033, 0.033, INK)
        canvas.oval(x, 0.266, 0.018, 0.018, (176, 172, 168))
        canvas.oval(x, 0.266, 0.007, 0.007, (90, 24, 28))
    return _with_shadow(canvas)


def _bus_body(canvas: Canvas) -> None:
    left, right, red, deep = 0.02, 0.45, (206, 32, 38), (150, 18, 28)
    corner = 0.022
    for x in (left + corner, right - corner):
        canvas.oval(x, 0.008 + corner, corner, corner, red)
    canvas.box(left + corner, 0.008, right - left - 2 * corner, corner, red)
    canvas.box(left, 0.008 + corner, right - left, 0.25 - corner, red)
    canvas.box(left + 0.01, 0.008, right - left - 0.02, 0.008, (228, 74, 66))
    canvas.box(left, 0.128, right - left, 0.018, CREAM)
    canvas.box(left, 0.145, right - left, 0.003, deep)
    canvas.box(left, 0.205, right - left, 0.004, CREAM)
    canvas.box(left, 0.236, right - left, 0.022, deep)
    canvas.box(right - 0.008, 0.212, 0.014, 0.014, (255, 238, 180))
    canvas.box(left - 0.004, 0.214, 0.006, 0.012, (255, 120, 60))
    rows = np.linspace(1.06, 0.9, canvas.part(0, 0.03, 0.01, 0.2).shape[0])[:, None, None]
    canvas.shade(left, 0.03, right - left, 0.2, rows)


def _bus_windows(canvas: Canvas) -> None:
    for k in range(6):
        _pane(canvas, 0.04 + k * 0.066, 0.05, 0.054, 0.058)
    for k in range(5):
        _pane(canvas, 0.04 + k * 0.066, 0.158, 0.054, 0.042)
    canvas.box(0.37, 0.155, 0.034, 0.098, (120, 16, 24))
    _pane(canvas, 0.374, 0.16, 0.026, 0.085)
    _pane(canvas, 0.412, 0.156, 0.036, 0.05)
    canvas.box(0.385, 0.116, 0.06, 0.01, INK)
    canvas.box(0.39, 0.118, 0.03, 0.005, (250, 214, 110))
    canvas.box(0.1, 0.13, 0.22, 0.013, (250, 204, 84))
    canvas.box(0.115, 0.1345, 0.19, 0.004, (170, 50, 40))


def _pane(canvas: Canvas, x: float, y: float, width: float, height: float) -> None:
    """A pane of glass, darker below, with a slanting gleam."""
    canvas.box(x - 0.003, y - 0.003, width + 0.006, height + 0.006, INK)
    canvas.box(x, y, width, height, (128, 160, 180))
    rows = np.linspace(1.15, 0.55, canvas.part(x, y, width, height).shape[0])[:, None, None]
    canvas.shade(x, y, width, height, rows)
    third = width / 3
    gleam = [(x + third, y), (x + 2 * third, y), (x + third, y + height), (x, y + height)]
    canvas.shape(gleam, (156, 182, 196))


def _with_shadow(canvas: Canvas) -> np.ndarray:
    """Return the pixels over a soft dark oval on the road."""
    body = canvas.pixels
    ground = Canvas(BUS_LENGTH, BUS_HEIGHT, canvas.scale)
    ground.oval(0.24, 0.296, 0.205, 0.011, INK)
    dark = cv2.blur(ground.pixels[..., 3], (canvas.scale // 40 | 1, canvas.scale // 60 | 1))
    ground.pixels[:] = (*INK, 0)
    ground.pixels[..., 3] = (dark * 0.6).astype(np.uint8)
    return np.where(body[..., 3:] > 0, body, ground.pixels)
