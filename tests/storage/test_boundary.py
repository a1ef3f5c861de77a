import itertools
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from storage_fakes import ArrayMask, ArraySource, noise, square

from storage import ingest as ingest_module
from storage.attributes import read_attributes, write_attributes
from storage.boundary import CELL_PX, counts
from storage.chunks import cell_layout
from storage.ingest import ingest
from storage.shots import Shot
from storage.urls import join


def counted_slowly(hole, cell_px):
    height, width = hole.shape
    cells = np.zeros((-(-height // cell_px), -(-width // cell_px)), np.uint32)
    for y, x in itertools.product(range(height), range(width)):
        around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        near = [hole[v, u] for v, u in around if 0 <= v < height and 0 <= u < width]
        cells[y // cell_px, x // cell_px] += any(other != hole[y, x] for other in near)
    return cells


@settings(max_examples=60, deadline=None)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=20)), st.integers(1, 9))
def test_a_boundary_pixel_differs_from_one_of_its_four_neighbours(hole, cell_px):
    found = counts(hole, cell_px)
    assert found.dtype == np.uint32
    np.testing.assert_array_equal(found, counted_slowly(hole, cell_px))


@pytest.mark.parametrize("cell_px", [128, 255, 256, 1000])
def test_a_cell_of_any_size_holds_its_count(cell_px):
    stripes = np.zeros((300, 520), bool)
    stripes[:, ::2] = True
    found = counts(stripes, cell_px)
    assert found.sum() == stripes.size
    assert found[0, 0] == min(cell_px, 300) * min(cell_px, 520)


def test_the_frames_edge_is_no_boundary():
    assert not counts(np.ones((130, 130), bool)).any()
    assert counts(np.zeros((130, 257), bool)).shape == (2, 3)


def test_the_counts_of_a_long_4k_shot_lie_in_few_chunks():
    rows, columns = -(-2160 // CELL_PX), -(-3840 // CELL_PX)
    length, *cells = cell_layout(rows, columns).chunks
    assert cells == [rows, columns]
    assert -(-62 // length) == 1
    assert -(-10_000 // length) == 20


def test_a_shot_says_where_its_boundary_lies(stored):
    holes = square(3, 200, 300)
    boundary = stored(noise(3, 200, 300, 3), holes).boundary
    np.testing.assert_array_equal(boundary, [counts(hole) for hole in holes])


def test_a_resumed_ingest_counts_as_an_unbroken_one(archive, monkeypatch):
    pixels, holes = noise(6, 140, 140, 3), square(6, 140, 140)
    monkeypatch.setattr(ingest_module, "batch_length", lambda frame_bytes: 1)
    steps = ingest(archive, "shot", ArraySource(pixels, 5), ArrayMask(holes, 5))
    next(steps), next(steps)
    steps.close()
    assert 0 < len(archive.shot("shot")) < 6
    list(ingest(archive, "shot", ArraySource(pixels, 5), ArrayMask(holes, 5)))
    boundary = archive.shot("shot").boundary
    np.testing.assert_array_equal(boundary, [counts(hole) for hole in holes])


def without_counts(shot):
    """The shot as an earlier release stored it."""
    shutil.rmtree(join(shot.url, "boundary"))
    attrs = read_attributes(shot.url)
    write_attributes(shot.url, {key: attrs[key] for key in attrs if key != "cell_px"})
    return Shot(shot.url)


def test_without_stored_counts_the_holes_are_read(stored):
    holes = square(3, 140, 140)
    shot = without_counts(stored(noise(3, 140, 140, 3), holes))
    np.testing.assert_array_equal(shot.boundary, [counts(hole) for hole in holes])


def test_an_ingest_begun_without_counts_is_begun_anew(archive, monkeypatch):
    monkeypatch.setattr(ingest_module, "batch_length", lambda frame_bytes: 1)
    pixels, holes = noise(3, 20, 20, 3), square(3, 20, 20)
    steps = ingest(archive, "shot", ArraySource(pixels), ArrayMask(holes))
    next(steps)
    steps.close()
    without_counts(archive.shot("shot"))
    assert list(ingest(archive, "shot", ArraySource(pixels), ArrayMask(holes))) == [1, 2, 3]
    assert archive.shot("shot").boundary.shape == (3, 1, 1)
