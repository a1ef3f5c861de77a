"""A shot at one of its finer scales, read window by window, and what it is judged by."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from inpaint.clip import Clip, joined, picture, shrunk, stored, touched
from inpaint.fill import fill
from inpaint.internal import Exam, judged_frames
from inpaint.network import Network
from inpaint.prior import Blend, blended
from inpaint.progressive import Pool, Scale, boundary_windows
from inpaint.tone import Tone
from inpaint.windows import Window
from storage import Version
from storage.boundary import CELL_PX

VALIDATION = "validation.npz"
"""Beside the version of every scale but the last: the validation hole, and what the coarsest made
of it."""

POOL_GROUPS = 8
GROUP_WINDOWS = 8


@dataclass(frozen=True)
class Judged:
    """The validation hole of a shot's coarsest scale and what was made of it there.

    The finer scales keep clear of the same places, and are judged with these pictures as prior.

    Attributes:
        hole: `(T, h, w)` bool.
        frames: `(N,)`, the frames that are judged.
        pictures: `(N, h, w, C)` float16, 0 to 1 after the tone curve.
    """

    hole: np.ndarray
    frames: np.ndarray
    pictures: np.ndarray

    @classmethod
    def of(
        cls,
        network: Network,
        clip: Clip,
        judge: Tensor,
        accelerator: Accelerator,
        blend: Blend | None,
    ) -> Judged:
        """Fill the validation hole as the hole is filled, with a fitted network and its prior."""
        index = judged_frames(judge)
        chosen = torch.zeros(len(clip), 1, 1, 1, dtype=torch.bool, device=judge.device)
        chosen[index] = True
        hidden = replace(clip, hole=clip.unknown & chosen)
        filled = blended(fill(network, hidden, accelerator), hidden, blend)
        pictures = [
            picture.permute(1, 2, 0).cpu().half().numpy() for t, picture in filled if chosen[t]
        ]
        shape = (0, *clip.size, clip.frames.shape[1])
        stacked = np.stack(pictures) if pictures else np.zeros(shape, np.float16)
        return cls(judge[:, 0].cpu().numpy(), index.cpu().numpy(), stacked)

    def answers(self, size: tuple[int, int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the frames that are judged and their pictures, at another size."""
        for t, answer in zip(self.frames.tolist(), self.pictures, strict=True):
            yield t, _resized(answer.astype(np.float32), size)

    def dump(self) -> bytes:
        buffer = io.BytesIO()
        packed = np.packbits(self.hole, axis=-1)
        np.savez_compressed(
            buffer,
            hole=packed,
            width=self.hole.shape[-1],
            frames=self.frames,
            pictures=self.pictures,
        )
        return buffer.getvalue()

    @classmethod
    def read(cls, content: bytes) -> Judged:
        with np.load(io.BytesIO(content), allow_pickle=False) as saved:
            hole = np.unpackbits(saved["hole"], axis=-1, count=int(saved["width"])).astype(bool)
            return cls(hole, saved["frames"], saved["pictures"])


class Plates:
    """The frames of a shot at one of its finer scales, read where they are needed.

    The prior is the coarser scale's fill inside the hole, and around it what the coarser scale can
    hold of the known pixels, so that it looks the same in training, at a shifted hole, as it does
    at the real one.

    Args:
        version: whose hole is filled.
        coarser: the result of the scale before.
        judged: the validation hole to keep clear of.
    """

    def __init__(
        self, version: Version, coarser: Version, judged: Judged, tone: Tone, scale: Scale
    ) -> None:
        assert scale.factor is not None
        self._shot, self._hole, self._coarser = version.shot, version.hole, coarser
        self._judged, self._tone, self._scale = judged, tone, scale
        self._factor = scale.factor

    @property
    def size(self) -> tuple[int, int]:
        return self._scale.size

    @property
    def _whole(self) -> Window:
        return Window(0, 0, *self.size)

    def __len__(self) -> int:
        return len(self._shot)

    def missing(self, t: int) -> np.ndarray:
        return touched(self._padded(np.asarray(self._hole[t]), self._whole), self.size)

    def __getitem__(self, t: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a frame `(H, W, C)`, as a clip keeps it, and what is unknown, `(H, W)` bool."""
        one = self._read(t, self._whole)[0]
        unknown = one.unknown[0, 0].numpy() | self.judged(t, self._whole)
        return one.frames[0].permute(1, 2, 0).contiguous().numpy(), unknown

    def window(self, t: int, window: Window, answer: np.ndarray | None = None) -> Clip:
        """Return a rectangle of a frame.

        Args:
            answer: `(h, w, C)`: what the coarsest scale made of the validation hole there; it
                takes the truth's place in the prior.
        """
        one, pixels, hole = self._read(t, window)
        size = window.height, window.width
        missing, unknown = one.hole[0, 0].numpy(), one.unknown[0, 0].numpy()
        judged = self.judged(t, window) & ~unknown
        prior = self._held(_values(one.frames), ~unknown if answer is None else ~(unknown | judged))
        if answer is not None:
            prior = np.where(judged[..., None], _resized(answer, size), prior)
        if hole.any():
            region = t, *self._region(window)
            filled = self._padded(np.asarray(self._coarser.filled[region]), window)
            whole = np.where(hole[..., None], filled, pixels)  # a pixel may be of the hole in part
            made = shrunk(np.nan_to_num(self._tone.encode(whole), posinf=1, neginf=0), size)
            prior = np.where(missing[..., None], made, prior)
        kept = stored(prior.astype(np.float32), pixels.dtype)
        return replace(one, unknown=torch.from_numpy(unknown | judged)[None, None], prior=kept)

    def judged(self, t: int, window: Window) -> np.ndarray:
        """Return the validation hole in a rectangle of a frame, `(height, width)` bool."""
        height, width = self._judged.hole.shape[1:]
        rows = (np.arange(window.height) + window.top) * height // self.size[0]
        columns = (np.arange(window.width) + window.left) * width // self.size[1]
        return self._judged.hole[t][rows[:, None], columns]

    def unknown_px(self) -> list[int]:
        """Count the unknown pixels of each frame; floats, which may be none, are read for it."""
        read = self._tone.dtype.startswith("float")
        unknown = (
            self[t][1] if read else self.missing(t) | self.judged(t, self._whole)
            for t in range(len(self))
        )
        return [int(np.count_nonzero(each)) for each in unknown]

    def exam(self, window_px: int, device: torch.device) -> Exam | None:
        """Return windows around places of the validation hole, one a judged frame."""
        clips, where, places = [], [], []
        for t, answer in self._judged.answers(self.size):
            window = self._around(t, window_px)
            places.append((t, window))
            clips.append(self.window(t, window, answer[window.slices]))
            judged = torch.from_numpy(self.judged(t, window))[None, None]
            where.append(judged & ~clips[-1].hole)
        if not clips:
            return None
        return Exam(joined(clips).to(device), torch.cat(where).to(device), places)

    def pool(
        self,
        index: np.ndarray,
        window_px: int,
        uniform_share: float,
        seed: int,
        device: torch.device,
    ) -> Pool:
        """Return the windows to learn from.

        Args:
            index: `(T, rows, columns)`: where the boundary lies (`storage.boundary`).
        """
        cell_px = CELL_PX / self._factor

        def draw(number: int) -> list[tuple[int, Window]]:
            random = np.random.default_rng([seed, self._factor, number])
            return boundary_windows(
                index, cell_px, window_px, self.size, GROUP_WINDOWS, random, uniform_share
            )

        return Pool(draw, self.window, groups=POOL_GROUPS, device=device)

    def _read(self, t: int, window: Window) -> tuple[Clip, np.ndarray, np.ndarray]:
        """A rectangle as a clip without a prior, and the source's pixels and hole there."""
        region = t, *self._region(window)
        pixels, hole = (
            self._padded(np.asarray(array[region]), window)
            for array in (self._shot.frames, self._hole)
        )
        size = window.height, window.width
        return picture(pixels, hole, size, self._tone), pixels, hole

    def _held(self, pixels: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Blur to what the scale before can hold; what is not known has no part in it."""
        sigma = 0.45 * self._scale.enlarged
        weight = cv2.GaussianBlur(known.astype(np.float32), (0, 0), sigma)
        blurred = cv2.GaussianBlur(pixels * known[..., None], (0, 0), sigma).reshape(pixels.shape)
        return blurred / np.maximum(weight, 1e-3)[..., None]

    def _around(self, t: int, window_px: int) -> Window:
        """A window around the middle pixel of a frame's validation hole."""
        places = np.argwhere(self.judged(t, self._whole))
        middle = places[len(places) // 2]
        sides = [min(window_px, length) for length in self.size]
        starts = [
            int(np.clip(at - side // 2, 0, length - side))
            for at, side, length in zip(middle, sides, self.size, strict=True)
        ]
        return Window(*starts, *sides)

    def _region(self, window: Window) -> tuple[slice, slice]:
        rows, columns = window.slices
        f = self._factor
        return slice(rows.start * f, rows.stop * f), slice(columns.start * f, columns.stop * f)

    def _padded(self, values: np.ndarray, window: Window) -> np.ndarray:
        """Repeat the last rows and columns of a source that is no multiple of the factor."""
        missing = (
            window.height * self._factor - values.shape[0],
            window.width * self._factor - values.shape[1],
        )
        if missing == (0, 0):
            return values
        margins = [(0, missing[0]), (0, missing[1]), (0, 0)][: values.ndim]
        return np.pad(values, margins, mode="edge")


def _values(frames: Tensor) -> np.ndarray:
    """One stored frame as float32 `(H, W, C)` in 0 to 1."""
    scale = 1 / 255 if frames.dtype == torch.uint8 else 1.0
    return frames[0].permute(1, 2, 0).to(torch.float32).mul(scale).numpy()


def _resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    large = cv2.resize(values, size[::-1], interpolation=cv2.INTER_CUBIC)
    return large.reshape(*size, -1).clip(0, 1)
