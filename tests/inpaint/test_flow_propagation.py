from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from inpaint.classical import membrane
from inpaint.flow_propagation import (
    MISSING_BYTES,
    Filled,
    Stretch,
    fill_with,
    finished,
    follow,
    propagate,
    stretches,
)

COUNT, HEIGHT, WIDTH = 8, 48, 64


def pan(dtype: str = "uint8", channels: int = 3, step_px: int = 4) -> np.ndarray:
    """A fine random texture that passes by: `(T, H, W, C)`."""
    random = np.random.default_rng(0)
    noise = random.random((HEIGHT, WIDTH + COUNT * step_px, channels)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5).reshape(noise.shape)
    picture = np.interp(smooth, (smooth.min(), smooth.max()), (0, 1))
    frames = np.stack([picture[:, t * step_px : t * step_px + WIDTH] for t in range(COUNT)])
    return (frames * 255).round().astype("uint8") if dtype == "uint8" else frames.astype(dtype)


def square() -> np.ndarray:
    """A hole that stands still while the texture passes behind it."""
    holes = np.zeros((COUNT, HEIGHT, WIDTH), bool)
    holes[:, 18:30, 26:40] = True
    return holes


def propagated(frames: np.ndarray, holes: np.ndarray) -> list[Filled]:
    return list(propagate(list(zip(frames, holes, strict=True))))


def filled(frames: np.ndarray, holes: np.ndarray) -> np.ndarray:
    return np.stack([frame.pixels for frame in propagated(frames, holes)])


def decibels(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    white = 255 if a.dtype == np.uint8 else 1
    error = float(np.square((a / white - b / white)[where]).mean())
    return -10 * np.log10(error) if error else np.inf


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_a_pan_behind_a_still_hole_is_recovered(dtype: str, channels: int) -> None:
    truth, holes = pan(dtype, channels), square()
    result = filled(truth, holes)
    alone = np.stack([membrane(*pair) for pair in zip(truth, holes, strict=True)])
    assert result.dtype == truth.dtype
    assert np.array_equal(result[~holes], truth[~holes])
    assert decibels(result, truth, holes) > decibels(alone, truth, holes) + 8


@pytest.mark.parametrize("step_px", [0.3, 0.6])
def test_a_pan_by_less_than_a_pixel_a_frame_is_recovered(step_px: float) -> None:
    places = [(28 + step_px * t, 24) for t in range(24)]
    truth = np.stack([cv2.getRectSubPix(pan()[0], (48, 40), place) for place in places])
    holes = np.zeros(truth.shape[:3], bool)
    holes[:, 14:26, 22:28] = True
    alone = np.stack([membrane(*pair) for pair in zip(truth, holes, strict=True)])
    result = filled(truth, holes)
    assert decibels(result, truth, holes) > decibels(alone, truth, holes) + 8


def test_large_frames_are_filled_by_the_flow_of_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inpaint.tracks.MOST_PX", 30)
    truth, holes = pan(), square()
    result = filled(truth, holes)
    alone = np.stack([membrane(*pair) for pair in zip(truth, holes, strict=True)])
    assert decibels(result, truth, holes) > decibels(alone, truth, holes) + 8
    truth[holes] = 255
    assert np.array_equal(filled(truth, holes)[holes], result[holes])


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_what_lies_in_the_hole_has_no_influence(dtype: str) -> None:
    frames, holes = pan(dtype), square()
    other = frames.copy()
    other[holes] = np.nan if dtype == "float32" else 255
    assert np.array_equal(filled(other, holes), filled(frames, holes))


def test_the_expected_error_is_zero_where_known_and_ranks_the_pixels() -> None:
    truth, holes = pan(), square()
    holes[:, 35:] = True
    for t, frame in enumerate(propagated(truth, holes)):
        assert frame.error.dtype == np.float32
        assert (frame.error[~holes[t]] == 0).all()
        seen, never = frame.error[18:30, 26:40], frame.error[40:]
        assert 0 < seen.max() < never.min()


def test_what_no_frame_shows_is_filled_by_a_membrane() -> None:
    frames, holes = pan(), np.zeros((COUNT, HEIGHT, WIDTH), bool)
    frames[:] = frames[:1]
    holes[:, 18:30, 26:40] = True
    expected = [membrane(*pair) for pair in zip(frames, holes, strict=True)]
    assert np.array_equal(filled(frames, holes), np.stack(expected))


def test_one_frame_alone_is_filled_by_a_membrane() -> None:
    frames, holes = pan()[:1], square()[:1]
    assert np.array_equal(filled(frames, holes)[0], membrane(frames[0], holes[0]))


def test_of_sparse_pixels_the_expected_error_is_that_of_their_own_distance() -> None:
    slope = np.linspace(0, 0.5, 65, dtype=np.float32)[None, :, None, None]
    frames = np.tile(slope, (1, 1, 65, 1))
    holes = np.ones((1, 65, 65), bool)
    holes[:, ::4, ::4] = False
    (one,) = propagated(frames, holes)
    four_apart = (4 * 0.5 / 64) ** 2 / 2  # in rows nothing, in columns the slope's
    assert one.error[holes[0]].max() == pytest.approx(four_apart, rel=1e-3)


def test_frames_without_a_hole_come_back_and_lend_what_they_show() -> None:
    frames, holes = pan(step_px=0), square()
    holes[3] = False
    result = filled(frames, holes)
    assert np.array_equal(result[3], frames[3])
    assert decibels(result, frames, holes) > 40


def test_a_frame_without_known_pixels_shows_its_neighbours() -> None:
    frames, holes = pan(step_px=0), np.zeros((COUNT, HEIGHT, WIDTH), bool)
    holes[3] = True
    assert np.array_equal(filled(frames, holes), frames)
    holes[:] = True
    assert np.isin(filled(frames, holes), (127, 128)).all()


def test_a_later_start_gives_the_same_frames() -> None:
    frames, holes = pan(), square()
    pictures, whole = list(zip(frames, holes, strict=True)), Stretch.whole(COUNT)
    found = finished(follow(pictures, whole))
    later = [frame.pixels for frame in fill_with(pictures, whole, found, start=5)]
    assert np.array_equal(np.stack(later), filled(frames, holes)[5:])


def held(monkeypatch: pytest.MonkeyPatch, missing_px: float, beside: int = 1) -> None:
    """Let a stretch hold so many missing pixels, and see so many frames beside it at least."""
    monkeypatch.setattr("inpaint.flow_propagation.HELD_BYTES", missing_px * MISSING_BYTES)
    monkeypatch.setattr("inpaint.flow_propagation.LEAST_FRAMES", beside)


def cores(missing_px: list[int], frame_px: int = 50) -> list[range]:
    return [each.core for each in stretches(missing_px, frame_px)]


def test_a_long_clip_is_cut_so_that_each_stretch_holds_as_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert stretches([], 100) == []
    assert stretches([9] * 5, 100) == [Stretch.whole(5)]
    missing_px = [10] * 8 + [0] * 8 + [40] * 4
    held(monkeypatch, 100)
    assert cores(missing_px) == [range(8), range(8, 18), range(18, 20)]
    held(monkeypatch, 0.5)
    assert cores([1, 1, 1]) == [range(t, t + 1) for t in range(3)]


def test_a_stretch_is_shown_as_many_frames_as_it_has_and_one_that_shows_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held(monkeypatch, 105)
    even = stretches([20] * 20, 50)
    assert [each.core for each in even] == [range(n, n + 5) for n in range(0, 20, 5)]
    assert [each.frames for each in even] == [range(10), range(15), range(5, 20), range(10, 20)]
    assert sum(each.flows for each in even) <= 2 * 2 * 20
    held(monkeypatch, 105, beside=6)
    assert stretches([20] * 20, 50)[2].frames == range(4, 20)
    held(monkeypatch, 105)
    gone = stretches([0] * 3 + [50] * 9 + [0] * 3, 50)
    assert len(gone) == 5
    assert all(each.frames.start <= 2 and each.frames.stop >= 13 for each in gone)


def test_holes_are_held_even_where_little_is_missing() -> None:
    assert len(cores([1] * 1_000, 3840 * 2160)) == 1
    assert len(cores([1] * 3_000, 3840 * 2160)) == 3


def in_stretches(frames: np.ndarray, holes: np.ndarray) -> np.ndarray:
    pictures = list(zip(frames, holes, strict=True))
    parts = stretches(holes.sum(axis=(1, 2)).tolist(), holes[0].size)
    found = [fill_with(pictures, part, finished(follow(pictures, part))) for part in parts]
    return np.stack([frame.pixels for frame in itertools.chain.from_iterable(found)])


def test_in_stretches_a_clip_is_filled_from_what_lies_as_near(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    truth, holes = pan(), square()
    whole = decibels(filled(truth, holes), truth, holes)
    reached = []
    for part in (2, COUNT):
        held(monkeypatch, (holes.sum() + COUNT * 3 * HEIGHT * WIDTH / 8 / MISSING_BYTES) / part)
        assert len(cores(holes.sum(axis=(1, 2)).tolist(), HEIGHT * WIDTH)) == part
        reached.append(decibels(in_stretches(truth, holes), truth, holes))
    assert abs(reached[0] - whole) < 0.5
    assert reached[1] < whole - 1  # a frame's two neighbours do not show it all


def test_frames_that_are_missing_whole_are_filled_though_they_make_a_stretch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames, holes = pan(step_px=0), np.zeros((COUNT, HEIGHT, WIDTH), bool)
    holes[2:7] = True
    held(monkeypatch, 1)
    assert np.array_equal(in_stretches(frames, holes), filled(frames, holes))
    assert decibels(in_stretches(frames, holes), frames, holes) > 40


def test_of_a_stretch_only_what_is_wanted_is_read() -> None:
    reels = Reels()
    part = Stretch(range(2, 4), range(6))
    made = list(fill_with(reels, part, finished(follow(reels, part))))
    assert len(made) == 2
    assert reels.read[6:] == [0, 0]
    assert max(reels.read) == 4
    assert max(reels.read[:2] + reels.read[4:6]) == 2


class Reels:
    """Counts how often each frame is read."""

    def __init__(self) -> None:
        self.frames, self.holes, self.read = pan(), square(), [0] * COUNT

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, t: int) -> tuple[np.ndarray, np.ndarray]:
        self.read[t] += 1
        return self.frames[t].copy(), self.holes[t].copy()


def test_frames_are_read_four_times_however_far_their_colours_are_carried() -> None:
    reels = Reels()
    result = [frame.pixels for frame in propagate(reels)]
    assert max(reels.read) == 4
    assert np.array_equal(np.stack(result), filled(reels.frames, reels.holes))


def test_it_tells_how_far_it_is() -> None:
    told = list(follow(list(zip(pan(), square(), strict=True)), Stretch.whole(COUNT)))
    flows = [(n + 1, 2 * COUNT) for n in range(2 * COUNT)]
    assert told == flows + flows[-1:] * (len(told) - 2 * COUNT)  # then the colours are read


def test_no_frames_are_no_work() -> None:
    assert list(propagate([])) == []


def test_the_same_clip_gives_the_same_result_whatever_its_layout() -> None:
    frames, holes = pan(), square()
    planar = np.ascontiguousarray(frames.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    assert np.array_equal(filled(planar, holes), filled(frames, holes))


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (1, 40)])
def test_the_smallest_pictures_are_filled(size: tuple[int, int]) -> None:
    frames = np.full((3, *size, 3), 90, np.uint8)
    holes = np.zeros((3, *size), bool)
    holes[1, 0, 0] = True
    assert (filled(frames, holes) == 90).all()


def test_holes_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(48, 64\), not \(47, 64\)"):
        propagated(pan(), square()[:, 1:])
