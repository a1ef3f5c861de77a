from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from storage_fakes import ArrayMask, ArraySource, noise, square

from storage.archive import Archive
from storage.arrays import stored_frames
from storage.attributes import write_attributes
from storage.ingest import ingest
from storage.shots import Shot, Version
from storage.sources import InputError
from storage.urls import join


def store(place, pixels, holes, name="shot"):
    archive = Archive.open(place, "a")
    for _ in ingest(archive, name, ArraySource(pixels, 5), ArrayMask(holes, 5)):
        pass
    return archive.shot(name)


def test_what_is_stored_is_read_back_from_every_kind_of_place(place):
    pixels, holes = noise(4, 30, 40, 3), square(4, 30, 40)
    store(place, pixels, holes)
    shot = Archive.open(place).shot("shot")
    np.testing.assert_array_equal(shot.frames[:], pixels)
    np.testing.assert_array_equal(shot.hole[:], holes)
    assert shot.numbers.tolist() == [5, 6, 7, 8]
    assert shot.complete
    assert shot.info == ArraySource(pixels, 5).info


def test_a_result_equals_the_frames_outside_the_hole_and_the_fill_inside(place):
    pixels, holes = noise(4, 30, 40, 3), square(4, 30, 40)
    version = store(place, pixels, holes).create_version("one", {"seed": 7})
    fill = noise(4, 30, 40, 3, seed=1)
    for t in range(4):
        version.write(t, fill[t], np.full((30, 40), 9, np.uint8))
    again = Archive.open(place).shot("shot").version("one")
    assert again.complete
    assert again.attrs["seed"] == 7
    for t in range(4):
        expected = np.where(holes[t][..., None], fill[t], pixels[t])
        np.testing.assert_array_equal(again.result(t), expected)
    np.testing.assert_array_equal(again.confidence[:], 9 * holes)


def test_versions_lie_side_by_side_and_are_removed_by_name(place):
    shot = store(place, noise(2, 8, 8, 3), square(2, 8, 8))
    for name in ("second", "first"):
        shot.create_version(name).files.write("state.bin", name.encode())
    assert shot.versions() == ["second", "first"]
    shot.remove_version("second")
    assert shot.versions() == ["first"]
    assert shot.version("first").files.read("state.bin") == b"first"
    with pytest.raises(InputError, match="no version 'second'; there are: first"):
        shot.version("second")


def test_a_shot_is_removed_with_all_it_holds(place):
    shot = store(place, noise(2, 8, 8, 3), square(2, 8, 8))
    shot.create_version("one").files.write("state.bin", b"x")
    archive = Archive.open(place, "a")
    archive.remove_shot("shot")
    assert archive.shots() == []
    assert shot.files.names() == []


def test_plain_files_are_written_listed_read_and_removed(place):
    files = Archive.open(place, "a").files
    assert files.names() == []
    assert files.read("notes.txt") is None
    files.write("notes.txt", b"old")
    files.write("notes.txt", b"new")
    files.write("scale-1/state.bin", b"\0" * 10)
    assert files.names() == ["notes.txt", "scale-1/state.bin"]
    assert files.read("notes.txt") == b"new"
    files.remove("notes.txt")
    files.remove("notes.txt")
    assert files.names() == ["scale-1/state.bin"]


def test_shots_and_versions_open_by_their_url_alone(place):
    shot = store(place, noise(2, 8, 8, 3), square(2, 8, 8))
    version = shot.create_version("one", {"status": "waiting"})
    Version.open(version.url, "a").update(status="running")
    assert version.attrs["status"] == "running"
    assert Shot.open(shot.url).name == "shot"
    with pytest.raises(InputError, match="no shot here"):
        Shot.open(join(place, "other"))


def test_a_fill_is_stored_only_where_it_meets_the_hole(archive, stored):
    holes = np.zeros((3, 1080, 1920), bool)
    holes[1, 10:20, 10:20] = True
    shot = stored(np.zeros((3, 1080, 1920, 3), np.uint8), holes)
    version = shot.create_version("one")
    for t in range(3):
        version.write(t, noise(1080, 1920, 3), np.full((1080, 1920), 255, np.uint8))
    assert stored_frames(version.url, "filled") == {1}
    assert stored_frames(version.url, "confidence") == {1}
    shard = Path(version.url, "filled/c/1/0/0/0")
    assert shard.stat().st_size < 2000


def test_a_fill_that_is_all_black_is_stored_too(stored):
    version = stored(noise(3, 16, 16, 3), square(3, 16, 16)).create_version("one")
    for t in range(3):
        version.write(t, np.zeros((16, 16, 3), np.uint8))
    assert stored_frames(version.url, "filled") == {1, 2}
    assert version.result(1)[square(3, 16, 16)[1]].max() == 0


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
@pytest.mark.parametrize("shape", [(2, 239, 431, 3), (1, 12, 10, 1), (2, 12, 10, 4), (2, 9, 9, 2)])
def test_frames_of_every_kind_come_back_bit_for_bit(stored, dtype, shape):
    pixels = noise(*shape, dtype=dtype)
    shot = stored(pixels, np.ones(shape[:3], bool))
    assert shot.frames[:].tobytes() == pixels.tobytes()
    version = shot.create_version("one")
    version.write(0, pixels[0])
    assert version.filled[0].tobytes() == pixels[0].tobytes()
    assert version.done.tolist() == [True] + [False] * (shape[0] - 1)


def test_true_pixels_are_kept_inside_the_hole_only(archive):
    pixels, true, holes = noise(3, 16, 16, 3), noise(3, 16, 16, 3, seed=1), square(3, 16, 16)
    source, truth = ArraySource(pixels, 5), ArraySource(true, 0)
    assert list(ingest(archive, "shot", source, ArrayMask(holes, 5), truth=truth)) == [3]
    kept = archive.shot("shot").truth
    np.testing.assert_array_equal(kept[:], np.where(holes[..., None], true, 0))


def test_a_result_of_another_size_or_type_is_a_mistake_of_ours(stored):
    version = stored(noise(1, 8, 8, 3), None).create_version("one")
    with pytest.raises(ValueError, match=r"expected uint8 \(8, 8, 3\), got uint16"):
        version.write(0, noise(8, 8, 3, dtype="uint16"))


def test_nothing_is_overwritten(archive, stored):
    shot = stored(noise(1, 8, 8, 3), None)
    shot.create_version("one")
    with pytest.raises(InputError, match="version 'one' exists"):
        shot.create_version("one")
    with pytest.raises(InputError, match="shot 'shot' exists"):
        archive.create_shot("shot", shot.info, "")


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "files", "ends.", "x" * 200, "a\nb"])
def test_a_name_that_cannot_be_a_folder_is_refused(archive, name):
    with pytest.raises(InputError, match="cannot be a name"):
        list(ingest(archive, name, ArraySource(noise(1, 8, 8, 3)), None))


def test_an_archive_of_a_newer_format_is_refused(archive):
    write_attributes(archive.url, {"format": 99})
    with pytest.raises(InputError, match="format 99, this version reads up to 1"):
        Archive.open(archive.url)


def test_a_place_that_is_no_archive_is_refused(tmp_path, stored):
    with pytest.raises(InputError, match="no archive here"):
        Archive.open(str(tmp_path / "nowhere"))
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other things"):
        Archive.open(str(tmp_path), "a")
    with pytest.raises(InputError, match="a part of an archive"):
        Archive.open(stored(noise(1, 8, 8, 3), None).url)


@pytest.mark.parametrize("writes", [0, 1])
def test_an_archive_that_was_killed_while_it_was_made_is_made_again(tmp_path, monkeypatch, writes):
    class Killed(BaseException):
        """Cleans up no more than SIGKILL does."""

    left, replace = iter(range(writes)), Path.replace

    def replace_or_die(path: Path, target: Path) -> Path:
        if next(left, None) is None:
            raise Killed
        return replace(path, target)

    with monkeypatch.context() as patched, suppress(Killed):
        patched.setattr(Path, "replace", replace_or_die)
        Archive.open(str(tmp_path / "archive"), "a")
    assert Archive.open(str(tmp_path / "archive"), "a").shots() == []


def test_a_bucket_that_is_not_there_is_named(object_store):
    with pytest.raises(InputError, match="no such bucket"):
        Archive.open("s3://no-such-bucket-here/archive", "a")


def test_an_unknown_shot_is_refused_naming_those_there_are(stored, archive):
    stored(noise(1, 8, 8, 3), None, name="tennis")
    with pytest.raises(InputError, match="no shot 'golf'; there are: tennis"):
        archive.shot("golf")
