"""`delivery.grain`: a delivery whose fill has the plate's grain; the archive keeps the fill."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from job_fakes import failures, quick, result, run, write_shot

from cluster.backlog import ShotSpec
from cluster.config import Config, ConfigError
from cluster.regrain import regrain
from storage import Archive
from storage.media import open_source

COUNT, HEIGHT, WIDTH = 4, 96, 128
DEVIATION = 0.02
SUFFIX = {"uint8": ".png", "uint16": ".png", "float16": ".exr"}


def holes() -> np.ndarray:
    hole = np.zeros((COUNT, HEIGHT, WIDTH), bool)
    hole[:, 30:74, 40:100] = True
    hole[-1] = False
    return hole


def plate(dtype: str = "uint8", channels: int = 3, deviation: float = DEVIATION) -> np.ndarray:
    """A ramp `(T, H, W, C)` with white noise on its colours; alpha is white."""
    ramp = np.linspace(0.3, 0.6, WIDTH)[:, None]
    noise = np.random.default_rng(0).normal(0, deviation, (COUNT, HEIGHT, WIDTH, channels))
    frames = ramp + noise
    if channels == 4:
        frames[..., 3] = 1
    return (frames if dtype == "float16" else frames * np.iinfo(dtype).max).astype(dtype)


def write(folder: Path, frames: np.ndarray) -> ShotSpec:
    return write_shot(folder, frames, holes(), SUFFIX[frames.dtype.name])


def by(grain: float, *words: str) -> Config:
    return quick("method=telea", f"delivery.grain={grain}", *words)


def delivered(shot: ShotSpec) -> np.ndarray:
    return np.stack([frame.pixels for frame in open_source(str(shot.export)).frames()])


def roughness(frames: np.ndarray, where: np.ndarray) -> float:
    """Deviation of what is finer than two pixels, in the first frame."""
    picture = frames[0, ..., :3].astype(np.float32)
    return float((picture - cv2.GaussianBlur(picture, (0, 0), 2))[where[0]].std())


@pytest.mark.parametrize("dtype", sorted(SUFFIX))
@pytest.mark.parametrize("channels", [3, 4])
def test_the_fill_is_as_grainy_as_the_plate_and_nothing_else_is_touched(tmp_path, dtype, channels):
    frames = plate(dtype, channels)
    shot = write(tmp_path / "one", frames)
    notes = run(tmp_path / "archive", by(1), shot)
    assert failures(notes) == {}
    made, hole = delivered(shot), holes()
    assert roughness(made, hole) == pytest.approx(roughness(frames, ~hole), rel=0.2)
    assert made[~hole].tobytes() == frames[~hole].tobytes()
    stored = result(tmp_path / "archive", "one")
    assert roughness(stored.result(0)[None], hole) < roughness(frames, ~hole) / 2
    if channels == 4:
        assert np.array_equal(
            made[..., 3], np.stack([stored.result(t) for t in range(COUNT)])[..., 3]
        )


def test_every_frame_has_grain_of_its_own_and_every_run_the_same(tmp_path):
    made = []
    for name in ("a", "b"):
        shot = write(tmp_path / name / "one", plate())
        assert failures(run(tmp_path / name / "archive", by(1), shot)) == {}
        made.append(delivered(shot))
    assert np.array_equal(*made)
    stored = result(tmp_path / "a" / "archive", "one")
    first, second = (
        (made[0][t].astype(int) - stored.result(t))[holes()[t]].ravel() for t in (0, 1)
    )
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1


def test_what_is_brighter_than_grain_is_measured_in_stays_as_it_is(tmp_path):
    shot = write(tmp_path / "one", plate("float16"))
    assert failures(run(tmp_path / "archive", by(1), shot)) == {}
    version = Archive.open(str(tmp_path / "archive"), "a").shot("one").version("v001")
    retouch = regrain(version, 1, 0)
    assert retouch is not None
    bright = version.result(0).astype(np.float32)
    bright[40:50, 50:60] = 2e5
    bright[60, 60] = np.inf, 0.4, 0.4
    made = retouch.apply(0, bright, holes()[0])
    assert (made[40:50, 50:60] == 2e5).all()
    assert np.isinf(made[60, 60, 0])
    assert (made[60:70, 80:90] != bright[60:70, 80:90]).any()


def test_a_plate_without_grain_gets_none(tmp_path):
    shot = write(tmp_path / "one", plate(deviation=0))
    notes = run(tmp_path / "archive", by(1), shot)
    assert failures(notes) == {}
    stored = result(tmp_path / "archive", "one")
    assert np.array_equal(delivered(shot), [stored.result(t) for t in range(COUNT)])


def test_a_delivery_with_other_grain_takes_its_place(tmp_path):
    shot = write(tmp_path / "one", plate())
    for grain, most in ((1, 1.1), (0.5, 0.8), (0, 0.5), (1, 1.1)):
        assert failures(run(tmp_path / "archive", by(grain), shot)) == {}
        rough = roughness(delivered(shot), holes()) / roughness(plate(), ~holes())
        assert most - 0.4 < rough < most


def test_one_single_frame_is_enough(tmp_path):
    shot = write_shot(tmp_path / "one", plate()[:1], holes()[:1])
    assert failures(run(tmp_path / "archive", by(1), shot)) == {}
    made = delivered(shot)
    assert roughness(made, holes()) == pytest.approx(roughness(plate(), ~holes()), rel=0.2)


def test_none_is_given_unless_it_is_asked_for():
    assert Config().delivery.grain == 0


@pytest.mark.parametrize("grain", ["-1", "3", "much"])
def test_an_impossible_share_is_refused(grain):
    with pytest.raises(ConfigError, match=r"delivery\.grain"):
        quick(f"delivery.grain={grain}")
