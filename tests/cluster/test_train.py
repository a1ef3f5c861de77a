"""Training over an archive: the same with any number of workers, and never a hidden pixel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
import yaml
from job_fakes import moving_hole, pixels, quick, run, write_shot

from cluster.library import Library, warmstart
from cluster.on_train import run_training
from cluster.order import Crew, Order, fitted, survey
from cluster.room import Need
from cluster.strict import CONFIGS, ConfigError
from cluster.train_config import TrainConfig, TrainFit, load_training
from cluster.training import Pause, train
from inpaint.checkpoint import read
from inpaint.holes import validation_hole
from inpaint.warmstart import unpack
from storage import InputError

CPU = torch.device("cpu")
SIZES = {"one": (24, 32), "two": (28, 20), "three": (24, 24)}
SHORT = (
    *("capacity=small", "precision=off", "fit.steps=6", "fit.batch=4", "fit.warmup_steps=2"),
    *("fit.report_every=1", "fit.validate_every=3", "fit.renew_every=2", "checkpoint_every=2"),
)


def frames_of(name: str) -> np.ndarray:
    return pixels(4, *SIZES[name], 3)


def archive_of(folder: Path, frames: dict[str, np.ndarray]) -> Path:
    """Read shots into an archive; their holes are those of `moving_hole`."""
    shots = [write_shot(folder / name, f, moving_hole(*f.shape[:3])) for name, f in frames.items()]
    run(folder / "archive", quick("method=telea"), *(replace(s, export=None) for s in shots))
    return folder / "archive"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive_of(tmp_path_factory.mktemp("shots"), {name: frames_of(name) for name in SIZES})


def order_of(archive: Path, *words: str) -> Order:
    return survey(load_training(None, [*SHORT, f"archive={archive}", *words]))[0]


def pauses(order: Order, saved: Sequence[bytes] = (), stop_at: int = -1) -> Iterator[Pause]:
    """Train in this process, alone; asked to stop at a step."""
    lesson, footage = warmstart(order, 0, 1, CPU)
    steps: list[int] = []
    for pause in train(
        lesson, CPU, saved, order.config.checkpoint_every, lambda: len(steps) + 1 == stop_at
    ):
        steps.append(pause.report.step)
        yield pause
    footage.close()


def trained(order: Order, saved: Sequence[bytes] = ()) -> bytes:
    content = list(pauses(order, saved))[-1].content
    assert content is not None
    return content


def test_a_resumed_training_ends_with_the_bytes_of_an_unbroken_one(archive: Path) -> None:
    order = order_of(archive)
    *_, stopped = pauses(order, stop_at=3)
    assert stopped.stopped
    assert stopped.content is not None
    assert read(stopped.content)["step"] == 3
    assert trained(order, [stopped.content]) == trained(order)


def test_a_damaged_checkpoint_leaves_the_one_before_it(archive: Path) -> None:
    order = order_of(archive)
    saved = [pause.content for pause in pauses(order) if pause.content is not None]
    assert len(saved) == 3
    steps = [p.report.step for p in pauses(order, [saved[1][:-9], saved[0]])]
    assert steps == [3, 4, 5, 6]


def test_what_a_fit_hides_is_never_learnt(archive: Path, tmp_path: Path) -> None:
    hidden = {name: _hidden(frames_of(name)) for name in SIZES}
    frames = {n: np.where(hidden[n][..., None], 255 - frames_of(n), frames_of(n)) for n in SIZES}
    learnt = trained(order_of(archive))
    assert trained(order_of(archive_of(tmp_path / "hidden", frames))) == learnt
    frames["one"][0, 0, 0] ^= 255
    assert trained(order_of(archive_of(tmp_path / "known", frames))) != learnt


def _hidden(frames: np.ndarray) -> np.ndarray:
    """The hole and the validation hole of a fit, `(T, H, W)` bool."""
    hole = torch.from_numpy(moving_hole(*frames.shape[:3]))[:, None]
    judge = validation_hole(hole, share=0.05, seed=0)
    assert judge.any()
    return (hole | judge)[:, 0].numpy()


def test_the_frames_stand_on_a_canvas_that_holds_the_largest(archive: Path) -> None:
    order = order_of(archive)
    clip = Library(order).frame([lot.name for lot in order.lots].index("two"), 1)
    assert clip.size == (28, 32)
    assert torch.equal(
        clip.frames[0, :, :, :20].permute(1, 2, 0), torch.tensor(frames_of("two")[1])
    )
    assert clip.unknown[..., 20:].all()
    assert not clip.hole[..., 20:].any()


def test_a_shot_that_cannot_be_learnt_from_is_left_out_with_its_reason(tmp_path: Path) -> None:
    folder = archive_of(tmp_path, {"rgb": frames_of("one"), "rgb2": frames_of("two")})
    archive_of(tmp_path / "more", {"grey": pixels(4, 24, 24, 1)})
    os.rename(tmp_path / "more" / "archive" / "grey", folder / "grey")
    order, left_out = survey(load_training(None, [*SHORT, f"archive={folder}"]))
    assert [lot.name for lot in order.lots] == ["rgb", "rgb2"]
    assert left_out == {"grey": "has 1 channels, most have 3"}
    with pytest.raises(InputError, match="no shot 'four'"):
        order_of(folder, "shots=[four]")


def test_another_order_has_another_name_and_the_number_of_workers_has_none(archive: Path) -> None:
    name = order_of(archive).name
    assert order_of(archive, "workers=2", "checkpoint_every=3").name == name
    others = [order_of(archive, word).name for word in ("seed=1", "fit.steps=7", "shots=[one]")]
    assert len({name, *others}) == 4


def test_what_the_machines_decide(archive: Path) -> None:
    order, gpus = order_of(archive, "capacity=auto"), [Need(3, 8), Need(0, 8)]
    order, crew = fitted(order, gpus)
    assert (order.config.capacity, crew) == ("base", Crew(2, Need(1, 1)))
    order, crew = fitted(order_of(archive, "capacity=auto"), [Need(0, 8)])
    assert (order.config.capacity, crew) == ("small", Crew(1, Need(0, 1)))
    with pytest.raises(ConfigError, match="workers = 4: there is room for 2 of 0 GPUs, 3 cores"):
        fitted(order_of(archive, "workers=4", "resources.cpus=3"), [Need(0, 8)])
    with pytest.raises(ConfigError, match="batch = 4 cannot be shared"):
        fitted(order_of(archive, "workers=3"), [Need(0, 8)])


def test_warmstart_yaml_holds_every_key_at_its_default() -> None:
    assert load_training("warmstart") == TrainConfig()
    stated = yaml.safe_load((CONFIGS / "warmstart.yaml").read_text())
    assert stated.keys() == TrainConfig.model_fields.keys()
    assert stated["fit"].keys() == TrainFit.model_fields.keys()


def test_a_checkpoint_falls_on_an_entry_of_the_curve() -> None:
    with pytest.raises(ConfigError, match=r"expected a multiple of fit\.report_every, 20"):
        load_training("warmstart", ["checkpoint_every=30"])


def on_ray(order: Order, storage: Path, workers: int, until_step: int = 10**9) -> bytes | None:
    """Train with Ray Train, asked to stop once a step has been told of."""
    steps = [0]
    return run_training(
        order,
        str(storage),
        Crew(workers, Need()),
        lambda: steps[-1] >= until_step,
        lambda entry: steps.append(entry["step"]),
    )


RAYS_OWN = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*")
"""Ray Train calls what Ray Data deprecates."""


@RAYS_OWN
def test_two_workers_learn_what_one_learns(cluster: None, archive: Path, tmp_path: Path) -> None:
    order = order_of(archive, "checkpoint_every=6")
    # Sums of floats in another order: 1.4e-6 after 6 steps, a step being some 1e-2.
    assert _apart(on_ray(order, tmp_path, workers=2), trained(order)) < 1e-4


@RAYS_OWN
@pytest.mark.slow
def test_what_two_workers_were_stopped_at_one_goes_on_with(
    cluster: None, archive: Path, tmp_path: Path
) -> None:
    order = order_of(archive, "fit.steps=20", "checkpoint_every=20")
    assert on_ray(order, tmp_path, workers=2, until_step=1) is None
    assert _apart(on_ray(order, tmp_path, workers=1), trained(order)) < 1e-3


def _apart(ours: bytes | None, theirs: bytes) -> float:
    """By how much the weights of two checkpoints differ, at most."""
    assert ours is not None
    here, there = read(ours)["network"], read(theirs)["network"]
    return max(float((here[name] - there[name]).abs().max()) for name in there)


@RAYS_OWN
@pytest.mark.slow
def test_a_killed_worker_costs_no_more_than_the_steps_since_the_last_checkpoint(
    cluster: None, archive: Path, tmp_path: Path
) -> None:
    order = order_of(archive, "fit.steps=60", "checkpoint_every=10")
    killed: list[int] = []

    def kill_once(entry: dict[str, Any]) -> None:
        if not killed and entry["step"] >= 20:
            killed.append(_kill_a_worker())

    content = run_training(order, str(tmp_path), Crew(2, Need()), lambda: False, kill_once)
    assert killed
    assert _apart(content, trained(order)) < 1e-2


def _is_worker(process: psutil.Process) -> bool:
    return any("RayTrainWorker" in word for word in process.cmdline())


def _kill_a_worker() -> int:
    """SIGKILL a worker of this module's own Ray; return its process."""
    ours = psutil.Process().children(recursive=True)
    worker = next(process for process in ours if _is_worker(process))
    worker.kill()
    return worker.pid


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_driver_that_is_ended_goes_on_and_a_finished_one_is_not_repeated(
    archive: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "warm.pt"
    driver = _command(archive, out)
    _after_first_checkpoint(tmp_path)
    driver.send_signal(number)
    ended_as = driver.wait(timeout=90)
    assert ended_as == (-signal.SIGKILL if number == signal.SIGKILL else 128 + number)
    assert not out.exists()
    assert _command(archive, out).wait(timeout=150) == 0
    weights, description = unpack(out.read_bytes())
    alone = read(trained(order_of(archive, "fit.steps=60", "checkpoint_every=5")))["network"]
    assert all(torch.equal(weights[name], value) for name, value in alone.items())
    assert set(description["shots"]) == set(SIZES)
    written = out.stat().st_mtime_ns
    assert _command(archive, out).wait(timeout=90) == 0
    assert _command(archive, out, "seed=1").wait(timeout=90) == 2
    assert out.stat().st_mtime_ns == written


def _command(archive: Path, out: Path, *words: str) -> subprocess.Popen[bytes]:
    given = [*SHORT, f"archive={archive}", f"out={out}", "fit.steps=60", "checkpoint_every=5"]
    return subprocess.Popen([sys.executable, "-m", "cluster.train", *given, *words])


def _after_first_checkpoint(folder: Path) -> None:
    deadline = time.monotonic() + 120
    while not list(folder.rglob("training.pt")):
        assert time.monotonic() < deadline, "no checkpoint within two minutes"
        time.sleep(0.05)
