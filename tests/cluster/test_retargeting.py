from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from job_fakes import moving_hole, pixels, write_shot

from cluster.__main__ import main
from cluster.retarget import retargeted
from storage import Archive, Version
from storage.ingest import ingest
from storage.masks import open_mask
from storage.media import open_source

HEIGHT, WIDTH, COUNT, GROW = 36, 64, 5, 2


def finished(folder: Path, source: str, mask: str, background: int = 40) -> Version:
    """A shot in `<folder>/archive` whose grown holes are filled with one grey."""
    archive = Archive.open(str(folder / "archive"), "a")
    opened = open_source(source)
    for _ in ingest(archive, "one", opened, open_mask(mask, opened, grow_px=GROW)):
        pass
    version = archive.shot("one").create_version("v001")
    for t in range(len(version.shot)):
        version.write(t, np.full(version.filled.shape[1:], background, version.filled.dtype))
    return version


@pytest.fixture
def shot(tmp_path: Path) -> Version:
    frames = pixels(COUNT, HEIGHT, WIDTH, 3)
    spec = write_shot(tmp_path / "plate", frames, moving_hole(COUNT, HEIGHT, WIDTH))
    return finished(tmp_path, spec.source, spec.mask)


@pytest.fixture
def movie(tmp_path: Path) -> str:
    """A 4:2:0 movie of 601 lines at 24000/1001 with sound, and a square mask beside it."""
    path = tmp_path / "plate.mov"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=Fraction(24000, 1001), options={"crf": "4"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        context = video.codec_context
        context.color_range, context.colorspace = 2, 5
        context.color_primaries, context.color_trc = 5, 6
        sound = container.add_stream("aac", rate=48000)
        grey = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        grey[9:18, 20:30] = 200
        for _ in range(COUNT):
            container.mux(video.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(video.encode(None))
        silence = av.AudioFrame.from_ndarray(
            np.zeros((1, 10240), np.float32), format="fltp", layout="mono"
        )
        silence.sample_rate = 48000
        container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
    hole = np.zeros((1, HEIGHT, WIDTH), bool)
    hole[0, 9:18, 20:30] = True
    write_shot(tmp_path / "hole", np.zeros((1, HEIGHT, WIDTH, 3), np.uint8), hole)
    finished(tmp_path, str(path), str(tmp_path / "hole" / "masks" / "mask.1001.png"), 90)
    return str(path)


def retarget(folder: Path, *words: str, target: str = "out") -> int:
    place = str(folder / target)
    return main(["retarget", str(folder / "archive"), "one", "-o", place, *words])


def read(path: Path) -> np.ndarray:
    return np.stack([frame.pixels for frame in open_source(str(path)).frames()])


def test_in_its_own_size_the_object_comes_back_and_around_it_the_result(
    tmp_path: Path, shot: Version
) -> None:
    assert retarget(tmp_path, "--width", "64", "--shrink", "2") == 0
    made, clean = read(tmp_path / "out"), np.stack([shot.result(t) for t in range(COUNT)])
    frames, holes = np.asarray(shot.shot.frames[:]), moving_hole(COUNT, HEIGHT, WIDTH)
    deep = holes & np.roll(holes, 1, 1) & np.roll(holes, -1, 1)
    deep &= np.roll(holes, 1, 2) & np.roll(holes, -1, 2)
    assert np.array_equal(made[deep], frames[deep])
    assert np.array_equal(made[~np.asarray(shot.hole[:])], clean[~np.asarray(shot.hole[:])])
    assert (made[:, 9 - GROW, 20] == 40).all()  # the hole's growth is not pasted back


def test_the_background_is_given_the_plates_grain(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 5, (2, 96, 128, 3))
    holes = np.zeros((2, 96, 128), bool)
    holes[:, 30:70, 40:90] = True
    spec = write_shot(tmp_path / "plate", (90 + noise).astype(np.uint8), holes)
    finished(tmp_path, spec.source, spec.mask, 90)
    object_alone = ("--height", "96", "--shrink", "18")
    for target, words, deviation in (("a", ("--grain", "1"), 5), ("b", (), 0)):
        assert retarget(tmp_path, *object_alone, *words, target=target) == 0
        beside = read(tmp_path / target)[:, 34:46, 44:86].astype(float)
        assert beside.std() == pytest.approx(deviation, abs=0.7)


def test_the_mask_that_was_painted_does_as_well_as_its_shrunken_hole(
    tmp_path: Path, shot: Version
) -> None:
    masks = str(tmp_path / "plate" / "masks")
    assert retarget(tmp_path, "--height", "50", "--mask", masks, target="a") == 0
    assert retarget(tmp_path, "--height", "50", "--shrink", "2", target="b") == 0
    assert np.array_equal(read(tmp_path / "a"), read(tmp_path / "b"))


@pytest.mark.parametrize("size", [(36, 40), (36, 101), (20, 64), (70, 30)])
def test_frames_keep_their_names_numbers_and_depth_in_any_size(
    tmp_path: Path, shot: Version, size: tuple[int, int]
) -> None:
    assert retarget(tmp_path, "--width", str(size[1]), "--height", str(size[0])) == 0
    names = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert names == [f"plate.{number}.png" for number in range(1001, 1001 + COUNT)]
    made = read(tmp_path / "out")
    assert (made.shape, made.dtype) == ((COUNT, *size, 3), np.uint8)


@pytest.mark.parametrize("dtype", ["uint16", "float16", "float32"])
@pytest.mark.parametrize("channels", [1, 4])
def test_deep_frames_stay_deep(tmp_path: Path, dtype: str, channels: int) -> None:
    frames = pixels(2, HEIGHT, WIDTH, channels, dtype)
    suffix = ".png" if dtype == "uint16" else ".exr"
    spec = write_shot(tmp_path / "plate", frames, moving_hole(2, HEIGHT, WIDTH), suffix)
    finished(tmp_path, spec.source, spec.mask)
    assert retarget(tmp_path, "--width", "90") == 0
    made = read(tmp_path / "out")
    assert (made.shape, made.dtype) == ((2, HEIGHT, 90, channels), np.dtype(dtype))
    assert made[np.isfinite(made)].max() > 2


@pytest.mark.parametrize("target", ["out.mov", "out.mkv"])
def test_a_movie_keeps_its_rate_colours_and_sound(tmp_path: Path, movie: str, target: str) -> None:
    assert retarget(tmp_path, "--width", "48", target=target) == 0
    before, after = open_source(movie).info, open_source(str(tmp_path / target)).info
    assert (after.width, after.height) == (48, HEIGHT)
    assert after.audio
    assert (after.fps, after.colour) == (before.fps, before.colour)
    made = read(tmp_path / target)
    assert len(made) == COUNT
    assert np.abs(made[:, 30:].astype(int) - 90).max() <= 3
    columns = np.flatnonzero(made[2, 13, :, 1] > 150)
    assert len(columns) == pytest.approx(10, abs=1)


def test_twice_as_large_by_an_upscaler_of_ones_own(tmp_path, shot, monkeypatch) -> None:
    code = "def twice(picture, scale):\n    return picture.repeat(scale, 0).repeat(scale, 1)\n"
    (tmp_path / "own_upscaler.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    words = ("--scale", "2", "--upscaler", "own_upscaler:twice", "--which", "background")
    assert retarget(tmp_path, *words) == 0
    made, hole = read(tmp_path / "out"), np.asarray(shot.hole[0])
    known = ~hole
    known[:, :40] = False  # the soft edge reaches beyond the hole
    assert np.array_equal(made[0, ::2, ::2][known], np.asarray(shot.shot.frames[0])[known])


def test_frames_are_made_one_at_a_time(shot: Version) -> None:
    seen: list[int] = []

    def masks():
        for t in range(COUNT):
            seen.append(t)
            yield np.asarray(shot.hole[t])

    made = retargeted(shot, masks, (36, 50))
    assert next(made).shape == (36, 50, 3)
    assert seen == [*range(COUNT), 0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give the new size"),
        (("--width", "80", "--scale", "2"), "give the new size"),
        (("--width", "15"), "15×36: sides are 16 to 16384"),
        (("--height", "16385"), "sides are 16 to 16384"),
        (("--width", "80", "--version", "v9"), "no version 'v9'"),
        (("--width", "80", "--shrink", "40"), "no object in any frame"),
        (("--width", "80", "--mask", "/nowhere"), "/nowhere: no such file"),
        (("--width", "80", "--which", "object"), "--which object"),
        (("--scale", "2", "--upscaler", "nowhere:none"), "nowhere"),
        (("--scale", "2", "--upscaler", "operator:getitem"), "made (64, 3)"),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_line(
    tmp_path: Path, shot: Version, capsys: pytest.CaptureFixture[str], words, said: str
) -> None:
    assert retarget(tmp_path, *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten_and_nothing_unfinished_taken(
    tmp_path: Path, shot: Version, capsys: pytest.CaptureFixture[str]
) -> None:
    assert retarget(tmp_path, "--width", "80") == 0
    assert retarget(tmp_path, "--width", "90") == 2
    assert "exists" in capsys.readouterr().err
    assert retarget(tmp_path, "--width", "90", "--overwrite") == 0
    assert read(tmp_path / "out").shape[2] == 90
    shot.shot.create_version("v002")
    assert retarget(tmp_path, "--width", "80", target="other") == 0
    assert "v001, 5 frames of 80×36" in capsys.readouterr().out
    assert retarget(tmp_path, "--width", "80", "--version", "v002", target="third") == 2
    assert "0 of 5 frames are done" in capsys.readouterr().err
