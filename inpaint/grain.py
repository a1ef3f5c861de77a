"""Film grain and sensor noise: measured on a plate, and given to a fill as far as it lacks it.

The parts are those of Norkin and Birkbeck, Film Grain Synthesis for AV1 Video Codec, 2018: flat
blocks, a deviation for each brightness, a correlation between neighbours and channels; here the
correlation is measured as a spectrum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from inpaint.clip import around

BLOCKS = 1024  # looked at of a frame, and for the spectrum, at most
LEVELS = 8  # of brightness
FEWEST = 4  # blocks that vary alike
ENOUGH = 8 * FEWEST  # blocks of a frame for a level of its own
ALIKE = 1.6  # times the variance of another block is alike
FLAT = 0.35  # of a level's blocks vary alike, or they show texture; in pure grain nearly all do
QUIET = 0.375  # of the levels are taken to show grain and no texture
STEEPEST = 4.0  # a level's deviation over theirs: what exceeds it is texture
MOST = 0.06  # deviation: what varies by more is texture
LEAST = 2e-4  # deviation: a twentieth of a step of 8 bits, where a codec has frozen a block
SMOOTH_PX = 1.5  # finer than this is what a fill lacks, or has
NEARBY_PX = 17  # side of the box in which that is looked at; no pixel further off matters
LOUDEST = 3.0  # times the grain: an edge counts no more
BAND_PX = 256  # rows that are given grain at a time

Pair = tuple[np.ndarray, np.ndarray | None, np.ndarray]
"""A frame `(H, W, C)` float32, the next one if there is one, and where both are known `(H, W)`."""


@dataclass(frozen=True)
class Grain:
    """The grain of a plate.

    Attributes:
        levels: `(L,)`, rising: brightness, as the mean of the channels.
        deviations: `(L,)`: of the grain at each, root mean square over the channels.
        kernels: `(C, K, K)`: each brings white noise to the spectrum of one component.
        mix: `(C, C)`: from components to channels.
    """

    levels: np.ndarray
    deviations: np.ndarray
    kernels: np.ndarray
    mix: np.ndarray

    @property
    def reach_px(self) -> int:
        """How far the grain of a pixel depends on white noise around it."""
        return self.kernels.shape[-1] // 2

    def noise(self, white: np.ndarray) -> np.ndarray:
        """Return grain `(H, W, C)` of deviation 1, of white noise that reaches around it."""
        reach = self.reach_px
        planes = zip(np.moveaxis(white, -1, 0), self.kernels, strict=True)
        components = np.stack([cv2.filter2D(plane, -1, kernel) for plane, kernel in planes], -1)
        return np.asarray(components[reach:-reach, reach:-reach] @ self.mix.T)

    def added(
        self,
        picture: np.ndarray,
        hole: np.ndarray,
        white: np.ndarray,
        share: float = 1.0,
        ends: tuple[float, float] | None = None,
    ) -> np.ndarray:
        """Give the hole the grain that it lacks.

        Args:
            picture: `(H, W, C)` float32, filled.
            hole: `(H, W)` bool.
            white: noise `(H + 2 R, W + 2 R, C)` float32, R being `reach_px`.
            share: of what it lacks.
            ends: the least and the largest value there is: what is clipped has no grain.

        Returns:
            A new picture, unchanged outside the hole.
        """
        finite = np.nan_to_num(picture, posinf=0, neginf=0)
        strength = share * self._lacking(finite, hole)[..., None]
        if ends is not None:
            smooth = _smooth(finite)
            room = np.minimum(smooth - ends[0], ends[1] - smooth)
            strength = np.minimum(strength, room.clip(0) / 2)
        grained = picture + self.noise(white) * strength
        return np.where(hole[..., None] & np.isfinite(picture), grained, picture)

    def _lacking(self, picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
        """Return the deviation `(H, W)` that the hole falls short by around each of its pixels."""
        wanted = np.interp(_smooth(picture.mean(-1)), self.levels, self.deviations)
        wanted = wanted.astype(np.float32)
        expected = wanted * self._fineness
        fine = np.minimum(np.abs(_fine(picture)).mean(-1), LOUDEST * expected)
        box, inside = (NEARBY_PX, NEARBY_PX), hole.astype(np.float32)
        there = cv2.blur(fine * inside, box) / np.maximum(cv2.blur(inside, box), 1e-6)
        held = (there / np.maximum(expected, 1e-12)).clip(0, 1)
        return np.asarray(wanted * np.sqrt(1 - np.square(held)))

    @cached_property
    def _fineness(self) -> float:
        """Return the mean magnitude of what is fine in grain of deviation 1."""
        room = self.kernels.shape[-1]
        padded = np.pad(self.kernels, ((0, 0), (room, room), (room, room)))
        fine = np.stack([_fine(kernel) for kernel in padded])
        variances = np.square(self.mix) @ np.square(fine).sum((1, 2))
        return float(np.sqrt(2 / np.pi) * np.sqrt(variances).mean())


def bands(hole: np.ndarray) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """Cut a hole into bands of rows; yield the region around each, and its part `(h, w)` in it."""
    for top in range(0, len(hole), BAND_PX):
        inside = np.zeros_like(hole)
        inside[top : top + BAND_PX] = hole[top : top + BAND_PX]
        if inside.any():
            region = around(inside, NEARBY_PX)
            yield region, inside[region]


def white_noise(
    region: tuple[slice, slice], channels: int, reach_px: int, seed: tuple[int, ...]
) -> np.ndarray:
    """Return white noise for a region of a frame and around it, the same wherever regions meet."""
    rows, columns = region
    width = columns.stop + 2 * reach_px
    return np.stack(
        [
            np.random.default_rng((*seed, row)).standard_normal((width, channels), np.float32)
            for row in range(rows.start, rows.stop + 2 * reach_px)
        ]
    )[:, columns.start :]


def measure(pairs: Iterable[Pair]) -> Grain | None:
    """Measure a plate's grain in its flattest blocks; None where it has none, or none is seen.

    What stays the same from a frame to the next is no grain, so in each block the lesser counts:
    what varies across it, or between the two frames. Where grain is all there is, most blocks of a
    level vary alike; where they do not, there is texture, and the level says nothing. Of the pairs,
    the middle one counts.
    """
    found = [pair for pair in map(_residuals, pairs) if len(pair[0])]
    if sum(len(residuals) for residuals, _ in found) < FEWEST:
        return None
    residuals, brightness = (np.concatenate(parts) for parts in zip(*found, strict=True))
    variances = residuals.var((1, 2)).mean(-1)
    frames = np.repeat(np.arange(len(found)), [len(blocks) for blocks, _ in found])
    levels, deviations, used = list[float](), list[float](), list[np.ndarray]()
    parts = max(1, min(LEVELS, len(frames) // (ENOUGH * len(found))))
    for level in np.array_split(np.argsort(brightness, kind="stable"), parts):
        shown = [level[frames[level] == number] for number in range(len(found))]
        flat = [_plain(blocks, variances) for blocks in shown if len(blocks) >= FEWEST]
        sure = [blocks for blocks in flat if len(blocks)]
        if 2 * len(sure) <= len(flat):
            continue
        deviation = float(np.median([variances[blocks].mean() for blocks in sure]) ** 0.5)
        if deviation <= MOST:
            levels.append(float(brightness[level].mean()))
            deviations.append(deviation)
            used += sure
    if not levels:
        return None
    plain = np.concatenate(used)
    plain = plain[:: -(-len(plain) // BLOCKS)]
    kernels, mix = _correlation(residuals[plain] / np.sqrt(variances[plain])[:, None, None, None])
    held = np.minimum(deviations, STEEPEST * np.quantile(deviations, QUIET))
    return Grain(np.array(levels), held, kernels, mix)


def _plain(blocks: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Return the flattest blocks that vary alike and are a good part of all, or none."""
    rising = blocks[np.argsort(variances[blocks], kind="stable")]
    values = variances[rising]
    ends = np.searchsorted(values, ALIKE * values, side="right")
    counts = ends - np.arange(len(values))
    enough = np.flatnonzero(counts >= max(FEWEST, FLAT * len(values)))
    if not len(enough):
        return blocks[:0]
    first = enough[0]
    most = first + int(np.argmax(counts[first : ends[first]]))
    return rising[most : ends[most]]


def _residuals(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Return what may be grain in known blocks `(N, B, B, C)`, and their brightness `(N,)`."""
    first, second, known = pair
    here = _blocks(first, known)
    found = _flat(here)
    told = found.var((1, 2)).mean(-1) > LEAST**2  # or it is clipped, or no part of the picture
    if second is not None:
        between = _flat(here - _blocks(second, known)) / np.float32(np.sqrt(2))
        before, since = (residuals.var((1, 2)).mean(-1) for residuals in (found, between))
        frozen = since <= LEAST**2
        if 2 * np.count_nonzero(frozen & told) > np.count_nonzero(told):
            told[:] = False  # the same frame again
        told &= ~frozen
        found = np.where((since < before)[:, None, None, None], between, found)
    return found[told], here[told].mean((1, 2, 3))


def _blocks(picture: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return known blocks `(N, B, B, C)`, some of them where there are many."""
    side = 32 if min(known.shape) >= 720 else 16
    rows, columns = (length // side for length in known.shape)
    inside = slice(rows * side), slice(columns * side)
    grid = (rows, side, columns, side)
    places = np.argwhere(known[inside].reshape(grid).all((1, 3)))
    places = places[np.random.default_rng(0).permutation(len(places))[:BLOCKS]]
    blocks = picture[inside].reshape(*grid, picture.shape[-1]).swapaxes(1, 2)
    return np.asarray(blocks[places[:, 0], places[:, 1]])


def _flat(blocks: np.ndarray) -> np.ndarray:
    """Return blocks `(N, B, B, C)` less the plane through each."""
    side = blocks.shape[1]
    along = np.arange(side, dtype=np.float32) - (side - 1) / 2
    along /= np.linalg.norm(along) * np.sqrt(side)
    level = blocks.mean((1, 2), keepdims=True)
    down = np.einsum("nijc,i->nc", blocks, along)[:, None, None] * along[:, None, None]
    right = np.einsum("nijc,j->nc", blocks, along)[:, None, None] * along[:, None]
    return np.asarray(blocks - level - down - right)


def _correlation(residuals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return kernels and mix, see `Grain`, of residuals `(N, B, B, C)` of deviation 1."""
    side, channels = residuals.shape[-2:]
    flat = residuals.reshape(-1, channels)
    strengths, axes = np.linalg.eigh(flat.T @ flat / len(flat))
    taper = np.hanning(side + 2)[1:-1]
    components = (residuals @ axes) * (taper[:, None] * taper)[..., None]
    spectra = np.square(np.abs(np.fft.fft2(components, axes=(1, 2)))).mean(0)
    kernels = np.fft.fftshift(np.fft.ifft2(np.sqrt(spectra), axes=(0, 1)).real, (0, 1))
    kernels = np.moveaxis(kernels[1:, 1:], -1, 0)  # of odd side, so that the middle is a pixel
    energies = np.sqrt(np.square(kernels).sum((1, 2), keepdims=True))
    kernels = kernels / np.maximum(energies, np.finfo(np.float64).tiny)
    mix = axes * np.sqrt(strengths.clip(0) / strengths.clip(0).mean())
    return kernels.astype(np.float32), mix.astype(np.float32)


def _fine(picture: np.ndarray) -> np.ndarray:
    return picture - _smooth(picture)


def _smooth(picture: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), SMOOTH_PX).reshape(picture.shape)
