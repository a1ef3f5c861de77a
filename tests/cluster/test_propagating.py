"""Masks for every frame from those of a few: stored as their own version, used by the result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from job_fakes import failures, moving_hole, pixels, quick, result, run, write_shot

from cluster.backlog import ShotSpec, shots_of
from cluster.config import load_config
from storage import Archive
from storage.mask_versions import MaskVersion
from storage.media import open_source

SIZE = (32, 48)
FEW = ("propagate.steps=3", "propagate.batch=2", "propagate.grow_px=1")


@pytest.fixture
def shot(tmp_path: Path) -> ShotSpec:
    """Four frames of which the first alone has a mask, found by its number."""
    spec = write_shot(tmp_path / "one", pixels(4, *SIZE, 3), moving_hole(4, *SIZE))
    return replace(spec, mask=str(Path(spec.mask) / "mask.1001.png"), few=True)


def masks(archive: Path) -> MaskVersion:
    return Archive.open(str(archive)).shot("one").mask_version("m001")


def test_every_frame_gets_a_mask_and_the_given_one_stays_as_it_was(
    shot: ShotSpec, tmp_path: Path
) -> None:
    assert failures(run(tmp_path / "a", quick(*FEW), shot)) == {}
    found = masks(tmp_path / "a")
    assert found.attrs["status"] == "done"
    assert found.complete
    assert np.array_equal(found.hole[0], moving_hole(4, *SIZE)[0])


def test_the_result_fills_the_propagated_masks_and_nothing_else(
    shot: ShotSpec, tmp_path: Path
) -> None:
    run(tmp_path / "a", quick(*FEW), shot)
    hole = np.asarray(masks(tmp_path / "a").hole[:])
    out = np.stack([frame.pixels for frame in open_source(str(shot.export)).frames()])
    assert result(tmp_path / "a", "one").attrs["mask"] == "m001"
    assert np.array_equal(out[~hole], pixels(4, *SIZE, 3)[~hole])
    assert not np.array_equal(out[hole], pixels(4, *SIZE, 3)[hole])


def test_stopped_anywhere_the_masks_are_those_of_an_unbroken_run(
    shot: ShotSpec, tmp_path: Path
) -> None:
    run(tmp_path / "whole", quick(*FEW), shot)
    for stop_at in range(2, 9):
        archive = tmp_path / f"at{stop_at}"
        run(archive, quick(*FEW), shot, until_note=stop_at)
        run(archive, quick(*FEW), shot)
        assert np.array_equal(masks(archive).hole[:], masks(tmp_path / "whole").hole[:])


def test_an_empty_mask_is_refused_before_anything_is_learnt(shot: ShotSpec, tmp_path: Path) -> None:
    empty = write_shot(tmp_path / "empty", pixels(2, *SIZE, 3), np.zeros((2, *SIZE), bool))
    lonely = replace(empty, mask=str(Path(empty.mask) / "mask.1001.png"), few=True)
    assert list(failures(run(tmp_path / "a", quick(*FEW), lonely))) == ["empty"]


def test_few_masks_can_be_asked_for_in_the_config_and_in_a_manifest(tmp_path: Path) -> None:
    spec = write_shot(tmp_path / "one", pixels(2, *SIZE, 3), moving_hole(2, *SIZE))
    source = f"source={spec.source}", f"mask={spec.mask}"
    assert [shot.few for shot in shots_of(load_config(None, [*source]))] == [False]
    assert [shot.few for shot in shots_of(load_config(None, [*source, "few_masks=true"]))] == [True]
    table = tmp_path / "shots.csv"
    table.write_text(f"source,mask,few_masks\n{spec.source},{spec.mask},true\n")
    assert [shot.few for shot in shots_of(load_config(None, [f"shots={table}"]))] == [True]
