"""A training on a Ray cluster, by Ray Train: workers that start together, and its checkpoints.

Ray Train starts as many processes as asked and joins them; when one is lost, it starts all again
from the last checkpoint. Whoever started it asks it to stop by a file beside the checkpoints. The
only module that talks to Ray Train.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from cluster import (
    cores,
    on_ray,  # noqa: F401  before Ray Train: it closes a private Ray to others
)
from cluster.library import warmstart
from cluster.order import Crew, Order
from cluster.scenes import vinet
from cluster.train_config import VINetTraining
from cluster.training import Pause, train
from storage import Files
from storage.urls import is_local, join

import ray.train  # isort: skip
import ray.train.torch  # isort: skip

CHECKPOINT = "training.pt"
CURVE, STOP = "curve.json", "stop"

CURVE_EVERY_S = 5.0
"""How long an entry of the curve may wait before it is written."""

STOP_S = 60.0
"""How long workers may take to save themselves once asked to stop."""


def run_training(
    order: Order,
    storage: str,
    crew: Crew,
    stop: Callable[[], bool],
    tell: Callable[[dict[str, Any]], None],
) -> bytes | None:
    """Train to the end; return the last checkpoint, None where it was stopped.

    Started again with the same order it goes on from there, with any number of workers.

    Args:
        storage: folder or URL that every machine sees.
        tell: is given the last entry of the curve, each time there is a new one.

    Raises:
        Exception: what a worker failed of, after it was tried again as often as allowed.
    """
    files = Files(join(storage, order.name))
    files.remove(STOP)
    trainer = _trainer(order, storage, crew, files)
    running, asked_at, told = _beside(trainer.fit), 0.0, 0
    while not wait([running], timeout=0.5).done:
        if (last := _last(files)) and last["step"] != told:
            told = last["step"]
            tell(last)
        if stop() and not asked_at:
            asked_at = time.monotonic()
            files.write(STOP, b"")
        if asked_at and time.monotonic() - asked_at > STOP_S:
            return None
    try:
        result = running.result()
    except ray.train.WorkerGroupError as error:
        raise _first(error) from error
    return None if stop() else _content(result.checkpoint)


def _beside(fit: Callable[[], Any]) -> Future[Any]:
    """Run it in a thread of its own: in the main one Ray Train would take over the signals.

    It ends with the process, whether or not Ray Train ever answers.
    """
    running: Future[Any] = Future()

    def run() -> None:
        try:
            running.set_result(fit())
        except BaseException as error:
            running.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return running


def _trainer(order: Order, storage: str, crew: Crew, files: Files) -> Any:
    gpus = crew.each.gpus
    each = {"CPU": crew.each.cpus} | ({"GPU": gpus} if gpus else {})
    return ray.train.torch.TorchTrainer(
        _work,
        train_loop_config={"order": order, "files": files, "crew": crew},
        scaling_config=ray.train.ScalingConfig(
            num_workers=crew.workers, use_gpu=gpus > 0, resources_per_worker=each
        ),
        run_config=ray.train.RunConfig(
            name=order.name,
            failure_config=ray.train.FailureConfig(max_failures=order.config.max_failures),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
            **_place(storage),
        ),
    )


def _place(storage: str) -> dict[str, Any]:
    """Name a place as Ray Train takes it; object stores are those of fsspec, as everywhere."""
    if is_local(storage):
        return {"storage_path": storage}
    import fsspec
    from pyarrow.fs import FSSpecHandler, PyFileSystem  # type: ignore[import-untyped]

    system, path = fsspec.core.url_to_fs(storage)
    return {"storage_path": path, "storage_filesystem": PyFileSystem(FSSpecHandler(system))}


def _work(given: dict[str, Any]) -> None:
    """Do one worker's part."""
    order, files, crew = given["order"], given["files"], given["crew"]
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    cores.take(crew.each.cpus)
    device = ray.train.torch.get_device() if crew.each.gpus else torch.device("cpu")
    taught = vinet if isinstance(order.config, VINetTraining) else warmstart
    lesson, footage = taught(order, rank, world, device)
    curve = _Curve.resume(files) if rank == 0 else None

    def stop() -> bool:
        return rank == 0 and files.read(STOP) is not None

    with contextlib.closing(footage):
        for pause in train(lesson, device, _saved(), order.config.checkpoint_every, stop):
            if curve is not None:
                curve.add(pause)
            if pause.content is not None:
                _report(pause, rank)


def _report(pause: Pause, rank: int) -> None:
    """Give Ray Train a checkpoint; every worker must, one of them with the content."""
    metrics = asdict(pause.report)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = None
        if rank == 0 and pause.content is not None:
            Path(folder, CHECKPOINT).write_bytes(pause.content)
            checkpoint = ray.train.Checkpoint.from_directory(folder)
        ray.train.report(metrics, checkpoint=checkpoint)


def _saved() -> Iterator[bytes]:
    """Yield the checkpoints there are, the last one first."""
    last = ray.train.get_checkpoint()
    if last is None:
        return
    yield _content(last)
    for reported in reversed(ray.train.get_all_reported_checkpoints()):
        if reported.checkpoint.path != last.path:
            yield _content(reported.checkpoint)


def _content(checkpoint: Any) -> bytes:
    with checkpoint.as_directory() as folder:
        return Path(folder, CHECKPOINT).read_bytes()


@dataclass
class _Curve:
    """Loss and measurements so far, in a file that the driver looks at."""

    files: Files
    entries: list[dict[str, Any]]
    written_at: float = 0.0

    @classmethod
    def resume(cls, files: Files) -> _Curve:
        return cls(files, json.loads(files.read(CURVE) or b"[]"))

    def add(self, pause: Pause) -> None:
        step = pause.report.step
        self.entries = [entry for entry in self.entries if entry["step"] < step]
        self.entries.append(asdict(pause.report))
        if pause.content is not None or time.monotonic() - self.written_at > CURVE_EVERY_S:
            self.files.write(CURVE, json.dumps(self.entries).encode())
            self.written_at = time.monotonic()


def _last(files: Files) -> dict[str, Any] | None:
    entries = json.loads(files.read(CURVE) or b"[]")
    return entries[-1] if entries else None


def _first(error: Any) -> BaseException:
    """The worker's own error: that of the lowest rank which failed."""
    return error.worker_failures[min(error.worker_failures)]
