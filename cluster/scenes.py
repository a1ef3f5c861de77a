"""The shots of an archive as what VINet learns from: windows in time and space, known pixels only.

A window is read from the chunks it touches, at the source's size over a whole number, so that
memory holds the samples of a few steps, however long and large the shots are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from cluster.footage import pairs
from cluster.library import hole_of
from cluster.order import Lot, Order
from cluster.train_config import VINetTraining
from inpaint.clip import Clip, load
from inpaint.tone import tone_of
from inpaint.vinet.lesson import Ahead, Lesson, LessonConfig, Scene, drawn, examined
from inpaint.vinet.network import CAPACITIES, build
from inpaint.windows import Window
from storage import Archive


def vinet(order: Order, rank: int, world: int, device: torch.device) -> tuple[Lesson, Ahead]:
    """Return one process's part of the training, and what it reads, to be closed.

    Args:
        rank: which of the processes; the first one measures.
        world: how many there are; the batch is a multiple of it.
    """
    config, share = lesson_config(order), order.config.fit.batch // world
    slots = range(rank * share, (rank + 1) * share)
    assert order.config.capacity != "auto"
    network = build(CAPACITIES[order.config.capacity], order.channels, config.seed)
    learnt = scenes(order, order.learnt)
    held = [lot for lot in order.lots if lot not in order.learnt]
    exam = examined(scenes(order, held) or learnt, config) if rank == 0 else None
    # The flows of a step take a core half a second: a GPU would wait for one.
    threads = torch.get_num_threads() if device.type == "cuda" else 1
    samples = Ahead(lambda step: drawn(learnt, config, step, slots), config.steps, threads)
    return Lesson(network, samples, config, exam), samples


def lesson_config(order: Order) -> LessonConfig:
    config = order.config
    assert isinstance(config, VINetTraining)
    return LessonConfig(**config.fit.model_dump(), seed=config.seed, precision=config.precision)


def scenes(order: Order, lots: Sequence[Lot]) -> list[Scene]:
    """Return shots as they are learnt from."""
    archive = Archive.open(order.archive)
    return [_scene(archive, order, lot) for lot in lots]


def _scene(archive: Archive, order: Order, lot: Lot) -> Scene:
    shot = archive.shot(lot.name)
    hole, factor = hole_of(shot, lot), -(-lot.height // order.scale(lot).height)
    tone = tone_of(shot.info.dtype, pairs(shot, hole))

    def read(times: Sequence[int], window: Window) -> Clip:
        rows, columns = (slice(part.start * factor, part.stop * factor) for part in window.slices)
        both = (
            np.asarray(array.oindex[np.array(times), rows, columns])
            for array in (shot.frames, hole)
        )
        return load(zip(*both, strict=True), len(times), (window.height, window.width), tone)

    return Scene(lot.frames, (lot.height // factor, lot.width // factor), read)
