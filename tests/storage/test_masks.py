from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from storage.masks import open_mask
from storage.media import open_source
from storage.movie_writer import MovieWriter
from storage.sources import InputError, Source, SourceInfo
from storage.stills import write_image

HEIGHT, WIDTH = 24, 32


def shape_at(x: int) -> np.ndarray:
    hole = np.zeros((HEIGHT, WIDTH), bool)
    hole[6:14, x : x + 8] = True
    return hole


def write_masks(folder: Path, numbers: list[int], value: int = 255) -> str:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        pixels = np.where(shape_at(number % 16)[..., None], value, 0).astype(np.uint8)
        write_image(folder / f"m.{number:04d}.png", np.repeat(pixels, 3, axis=-1))
    return str(folder)


@pytest.fixture
def plates(tmp_path: Path) -> Source:
    """Frames 100 to 105, with alpha 0 in a moving shape."""
    folder = tmp_path / "plates"
    folder.mkdir()
    for number in range(100, 106):
        pixels = np.full((HEIGHT, WIDTH, 4), 255, np.uint8)
        pixels[shape_at(number % 16), 3] = 0
        write_image(folder / f"p.{number}.png", pixels)
    return open_source(str(folder))


def test_masks_are_matched_by_frame_number(tmp_path: Path, plates: Source) -> None:
    mask = open_mask(write_masks(tmp_path / "masks", list(range(98, 110))), plates)
    mask.check(101, 103)
    found = dict(mask.frames(101, 103))
    assert list(found) == [101, 102, 103]
    assert all(np.array_equal(found[n], shape_at(n % 16)) for n in found)


def test_masks_with_other_numbers_are_matched_by_order(tmp_path: Path, plates: Source) -> None:
    mask = open_mask(write_masks(tmp_path / "masks", [0, 1, 2]), plates)
    found = dict(mask.frames(102, 104))
    assert list(found) == [102, 103, 104]
    assert all(np.array_equal(found[n], shape_at(n - 102)) for n in found)


@pytest.mark.parametrize(
    ("begin", "count", "first"),
    [(0, 8, 0), (0, 8, 1), (1, 8, 0), (1, 8, 1001), (990, 30, 1001)],
)
def test_a_range_changes_no_pair_of_frame_and_mask(
    tmp_path: Path, begin: int, count: int, first: int
) -> None:
    source = open_source(write_masks(tmp_path / "plates", list(range(first, first + 8))))
    folder = write_masks(tmp_path / "masks", list(range(begin, begin + count)))
    mask = open_mask(folder, source)
    whole = dict(mask.frames())
    mask.check(first + 2, first + 4)
    part = dict(mask.frames(first + 2, first + 4))
    assert list(part) == [first + 2, first + 3, first + 4]
    assert all(np.array_equal(part[number], whole[number]) for number in part)


def test_masks_of_a_range_alone_are_matched_by_frame_number(tmp_path: Path, plates: Source) -> None:
    mask = open_mask(write_masks(tmp_path / "masks", [101, 102, 103, 104]), plates)
    assert all(np.array_equal(hole, shape_at(n % 16)) for n, hole in mask.frames(102, 103))


def test_a_wrong_count_is_refused_naming_both(tmp_path: Path, plates: Source) -> None:
    mask = open_mask(write_masks(tmp_path / "masks", [0, 1, 2]), plates)
    for look in (mask.check, lambda: list(mask.frames())):
        with pytest.raises(InputError, match=r"has 3 masks \(0 to 2\), 6 frames are wanted"):
            look()


def test_a_wrong_size_is_refused_naming_the_file_and_both_sizes(
    tmp_path: Path, plates: Source
) -> None:
    folder = Path(write_masks(tmp_path / "masks", list(range(100, 106))))
    write_image(folder / "m.0100.png", np.zeros((HEIGHT, WIDTH + 2, 3), np.uint8))
    mask = open_mask(str(folder), plates)
    for look in (mask.check, lambda: list(mask.frames())):
        with pytest.raises(InputError, match=r"m\.0100\.png: the mask is 34×24, .* are 32×24"):
            look()


def test_one_image_serves_every_frame(tmp_path: Path, plates: Source) -> None:
    write_masks(tmp_path / "masks", [3])
    mask = open_mask(str(tmp_path / "masks" / "m.0003.png"), plates)
    mask.check()
    found = list(mask.frames())
    assert [number for number, _ in found] == list(range(100, 106))
    assert all(np.array_equal(hole, shape_at(3)) for _, hole in found)


@pytest.mark.parametrize(("name", "number"), [("roto.0103.png", 103), ("roto.png", 101)])
def test_one_image_of_a_few_is_that_of_its_frame(
    tmp_path: Path, plates: Source, name: str, number: int
) -> None:
    write_image(tmp_path / name, np.where(shape_at(3)[..., None], 255, 0).astype(np.uint8))
    mask = open_mask(str(tmp_path / name), plates, few=True)
    mask.check(101, 104)
    assert mask.given(101, 104) == [number]
    found = dict(mask.frames(101, 104))
    assert list(found) == [101, 102, 103, 104]
    assert [n for n in found if found[n].any()] == [number]
    assert np.array_equal(found[number], shape_at(3))


@pytest.mark.parametrize("pattern", ["", "m.%04d.png", "m.*.png"])
def test_a_few_masks_may_leave_frames_out(tmp_path: Path, plates: Source, pattern: str) -> None:
    folder = write_masks(tmp_path / "masks", [98, 101, 104])
    mask = open_mask(f"{folder}/{pattern}".rstrip("/"), plates, few=True)
    assert mask.given() == [101, 104]
    found = dict(mask.frames())
    assert list(found) == list(range(100, 106))
    for number, hole in found.items():
        wanted = shape_at(number % 16) if number in (101, 104) else np.zeros_like(hole)
        assert np.array_equal(hole, wanted)


def test_a_movie_of_a_few_masks_is_matched_by_frame_number(tmp_path: Path) -> None:
    source = open_source(write_masks(tmp_path / "plates", list(range(8))))
    info = SourceInfo("sequence", "m", HEIGHT, WIDTH, 1, "uint8", 8, fps=Fraction(24))
    with MovieWriter(tmp_path / "m.mkv", info) as writer:
        for t in range(3):
            writer.write(np.where(shape_at(t)[..., None], 255, 0).astype(np.uint8))
    mask = open_mask(str(tmp_path / "m.mkv"), source, few=True)
    assert mask.given(1, 6) == [1, 2]
    assert [number for number, hole in mask.frames(1, 6) if hole.any()] == [1, 2]


def test_a_few_masks_of_no_frame_are_refused(tmp_path: Path, plates: Source) -> None:
    mask = open_mask(write_masks(tmp_path / "masks", [0, 3]), plates, few=True)
    for look in (mask.check, mask.given, lambda: list(mask.frames())):
        with pytest.raises(InputError, match="numbers 0 to 3, none of them is a frame from 100 to"):
            look()


def test_a_few_masks_may_not_all_be_empty(tmp_path: Path, plates: Source) -> None:
    folder = Path(write_masks(tmp_path / "masks", [101, 104]))
    write_image(folder / "m.0101.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    assert len(list(open_mask(str(folder), plates, few=True).frames())) == 6
    write_image(folder / "m.0104.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    with pytest.raises(InputError, match="masks: no hole in any mask"):
        list(open_mask(str(folder), plates, few=True).frames())


def test_a_gap_is_refused_where_every_frame_needs_its_mask(tmp_path: Path, plates: Source) -> None:
    with pytest.raises(InputError, match="frame 102 is missing"):
        open_mask(write_masks(tmp_path / "masks", [101, 104]), plates)


def test_the_plates_own_alpha_is_a_mask(plates: Source) -> None:
    for number, hole in open_mask("alpha", plates).frames():
        assert np.array_equal(hole, shape_at(number % 16))
    for number, hole in open_mask("alpha", plates, invert=True).frames():
        assert np.array_equal(hole, ~shape_at(number % 16))


def test_alpha_is_refused_where_there_is_none(tmp_path: Path) -> None:
    source = open_source(write_masks(tmp_path / "plates", [1]))
    with pytest.raises(InputError, match="has no alpha to take the mask from"):
        open_mask("alpha", source)


def test_alpha_is_never_a_mask_of_a_few_frames(plates: Source) -> None:
    with pytest.raises(InputError, match="its alpha is a mask of every frame"):
        open_mask("alpha", plates, few=True)


def test_a_mask_movie_is_cut_at_half_because_it_rings(tmp_path: Path, plates: Source) -> None:
    info = SourceInfo("sequence", "m", HEIGHT, WIDTH, 3, "uint8", 8, fps=Fraction(24))
    with MovieWriter(tmp_path / "m.mp4", info, crf=23) as writer:
        for t in range(6):
            white = np.where(shape_at(2 * t)[..., None], 255, 0).astype(np.uint8)
            writer.write(np.repeat(white, 3, axis=-1))
    mask = open_mask(str(tmp_path / "m.mp4"), plates)
    mask.check()
    for t, (number, hole) in enumerate(mask.frames()):
        assert number == 100 + t
        assert np.array_equal(hole, shape_at(2 * t))


def test_any_value_but_zero_is_hole_in_a_lossless_image(tmp_path: Path, plates: Source) -> None:
    spec = write_masks(tmp_path / "masks", list(range(100, 106)), value=1)
    assert all(hole.any() for _, hole in open_mask(spec, plates).frames())
    assert not any(hole.any() for _, hole in open_mask(spec, plates, threshold=0.1).frames())


def test_threshold_and_invert_pick_a_grey(tmp_path: Path, plates: Source) -> None:
    levels = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    levels[:, :8], levels[:, 8:16] = 40, 128
    write_image(tmp_path / "levels.png", levels)
    mask = open_mask(str(tmp_path / "levels.png"), plates, threshold=96 / 255, invert=True)
    _, hole = next(iter(mask.frames()))
    assert hole[:, :8].all()
    assert not hole[:, 8:].any()


def test_growing_adds_as_many_pixels_on_every_side(tmp_path: Path, plates: Source) -> None:
    spec = write_masks(tmp_path / "masks", list(range(100, 106)))
    _, hole = next(iter(open_mask(spec, plates, grow_px=2).frames(100, 100)))
    wanted = np.zeros((HEIGHT, WIDTH), bool)
    wanted[4:16, 100 % 16 - 2 : 100 % 16 + 10] = True
    assert np.array_equal(hole, wanted)


def painted(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    channels = [np.where(colour, 255, 0)] * 3 + [np.where(alpha, 255, 0)]
    return np.stack(channels, axis=-1).astype(np.uint8)


@pytest.mark.parametrize(
    ("colour", "alpha", "wanted"),
    [
        (shape_at(4), np.ones((HEIGHT, WIDTH)), shape_at(4)),
        (np.zeros((HEIGHT, WIDTH)), np.ones((HEIGHT, WIDTH)), np.zeros((HEIGHT, WIDTH), bool)),
        (np.zeros((HEIGHT, WIDTH)), shape_at(4), shape_at(4)),
        (np.ones((HEIGHT, WIDTH)), shape_at(4), shape_at(4)),
        (np.ones((HEIGHT, WIDTH)), np.zeros((HEIGHT, WIDTH)), np.zeros((HEIGHT, WIDTH), bool)),
        (shape_at(4), np.zeros((HEIGHT, WIDTH)), shape_at(4)),
    ],
    ids=[
        *("colour over opaque alpha", "empty", "black shape in alpha", "white shape in alpha"),
        *("white and all transparent", "colour over transparent alpha"),
    ],
)
def test_alpha_counts_only_where_colour_carries_no_shape(
    tmp_path: Path, plates: Source, colour: np.ndarray, alpha: np.ndarray, wanted: np.ndarray
) -> None:
    write_image(tmp_path / "m.png", painted(colour, alpha))
    _, hole = next(iter(open_mask(str(tmp_path / "m.png"), plates).frames()))
    assert np.array_equal(hole, wanted)


@pytest.mark.parametrize("setting", [{"threshold": 1.0}, {"threshold": -0.1}, {"grow_px": -1}])
def test_an_impossible_setting_is_refused(plates: Source, setting: dict[str, float]) -> None:
    with pytest.raises(InputError, match="mask"):
        open_mask("alpha", plates, **setting)  # type: ignore[arg-type]


def test_another_setting_is_another_fingerprint(tmp_path: Path, plates: Source) -> None:
    spec = write_masks(tmp_path / "masks", list(range(100, 106)))
    settings = ({}, {"grow_px": 1}, {"grow_px": 1}, {"few": True})
    prints = {open_mask(spec, plates, **setting).fingerprint() for setting in settings}
    assert len(prints) == 3


@pytest.mark.parametrize(
    ("source", "mask", "first", "last"),
    [
        ("davis-bmx-trees/frames", "davis-bmx-trees/masks", None, None),
        ("drive-highway-sedan/source/solidWhiteRight.mp4", "drive-highway-sedan/masks", 122, 162),
        ("io/ex1_video.mp4", "io/ex1_mask.mp4", None, None),
    ],
)
def test_the_masks_of_real_clips_fit_and_are_small(
    clips: Path, source: str, mask: str, first: int | None, last: int | None
) -> None:
    opened = open_mask(str(clips / mask), open_source(str(clips / source)))
    opened.check(first, last)
    assert all(hole.mean() < 0.1 for _, hole in opened.frames(first, last))
