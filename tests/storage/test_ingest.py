import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace

import numpy as np
import pytest
from storage_fakes import ArrayMask, ArraySource, noise, square
from zarr.storage import LocalStore

from storage import ingest as ingest_module
from storage.archive import Archive
from storage.ingest import ingest
from storage.sources import InputError


@pytest.fixture
def single_frames(monkeypatch):
    """Blocks of one frame, so that a short clip takes many steps."""
    monkeypatch.setattr(ingest_module, "batch_length", lambda frame_bytes: 1)


@pytest.mark.usefixtures("single_frames")
def test_the_number_of_frames_stored_is_yielded(archive):
    source = ArraySource(noise(3, 8, 8, 3))
    assert list(ingest(archive, "shot", source, None)) == [1, 2, 3]


def test_a_range_is_stored_with_its_own_numbers_and_holes(archive):
    pixels, holes = noise(6, 12, 16, 3), square(6, 12, 16)
    source, mask = ArraySource(pixels, 100), ArrayMask(holes, 100)
    assert list(ingest(archive, "shot", source, mask, first=102, last=104)) == [3]
    shot = archive.shot("shot")
    assert shot.numbers.tolist() == [102, 103, 104]
    np.testing.assert_array_equal(shot.frames[:], pixels[2:5])
    np.testing.assert_array_equal(shot.hole[:], holes[2:5])


def test_presentation_times_of_a_movie_of_unknown_length_are_kept(archive):
    source = ArraySource(noise(20, 8, 8, 3), kind="movie")
    assert list(ingest(archive, "shot", source, None))[-1] == 20
    shot = archive.shot("shot")
    assert shot.pts.tolist() == [512 * t for t in range(20)]
    assert shot.frames.shape == (20, 8, 8, 3)
    assert not shot.hole[:].any()


def test_a_count_that_was_promised_too_high_is_corrected(archive):
    source = ArraySource(noise(5, 8, 8, 3), kind="movie")
    source.info = replace(source.info, count=9)
    list(ingest(archive, "shot", source, None))
    assert archive.shot("shot").frames.shape[0] == 5


def test_the_frames_that_a_mask_was_given_for_are_kept(archive):
    source, holes = ArraySource(noise(4, 12, 16, 3), 100), square(4, 12, 16)
    list(ingest(archive, "few", source, ArrayMask(holes, 100, few=[102]), first=101))
    list(ingest(archive, "every", source, ArrayMask(holes, 100, few=[101, 102, 103]), first=101))
    list(ingest(archive, "usual", source, ArrayMask(holes, 100)))
    given = [archive.shot(name).given for name in ("few", "every", "usual")]
    assert given == [[1], None, None]


def test_masks_given_for_other_frames_are_another_mask_though_the_holes_are_alike(archive):
    source, holes = ArraySource(noise(3, 12, 16, 3)), square(3, 12, 16)
    list(ingest(archive, "shot", source, ArrayMask(holes, stamp="all")))
    with pytest.raises(InputError, match="its mask or the mask's settings changed"):
        list(ingest(archive, "shot", source, ArrayMask(holes, stamp="few", few=[1, 2])))


@pytest.mark.usefixtures("single_frames")
def test_an_ingest_that_was_stopped_goes_on_where_it_stopped(archive):
    pixels, holes = noise(6, 12, 16, 3), square(6, 12, 16)
    steps = ingest(archive, "shot", ArraySource(pixels, 5), ArrayMask(holes, 5))
    next(steps), next(steps)
    steps.close()
    begun = len(archive.shot("shot"))
    assert 2 <= begun <= 4
    assert not archive.shot("shot").complete
    again = ArraySource(pixels, 5)
    assert list(ingest(archive, "shot", again, ArrayMask(holes, 5)))[-1] == 6
    assert again.reads[0] == 5 + begun - 1
    np.testing.assert_array_equal(archive.shot("shot").frames[:], pixels)
    np.testing.assert_array_equal(archive.shot("shot").hole[:], holes)


def test_a_killed_ingest_leaves_whole_frames_and_goes_on(tmp_path):
    script = textwrap.dedent("""
        import sys, time
        sys.path[:0] = sys.argv[2:]
        from storage_fakes import ArraySource, noise
        from storage import ingest as module
        from storage.archive import Archive
        module.batch_length = lambda frame_bytes: 1
        archive = Archive.open(sys.argv[1], "a")
        for stored in module.ingest(archive, "shot", ArraySource(noise(40, 64, 64, 3)), None):
            print(stored, flush=True)
            time.sleep(0.02)
    """)
    place, here = str(tmp_path / "archive"), os.path.dirname(__file__)
    command = [sys.executable, "-c", script, place, here, os.path.join(here, "..", "..")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        while killed.stdout.readline().strip() != "5":
            time.sleep(0.001)
        killed.send_signal(signal.SIGKILL)
    archive, pixels = Archive.open(place, "a"), noise(40, 64, 64, 3)
    shot = archive.shot("shot")
    assert not shot.complete
    np.testing.assert_array_equal(shot.frames[: len(shot)], pixels[: len(shot)])
    again = ArraySource(pixels)
    list(ingest(archive, "shot", again, None))
    assert again.reads[0] >= 4
    np.testing.assert_array_equal(archive.shot("shot").frames[:], pixels)


def test_an_unfinished_shot_of_something_else_is_begun_anew(archive):
    steps = ingest(archive, "shot", ArraySource(noise(40, 8, 8, 3)), None)
    next(steps)
    steps.close()
    pixels = noise(3, 8, 8, 1, dtype="uint16")
    assert list(ingest(archive, "shot", ArraySource(pixels), None)) == [3]
    np.testing.assert_array_equal(archive.shot("shot").frames[:], pixels)


def test_the_same_shot_again_is_left_as_it_is(archive):
    source, mask = ArraySource(noise(3, 12, 16, 3)), ArrayMask(square(3, 12, 16))
    list(ingest(archive, "shot", source, mask))
    source.reads.clear()
    assert list(ingest(archive, "shot", source, mask)) == [3]
    assert source.reads == []


def test_the_same_content_in_touched_files_is_the_same_shot(archive):
    pixels, holes = noise(3, 12, 16, 3), square(3, 12, 16)
    for stamp in ("monday", "tuesday"):
        source, mask = ArraySource(pixels, stamp=stamp), ArrayMask(holes, stamp=stamp)
        assert list(ingest(archive, "shot", source, mask)) == [3]
    assert archive.shot("shot").attrs["fingerprint"] == "tuesday"


def test_a_shot_that_was_made_of_something_else_is_refused(archive):
    source, mask = ArraySource(noise(3, 12, 16, 3)), ArrayMask(square(3, 12, 16))
    list(ingest(archive, "shot", source, mask))
    other = ArraySource(noise(3, 12, 16, 3, seed=1))
    with pytest.raises(InputError, match="its content changed since shot 'shot' was ingested"):
        list(ingest(archive, "shot", other, mask))
    with pytest.raises(InputError, match="mask"):
        list(ingest(archive, "shot", source, ArrayMask(~square(3, 12, 16))))
    with pytest.raises(InputError, match="another range"):
        list(ingest(archive, "shot", source, mask, first=1))
    with pytest.raises(InputError, match="truth"):
        list(ingest(archive, "shot", source, mask, truth=other))


def test_a_frame_unlike_the_first_is_refused_by_number(archive):
    source = ArraySource(noise(3, 8, 8, 3), 10, stamp="monday")
    source.pixels = [*source.pixels[:2], noise(8, 9, 3)]
    with pytest.raises(InputError, match=r"frame 12 is 9×8 .* the first is 8×8"):
        list(ingest(archive, "shot", source, None))
    assert archive.shots() == []


def test_masks_that_do_not_fit_are_refused_by_number(archive):
    source = ArraySource(noise(3, 8, 8, 3), 10)
    with pytest.raises(InputError, match=r"mask of frame 10 is 9×8, the frame 8×8"):
        list(ingest(archive, "shot", source, ArrayMask(np.ones((3, 8, 9), bool), 10)))
    with pytest.raises(InputError, match=r"frame 12 has no mask"):
        list(ingest(archive, "shot", source, ArrayMask(np.ones((2, 8, 8), bool), 10)))


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        (12, 11, "range 12-11"),
        (3, None, "begins at frame 10, not at 3"),
        (None, 99, "ends at frame 12; there is no frame 99"),
    ],
)
def test_a_range_outside_the_source_is_refused(archive, first, last, message):
    source = ArraySource(noise(3, 8, 8, 3), 10)
    with pytest.raises(InputError, match=message):
        list(ingest(archive, "shot", source, None, first=first, last=last))
    assert archive.shots() == []


def test_a_movie_that_ends_before_the_range_does_is_refused(archive):
    source = ArraySource(noise(3, 8, 8, 3), kind="movie")
    with pytest.raises(InputError, match="ends at frame 2; there is no frame 7"):
        list(ingest(archive, "shot", source, None, last=7))


def test_truth_unlike_the_frames_is_refused(archive):
    truth = ArraySource(noise(3, 8, 9, 3))
    with pytest.raises(InputError, match="the truth's width is 9, the frames' 8"):
        list(ingest(archive, "shot", ArraySource(noise(3, 8, 8, 3)), None, truth=truth))


@pytest.mark.parametrize(("begin", "count"), [(1005, 16), (991, 40), (1, 20), (1011, 4)])
def test_truth_is_matched_as_masks_are(archive, begin, count):
    source, truth = ArraySource(noise(20, 8, 8, 3), 1001), noise(count, 8, 8, 3, seed=1)
    mask = ArrayMask(np.ones((20, 8, 8), bool), 1001)
    other = ArraySource(truth, begin)
    list(ingest(archive, "shot", source, mask, first=1011, last=1014, truth=other))
    start = 10 if begin == 1 else 1011 - begin
    np.testing.assert_array_equal(archive.shot("shot").truth[:], truth[start : start + 4])


def test_a_truth_of_other_frames_is_refused_before_any_is_stored(archive):
    source, truth = ArraySource(noise(20, 8, 8, 3), 1001), ArraySource(noise(16, 8, 8, 3), 1005)
    said = r"has 16 true frames \(1005 to 1020\), 20 frames are wanted \(1001 to 1020\): give one"
    with pytest.raises(InputError, match=said):
        next(ingest(archive, "shot", source, None, truth=truth))
    assert not archive.shots()
    assert not truth.reads


def test_a_grey_truth_holds_for_every_channel(archive):
    hole, truth = np.ones((3, 8, 8), bool), noise(3, 8, 8, 1)
    source, mask = ArraySource(noise(3, 8, 8, 3)), ArrayMask(hole)
    list(ingest(archive, "shot", source, mask, truth=ArraySource(truth)))
    stored = archive.shot("shot").truth[:]
    np.testing.assert_array_equal(stored, truth.repeat(3, axis=3))


@pytest.mark.parametrize(
    ("number", "message"), [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "no permission")]
)
def test_what_the_disk_refuses_is_said_in_one_line(archive, monkeypatch, number, message):
    async def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(LocalStore, "set", refuse)
    with pytest.raises(InputError, match=message) as caught:
        list(ingest(archive, "shot", ArraySource(noise(1, 8, 8, 3)), None))
    assert "\n" not in str(caught.value)
