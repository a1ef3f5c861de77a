"""The shots of an archive as what a network learns from: known pixels, at the size launch uses.

What lies in a shot's hole or in its validation hole is unknown here too, so that a later fit's own
estimate stays honest. Frames are read as they are drawn; memory holds what is drawn, and the holes
of the shots last read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import zarr
from torch import Tensor

from cluster.footage import pairs
from cluster.order import Lot, Order
from cluster.train_config import TrainConfig
from inpaint.clip import Clip, joined, picture, touched
from inpaint.holes import validation_hole
from inpaint.internal import Exam
from inpaint.network import CAPACITIES, build
from inpaint.progressive import Pool
from inpaint.tone import Tone, tone_of
from inpaint.warmstart import Warmstart, canvas, pool
from storage import Archive, Shot

HOLES_KEPT = 32
"""Shots whose holes are kept in memory."""

EXAM_FRAMES = 16


@dataclass(frozen=True)
class _Known:
    """A shot, its hole, and at the working size its validation hole `(T, 1, h, w)` bool."""

    shot: Shot
    hole: zarr.Array
    tone: Tone
    size: tuple[int, int]
    judge: Tensor

    def picture(self, t: int) -> Clip:
        """Return a frame as a clip of length 1, its validation hole in it."""
        return picture(
            np.asarray(self.shot.frames[t]), np.asarray(self.hole[t]), self.size, self.tone
        )


class Library:
    """Reads frames of an order's shots, all on a canvas that holds the largest.

    Attributes:
        size: of the canvas, height and width.
    """

    def __init__(self, order: Order) -> None:
        self._order, self._archive = order, Archive.open(order.archive)
        sizes = [order.scale(lot).size for lot in order.lots]
        self.size = max(h for h, _ in sizes), max(w for _, w in sizes)
        self._known = lru_cache(HOLES_KEPT)(self._look)

    def frame(self, shot: int, t: int) -> Clip:
        """Return frame `t` of shot `shot` as a clip of length 1."""
        known = self._known(shot)
        return canvas(known.picture(t).hiding(known.judge[t : t + 1]), self.size)

    def pool(self, slots: Sequence[int], device: torch.device) -> Pool:
        """Return what the given samples of every step are drawn from."""
        counts = [lot.frames for lot in self._order.lots]
        return pool(counts, self.frame, self._order.fit, slots, device)

    def exam(self, device: torch.device) -> Exam | None:
        """Return frames of some shots, the last of each with a validation hole; None without."""
        lots = range(len(self._order.lots))
        parts = [self._part(n) for n in lots[:: -(-len(lots) // EXAM_FRAMES)]]
        found = [part for part in parts if part is not None]
        if not found:
            return None
        clips, where = zip(*found, strict=True)
        return Exam(joined(clips).to(device), torch.cat(where).to(device))

    def _part(self, shot: int) -> tuple[Clip, Tensor] | None:
        known = self._known(shot)
        times = known.judge.flatten(1).any(dim=1).nonzero().flatten().tolist()
        if not times:
            return None
        shown = canvas(known.picture(times[-1]), self.size)
        clip = self.frame(shot, times[-1])
        return clip, clip.unknown & ~shown.unknown

    def _look(self, number: int) -> _Known:
        lot = self._order.lots[number]
        shot, size = self._archive.shot(lot.name), self._order.scale(lot).size
        hole = hole_of(shot, lot)
        small = [touched(np.asarray(hole[t]), size) for t in range(lot.frames)]
        holes = torch.from_numpy(np.stack(small))[:, None]
        config = self._order.config
        assert isinstance(config, TrainConfig)
        judge = validation_hole(holes, config.validation_share, config.seed)
        return _Known(shot, hole, tone_of(shot.info.dtype, pairs(shot, hole)), size, judge)


def warmstart(order: Order, rank: int, world: int, device: torch.device) -> tuple[Warmstart, Pool]:
    """Return one process's part of the training, and what it reads, to be closed.

    Args:
        rank: which of the processes.
        world: how many there are; the batch is a multiple of it.
    """
    library, fit = Library(order), order.fit
    share = fit.batch // world
    slots = range(rank * share, (rank + 1) * share)
    assert order.config.capacity != "auto"
    network = build(CAPACITIES[order.config.capacity], order.channels, fit.seed)
    exam = library.exam(device) if rank == 0 else None
    footage = library.pool(slots, device)
    return Warmstart(network, footage, fit, slots, exam), footage


def hole_of(shot: Shot, lot: Lot) -> zarr.Array:
    return shot.hole if lot.masks is None else shot.mask_version(lot.masks).hole
