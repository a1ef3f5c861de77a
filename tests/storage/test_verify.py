from pathlib import Path

import numpy as np
import pytest
from storage_fakes import noise, square

from storage.__main__ import main
from storage.verify import Damage, verify


@pytest.fixture
def version(stored):
    """A finished result of a shot of frames 5 to 8; frame 5 has no hole."""
    shot = stored(noise(4, 24, 24, 3), square(4, 24, 24))
    version = shot.create_version("one")
    for t in range(4):
        version.write(t, noise(24, 24, 3, seed=9), np.full((24, 24), 200, np.uint8))
    return version


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def test_a_whole_archive_has_no_damage(archive, version):
    assert list(verify(archive)) == []


@pytest.mark.parametrize(
    ("file", "where", "frame"),
    [
        ("frames/c/2/0/0/0", "frames", 7),
        ("hole/c/0/0/0", "hole", 5),
        ("results/one/filled/c/3/0/0/0", "one/filled", 8),
        ("results/one/confidence/c/1/0/0", "one/confidence", 6),
        ("results/one/done/c/0", "one/done", None),
        ("pts/c/0", "pts", None),
    ],
)
def test_a_flipped_bit_is_found_and_its_frame_named(archive, version, file, where, frame):
    flip(Path(version.shot.url, file))
    (damage,) = verify(archive)
    assert (damage.shot, damage.where, damage.frame) == ("shot", where, frame)
    assert "its bytes changed" in damage.reason


@pytest.mark.parametrize(
    ("file", "where"),
    [("frames/c/2/0/0/0", "frames"), ("results/one/filled/c/2/0/0/0", "one/filled")],
)
def test_a_lost_frame_is_found_though_it_reads_as_black(archive, version, file, where):
    Path(version.shot.url, file).unlink()
    assert list(verify(archive)) == [Damage("shot", where, 7, "it is missing")]


def test_a_file_cut_short_is_found(archive, version):
    file = Path(version.shot.url, "frames/c/0/0/0/0")
    file.write_bytes(file.read_bytes()[:100])
    (damage,) = verify(archive)
    assert (damage.where, damage.frame) == ("frames", 5)


def test_a_damaged_description_is_found_and_the_other_shots_are_read(archive, version, stored):
    stored(noise(1, 8, 8, 3), None, name="a")
    Path(version.shot.url, "zarr.json").write_text("{")
    (damage,) = verify(archive)
    assert (damage.shot, damage.where) == ("shot", "description")


def test_frames_not_done_yet_are_no_damage(archive, stored):
    shot = stored(noise(4, 24, 24, 3), square(4, 24, 24))
    shot.create_version("begun").write(1, noise(24, 24, 3))
    assert list(verify(archive)) == []


def test_the_command_prints_each_damage_and_tells_by_its_status(archive, version, capsys):
    assert main(["verify", archive.url]) == 0
    flip(Path(version.shot.url, "frames/c/2/0/0/0"))
    capsys.readouterr()
    assert main(["verify", archive.url]) == 1
    assert capsys.readouterr().out.startswith("shot: frames, frame 7: its bytes changed")
