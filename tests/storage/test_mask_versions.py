from pathlib import Path

import numpy as np
import pytest
from storage_fakes import ArrayMask, ArraySource, drawn, noise, square

from storage.archive import Archive
from storage.boundary import counts
from storage.ingest import ingest
from storage.mask_versions import MaskVersion
from storage.sources import InputError
from storage.verify import Damage, verify


def test_what_is_drawn_is_read_back_from_every_kind_of_place(place):
    archive, holes = Archive.open(place, "a"), square(4, 140, 150)
    list(ingest(archive, "shot", ArraySource(noise(4, 140, 150, 3)), None))
    drawn(archive.shot("shot"), holes=holes).files.write("state.bin", b"x")
    again = Archive.open(place).shot("shot").mask_version("drawn")
    assert again.complete
    assert (again.name, again.attrs["steps"]) == ("drawn", 7)
    assert again.files.names() == ["state.bin"]
    np.testing.assert_array_equal(again.hole[:], holes)
    np.testing.assert_array_equal(again.boundary, [counts(hole) for hole in holes])


def test_mask_versions_lie_side_by_side_in_order(stored):
    shot = stored(noise(2, 8, 8, 3), square(2, 8, 8))
    for name in ("second", "first"):
        shot.create_mask_version(name)
    assert shot.masks() == ["second", "first"]
    assert shot.versions() == []
    with pytest.raises(InputError, match="mask version 'first' exists"):
        shot.create_mask_version("first")
    shot.remove_mask_version("second")
    assert shot.masks() == ["first"]
    with pytest.raises(InputError, match="no mask version 'second'; there are: first"):
        shot.mask_version("second")


def test_a_mask_version_goes_on_where_it_stopped(stored):
    shot = stored(noise(3, 8, 8, 3), None)
    url = shot.create_mask_version("drawn").url
    MaskVersion.open(url, "a").write(1, square(3, 8, 8)[1])
    again = MaskVersion.open(url)
    assert again.done.tolist() == [False, True, False]
    assert not again.complete
    assert again.boundary.sum(axis=(1, 2)).astype(bool).tolist() == [False, True, False]


def test_a_hole_of_another_size_or_type_is_a_mistake_of_ours(stored):
    masks = stored(noise(1, 8, 9, 3), None).create_mask_version("drawn")
    for hole in (np.zeros((9, 8), bool), np.zeros((8, 9), np.uint8)):
        with pytest.raises(ValueError, match=r"expected bool \(8, 9\), got"):
            masks.write(0, hole)


def test_a_result_fills_the_hole_it_names(stored):
    pixels, holes = noise(3, 20, 30, 3), square(3, 20, 30)
    shot = stored(pixels, holes)
    version = shot.create_version("one", {"mask": drawn(shot).name})
    own = shot.create_version("two")
    fill = noise(3, 20, 30, 3, seed=1)
    for t in range(3):
        version.write(t, fill[t], np.full((20, 30), 9, np.uint8))
        own.write(t, fill[t])
    for t in range(3):
        filled = holes[t][..., None]
        np.testing.assert_array_equal(version.result(t), np.where(filled, pixels[t], fill[t]))
        np.testing.assert_array_equal(own.result(t), np.where(filled, fill[t], pixels[t]))
    np.testing.assert_array_equal(version.confidence[:], 9 * ~holes)
    np.testing.assert_array_equal(version.hole[:], ~holes)
    np.testing.assert_array_equal(version.boundary, [counts(hole) for hole in version.hole[:]])


def test_a_result_waits_for_every_mask(stored):
    shot = stored(noise(2, 8, 8, 3), None)
    shot.create_mask_version("begun").write(0, square(2, 8, 8)[1])
    with pytest.raises(InputError, match="not every frame has its mask"):
        shot.create_version("one", {"mask": "begun"})
    with pytest.raises(InputError, match="no mask version 'drawn'; there are: begun"):
        shot.create_version("one", {"mask": "drawn"})
    assert shot.versions() == []


def test_a_mask_version_stays_while_a_result_fills_it(stored):
    shot = stored(noise(2, 8, 8, 3), None)
    shot.create_version("one", {"mask": drawn(shot).name})
    with pytest.raises(InputError, match="result 'one' fills mask version 'drawn'"):
        shot.remove_mask_version("drawn")
    shot.remove_version("one")
    shot.remove_mask_version("drawn")
    assert shot.masks() == []


def test_nothing_is_drawn_for_a_shot_that_is_not_complete(archive):
    shot = archive.create_shot("shot", ArraySource(noise(1, 8, 8, 3)).info, "")
    with pytest.raises(InputError, match="the shot is not complete"):
        shot.create_mask_version("drawn")


@pytest.fixture
def version(stored):
    """A result of frames 5 to 8 on a mask version whose frame 5 alone is all hole."""
    shot = stored(noise(4, 24, 24, 3), square(4, 24, 24))
    version = shot.create_version("one", {"mask": drawn(shot).name})
    for t in range(4):
        version.write(t, noise(24, 24, 3, seed=9))
    return version


@pytest.mark.parametrize(
    ("file", "where", "frame"),
    [
        ("masks/drawn/hole/c/2/0/0", "masks/drawn/hole", 7),
        ("masks/drawn/done/c/0", "masks/drawn/done", None),
        ("masks/drawn/boundary/c/0/0/0", "masks/drawn/boundary", None),
        ("boundary/c/0/0/0", "boundary", None),
        ("results/one/filled/c/0/0/0/0", "one/filled", 5),
    ],
)
def test_a_flipped_bit_is_found(archive, version, file, where, frame):
    assert list(verify(archive)) == []
    damaged = Path(version.shot.url, file)
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    (damage,) = verify(archive)
    assert (damage.where, damage.frame) == (where, frame)
    assert "its bytes changed" in damage.reason


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("masks/drawn/hole/c/2/0/0", Damage("shot", "masks/drawn/hole", 7, "it is missing")),
        ("masks/drawn/done/c/0", Damage("shot", "masks/drawn/done", None, "it is missing")),
        (
            "masks/drawn/boundary/c/0/0/0",
            Damage("shot", "masks/drawn/boundary", 6, "it is not that of the hole"),
        ),
        ("boundary/c/0/0/0", Damage("shot", "boundary", 6, "it is not that of the hole")),
        ("results/one/filled/c/0/0/0/0", Damage("shot", "one/filled", 5, "it is missing")),
        ("masks/drawn/zarr.json", Damage("shot", "masks/drawn", None, "it is missing")),
    ],
)
def test_a_lost_file_is_found_though_it_reads_as_empty(archive, version, file, damage):
    Path(version.shot.url, file).unlink()
    assert list(verify(archive)) == [damage]


def test_truth_is_whole_where_the_hole_is_yet_to_be_made(archive):
    true, holes = noise(3, 16, 16, 3, seed=1), square(3, 16, 16)
    source, mask = ArraySource(noise(3, 16, 16, 3)), ArrayMask(holes, few=[1])
    list(ingest(archive, "shot", source, mask, truth=ArraySource(true)))
    shot = archive.shot("shot")
    assert shot.given == [1]
    np.testing.assert_array_equal(shot.truth[:], true)
    assert list(verify(archive)) == []
    Path(shot.url, "truth/c/0/0/0/0").unlink()
    assert list(verify(archive)) == [Damage("shot", "truth", 0, "it is missing")]
