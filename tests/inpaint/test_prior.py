"""The propagated prior: it counts where it is right, and never where pixels are known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from inpaint_fakes import COARSE, CPU
from torch import Tensor, nn

from inpaint.clip import Clip
from inpaint.holes import validation_hole
from inpaint.metrics import psnr
from inpaint.network import Network
from inpaint.precision import accelerator
from inpaint.prior import Blend, blended, weigh

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


def weighed(made: Tensor) -> tuple[Blend, Clip, Tensor]:
    """The blend with a network that makes these pictures, `(T, C, H, W)` in -1 to 1."""
    clip, judge = judged()
    blend = weigh(Painter(made), clip, judge, OFF)
    assert blend is not None
    return blend, clip, judge


def quality(blend: Blend, made: Tensor, where: Tensor) -> tuple[float, float, float]:
    """PSNR of the network's pictures, of the prior, and of both together."""
    truth, unit = pan().frames / 255, (made + 1) / 2
    mixed = torch.stack([blend(t, picture) for t, picture in enumerate(unit)])
    pictures = (unit, blend.prior / 255, mixed)
    a, b, c = (float(psnr(each, truth, where).mean()) for each in pictures)
    return a, b, c


def test_a_network_that_is_right_keeps_its_pictures() -> None:
    made = pan().pictures(slice(None))
    blend, clip, _ = weighed(made)
    assert float(blend.share[clip.unknown].max()) < 0.01


def test_the_prior_takes_the_place_of_a_network_that_is_wrong() -> None:
    blend, clip, _ = weighed(-torch.ones(8, 3, 48, 64))
    assert float(blend.share[clip.unknown].mean()) > 0.95


def test_two_that_are_wrong_in_different_ways_are_better_together() -> None:
    clip, judge = judged()
    carried = weigh(Painter(torch.zeros(8, 3, 48, 64)), clip, judge, OFF)
    assert carried is not None
    error = (carried.prior / 255 - pan().frames / 255).square().mean().sqrt()
    noise = torch.randn(8, 3, 48, 64, generator=torch.Generator().manual_seed(1))
    size = error * (clip.unknown.numel() / clip.unknown.sum()) ** 0.5
    made = (pan().pictures(slice(None)) + 2 * size * noise).clamp(-1, 1)
    learnt, flow, both = quality(weighed(made)[0], made, pan().hole)
    assert both > max(learnt, flow) + 0.5


def test_a_prior_fades_where_it_expects_more_error_than_was_ever_judged() -> None:
    clip, judge = judged()

    def fills(_: Clip) -> tuple[Tensor, Tensor]:
        expected = torch.where(judge, 0.1, 0.2).half()
        return pan().frames, expected

    blend = weigh(Painter(-torch.ones(8, 3, 48, 64)), clip, judge, OFF, fills)
    assert blend is not None
    assert float(blend.share[judge].median()) > 0.99
    assert float(blend.share[:, :, 23:25, 25:27].max()) == pytest.approx(1 / 4, abs=0.01)


def test_known_pixels_are_the_networks() -> None:
    made = torch.zeros(8, 3, 48, 64)
    blend, clip, _ = weighed(made)
    assert not blend.share[~clip.unknown].any()
    assert torch.equal(blend(3, made[3])[:, 0, :9], made[3][:, 0, :9])


def test_the_figure_is_that_of_the_blended_pictures_at_the_validation_hole() -> None:
    made = torch.zeros(8, 3, 48, 64)
    blend, _, judge = weighed(made)
    assert blend.validation_psnr == pytest.approx(quality(blend, made, judge)[2], abs=0.01)


def test_what_lies_in_the_holes_has_no_influence() -> None:
    clip, judge = judged()
    other = replace(clip, frames=torch.where(clip.hole, 255 - clip.frames, clip.frames))
    made = torch.zeros(8, 3, 48, 64)
    blends = [weigh(Painter(made), each, judge, OFF) for each in (clip, other)]
    assert blends[0] is not None
    assert blends[1] is not None
    assert torch.equal(blends[0].prior[:, :, 18:30, 20:32], blends[1].prior[:, :, 18:30, 20:32])
    assert torch.equal(blends[0].share, blends[1].share)


def test_frames_of_half_floats_have_a_prior_of_half_floats() -> None:
    clip, judge = judged()
    halves = replace(clip, frames=(clip.frames / 255).half())
    blend = weigh(Painter(torch.zeros(8, 3, 48, 64)), halves, judge, OFF)
    assert blend is not None
    assert blend.prior.dtype == torch.float16
    assert float(blend.prior.max()) <= 1


def test_without_a_validation_hole_there_is_no_blend_and_pictures_pass_unchanged() -> None:
    clip, judge = pan(), torch.zeros_like(pan().hole)
    assert weigh(Painter(torch.zeros(8, 3, 48, 64)), clip, judge, OFF) is None
    pictures = [(3, torch.ones(3, 4, 4))]
    assert list(blended(iter(pictures), None)) == pictures
