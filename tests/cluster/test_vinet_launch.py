"""`method: vinet`: trained once, it fills any shot, and is judged on the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from job_fakes import failures, logs, moving_hole, pixels, quick, result, run, write_shot

from cluster.config import Config
from cluster.feedforward import Reel
from cluster.initial import with_init
from cluster.plan import Note, fitted_part
from cluster.prepare import planned_scales
from cluster.shot_frames import ShotFrames
from cluster.strict import ConfigError
from inpaint.tone import Tone
from inpaint.vinet.network import CAPACITIES, build
from inpaint.warmstart import pack
from inpaint.windows import Window
from storage import Version

HOLE = moving_hole(5, 24, 32)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def weights(folder: Path, seed: int = 7, **described: Any) -> Path:
    """Write a drawn network as if it had been trained."""
    said = {"method": "vinet", "capacity": "small", "channels": 3, "shots": {}}
    file = folder / f"vinet{seed}.pt"
    file.write_bytes(pack(build(CAPACITIES["small"], 3, seed).state_dict(), said | described))
    return file


def config(file: Path, *words: str) -> Config:
    return with_init(quick("method=vinet", f"init={file}", *words))


def filled(folder: Path, chosen: Config, until_note: int = 10**9) -> tuple[Version, list[Note]]:
    """Fill a shot, asked to stop after some notes and run again."""
    shot = replace(write_shot(folder / "one", pixels(5, 24, 32, 3), HOLE), export=None)
    first = run(folder / "archive", chosen, shot, until_note=until_note)
    notes = first + run(folder / "archive", chosen, shot)
    assert not failures(notes)
    return result(folder / "archive", "one"), notes


def test_a_fill_that_was_stopped_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    chosen = config(weights(tmp_path))
    unbroken, _ = filled(tmp_path / "unbroken", chosen)
    stopped, notes = filled(tmp_path / "stopped", chosen, until_note=5)
    assert any(note.event["kind"] == "stopped" for note in notes)
    assert np.array_equal(stopped.filled[:], unbroken.filled[:])
    assert stopped.attrs["quality"] == unbroken.attrs["quality"]
    assert unbroken.attrs["quality"].keys() == {"validation_psnr", "validation_peer_psnr"}
    assert unbroken.attrs["quality"]["validation_psnr"] > 0


def test_the_validation_hole_is_hidden_and_measured(tmp_path: Path) -> None:
    version, _ = filled(tmp_path, config(weights(tmp_path)))
    frames, whole = ShotFrames(version, Tone("uint8", 255), (24, 32)), Window(0, 0, 24, 32)
    reel = Reel(frames, 0.05, 0)
    exam = reel.exam()
    assert exam is not None
    assert exam.where.any()
    for place, t in enumerate(reel.judged):
        assert not reel.window(t, whole).hole[0][exam.where[place]].any()
        assert reel.window(t, whole).unknown[0][exam.where[place]].all()
    assert Reel(frames, 0, 0).exam() is None


def test_other_weights_make_another_version(tmp_path: Path) -> None:
    scales = planned_scales(config(weights(tmp_path)), (240, 320))
    assert [scale.label for scale in scales] == ["220x164"]
    parts = [fitted_part(config(weights(tmp_path, seed)), scales) for seed in (7, 8, 7)]
    assert parts[0] == parts[2] != parts[1]
    assert "fit" not in parts[0]


def test_weights_that_are_not_vinets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="method = vinet: give init="):
        with_init(quick("method=vinet"))
    with pytest.raises(ConfigError, match="weights for method internal, not vinet"):
        config(weights(tmp_path, method="internal"))
    with pytest.raises(ConfigError, match="weights for method vinet, not internal"):
        with_init(quick(f"init={weights(tmp_path)}"))
    with pytest.raises(ConfigError, match="trained with capacity base, this run has small"):
        config(weights(tmp_path, capacity="base"))


def test_a_fit_is_blended_with_what_vinet_makes(tmp_path: Path) -> None:
    chosen = with_init(quick("fit.prior=vinet", f"vinet={weights(tmp_path)}"))
    version, _ = filled(tmp_path, chosen)
    assert version.attrs["quality"]["validation_psnr"] > 0
    scales = planned_scales(chosen, (24, 32))
    other = with_init(quick("fit.prior=vinet", f"vinet={weights(tmp_path, seed=8)}"))
    assert fitted_part(chosen, scales) != fitted_part(other, scales)
    with pytest.raises(ConfigError, match=r"fit\.prior = vinet: give vinet="):
        with_init(quick("fit.prior=vinet"))
    with pytest.raises(ConfigError, match=r"vinet = .*: weights for method internal, not vinet"):
        with_init(quick(f"vinet={weights(tmp_path, method='internal')}"))


def test_a_shot_that_was_learnt_from_is_said_to_flatter(tmp_path: Path) -> None:
    learnt = weights(tmp_path, shots={"one": {}})
    _, notes = filled(tmp_path, config(learnt))
    assert ["has learnt from this shot" in text for text in logs(notes)] == [True]
