"""Which sequences are found, and which holes the protocols lay over them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from evaluation_fakes import davis, objects, pairs_of_folders
from hypothesis import given
from hypothesis import strategies as st

from cluster.protocols import (
    Trial,
    back_and_forth,
    derangement,
    find_sequences,
    grown,
    lay_out,
)
from inpaint.holes import centre_rectangle
from storage import InputError
from storage.media import open_source

SIZE = (32, 48)
COUNTS = {"a": 3, "b": 5, "c": 2}


def images(folder: str | Path) -> np.ndarray:
    """Read a folder's pictures `(T, H, W, C)`, or one file for every frame."""
    place = Path(folder)
    files = sorted(place.glob("*.png")) if place.is_dir() else [place]
    return np.stack([cv2.imread(str(file))[..., ::-1] for file in files])


def trials(tmp_path: Path, *protocols: str, frames: int | None = None) -> dict[str, Trial]:
    sequences = find_sequences(str(tmp_path / "data"))
    made = lay_out(sequences, protocols, tmp_path / "clips", SIZE, frames, seed=0)
    return {trial.shot.name: trial for trial in made.all}


@pytest.mark.parametrize("inner", ["480p", ""])
def test_sequences_are_found_as_davis_lays_them_out(tmp_path, inner):
    davis(tmp_path, COUNTS, inner)
    (tmp_path / "JPEGImages" / inner / "unannotated").mkdir()
    assert [s.name for s in find_sequences(str(tmp_path))] == ["a", "b", "c"]


def test_sequences_are_found_as_pairs_of_folders_with_or_without_a_prefix(tmp_path):
    pairs_of_folders(tmp_path, COUNTS, "davis-")
    (tmp_path / "other" / "frames").mkdir(parents=True)
    assert [s.name for s in find_sequences(f"{tmp_path}/davis-")] == ["a", "b", "c"]
    assert [s.name for s in find_sequences(str(tmp_path), ["davis-b"])] == ["davis-b"]


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="no sequences; JPEGImages/480p"):
        find_sequences(str(tmp_path))
    davis(tmp_path, COUNTS)
    with pytest.raises(InputError, match="no sequence 'd'; there are: a, b, c"):
        find_sequences(str(tmp_path), ["a", "d"])


@given(st.integers(2, 40), st.integers(0, 2**32))
def test_an_assignment_gives_every_sequence_another_one_and_uses_each_once(count, seed):
    names = [f"s{i}" for i in range(count)]
    found = derangement(names, seed)
    assert sorted(found) == sorted(found.values()) == sorted(names)
    assert all(name != donor for name, donor in found.items())
    assert found == derangement(names, seed)


def test_one_sequence_alone_cannot_be_shuffled():
    with pytest.raises(InputError, match="one sequence has no other"):
        derangement(["a"], 0)


@given(st.integers(1, 20), st.integers(1, 60))
def test_masks_played_back_and_forth_never_jump(length, count):
    order = back_and_forth(length, count)
    assert len(order) == count
    assert order[:length] == list(range(length))[:count]
    assert all(abs(a - b) <= 1 for a, b in pairwise(order))


def test_the_rectangle_is_a_quarter_of_each_side_in_the_middle():
    hole = centre_rectangle(240, 432).numpy()
    assert hole.sum() == 60 * 108
    assert hole[90:150, 162:270].all()


def test_objects_grow_by_twelve_pixels_at_480_rows():
    dot = np.zeros((480, 40), bool)
    dot[200, 20] = True
    assert grown(dot).sum() == 12 * 12
    assert grown(dot[:240]).sum() == 6 * 6


def test_frames_are_averaged_over_areas_and_masks_cover_all_they_touch(tmp_path):
    davis(tmp_path / "data", COUNTS)
    made = trials(tmp_path, "own")["b.own"]
    frames, masks = images(made.shot.source), images(made.shot.mask)[..., 0] > 0
    assert made.shot.truth is None
    source = open_source(str(tmp_path / "data" / "JPEGImages" / "480p" / "b"))
    whole = np.stack([frame.pixels for frame in source.frames()])
    small = whole.reshape(5, 32, 2, 48, 2, 3).mean(axis=(2, 4))
    assert np.abs(frames - small).max() <= 0.5  # rounded
    touched = objects(1, 5).reshape(5, 32, 2, 48, 2).any(axis=(2, 4))
    assert np.array_equal(masks, np.stack([grown(hole) for hole in touched]))


def test_the_fixed_hole_is_one_image_and_the_clip_its_own_truth(tmp_path):
    davis(tmp_path / "data", COUNTS)
    made = trials(tmp_path, "fixed")
    assert set(made) == {"a.fixed", "b.fixed", "c.fixed"}
    shot = made["a.fixed"].shot
    assert shot.truth == shot.source
    assert np.array_equal(images(shot.mask)[0, ..., 0] > 0, centre_rectangle(*SIZE).numpy())


def test_shuffled_holes_are_those_of_another_sequence_to_the_clips_own_length(tmp_path):
    davis(tmp_path / "data", COUNTS)
    for trial in trials(tmp_path, "shuffle", "own").values():
        if trial.protocol == "shuffle":
            donor = trial.shot.name.split(".shuffle-")[1]
            order = back_and_forth(COUNTS[donor], COUNTS[trial.sequence])
            masks = images(tmp_path / "clips" / donor / "masks")
            assert donor != trial.sequence
            assert np.array_equal(images(trial.shot.mask), masks[order])


def test_only_the_first_frames_are_taken_where_so_many_are_asked_for(tmp_path):
    davis(tmp_path / "data", COUNTS)
    made = trials(tmp_path, "shuffle", frames=3)
    assert [len(images(trial.shot.mask)) for trial in made.values()] == [3, 3, 2]
    assert [len(images(trial.shot.source)) for trial in made.values()] == [3, 3, 2]


def test_clips_are_written_once_and_again_where_the_source_has_changed(tmp_path):
    davis(tmp_path / "data", COUNTS)
    place = Path(trials(tmp_path, "fixed")["a.fixed"].shot.source) / "00000.png"
    before = place.stat().st_mtime_ns
    trials(tmp_path, "fixed")
    assert place.stat().st_mtime_ns == before
    source = tmp_path / "data" / "JPEGImages" / "480p" / "a" / "00000.jpg"
    source.write_bytes((source.parent / "00001.jpg").read_bytes() + b" ")
    trials(tmp_path, "fixed")
    assert place.stat().st_mtime_ns != before


def test_a_broken_sequence_is_refused_with_those_that_take_its_masks(tmp_path):
    davis(tmp_path / "data", COUNTS)
    (tmp_path / "data" / "JPEGImages" / "480p" / "b" / "00001.jpg").write_bytes(b"torn")
    made = trials(tmp_path, "fixed", "shuffle")
    refused = {name for name, trial in made.items() if trial.refused}
    assert {"b.fixed"} < refused
    assert {name for name in refused if "shuffle" in name} == {
        name for name in made if name.startswith("b.shuffle") or name.endswith("-b")
    }
    assert all("00001.jpg" in made[name].refused for name in refused)


def test_a_size_above_the_frames_is_refused(tmp_path):
    davis(tmp_path / "data", {"a": 2})
    sequences = find_sequences(str(tmp_path / "data"))
    made = lay_out(sequences, ["fixed"], tmp_path / "clips", (64, 112), None, seed=0)
    assert "frames of 96×64 cannot be scaled down to 112×64" in made.all[0].refused
