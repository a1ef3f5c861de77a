"""VINet over a clip, frame by frame."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from vinet_fakes import texture, tiny

from inpaint.clip import Clip
from inpaint.precision import accelerator
from inpaint.vinet.fill import fill
from inpaint.vinet.network import neighbours
from inpaint.windows import Window

ACCELERATOR = accelerator("off", torch.device("cpu"))


class Watched(Clip):
    """A clip that keeps which frames are read."""

    def window(self, t: int, window: Window) -> Clip:
        read.append(t)
        return super().window(t, window)


read: list[int] = []


def clip(count: int = 20) -> Watched:
    hole = torch.zeros((count, 1, 16, 24), dtype=torch.bool)
    hole[..., 4:12, 6:15] = True
    return Watched(texture(count), hole, hole)


def filled(material: Clip, start: int = 0) -> list[tuple[int, Tensor]]:
    read.clear()
    return list(fill(tiny(), material, ACCELERATOR, start=start))


def test_it_is_the_network_over_the_whole_clip() -> None:
    material = clip(9)
    near = torch.tensor([neighbours(t, 9) for t in range(9)])
    shown, hidden = material.pictures(slice(None)), material.unknown
    with torch.no_grad():
        whole = tiny()(shown[None], hidden[None], shown[near][None], hidden[near][None]).pictures[0]
    for t, picture in filled(material):
        torch.testing.assert_close(picture, ((whole[t] + 1) / 2).clamp(0, 1))


@pytest.mark.parametrize("count", [1, 2, 5, 20])
def test_a_clip_of_any_length_is_filled_and_each_frame_read_once(count: int) -> None:
    pictures = filled(clip(count))
    assert [t for t, _ in pictures] == list(range(count))
    assert all(picture.shape == (3, 16, 24) for _, picture in pictures)
    assert sorted(read) == list(range(count))


def test_no_frame_is_read_long_before_it_is_needed() -> None:
    made = fill(tiny(), clip(), ACCELERATOR)
    read.clear()
    for t, _ in made:
        assert max(read) == min(t + 6, 19)


def test_a_later_start_gives_the_same_pictures() -> None:
    whole, rest = filled(clip(9)), filled(clip(9), start=6)
    assert [t for t, _ in rest] == [6, 7, 8]
    assert all(torch.equal(a[1], b[1]) for a, b in zip(whole[6:], rest, strict=True))


def test_without_recurrence_each_frame_is_a_first_one() -> None:
    first, whole = (
        list(fill(tiny(), clip(9), ACCELERATOR, start=start, recurrent=False)) for start in (4, 0)
    )
    assert all(torch.equal(a[1], b[1]) for a, b in zip(first, whole[4:], strict=True))
    assert torch.equal(whole[0][1], filled(clip(9))[0][1])
    assert not torch.equal(whole[1][1], filled(clip(9))[1][1])


def test_the_hole_is_not_looked_at() -> None:
    material = clip(5)
    other = Clip(material.frames.masked_fill(material.hole, 255), material.hole, material.unknown)
    assert all(
        torch.equal(a[1], b[1]) for a, b in zip(filled(material), filled(other), strict=True)
    )
