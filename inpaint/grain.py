"""Film grain and sensor noise: measured on a plate, and given to a fill as far as it lacks it.

The parts are those of Norkin and Birkbeck, Film Grain Synthesis for AV1 Video Codec, 2018: flat
blocks, a deviation for each brightness, a correlation between neighbours and channels. The
correlation is measured as a spectrum. As in Liu et al., Automatic Estimation and Removal of Noise
from a Single Image, 2008, the flattest blocks of each brightness count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

BLOCK_PX = 16
BLOCKS = 1024  # looked at of a frame, at most
LEVELS = 8  # of brightness
FLATTEST = 0.1  # of the blocks of a level, at least as many as
FEWEST = 8
ALIKE = 1.6  # times their mean variance: so rough a block counts with them, or they tell too little
STEEPEST = 2.0  # a level's deviation over that of the quiet half: what exceeds it is texture
SMOOTH_PX = 1.5  # finer than this is what a fill lacks, or has
NEARBY_PX = 17  # side of the box in which that is looked at; no pixel further off matters
LOUDEST = 3.0  # times the grain: an edge counts no more

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

    def noise(self, size: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        """Return grain `(H, W, C)` of deviation 1 for a size of H and W."""
        white = random.standard_normal((len(self.kernels), *size), np.float32)
        pairs = zip(white, self.kernels, strict=True)
        components = np.stack([cv2.filter2D(plane, -1, kernel) for plane, kernel in pairs], -1)
        return np.asarray(components @ self.mix.T)

    def added(
        self, picture: np.ndarray, hole: np.ndarray, random: np.random.Generator, share: float = 1.0
    ) -> np.ndarray:
        """Give the hole the grain that it lacks.

        Args:
            picture: `(H, W, C)` float32, filled.
            hole: `(H, W)` bool.
            share: of what it lacks.

        Returns:
            A new picture, unchanged outside the hole.
        """
        finite = np.nan_to_num(picture, posinf=0, neginf=0)
        strength = share * np.where(hole, self._lacking(finite), 0)[..., None]
        return np.where(strength > 0, finite + self.noise(hole.shape, random) * strength, picture)

    def _lacking(self, picture: np.ndarray) -> np.ndarray:
        """Return the deviation `(H, W)` that each pixel's surroundings fall short by."""
        brightness = cv2.GaussianBlur(picture.mean(-1), (0, 0), SMOOTH_PX)
        wanted = np.interp(brightness, self.levels, self.deviations).astype(np.float32)
        expected = wanted * self._fineness()
        fine = np.abs(_fine(picture)).mean(-1)
        there = cv2.blur(np.minimum(fine, LOUDEST * expected), (NEARBY_PX, NEARBY_PX))
        missing = 1 - np.square(there / np.maximum(expected, np.finfo(np.float32).tiny))
        return np.asarray(wanted * np.sqrt(missing.clip(0, 1)))

    def _fineness(self) -> float:
        """Return the mean magnitude of what is fine in grain of deviation 1."""
        room = ((0, 0), (BLOCK_PX, BLOCK_PX), (BLOCK_PX, BLOCK_PX))
        fine = np.stack([_fine(kernel) for kernel in np.pad(self.kernels, room)])
        variances = np.square(self.mix) @ np.square(fine).sum((1, 2))
        return float(np.sqrt(2 / np.pi) * np.sqrt(variances).mean())


def measure(pairs: Iterable[Pair]) -> Grain | None:
    """Measure a plate's grain in its flattest blocks; None where it has none, or none is seen.

    What stays the same from a frame to the next is no grain, so in each block the lesser counts:
    what varies across it, or between the two frames.
    """
    residuals, brightness = _residuals(pairs)
    if len(residuals) < FEWEST:
        return None
    variances = residuals.var((1, 2)).mean(-1)
    levels, deviations, chosen = list[float](), list[float](), list[np.ndarray]()
    parts = min(LEVELS, len(brightness) // FEWEST)
    for blocks in np.array_split(np.argsort(brightness, kind="stable"), parts):
        count = max(FEWEST, round(FLATTEST * len(blocks)))
        rising = blocks[np.argsort(variances[blocks], kind="stable")]
        flattest = rising[variances[rising] <= ALIKE * variances[rising[:count]].mean()]
        levels.append(float(brightness[flattest].mean()))
        deviations.append(float(np.sqrt(variances[flattest].mean())))
        chosen.append(flattest[variances[flattest] > 0])
    used = np.concatenate(chosen)
    if not len(used):
        return None
    quiet = float(np.median(np.sort(deviations)[: -(-len(deviations) // 2)]))
    order = np.argsort(levels)
    kernels, mix = _correlation(residuals[used] / np.sqrt(variances[used])[:, None, None, None])
    held = np.minimum(deviations, STEEPEST * quiet)
    return Grain(np.array(levels)[order], held[order], kernels, mix)


def _residuals(pairs: Iterable[Pair]) -> tuple[np.ndarray, np.ndarray]:
    """Return what may be grain in known blocks `(N, B, B, C)`, and their brightness `(N,)`."""
    residuals, brightness = [np.zeros((0, BLOCK_PX, BLOCK_PX, 1), np.float32)], [np.zeros(0)]
    for first, second, known in pairs:
        here = _blocks(first, known)
        across = _flat(here)
        if second is not None:
            between = _flat(here - _blocks(second, known)) / np.float32(np.sqrt(2))
            if not between.any():
                continue  # the same frame again
            lesser = between.var((1, 2)).mean(-1) < across.var((1, 2)).mean(-1)
            across = np.where(lesser[:, None, None, None], between, across)
        residuals.append(across)
        brightness.append(here.mean((1, 2, 3)))
    channels = residuals[-1].shape[-1]
    residuals[0] = np.broadcast_to(residuals[0], (0, BLOCK_PX, BLOCK_PX, channels))
    return np.concatenate(residuals), np.concatenate(brightness)


def _blocks(picture: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return known blocks `(N, B, B, C)`, evenly chosen where there are many."""
    rows, columns = (side // BLOCK_PX for side in known.shape)
    inside = slice(rows * BLOCK_PX), slice(columns * BLOCK_PX)
    grid = (rows, BLOCK_PX, columns, BLOCK_PX)
    places = np.argwhere(known[inside].reshape(grid).all((1, 3)))
    places = places[:: max(1, -(-len(places) // BLOCKS))]
    blocks = picture[inside].reshape(*grid, picture.shape[-1]).swapaxes(1, 2)
    return np.asarray(blocks[places[:, 0], places[:, 1]])


def _flat(blocks: np.ndarray) -> np.ndarray:
    """Return blocks `(N, B, B, C)` less the plane through each."""
    along = np.arange(BLOCK_PX, dtype=np.float32) - (BLOCK_PX - 1) / 2
    along /= np.linalg.norm(along) * np.sqrt(BLOCK_PX)
    level = blocks.mean((1, 2), keepdims=True)
    down = np.einsum("nijc,i->nc", blocks, along)[:, None, None] * along[:, None, None]
    right = np.einsum("nijc,j->nc", blocks, along)[:, None, None] * along[:, None]
    return np.asarray(blocks - level - down - right)


def _correlation(residuals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return kernels and mix, see `Grain`, of residuals `(N, B, B, C)` of deviation 1."""
    channels = residuals.shape[-1]
    flat = residuals.reshape(-1, channels)
    strengths, axes = np.linalg.eigh(flat.T @ flat / len(flat))
    taper = np.hanning(BLOCK_PX + 2)[1:-1]
    components = (residuals @ axes) * (taper[:, None] * taper)[..., None]
    spectra = np.square(np.abs(np.fft.fft2(components, axes=(1, 2)))).mean(0)
    kernels = np.fft.fftshift(np.fft.ifft2(np.sqrt(spectra), axes=(0, 1)).real, (0, 1))
    kernels = np.moveaxis(kernels[1:, 1:], -1, 0)  # of odd side, so that the middle is a pixel
    energies = np.sqrt(np.square(kernels).sum((1, 2), keepdims=True))
    kernels = kernels / np.maximum(energies, np.finfo(np.float64).tiny)
    mix = axes * np.sqrt(strengths.clip(0) / strengths.clip(0).mean())
    return kernels.astype(np.float32), mix.astype(np.float32)


def _fine(picture: np.ndarray) -> np.ndarray:
    smooth = cv2.GaussianBlur(picture, (0, 0), SMOOTH_PX)
    return np.asarray(picture - smooth.reshape(picture.shape))
