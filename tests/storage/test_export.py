import errno
import os
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from storage_fakes import ArrayMask, drawn, noise, square

from storage.archive import Archive
from storage.delivery import Retouch
from storage.export import export
from storage.ingest import ingest
from storage.masks import open_mask
from storage.media import open_source
from storage.sources import InputError
from storage.stills import write_image
from storage.urls import PlaceError

FIRST = 101


@pytest.fixture
def sequence(tmp_path):
    """Return a function that writes a numbered sequence and returns its folder."""

    def write(pixels, suffix=".png", name="plate"):
        folder = tmp_path / name
        folder.mkdir()
        for t, frame in enumerate(pixels):
            write_image(folder / f"{name}.{FIRST + t:04d}{suffix}", frame)
        return str(folder)

    return write


@pytest.fixture
def movie(tmp_path):
    """A lossless 4:2:0 movie of six frames, 64×48, at 24000/1001."""
    path = tmp_path / "plate.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(24000, 1001))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for pixels in noise(6, 48, 64, 3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return str(path)


def shot_of(archive, path, holes, name="shot"):
    source = open_source(path)
    mask = None if holes is None else ArrayMask(holes, source.info.first_number)
    for _ in ingest(archive, name, source, mask):
        pass
    return archive.shot(name)


def filled(shot, name="one", seed=9, attrs=None):
    """A finished version whose fill is noise."""
    version = shot.create_version(name, attrs)
    for t in range(len(shot)):
        fill = noise(*shot.frames.shape[1:], dtype=shot.info.dtype, seed=seed)
        version.write(t, fill, np.full(fill.shape[:2], 77, np.uint8))
    return version


def pixels_of(path):
    return np.stack([frame.pixels for frame in open_source(str(path)).frames()])


def results_of(version):
    return np.stack([version.result(t) for t in range(len(version.shot))])


@pytest.mark.parametrize(
    ("dtype", "suffix", "shape"),
    [
        ("uint8", ".png", (3, 48, 64, 3)),
        ("uint8", ".png", (1, 239, 431, 3)),
        ("uint8", ".png", (2, 20, 30, 1)),
        ("uint8", ".png", (2, 20, 30, 4)),
        ("uint16", ".png", (2, 20, 30, 3)),
        ("uint16", ".tif", (2, 20, 30, 4)),
        ("uint16", ".dpx", (2, 20, 30, 3)),
        ("float16", ".exr", (2, 20, 30, 3)),
        ("float32", ".exr", (2, 21, 31, 4)),
        ("float32", ".tif", (2, 20, 30, 1)),
    ],
)
def test_a_sequence_comes_back_with_only_its_hole_changed(
    archive, sequence, tmp_path, dtype, suffix, shape
):
    pixels, holes = noise(*shape, dtype=dtype), square(*shape[:3])
    holes[-1] = True
    version = filled(shot_of(archive, sequence(pixels, suffix), holes))
    steps = list(export(version.shot, "one", tmp_path / "out"))
    assert steps == list(range(1, shape[0] + 1))
    names = [f"plate.{FIRST + t:04d}{suffix}" for t in range(shape[0])]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
    back = pixels_of(tmp_path / "out")
    assert back.dtype == dtype
    assert back.tobytes() == results_of(version).tobytes()
    assert back[~holes].tobytes() == pixels[~holes].tobytes()


def test_a_sequence_without_a_hole_is_copied_byte_for_byte(archive, sequence, tmp_path):
    folder = sequence(noise(2, 20, 30, 3))
    shot = shot_of(archive, folder, None)
    filled(shot)
    for number, version in enumerate(("one", None)):
        out = tmp_path / f"out{number}"
        list(export(shot, version, out))
        for file in out.iterdir():
            assert file.read_bytes() == (tmp_path / "plate" / file.name).read_bytes()


def test_a_pattern_names_the_files_and_keeps_the_numbers(archive, sequence, tmp_path):
    version = filled(shot_of(archive, sequence(noise(2, 20, 30, 3)), square(2, 20, 30)))
    list(export(version.shot, "one", tmp_path / "out" / "clean_####.tif"))
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["clean_0101.tif", "clean_0102.tif"]
    np.testing.assert_array_equal(pixels_of(tmp_path / "out"), results_of(version))


def test_a_jpeg_sequence_is_delivered_without_loss(archive, sequence, tmp_path):
    shot = shot_of(archive, sequence(noise(2, 20, 30, 3), ".jpg"), square(2, 20, 30))
    version = filled(shot)
    list(export(shot, "one", tmp_path / "out"))
    assert (tmp_path / "out" / "plate.0101.png").exists()
    np.testing.assert_array_equal(pixels_of(tmp_path / "out"), results_of(version))


def test_a_movie_comes_back_with_only_its_hole_changed(archive, movie, tmp_path):
    holes = square(6, 48, 64)
    version = filled(shot_of(archive, movie, holes))
    list(export(version.shot, "one", tmp_path / "out.mkv"))
    source, result = (planes_of(path) for path in (movie, tmp_path / "out.mkv"))
    luma, chroma = holes, holes.reshape(6, 24, 2, 32, 2).any((2, 4))
    for plane, hole in zip(range(3), (luma, chroma, chroma), strict=True):
        np.testing.assert_array_equal(result[plane][~hole], source[plane][~hole])
        assert (result[plane][hole] != source[plane][hole]).any()
    assert open_source(str(tmp_path / "out.mkv")).info.fps == Fraction(24000, 1001)


def planes_of(path):
    """Luma `(T, H, W)` and the two chroma planes `(T, H/2, W/2)`."""
    with av.open(str(path)) as container:
        frames = np.stack([f.to_ndarray(format="yuv420p") for f in container.decode(video=0)])
    count, rows, width = frames.shape
    height = rows * 2 // 3
    chroma = frames[:, height:].reshape(count, 2, height // 2, width // 2)
    return frames[:, :height], chroma[:, 0], chroma[:, 1]


def test_a_movie_is_delivered_as_images(archive, movie, tmp_path):
    version = filled(shot_of(archive, movie, square(6, 48, 64)))
    list(export(version.shot, "one", tmp_path / "out"))
    assert sorted(p.name for p in (tmp_path / "out").iterdir())[0] == "shot.0000.png"
    np.testing.assert_array_equal(pixels_of(tmp_path / "out"), results_of(version))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_sequence_is_delivered_as_a_lossless_movie(archive, sequence, tmp_path, dtype):
    pixels = noise(3, 39, 51, 3, dtype=dtype)
    version = filled(shot_of(archive, sequence(pixels), square(3, 39, 51)))
    list(export(version.shot, "one", tmp_path / "out.mkv", fps=Fraction(25)))
    np.testing.assert_array_equal(pixels_of(tmp_path / "out.mkv"), results_of(version))
    assert open_source(str(tmp_path / "out.mkv")).info.fps == 25


def test_a_movie_of_a_sequence_needs_a_rate(archive, sequence, tmp_path):
    version = filled(shot_of(archive, sequence(noise(1, 20, 30, 3)), None))
    with pytest.raises(InputError, match="frame rate"):
        list(export(version.shot, "one", tmp_path / "out.mkv"))
    assert not (tmp_path / "out.mkv").exists()
    assert not list(tmp_path.glob(".*"))


def test_the_fill_alone_is_transparent_outside_the_hole(archive, sequence, tmp_path):
    holes = square(2, 20, 30)
    version = filled(shot_of(archive, sequence(noise(2, 20, 30, 3)), holes))
    list(export(version.shot, "one", tmp_path / "out", what="fill"))
    back = pixels_of(tmp_path / "out")
    np.testing.assert_array_equal(back[..., 3], 255 * holes)
    np.testing.assert_array_equal(back[holes][:, :3], results_of(version)[holes])
    with pytest.raises(InputError, match="export it to a folder"):
        list(export(version.shot, "one", tmp_path / "out.mkv", what="fill"))


def test_the_confidence_is_full_outside_the_hole(archive, movie, tmp_path):
    holes = square(6, 48, 64)
    version = filled(shot_of(archive, movie, holes))
    for target in ("out", "out.mkv"):
        list(export(version.shot, "one", tmp_path / target, what="confidence"))
        back = pixels_of(tmp_path / target)
        np.testing.assert_array_equal(back[..., 0], np.where(holes, 77, 255))


def test_a_sequence_changes_only_in_the_hole_of_its_mask_version(archive, sequence, tmp_path):
    pixels, holes = noise(2, 20, 30, 3), square(2, 20, 30)
    holes[0, 5:9, 5:9] = True
    shot = shot_of(archive, sequence(pixels), ~holes)
    version = filled(shot, attrs={"mask": drawn(shot).name})
    list(export(shot, "one", tmp_path / "out"))
    back = pixels_of(tmp_path / "out")
    np.testing.assert_array_equal(back, results_of(version))
    np.testing.assert_array_equal(back[~holes], pixels[~holes])
    assert (back[holes] != pixels[holes]).any(axis=-1).mean() > 0.99
    list(export(shot, "one", tmp_path / "fill", what="fill"))
    np.testing.assert_array_equal(pixels_of(tmp_path / "fill")[..., 3], 255 * holes)
    list(export(shot, "one", tmp_path / "sure", what="confidence"))
    np.testing.assert_array_equal(pixels_of(tmp_path / "sure")[..., 0], np.where(holes, 77, 255))


def test_a_movie_changes_only_in_the_hole_of_its_mask_version(archive, movie, tmp_path):
    holes = square(6, 48, 64)
    shot = shot_of(archive, movie, None)
    version = filled(shot, attrs={"mask": drawn(shot, holes=holes).name})
    list(export(version.shot, "one", tmp_path / "out.mkv"))
    source, result = (planes_of(path) for path in (movie, tmp_path / "out.mkv"))
    luma, chroma = holes, holes.reshape(6, 24, 2, 32, 2).any((2, 4))
    for plane, hole in zip(range(3), (luma, chroma, chroma), strict=True):
        np.testing.assert_array_equal(result[plane][~hole], source[plane][~hole])
        assert (result[plane][hole] != source[plane][hole]).any()


def inverted(name="inverted"):
    """A retouch that forgets the hole: it changes every pixel."""
    return Retouch(name, lambda t, result, hole: result ^ np.uint8(255 - t))


@pytest.mark.parametrize("target", ["out", "out.mkv"])
def test_a_retouch_changes_the_hole_alone(archive, sequence, tmp_path, target):
    holes = square(3, 48, 64)
    version = filled(shot_of(archive, sequence(noise(3, 48, 64, 3)), holes))
    list(export(version.shot, "one", tmp_path / target, fps=Fraction(24), retouch=inverted()))
    back, results = pixels_of(tmp_path / target), results_of(version)
    assert np.array_equal(back[~holes], results[~holes])
    for t in range(3):
        assert np.array_equal(back[t][holes[t]], results[t][holes[t]] ^ np.uint8(255 - t))


def test_a_retouch_is_seen_in_the_fill_alone_too(archive, sequence, tmp_path):
    holes = square(3, 20, 30)
    version = filled(shot_of(archive, sequence(noise(3, 20, 30, 3)), holes))
    list(export(version.shot, "one", tmp_path / "fill", what="fill", retouch=inverted()))
    back = pixels_of(tmp_path / "fill")[1]
    assert np.array_equal(back[holes[1], :3], results_of(version)[1][holes[1]] ^ np.uint8(254))
    assert not back[~holes[1], 3].any()


def test_an_export_with_another_retouch_is_another_export(archive, sequence, tmp_path):
    version = filled(shot_of(archive, sequence(noise(3, 20, 30, 3)), square(3, 20, 30)))
    for retouch in (inverted(), None, inverted("again")):
        assert list(export(version.shot, "one", tmp_path / "out", retouch=retouch)) == [1, 2, 3]
        assert list(export(version.shot, "one", tmp_path / "out", retouch=retouch)) == [3]
        same = np.array_equal(pixels_of(tmp_path / "out"), results_of(version))
        assert same == (retouch is None)


@pytest.mark.parametrize("target", ["out", "out.mkv", "roto.####.tif"])
def test_a_mask_is_white_in_the_hole_and_comes_back_as_it_was(archive, movie, tmp_path, target):
    holes = square(6, 48, 64)
    shot = shot_of(archive, movie, ~holes)
    filled(shot, attrs={"mask": drawn(shot).name}), filled(shot, "two")
    wanted = {"mine": holes, "of-one": holes, "of-two": ~holes, "own": ~holes}
    for name, version, masks in (
        ("mine", None, "drawn"),
        ("of-one", "one", None),
        ("of-two", "two", None),
        ("own", None, None),
    ):
        place = tmp_path / name / target
        place.parent.mkdir()
        list(export(shot, version, place, what="mask", masks=masks))
        written = place if target == "out" or place.exists() else place.parent
        np.testing.assert_array_equal(pixels_of(written)[..., 0], 255 * wanted[name])
        found = open_mask(str(written), open_source(movie)).frames()
        np.testing.assert_array_equal([hole for _, hole in found], wanted[name])


def test_of_a_mask_version_only_a_finished_mask_is_exported(archive, movie, tmp_path):
    shot = shot_of(archive, movie, None)
    drawn(shot), filled(shot)
    shot.create_mask_version("begun").write(0, square(6, 48, 64)[1])
    with pytest.raises(InputError, match="begun: 1 of 6 frames are done, frame 1 is the first"):
        list(export(shot, None, tmp_path / "out", what="mask", masks="begun"))
    for version, what in ((None, "result"), ("one", "mask")):
        with pytest.raises(InputError, match="a mask version has nothing but a mask to export"):
            list(export(shot, version, tmp_path / "out", what=what, masks="drawn"))


def test_an_existing_target_is_refused_unless_it_shall_be_replaced(archive, sequence, tmp_path):
    version = filled(shot_of(archive, sequence(noise(2, 20, 30, 3)), square(2, 20, 30)))
    target = tmp_path / "out.mkv"
    target.write_bytes(b"mine")
    with pytest.raises(InputError, match=r"out\.mkv: exists"):
        list(export(version.shot, "one", target, fps=Fraction(25)))
    assert target.read_bytes() == b"mine"
    list(export(version.shot, "one", target, fps=Fraction(25), overwrite=True))
    np.testing.assert_array_equal(pixels_of(target), results_of(version))


@pytest.mark.parametrize("target", ["out.mkv", "out", "clean.%d.png"])
def test_the_same_export_again_leaves_the_files_alone(archive, sequence, tmp_path, target):
    shot = shot_of(archive, sequence(noise(2, 20, 30, 3)), square(2, 20, 30))
    filled(shot), filled(shot, "two", seed=3)
    rate = Fraction(25)
    list(export(shot, "one", tmp_path / target, fps=rate))
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.[mp][kn][vg]")}
    assert list(export(shot, "one", tmp_path / target, fps=rate)) == [2]
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.[mp][kn][vg]")}
    with pytest.raises(InputError, match="exists"):
        list(export(shot, "two", tmp_path / target, fps=rate))


def test_an_export_that_is_stopped_leaves_nothing(archive, sequence, tmp_path):
    version = filled(shot_of(archive, sequence(noise(9, 20, 30, 3)), square(9, 20, 30)))
    before = sorted(tmp_path.iterdir())
    steps = export(version.shot, "one", tmp_path / "out")
    next(steps)
    steps.close()
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("target", ["plate", "plate/plate.%04d.png", "link"])
def test_the_source_is_not_overwritten(archive, sequence, tmp_path, target):
    pixels = noise(2, 20, 30, 3)
    version = filled(shot_of(archive, sequence(pixels), square(2, 20, 30)))
    (tmp_path / "link").symlink_to("plate")
    with pytest.raises(InputError, match=r"plate is read from there"):
        list(export(version.shot, "one", tmp_path / target, overwrite=True))
    np.testing.assert_array_equal(pixels_of(tmp_path / "plate"), pixels)
    moved = shutil.move(str(tmp_path / "plate"), str(tmp_path / "moved"))
    with pytest.raises(InputError, match="is read from there"):
        list(export(version.shot, "one", moved, source=moved, overwrite=True))


def test_the_source_movie_is_not_overwritten(archive, movie, tmp_path):
    version = filled(shot_of(archive, movie, square(6, 48, 64)))
    for what in ("result", "confidence"):
        with pytest.raises(InputError, match=r"plate\.mkv is read from there"):
            list(export(version.shot, "one", movie, what=what, overwrite=True))
    np.testing.assert_array_equal(pixels_of(movie), version.shot.frames[:])


class Killed(BaseException):
    """What ends a process: nothing is tidied up on its way."""


def killed_moving(monkeypatch, moved, steps):
    """Run the steps, killed after so many of its files are moved into place."""
    moves, left = os.replace, [moved]

    def move(old, new):
        if any(part[0] == "." and part.endswith(".partial") for part in Path(old).parts[-2:]):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
        moves(old, new)

    with monkeypatch.context() as process:
        process.setattr("storage.targets.os.replace", move)
        with pytest.raises(Killed):
            list(steps)


@pytest.mark.parametrize(
    ("target", "moved"),
    [("new", 0), ("there", 0), ("there", 1), ("new/clean.%d.png", 0), ("new/clean.%d.png", 1)],
)
def test_an_export_killed_as_it_is_published_is_published_by_the_next(
    archive, sequence, tmp_path, monkeypatch, target, moved
):
    version = filled(shot_of(archive, sequence(noise(2, 20, 30, 3)), square(2, 20, 30)))
    (tmp_path / "there").mkdir()
    folder = tmp_path / target.split("/")[0]
    killed_moving(monkeypatch, moved, export(version.shot, "one", tmp_path / target))
    assert len(list(folder.glob("*.png"))) == moved
    assert list(export(version.shot, "one", tmp_path / target)) == [2]
    np.testing.assert_array_equal(pixels_of(folder), results_of(version))
    assert len(list(folder.iterdir())) == 2


TARGETS = {
    "out": ("out", "plate.0101.png"),
    "out.mkv": ("", "out.mkv"),
    "c.####.png": ("", "c.0101.png"),
}


@pytest.fixture
def delivered(archive, sequence, tmp_path, request):
    """A version, exported inverted to the target asked for, and the last of its files."""
    version = filled(shot_of(archive, sequence(noise(3, 20, 30, 3)), square(3, 20, 30)))
    (tmp_path / "to").mkdir()
    target = tmp_path / "to" / request.param
    list(export(version.shot, "one", target, fps=Fraction(25), retouch=inverted()))
    folder, name = TARGETS[request.param]
    return version, target, tmp_path / "to" / folder / name.replace("101", "103")


def other(version, target, **how):
    return export(version.shot, "one", target, fps=Fraction(25), **how)


KILLED = [("out", 0), ("out", 1), ("c.####.png", 0), ("c.####.png", 2), ("out.mkv", 0)]


@pytest.mark.parametrize("delivered", TARGETS, indirect=True)
def test_what_was_painted_over_is_not_replaced_nor_a_result_by_its_mask(delivered):
    version, target, last = delivered
    with pytest.raises(InputError, match="exists"):
        list(other(version, target, what="mask"))
    last.write_bytes(b"painted over")
    with pytest.raises(InputError, match="exists"):
        list(other(version, target))
    assert last.read_bytes() == b"painted over"


@pytest.mark.parametrize(("delivered", "moved"), KILLED, indirect=["delivered"])
@pytest.mark.parametrize("then", [None, "inverted", "twice"])
def test_whatever_follows_a_killed_replacement_ends_right(monkeypatch, delivered, moved, then):
    version, target, last = delivered
    killed_moving(monkeypatch, moved, other(version, target))
    retouch = None if then is None else inverted(then)
    assert list(other(version, target, retouch=retouch))[-1] == 3
    back = pixels_of(target if target.exists() else last.parent)
    assert np.array_equal(back, results_of(version)) == (then is None)
    assert list(other(version, target, retouch=retouch)) == [3]


@pytest.mark.parametrize(("delivered", "moved"), KILLED, indirect=["delivered"])
def test_a_file_painted_over_after_a_kill_is_not_replaced(monkeypatch, delivered, moved):
    version, target, last = delivered
    killed_moving(monkeypatch, moved, other(version, target))
    last.write_bytes(b"painted over")
    for retouch in (None, inverted()):
        with pytest.raises(InputError, match="exists"):
            list(other(version, target, retouch=retouch))
    assert last.read_bytes() == b"painted over"


@pytest.mark.parametrize("delivered", TARGETS, indirect=True)
def test_a_file_painted_over_while_another_export_is_written_is_not_replaced(delivered):
    version, target, last = delivered
    steps = other(version, target)
    next(steps)
    last.write_bytes(b"painted over")
    with pytest.raises(InputError, match="exists"):
        list(steps)
    assert last.read_bytes() == b"painted over"


@pytest.mark.parametrize("delivered", TARGETS, indirect=True)
def test_after_a_disk_that_was_full_the_same_and_the_former_export_go_on(monkeypatch, delivered):
    version, target, last = delivered

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr("storage.targets.os.fsync", full)
        with pytest.raises(PlaceError, match="the disk is full"):
            list(other(version, target))
    for retouch in (inverted(), None):
        assert list(other(version, target, retouch=retouch)) == [1, 2, 3]
    assert np.array_equal(
        pixels_of(target if target.exists() else last.parent), results_of(version)
    )


@pytest.mark.parametrize("delivered", TARGETS, indirect=True)
def test_what_cannot_be_remembered_replaces_nothing(archive, delivered):
    version, target, last = delivered
    before = last.read_bytes()
    shot = Archive.open(archive.url).shot(version.shot.name)
    with pytest.raises(InputError, match="exists"):
        list(export(shot, "one", target, fps=Fraction(25)))
    assert last.read_bytes() == before


def test_an_export_killed_as_it_is_published_replaces_no_other_file(
    archive, sequence, tmp_path, monkeypatch
):
    version = filled(shot_of(archive, sequence(noise(2, 20, 30, 3)), square(2, 20, 30)))
    target = tmp_path / "new" / "clean.%04d.png"
    killed_moving(monkeypatch, 1, export(version.shot, "one", target))
    (tmp_path / "new" / "clean.0102.png").write_bytes(b"mine")
    with pytest.raises(InputError, match="exists"):
        list(export(version.shot, "one", target))
    assert (tmp_path / "new" / "clean.0102.png").read_bytes() == b"mine"
    list(export(version.shot, "one", target, overwrite=True))
    np.testing.assert_array_equal(pixels_of(tmp_path / "new"), results_of(version))


@pytest.mark.parametrize("link", [False, True])
def test_an_empty_folder_is_filled_and_stays_the_same_folder(archive, sequence, tmp_path, link):
    version = filled(shot_of(archive, sequence(noise(2, 20, 30, 3)), square(2, 20, 30)))
    (tmp_path / "volume").mkdir()
    (tmp_path / "link").symlink_to("volume")
    before = (tmp_path / "volume").stat().st_ino
    target = tmp_path / ("link" if link else "volume")
    list(export(version.shot, "one", target))
    assert target.is_symlink() == link
    assert (tmp_path / "volume").stat().st_ino == before
    np.testing.assert_array_equal(pixels_of(tmp_path / "volume"), results_of(version))
    assert list(export(version.shot, "one", target)) == [2]


@pytest.mark.parametrize("target", ["out", "out.mkv"])
def test_what_the_disk_does_not_keep_is_not_published(
    archive, sequence, tmp_path, monkeypatch, target
):
    filled(shot_of(archive, sequence(noise(2, 20, 30, 3)), square(2, 20, 30)))
    shot = Archive.open(archive.url).shot("shot")
    before = sorted(tmp_path.iterdir())

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("storage.targets.os.fsync", full)
    with pytest.raises(PlaceError, match=f"{target}: the disk is full"):
        list(export(shot, "one", tmp_path / target, fps=Fraction(25)))
    assert sorted(tmp_path.iterdir()) == before


def test_other_files_in_a_folder_stay_when_it_is_overwritten(archive, sequence, tmp_path):
    shot = shot_of(archive, sequence(noise(2, 20, 30, 3)), square(2, 20, 30))
    filled(shot)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    list(export(shot, "one", tmp_path / "out", overwrite=True))
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["notes.txt", "plate.0101.png", "plate.0102.png"]


def test_of_a_delivery_that_was_painted_over_nothing_is_removed(archive, sequence, tmp_path):
    plate = open_source(sequence(noise(4, 20, 30, 3)))
    for name, last in (("long", None), ("short", 102)):
        list(ingest(archive, name, plate, None, last=last))
    list(export(archive.shot("long"), None, tmp_path / "out"))
    write_image(tmp_path / "out" / "plate.0103.png", noise(20, 30, 3, seed=4))
    list(export(archive.shot("short"), None, tmp_path / "out", overwrite=True))
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_a_version_that_is_not_finished_is_refused_naming_the_frame(archive, sequence, tmp_path):
    shot = shot_of(archive, sequence(noise(2, 20, 30, 3)), square(2, 20, 30))
    shot.create_version("one").write(0, noise(20, 30, 3))
    with pytest.raises(InputError, match=r"1 of 2 frames are done, frame 102"):
        list(export(shot, "one", tmp_path / "out"))


def test_a_source_that_moved_is_named_and_one_that_changed_is_refused(archive, sequence, tmp_path):
    folder = sequence(noise(2, 20, 30, 3))
    version = filled(shot_of(archive, folder, square(2, 20, 30)))
    moved, other = tmp_path / "moved", sequence(noise(2, 20, 30, 3, seed=5), name="other")
    shutil.move(folder, moved)
    with pytest.raises(InputError, match="plate"):
        list(export(version.shot, "one", tmp_path / "out"))
    with pytest.raises(InputError, match="not what shot 'shot' was ingested from"):
        list(export(version.shot, "one", tmp_path / "out", source=other))
    list(export(version.shot, "one", tmp_path / "out", source=str(moved)))
    np.testing.assert_array_equal(pixels_of(tmp_path / "out"), results_of(version))


def test_a_real_movie_with_sound_keeps_all_but_its_hole(archive, clips, tmp_path):
    movie = str(clips / "anim-bbb-hole" / "source" / "bigbuckbunny.mp4")
    source = open_source(movie)
    mask = open_mask(str(clips / "anim-bbb-hole" / "masks" / "00000.png"), source)
    list(ingest(archive, "shot", source, mask, first=60, last=67))
    version = filled(archive.shot("shot"))
    list(export(version.shot, "one", tmp_path / "out.mkv"))
    result = open_source(str(tmp_path / "out.mkv")).info
    assert (result.audio, result.fps) == (True, source.info.fps)
    before, after = (planes_of(path) for path in (movie, tmp_path / "out.mkv"))
    assert len(after[0]) == 8
    luma = version.shot.hole[:]
    chroma = luma.reshape(8, 360, 2, 640, 2).any((2, 4))
    for old, new, hole in zip(before, after, (luma, chroma, chroma), strict=True):
        np.testing.assert_array_equal(new[~hole], old[60:68][~hole])


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("s3://bucket/out.mkv", "local path"),
        ("still.png", "no number"),
        ("a.%d.gif", "unknown"),
        ("a.%04d.jpg", r"JPEG changes pixels outside the hole; write a\.%04d\.png"),
        ("a.####.JPEG", r"JPEG changes pixels outside the hole; write a\.####\.png"),
    ],
)
def test_a_target_that_cannot_be_is_refused(archive, sequence, tmp_path, target, message):
    version = filled(shot_of(archive, sequence(noise(1, 20, 30, 3)), None))
    with pytest.raises(InputError, match=message):
        list(export(version.shot, "one", target if "://" in target else tmp_path / target))
