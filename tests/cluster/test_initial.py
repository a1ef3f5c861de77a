"""`init`: another warm start makes another version, and one that does not fit is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from job_fakes import failures, logs, moving_hole, pixels, quick, result, run, write_shot

from cluster.config import Config
from cluster.initial import with_init
from cluster.plan import fitted_part
from cluster.strict import ConfigError
from inpaint.checkpoint import read
from inpaint.network import CAPACITIES, build
from inpaint.progressive import Scale
from inpaint.warmstart import pack
from storage import Archive

SCALES = [Scale(24, 32)]


def weights(folder: Path, seed: int = 7, **described: Any) -> Path:
    """Write a warm start: a drawn network of the seed."""
    said = {"capacity": "small", "channels": 3, "seed": 0, "validation_share": 0.05, "shots": {}}
    file = folder / f"warm{seed}.pt"
    network = build(CAPACITIES["small"], 3, seed)
    file.write_bytes(pack(network.state_dict(), said | described))
    return file


def config(file: Path, *words: str) -> Config:
    return with_init(quick(f"init={file}", *words))


def test_another_warm_start_is_another_version_and_none_is_that_of_old(tmp_path: Path) -> None:
    parts = [fitted_part(config(weights(tmp_path, seed)), SCALES) for seed in (7, 8, 7)]
    assert parts[0] == parts[2] != parts[1]
    assert {key for key in parts[0] if key not in fitted_part(quick(), SCALES)} == {"init_sha256"}


def test_a_warm_start_that_does_not_fit_is_refused_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="trained with capacity base, this run has small"):
        config(weights(tmp_path, capacity="base"))
    with pytest.raises(ConfigError, match=r"nowhere\.pt: no such file"):
        config(tmp_path / "nowhere.pt")
    (tmp_path / "cut.pt").write_bytes(weights(tmp_path).read_bytes()[:-5])
    with pytest.raises(ConfigError, match=r"cut\.pt: is no warm start"):
        config(tmp_path / "cut.pt")
    with pytest.raises(ConfigError, match="not init_sha256"):
        config(weights(tmp_path), "init_sha256=abc")


def test_a_fit_begins_with_the_given_weights(tmp_path: Path) -> None:
    shot = write_shot(tmp_path / "one", pixels(4, 24, 32, 3), moving_hole(4, 24, 32))
    still = ("fit.learning_rate=1e-12", "fit.optimizer=adam", "fit.prior=none")
    notes = run(tmp_path / "a", config(weights(tmp_path), *still), replace(shot, export=None))
    assert not failures(notes)
    assert not logs(notes)
    saved = result(tmp_path / "a", "one").files.read("checkpoint-00000004.pt")
    assert saved is not None
    assert _apart(saved, weights(tmp_path)) < 1e-6


def _apart(saved: bytes, file: Path) -> float:
    """By how much the weights of a checkpoint differ from those of a warm start, at most."""
    ours, theirs = read(saved)["network"], read(file.read_bytes())["network"]
    return max(float((ours[name] - theirs[name]).abs().max()) for name in theirs)


def test_frames_of_other_channels_are_refused_before_they_are_learnt(tmp_path: Path) -> None:
    shot = write_shot(tmp_path / "one", pixels(4, 24, 32, 1), moving_hole(4, 24, 32))
    notes = run(tmp_path / "a", config(weights(tmp_path)), replace(shot, export=None))
    assert "trained on frames of 3 channels, shot 'one' has 1" in failures(notes)["one"]


def test_a_file_that_changed_since_the_run_began_is_refused(tmp_path: Path) -> None:
    shot = write_shot(tmp_path / "one", pixels(4, 24, 32, 3), moving_hole(4, 24, 32))
    begun = config(weights(tmp_path))
    weights(tmp_path, channels=4)
    notes = run(tmp_path / "a", begun, replace(shot, export=None))
    assert "has changed since the run began" in failures(notes)["one"]


@pytest.mark.parametrize(("scale", "honest"), [("32x24", True), ("16x12", False)])
def test_an_estimate_that_is_not_honest_is_said_to_be(
    tmp_path: Path, scale: str, honest: bool
) -> None:
    shot = write_shot(tmp_path / "one", pixels(4, 24, 32, 3), moving_hole(4, 24, 32))
    learnt = weights(tmp_path, shots={"one": {"scale": scale, "masks": None}})
    notes = run(tmp_path / "a", config(learnt), replace(shot, export=None))
    assert len(logs(notes)) == (0 if honest else 1)
    assert Archive.open(str(tmp_path / "a")).shot("one").version("v001").attrs["status"] == "done"
