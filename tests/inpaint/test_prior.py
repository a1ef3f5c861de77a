"""The propagated prior: it counts where it is right, and never where pixels are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from inpaint_fakes import COARSE, CPU
from torch import Tensor, nn

from inpaint.clip import Clip, Whole, joined
from inpaint.flow_propagation import Filled, finished
from inpaint.holes import validation_hole
from inpaint.internal import Exam, examined
from inpaint.metrics import psnr
from inpaint.network import Network
from inpaint.precision import accelerator
from inpaint.prior import Blend, Carried, Shares, along_flow, blended, dump, restore, weigh
from inpaint.windows import Window

OFF = accelerator("off", CPU)


class Painter(Network):
    """Gives the same pictures whatever it is shown, those of one frame after the other."""

    def __init__(self, pictures: Tensor) -> None:
        super().__init__(COARSE)
        self.pictures, self.next = pictures, 0

    def forward(
        self, picture: Tensor, hidden: Tensor, prior: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        first = self.next % len(self.pictures)
        self.next += len(picture)
        return (self.pictures[first : first + len(picture)],)


def pan(count: int = 8) -> Clip:
    """Grainy smooth noise that pans by two pixels a frame behind a square that stands still."""
    random = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 3, 12, 24, generator=random)
    wide = nn.functional.interpolate(noise, (48, 96), mode="bicubic").clamp(0, 1) * 255
    clean = torch.stack([wide[0, :, :, 2 * t : 2 * t + 64] for t in range(count)])
    frames = (clean + 4 * torch.randn(clean.shape, generator=random)).clamp(0, 255).byte()
    hole = torch.zeros(count, 1, 48, 64, dtype=torch.bool)
    hole[:, :, 18:30, 20:32] = True
    return Clip(frames, hole, hole)


def judged() -> tuple[Clip, Tensor]:
    judge = validation_hole(pan().hole, 0.05, seed=0)
    return pan().hiding(judge), judge


def exam() -> Exam:
    found = examined(*judged())
    assert found is not None
    return found


def carried(clip: Clip) -> list[Carried]:
    return finished(along_flow(Whole(clip)))


def weighed(made: Tensor) -> tuple[Blend, Clip, Tensor]:
    """The blend with a network that makes these pictures, `(T, C, H, W)` in -1 to 1."""
    clip, judge = judged()
    return weigh(Painter(made), exam(), carried(clip), OFF), clip, judge


def priors(blend: Blend) -> Tensor:
    return torch.stack([each.unpacked()[0] for each in blend.carried])


def mixes(blend: Blend, made: Tensor) -> Tensor:
    clip, unit = judged()[0], (made + 1) / 2
    return torch.stack([blend(t, one, clip.unknown[t, 0].numpy()) for t, one in enumerate(unit)])


def quality(blend: Blend, made: Tensor, where: Tensor) -> tuple[float, float, float]:
    """PSNR of the network's pictures, of the prior, and of both together."""
    truth = pan().frames / 255
    pictures = (made + 1) / 2, priors(blend), mixes(blend, made)
    a, b, c = (float(psnr(each, truth, where).mean()) for each in pictures)
    return a, b, c


def test_a_network_that_is_right_keeps_its_pictures() -> None:
    made = pan().pictures(slice(None))
    blend, _, _ = weighed(made)
    assert float((mixes(blend, made) - (made + 1) / 2).abs().max()) < 0.01


def test_the_prior_takes_the_place_of_a_network_that_is_wrong() -> None:
    black = -torch.ones(8, 3, 48, 64)
    blend, clip, _ = weighed(black)
    unknown = clip.unknown.expand(-1, 3, -1, -1)
    assert (mixes(blend, black)[unknown] >= 0.8 * priors(blend)[unknown]).all()


def unlike_the_prior(times: float) -> Tensor:
    """Pictures in -1 to 1 that are so many times as wrong as the prior, in another way."""
    clip, _ = judged()
    wrong = priors(weighed(torch.zeros(8, 3, 48, 64))[0]) - pan().frames / 255
    size = wrong[clip.unknown.expand_as(wrong)].square().mean().sqrt()
    noise = torch.randn(8, 3, 48, 64, generator=torch.Generator().manual_seed(1))
    return (pan().pictures(slice(None)) + 2 * times * size * noise).clamp(-1, 1)


def test_two_that_are_wrong_in_different_ways_are_better_together() -> None:
    made = unlike_the_prior(1)
    learnt, flow, both = quality(weighed(made)[0], made, pan().hole)
    assert both > max(learnt, flow) + 0.5


@pytest.mark.parametrize(("times", "kept"), [(0.5, False), (0.6, True)])  # gains 3 %, 8 %
def test_a_prior_that_gains_next_to_nothing_is_left_out(times: float, kept: bool) -> None:
    made = unlike_the_prior(times)
    blend, _, judge = weighed(made)
    assert torch.equal(mixes(blend, made), (made + 1) / 2) != kept
    learnt, _, both = quality(blend, made, judge)
    assert blend.validation_psnr == pytest.approx(both if kept else learnt, abs=0.01)


def shared(doubt: Tensor, wrong: float) -> Shares:
    """The shares where a prior is wrong by so much and a network by 0.1 the other way."""
    truth, where = torch.full((1, 3, 8, 32), 0.5), torch.ones(1, 1, 8, 32, dtype=torch.bool)
    return Shares.of(doubt[None, None], truth - 0.1, truth + wrong, truth, where)


@pytest.mark.parametrize(("wrong", "share"), [(0.0, 1.0), (0.05, 8 / 9), (0.1, 0.5), (0.2, 1 / 9)])
def test_the_better_of_prior_and_network_counts_more_than_by_least_squares(
    wrong: float, share: float
) -> None:
    doubt = torch.rand(8, 32, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(shared(doubt, wrong).share, torch.tensor(share))


def test_shares_of_neighbours_run_into_each_other_in_the_hole() -> None:
    doubt = (torch.arange(32) >= 16).float().repeat(8, 1)
    shares = replace(shared(doubt, 0.0), share=(torch.arange(16) < 8).float())
    shares = replace(shares, edges=torch.linspace(0.1, 0.9, 15))
    hole = torch.ones(8, 32, dtype=torch.bool)
    hole[:, 20:] = False
    found = shares(doubt, hole)[4]
    assert found[:14].eq(1).all()
    assert found[14:18].allclose(torch.tensor([0.8, 0.6, 0.4, 0.2]))
    assert found[18:].eq(0).all()


@pytest.mark.parametrize(("made", "mixed"), [(125, 125), (205, 100)])
def test_more_expected_error_is_believed_where_the_two_differ_by_more(
    made: int, mixed: int
) -> None:
    """Where 1 % is expected the prior was right, where 4 % the network; both differed by 25."""
    _, judge = judged()
    right = torch.tensor([True, False] * 4)[:, None, None, None]
    errors = torch.where(judge & right, 0.01, 0.04)
    given = torch.where(judge & ~right, 75, 100).expand(-1, 3, -1, -1)
    pictures = torch.where(judge, torch.where(right, 125, 100), made).expand(-1, 3, -1, -1)
    grey = replace(pan(), frames=torch.full((8, 3, 48, 64), 100, dtype=torch.uint8)).hiding(judge)
    found, hole = examined(grey, judge), grey.unknown[:, 0].numpy()
    arrays = given.byte().permute(0, 2, 3, 1).numpy(), hole, errors[:, 0].numpy()
    prior = [Carried.of(Filled(*each)) for each in zip(*arrays, strict=True)]
    assert found is not None
    blend = weigh(Painter(pictures / 127.5 - 1), found, prior, OFF)
    result = blend(0, pictures[0] / 255, pan().hole[0, 0].numpy())[:, 18:30, 20:32]
    assert result.allclose(torch.tensor(mixed / 255), atol=0.01)


def test_known_pixels_are_the_networks() -> None:
    made = torch.zeros(8, 3, 48, 64)
    blend, clip, _ = weighed(made)
    known = ~clip.unknown.expand(-1, 3, -1, -1)
    assert (mixes(blend, made)[known] == 0.5).all()
    assert torch.equal(blend(3, made[3], np.zeros((48, 64), bool)), made[3])


def test_the_figure_is_that_of_the_blended_pictures_at_the_validation_hole() -> None:
    made = torch.zeros(8, 3, 48, 64)
    blend, _, judge = weighed(made)
    assert blend.validation_psnr == pytest.approx(quality(blend, made, judge)[2], abs=0.01)


def test_what_lies_in_the_holes_has_no_influence() -> None:
    clip, _ = judged()
    other = replace(clip, frames=torch.where(clip.hole, 255 - clip.frames, clip.frames))
    made = torch.zeros(8, 3, 48, 64)
    blends = [weigh(Painter(made), exam(), carried(each), OFF) for each in (clip, other)]
    assert torch.equal(mixes(blends[0], made), mixes(blends[1], made))


def test_frames_of_half_floats_have_a_prior_of_half_floats() -> None:
    clip, _ = judged()
    bytes_, halves = (
        torch.stack([each.unpacked()[0] for each in carried(frames)])
        for frames in (clip, replace(clip, frames=(clip.frames / 255).half()))
    )
    assert float((halves - bytes_).abs().max()) < 2 / 255


def test_what_was_carried_is_weighed_at_the_parts_that_are_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("inpaint.prior.AROUND", 48)  # nothing around a pixel counts
    made, window = torch.zeros(8, 3, 48, 64), Window(8, 12, 32, 40)
    whole, everything, region = exam(), carried(judged()[0]), (..., *window.slices)
    clip = joined([whole.clip.window(n, window) for n in range(8)])
    part = Exam(clip, whole.where[region], [(t, window) for t, _ in whole.places])
    only = torch.zeros_like(whole.where)
    only[region] = whole.where[region]
    in_part, there = (
        weigh(Painter(pictures), each, everything, OFF).shares.share
        for pictures, each in ((made[region], part), (made, replace(whole, where=only)))
    )
    assert in_part.allclose(there)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16])
def test_what_was_carried_comes_back_from_its_bytes(dtype: torch.dtype) -> None:
    clip = pan()
    frames = clip.frames if dtype == torch.uint8 else (clip.frames / 255).half()
    hole = clip.unknown.clone()
    hole[2] = False
    carried = finished(along_flow(Whole(replace(clip, frames=frames, hole=hole, unknown=hole))))
    back = restore(dump(carried))
    assert len(back) == len(carried)
    for one, other in zip(carried, back, strict=True):
        assert one.width == other.width
        for name in ("hole", "pixels", "error"):
            kept, found = getattr(one, name), getattr(other, name)
            assert kept.dtype == found.dtype
            assert np.array_equal(kept, found)


def test_without_a_blend_pictures_pass_unchanged() -> None:
    pictures = [(3, torch.ones(3, 48, 64))]
    assert list(blended(iter(pictures), pan(), None)) == pictures
