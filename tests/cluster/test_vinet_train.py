"""VINet's training over an archive: its stages, the same with any number of processes."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.multiprocessing
import yaml
from job_fakes import moving_hole, pixels, quick, run, write_shot

from cluster.order import Order, survey
from cluster.scenes import lesson_config, scenes, vinet
from cluster.strict import CONFIGS, ConfigError
from cluster.train_config import VINetFit, VINetTraining, load_training
from cluster.training import train
from inpaint.checkpoint import read
from inpaint.windows import Window
from storage import InputError

CPU = torch.device("cpu")
SIZES = {"one": (5, 24, 32), "two": (3, 28, 40), "three": (2, 24, 24)}
SHORT = (
    *("method=vinet", "capacity=small", "precision=off", "fit.steps=6", "fit.batch=2"),
    *("fit.shares=[0.34, 0.33, 0.33]", "fit.window_px=16", "fit.frames=3", "fit.report_every=1"),
    *("fit.validate_every=3", "checkpoint_every=1", "size=20x16", "shots=[one, two]"),
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def archive_of(folder: Path, hidden: int = 0) -> Path:
    """Read shots into an archive, their holes those of `moving_hole`, with a value in them."""
    shots = []
    for name, size in SIZES.items():
        frames, hole = pixels(*size, 3), moving_hole(*size)
        frames[hole] = hidden
        shots.append(dataclasses.replace(write_shot(folder / name, frames, hole), export=None))
    run(folder / "archive", quick("method=telea"), *shots)
    return folder / "archive"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive_of(tmp_path_factory.mktemp("shots"))


def order_of(archive: Path, *words: str) -> Order:
    return survey(load_training(None, [*SHORT, f"archive={archive}", *words]))[0]


def contents(order: Order, saved: Sequence[bytes] = (), rank: int = 0, world: int = 1) -> list[Any]:
    """Train in this process; return the checkpoints."""
    lesson, footage = vinet(order, rank, world, CPU)
    pauses = train(lesson, CPU, saved, order.config.checkpoint_every, lambda: False)
    found = [pause.content for pause in pauses]
    footage.close()
    return found


def test_a_training_resumed_in_another_stage_ends_as_an_unbroken_one(archive: Path) -> None:
    order = order_of(archive)
    stages = [lesson_config(order).stage(step).supports for step in (1, 2)]
    assert stages == [1, 4]
    unbroken = contents(order)
    for step in (2, 5):
        assert contents(order, [unbroken[step - 1]])[-1] == unbroken[-1]


def test_what_lies_in_a_hole_is_never_learnt(archive: Path, tmp_path: Path) -> None:
    other = order_of(archive_of(tmp_path, hidden=255), "fit.steps=3")
    assert contents(other)[-1] == contents(order_of(archive, "fit.steps=3"))[-1]


def test_a_window_is_the_source_s_mean_over_a_whole_number_of_pixels(archive: Path) -> None:
    order = order_of(archive)
    scene = scenes(order, order.lots)[1]
    assert (scene.frames, scene.size) == (3, (14, 20))
    clip = scene.read(range(1, 3), Window(2, 4, 8, 10))
    own = pixels(3, 28, 40, 3)[1:, 4:20, 8:28].astype(np.float32)
    mean = own.reshape(2, 8, 2, 10, 2, 3).mean(axis=(2, 4))
    known = ~clip.hole[:, 0].numpy()
    assert np.abs(clip.frames.permute(0, 2, 3, 1).numpy() - mean)[known].max() <= 1
    assert clip.hole.any()


def _share(rank: int, archive: Path, port: int, folder: Path) -> None:
    """Train as one of two processes."""
    torch.set_num_threads(1)
    ranks = {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1}
    os.environ |= {key: str(value) for key, value in ranks.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.distributed.init_process_group("gloo")  # as Ray Train does
    folder.joinpath(str(rank)).write_bytes(contents(order_of(archive), (), rank, 2)[-1])
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(archive: Path, tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_share, (archive, _free_port(), tmp_path), nprocs=2)
    alone = read(contents(order_of(archive))[-1])["network"]
    shared = [read(tmp_path.joinpath(rank).read_bytes())["network"] for rank in "01"]
    for name, weights in alone.items():
        assert torch.equal(shared[0][name], shared[1][name])
        torch.testing.assert_close(shared[0][name], weights, rtol=0, atol=1e-4)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_shots_that_are_held_out_or_too_short_are_not_learnt_from(archive: Path) -> None:
    words = ["shots=null", "held_out=[two]"]
    config = load_training(None, [*SHORT, f"archive={archive}", *words])
    order, left_out = survey(config)
    assert left_out == {"three": "has 2 frames, fewer than fit.frames"}
    assert [lot.name for lot in order.lots] == ["one", "two"]
    assert [lot.name for lot in order.learnt] == ["one"]
    assert list(order.description["shots"]) == ["one"]
    with pytest.raises(InputError, match=r"held_out = \['three'\]"):
        order_of(archive, "held_out=[three]")
    with pytest.raises(InputError, match="no shot to learn from"):
        order_of(archive, "held_out=[one, two]")


def test_vinet_yaml_holds_every_key_at_its_default() -> None:
    assert load_training("vinet") == VINetTraining()
    stated = yaml.safe_load((CONFIGS / "vinet.yaml").read_text())
    assert stated.keys() == VINetTraining.model_fields.keys()
    assert stated["fit"].keys() == VINetFit.model_fields.keys()


def test_shares_that_are_not_the_whole_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"add up to 1, not to 1\.2"):
        load_training("vinet", ["fit.shares=[0.4, 0.4, 0.4]"])
