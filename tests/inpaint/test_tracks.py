"""Missing pixels are tracked to where they are seen, however slowly they move."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from inpaint import tracks
from inpaint.hidden_motion import Step
from inpaint.tracks import Tracks

HEIGHT, WIDTH = 40, 48


def pan(step_px: float, count: int) -> np.ndarray:
    """A texture that passes by to the left: `(T, H, W, 3)`."""
    noise = np.random.default_rng(0).random((HEIGHT, WIDTH + 40, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5)
    middles = [(WIDTH / 2 + step_px * t, (HEIGHT - 1) / 2) for t in range(count)]
    return np.stack([cv2.getRectSubPix(smooth, (WIDTH, HEIGHT), middle) for middle in middles])


def behind(columns: slice, count: int) -> np.ndarray:
    holes = np.zeros((count, HEIGHT, WIDTH), bool)
    holes[:, 14:26, columns] = True
    return holes


def found(frames: np.ndarray, holes: np.ndarray) -> tuple[list[Tracks], list[Tracks]]:
    """What the frames before and after show of each."""
    pictures = list(zip(frames, holes, strict=True))
    ways = [way for _, way in tracks.tracks(pictures, 1, range(len(frames)))]
    return ways[len(frames) :], ways[: len(frames)][::-1]


@pytest.mark.parametrize("step_px", [0.3, 0.6, 2.0, 4.5])
def test_they_lead_to_where_the_pixel_is_seen(step_px: float) -> None:
    count, holes = 20, behind(slice(20, 30), 20)
    _, after = found(pan(step_px, count), holes)
    (y, x), way, seen = np.nonzero(holes[0]), after[0], np.isfinite(after[0].error)
    truth = np.stack([x - way.frame * step_px, y], axis=1)
    assert np.abs(way.place - truth)[seen].mean() < 0.25
    assert seen[x - 18 < step_px * (count - 2)].mean() > 0.9


def test_they_end_where_pixels_are_known_however_many_parts_of_one_add_up() -> None:
    holes = behind(slice(12, 28), 40)
    for one in (way for ways in found(pan(0.6, 40), holes) for way in ways):
        seen = np.isfinite(one.error)
        x, y = np.rint(one.place[seen]).astype(int).T
        assert not holes[one.frame[seen], y, x].any()


def test_what_leaves_the_picture_is_not_found() -> None:
    holes = behind(slice(0, 3), 8)
    holes[1:] = False
    before, after = found(pan(4, 8), holes)
    assert np.isinf(before[0].error).all()
    assert np.isinf(after[0].error).all()


def test_errors_add_up_along_the_way() -> None:
    holes = behind(slice(20, 30), 18)
    _, after = found(pan(0.6, 18), holes)
    way, seen = after[0], np.isfinite(after[0].error)
    assert (way.error[seen] >= way.frame[seen] * tracks.STEP_ERROR * 0.999).all()


@pytest.mark.parametrize(
    ("size", "seen"), [((48, 64), (96, 128)), ((108, 192), (180, 320)), ((600, 900), (540, 810))]
)
def test_the_flow_is_estimated_at_a_size_that_suits_it(
    size: tuple[int, int], seen: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, original = [], tracks.hidden_motion

    def hidden_motion(*pictures: np.ndarray) -> Step:
        sizes.extend(each.shape[:2] for each in pictures)
        return original(*pictures)

    monkeypatch.setattr(tracks, "hidden_motion", hidden_motion)
    holes = np.zeros((2, *size), bool)
    holes[:, 20:30, 20:30] = True
    found(np.zeros((2, *size, 3), np.uint8), holes)
    assert set(sizes) == {seen}
