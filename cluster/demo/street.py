"""The painter of a street: old houses in a row, trees, lamps, and the sky above.

Lengths and colours are those of `Canvas`. Every house is drawn by lot.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from cluster.demo.canvas import CREAM, SLATE, WHITE, Canvas, Colour

GROUND = 0.845  # where the houses stand
KERB = 0.882  # where the street begins
STOREY = 0.155
GROUND_FLOOR = 0.2
WINDOW_WIDTH, WINDOW_HEIGHT = 0.064, 0.098


WALLS: list[Colour] = [
    (184, 92, 70),
    (226, 182, 104),
    (106, 142, 156),
    (220, 206, 180),
    (146, 72, 66),
    (134, 152, 120),
    (222, 158, 134),
    (84, 104, 134),
]
ROOFS: list[Colour] = [(146, 74, 58), (94, 92, 102), (122, 66, 56), (78, 88, 98)]
DOORS: list[Colour] = [(36, 76, 70), (122, 34, 38), (34, 52, 92), (88, 58, 38)]
AWNINGS: list[Colour] = [(190, 50, 48), (40, 104, 84), (44, 80, 140), (206, 132, 36)]
FLOWERS: list[Colour] = [(214, 62, 82), (240, 190, 70), (232, 120, 160)]


@dataclass(frozen=True)
class Pen:
    """What the painting of a street carries along."""

    canvas: Canvas
    random: np.random.Generator

    def pick(self, colours: list[Colour]) -> Colour:
        return colours[int(self.random.integers(len(colours)))]


def paint_sky(width: float, scale: int, random: np.random.Generator) -> np.ndarray:
    """Paint an afternoon sky with clouds, `(scale, width · scale, 3)` from 0 to 255."""
    rows = np.linspace(0, 1, scale, dtype=np.float32)[:, None, None]
    high, low = np.array((84, 146, 208), np.float32), np.array((250, 228, 200), np.float32)
    blue = high + (low - high) * np.minimum(rows * 1.7, 1) ** 1.2
    shape = scale, round(width * scale)
    cloud = sum(_noise(shape, scale * 0.22 / 2**k, random, stretch=2.2) / 2**k for k in range(5))
    cover = (np.clip((cloud - 0.35) * 0.9, 0, 1) ** 0.8)[..., None] * 0.92
    glow = np.array((255, 250, 242), np.float32) - 22 * np.clip(cloud - 1, 0, 1)[..., None]
    return blue * (1 - cover) + glow * cover


def paint_street(width: float, scale: int, random: np.random.Generator) -> np.ndarray:
    """Paint houses and road, `(scale, width · scale, 4)` uint8, transparent above the roofs."""
    pen = Pen(Canvas(width + 0.5, 1.0, scale), random)  # room for the last house
    _skyline(pen, width)
    x, walls = 0.0, list(random.permutation(len(WALLS)))
    while x < width:
        house = float(random.uniform(0.3, 0.44))
        _house(pen, x, house, WALLS[walls[0]])
        x, walls = x + house, walls[1:] + walls[:1]
    _pavement(pen, width)
    for place in np.arange(0.2, width, 0.74):
        _tree(pen, place + random.uniform(-0.06, 0.06))
        _lamp(pen, place + 0.37)
    grain = 1 + 0.018 * _noise(pen.canvas.pixels.shape[:2], scale / 110, random)
    pen.canvas.shade(0, 0, width + 0.5, 1, grain[..., None])
    return pen.canvas.part(0, 0, width, 1)


def _skyline(pen: Pen, width: float) -> None:
    """Hazy towers behind the houses."""
    haze = (186, 186, 196)
    for x in np.arange(0.1, width, 0.23):
        top = float(pen.random.uniform(0.2, 0.34))
        pen.canvas.box(x, top, 0.16, GROUND - top, haze)
    for x in np.arange(0.55, width, 1.3):
        pen.canvas.box(x, 0.16, 0.07, 0.5, (172, 172, 186))
        pen.canvas.shape([(x - 0.01, 0.16), (x + 0.035, 0.02), (x + 0.08, 0.16)], (150, 156, 172))


def _house(pen: Pen, x: float, width: float, wall: Colour) -> None:
    storeys = 3 if pen.random.random() < 0.4 else 2
    top = GROUND - GROUND_FLOOR - storeys * STOREY
    if pen.random.random() < 0.45:
        _stepped_gable(pen, x, top, width, wall)
    else:
        _mansard(pen, x, top, width)
    pen.canvas.box(x, top, width, GROUND - top, wall)
    if sum(wall) < 400:
        _bricks(pen, x, top, width, GROUND - top)
    else:
        _boards(pen.canvas, x, top, width, GROUND - top)
    _storeys(pen, x, top, width, storeys)
    _ground_floor(pen, x, width)
    _cornice(pen.canvas, x, top, width)
    pen.canvas.shade(x, top, 0.007, GROUND - top, 1.08)
    pen.canvas.shade(x + width - 0.012, top, 0.012, GROUND - top, 0.78)


def _stepped_gable(pen: Pen, x: float, top: float, width: float, wall: Colour) -> None:
    steps, rise = 4, 0.036
    for k in range(steps):
        inset = width * 0.11 * (k + 0.4)
        y = top - rise * (k + 1)
        pen.canvas.box(x + inset, y, width - 2 * inset, rise, wall)
        if sum(wall) < 400:
            _bricks(pen, x + inset, y, width - 2 * inset, rise)
        pen.canvas.box(x + inset - 0.006, y - 0.008, width - 2 * inset + 0.012, 0.008, CREAM)
    pen.canvas.oval(x + width / 2, top - 0.05, 0.027, 0.027, CREAM)
    pen.canvas.oval(x + width / 2, top - 0.05, 0.02, 0.02, SLATE)


def _mansard(pen: Pen, x: float, top: float, width: float) -> None:
    colour, height, slant = pen.pick(ROOFS), 0.115, 0.04
    _chimney(pen, x + width * float(pen.random.uniform(0.15, 0.75)), top - height)
    ridge = top - height
    corners = [(x, top), (x + slant, ridge), (x + width - slant, ridge), (x + width, top)]
    pen.canvas.shape(corners, colour)
    for y in np.arange(ridge + 0.012, top, 0.014):
        pen.canvas.shade(x, y, width, 0.004, 0.86)
    for k in (0.3, 0.7):
        left = x + width * k - 0.035
        pen.canvas.shape(
            [
                (left - 0.01, ridge + 0.03),
                (left + 0.035, ridge - 0.012),
                (left + 0.08, ridge + 0.03),
            ],
            WHITE,
        )
        pen.canvas.box(left, ridge + 0.03, 0.07, 0.075, WHITE)
        _sash(pen.canvas, left + 0.012, ridge + 0.036, 0.046, 0.06)


def _chimney(pen: Pen, x: float, ridge: float) -> None:
    pen.canvas.box(x, ridge - 0.06, 0.05, 0.08, (142, 84, 70))
    _bricks(pen, x, ridge - 0.06, 0.05, 0.08)
    pen.canvas.box(x - 0.005, ridge - 0.068, 0.06, 0.011, (92, 76, 72))
    for k in (0.008, 0.03):
        pen.canvas.box(x + k, ridge - 0.085, 0.012, 0.018, (168, 96, 66))


def _bricks(pen: Pen, x: float, y: float, width: float, height: float) -> None:
    """Lay bricks over a wall: each its own shade, mortar between."""
    part = pen.canvas.part(x, y, width, height)
    rows, columns = np.indices(part.shape[:2])
    tall, long = 0.0135 * pen.canvas.scale, 0.04 * pen.canvas.scale
    course = (rows // tall).astype(int)
    along = columns + (course % 2) * long / 2
    shades = 1 + 0.05 * pen.random.standard_normal((course.max() + 1, int(along.max() // long) + 1))
    mortar = (rows % tall < tall * 0.16) | (along % long < long * 0.06)
    light = np.where(mortar, 1.14, shades[course, (along // long).astype(int)])
    part[..., :3] = (part[..., :3] * light[..., None]).clip(0, 255)


def _boards(canvas: Canvas, x: float, y: float, width: float, height: float) -> None:
    """Plaster with fine level grooves."""
    for groove in np.arange(y, y + height, 0.033):
        canvas.shade(x, groove, width, 0.004, 0.9)


def _storeys(pen: Pen, x: float, top: float, width: float, storeys: int) -> None:
    columns, shutters = (3, False) if width > 0.38 else (2, pen.random.random() < 0.6)
    paint, boxes = pen.pick(DOORS), pen.random.random() < 0.6
    pitch = width / columns
    for storey in range(storeys):
        y = top + 0.035 + storey * STOREY
        for k in range(columns):
            _window(pen, x + pitch * (k + 0.5) - WINDOW_WIDTH / 2, y, paint if shutters else None)
            if boxes and storey == storeys - 1:
                _flowers(pen, x + pitch * (k + 0.5) - 0.036, y + WINDOW_HEIGHT)


def _window(pen: Pen, x: float, y: float, shutters: Colour | None) -> None:
    """A sash window with lintel, sill and, where given, shutters."""
    canvas, width, height = pen.canvas, WINDOW_WIDTH, WINDOW_HEIGHT
    canvas.shade(x - 0.004, y + 0.004, width + 0.018, height + 0.01, 0.72)
    canvas.box(x - 0.006, y - 0.006, width + 0.012, height + 0.006, WHITE)
    _sash(canvas, x, y, width, height)
    canvas.box(x - 0.012, y - 0.016, width + 0.024, 0.011, CREAM)
    canvas.box(x - 0.012, y + height, width + 0.024, 0.009, CREAM)
    canvas.shade(x - 0.012, y + height + 0.009, width + 0.024, 0.007, 0.7)
    if shutters:
        for left in (x - 0.034, x + width + 0.008):
            canvas.box(left, y - 0.004, 0.026, height + 0.004, shutters)
            for slat in np.arange(y + 0.004, y + height - 0.004, 0.012):
                canvas.shade(left + 0.004, slat, 0.018, 0.005, 0.75)


def _sash(canvas: Canvas, x: float, y: float, width: float, height: float) -> None:
    """Glass that mirrors the sky, with a white cross."""
    canvas.box(x, y, width, height, (112, 138, 160))
    rows = np.linspace(1.25, 0.5, canvas.part(x, y, width, height).shape[0])[:, None, None]
    canvas.shade(x, y, width, height, rows)
    canvas.shade(x, y, width, 0.008, 0.6)
    canvas.shade(x, y, 0.005, height, 0.7)
    canvas.box(x + width / 2 - 0.003, y, 0.006, height, WHITE)
    canvas.box(x, y + height * 0.45, width, 0.006, WHITE)


def _flowers(pen: Pen, x: float, y: float) -> None:
    pen.canvas.box(x, y, 0.072, 0.016, (96, 64, 46))
    for _ in range(26):
        dx, dy = pen.random.uniform(0, 0.072), pen.random.uniform(-0.016, 0.008)
        green = (60, int(pen.random.integers(96, 140)), 62)
        colour = green if pen.random.random() < 0.55 else pen.pick(FLOWERS)
        pen.canvas.oval(x + dx, y + dy, 0.006, 0.006, colour)


def _cornice(canvas: Canvas, x: float, top: float, width: float) -> None:
    canvas.shade(x, top + 0.014, width, 0.014, 0.68)
    canvas.box(x, top - 0.006, width, 0.02, CREAM)
    canvas.shade(x, top + 0.008, width, 0.006, 0.82)
    for tooth in np.arange(x + 0.008, x + width - 0.012, 0.024):
        canvas.box(tooth, top + 0.014, 0.01, 0.009, CREAM)


def _ground_floor(pen: Pen, x: float, width: float) -> None:
    canvas, top = pen.canvas, GROUND - GROUND_FLOOR
    canvas.box(x, top + 0.004, width, 0.012, CREAM)
    canvas.shade(x, top + 0.016, width, 0.007, 0.72)
    canvas.box(x, GROUND - 0.022, width, 0.022, (132, 124, 118))
    left = pen.random.random() < 0.5
    _door(pen, x + (0.03 if left else width - 0.105))
    start, end = (x + 0.125, x + width - 0.025) if left else (x + 0.025, x + width - 0.125)
    if pen.random.random() < 0.6:
        _shop(pen, start, end - start)
    else:
        count = 2 if end - start > 0.2 else 1
        for k in range(count):
            middle = start + (end - start) * (k + 0.5) / count
            _window(pen, middle - WINDOW_WIDTH / 2, top + 0.05, None)


def _door(pen: Pen, x: float) -> None:
    canvas, top, colour = pen.canvas, GROUND - 0.158, pen.pick(DOORS)
    canvas.box(x - 0.01, top - 0.01, 0.095, 0.168, CREAM)
    canvas.box(x, top, 0.075, 0.158, colour)
    canvas.oval(x + 0.0375, top + 0.026, 0.03, 0.02, (150, 176, 190))
    for dx in (0.01, 0.043):
        for dy, height in ((0.056, 0.036), (0.102, 0.04)):
            canvas.shade(x + dx, top + dy, 0.023, height, 0.72)
    canvas.oval(x + 0.0375, top + 0.096, 0.004, 0.004, (236, 196, 96))
    canvas.box(x - 0.014, GROUND - 0.012, 0.103, 0.012, (186, 178, 168))


def _shop(pen: Pen, x: float, width: float) -> None:
    """A shop window with things on display, under a striped awning."""
    canvas, top, frame = pen.canvas, GROUND - 0.135, pen.pick(DOORS)
    canvas.box(x - 0.006, top - 0.04, width + 0.012, 0.16, frame)
    canvas.box(x, top, width, 0.1, (92, 86, 84))
    rows = np.linspace(1.5, 0.75, canvas.part(x, top, width, 0.1).shape[0])[:, None, None]
    canvas.shade(x, top, width, 0.1, rows * np.array((1.0, 0.92, 0.7)))
    for place in np.arange(x + 0.012, x + width - 0.022, 0.027):
        height = float(pen.random.uniform(0.02, 0.05))
        canvas.box(place, top + 0.1 - height, 0.018, height, pen.pick(WALLS + FLOWERS))
    for bar in np.linspace(x, x + width - 0.005, 4):
        canvas.box(bar, top, 0.005, 0.1, frame)
    canvas.shade(x, top, width, 0.022, 0.55)
    _awning(canvas, x - 0.01, top - 0.036, width + 0.02, pen.pick(AWNINGS))


def _awning(canvas: Canvas, x: float, y: float, width: float, colour: Colour) -> None:
    stripes = max(3, round(width / 0.026))
    pitch = width / stripes
    for k in range(stripes):
        paint = colour if k % 2 == 0 else WHITE
        canvas.oval(x + (k + 0.5) * pitch, y + 0.044, pitch / 2, 0.012, paint)
        canvas.box(x + k * pitch, y, pitch, 0.044, paint)
    canvas.shade(x, y, width, 0.006, 1.1)
    canvas.shade(x, y + 0.038, width, 0.006, 0.8)


def _pavement(pen: Pen, width: float) -> None:
    canvas = pen.canvas
    canvas.box(0, GROUND, width, KERB - GROUND, (190, 180, 166))
    canvas.shade(0, GROUND, width, 0.009, 0.74)
    for joint in np.arange(0, width, 0.062):
        canvas.shade(joint, GROUND, 0.004, KERB - GROUND, 0.86)
    canvas.box(0, KERB - 0.01, width, 0.012, (214, 206, 194))
    canvas.box(0, KERB, width, 1 - KERB, (122, 116, 116))
    canvas.shade(0, KERB, width, 0.01, 0.66)
    y, tall = KERB + 0.01, 0.011
    while y < 1:
        _cobbles(pen, y, width, tall)
        y, tall = y + tall, tall * 1.18


def _cobbles(pen: Pen, y: float, width: float, tall: float) -> None:
    """One row of stones as high as `tall`."""
    part = pen.canvas.part(0, y, width, tall)
    if part.size == 0:
        return
    long = tall * 2.3 * pen.canvas.scale
    along = np.arange(part.shape[1]) + pen.random.uniform(0, long)
    stones = 1 + 0.06 * pen.random.standard_normal(int(along[-1] // long) + 1)
    light = np.where(along % long < long * 0.1, 0.82, stones[(along // long).astype(int)])
    across = np.ones(len(part))
    across[: max(1, len(part) // 7)] = 0.84
    part[..., :3] = (part[..., :3] * (light * across[:, None])[..., None]).clip(0, 255)


def _tree(pen: Pen, x: float) -> None:
    canvas, top = pen.canvas, GROUND - 0.21
    canvas.shape(
        [(x - 0.009, KERB - 0.012), (x - 0.006, top), (x + 0.006, top), (x + 0.011, KERB - 0.012)],
        (92, 68, 52),
    )
    canvas.box(x - 0.04, KERB - 0.016, 0.08, 0.006, (110, 96, 84))
    for depth in np.linspace(0, 1, 110):
        angle, reach = pen.random.uniform(0, 2 * np.pi), pen.random.uniform(0, 1) ** 0.5
        dx, dy = np.cos(angle) * reach * 0.08, np.sin(angle) * reach * 0.085
        light = 0.62 + 0.38 * depth - 1.6 * (dx + dy)
        colour = tuple(int(np.clip(tone * light, 0, 255)) for tone in (112, 152, 74))
        size = float(pen.random.uniform(0.012, 0.026))
        canvas.oval(x + dx, top - 0.03 + dy, size, size, (colour[0], colour[1], colour[2]))


def _lamp(pen: Pen, x: float) -> None:
    canvas, iron, top = pen.canvas, (44, 52, 54), GROUND - 0.25
    canvas.box(x - 0.004, top, 0.008, KERB - 0.008 - top, iron)
    canvas.box(x - 0.01, KERB - 0.035, 0.02, 0.027, iron)
    canvas.box(x - 0.018, top, 0.036, 0.006, iron)
    lantern = [
        (x - 0.011, top),
        (x - 0.017, top - 0.045),
        (x + 0.017, top - 0.045),
        (x + 0.011, top),
    ]
    canvas.shape(lantern, (255, 236, 176))
    canvas.shape([(x - 0.021, top - 0.045), (x, top - 0.068), (x + 0.021, top - 0.045)], iron)


def _noise(
    shape: tuple[int, ...], period_px: float, random: np.random.Generator, stretch: float = 1
) -> np.ndarray:
    """Smooth noise `(H, W)` float32 of mean 0 and deviation 1."""
    height, width = shape[:2]
    grid = max(2, round(height / period_px)), max(2, round(width / period_px / stretch))
    coarse = random.standard_normal(grid).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return (smooth - smooth.mean()) / smooth.std()
