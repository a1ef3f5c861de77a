"""VINet in the flow's place: what it fills a clip with, weighed against a fitted network."""

from __future__ import annotations

import torch
from vinet_fakes import texture, tiny

from inpaint.clip import Clip
from inpaint.network import CAPACITIES, build
from inpaint.precision import accelerator
from inpaint.prior import weigh
from inpaint.vinet.fill import as_prior, fill

OFF = accelerator("off", torch.device("cpu"))


def clip() -> tuple[Clip, torch.Tensor]:
    """A texture with a hole, and a place beside it to judge at."""
    frames = texture(5)
    hole, judge = torch.zeros((2, 5, 1, 16, 24), dtype=torch.bool)
    hole[..., 2:8, 2:8] = True
    judge[..., 9:14, 12:20] = True
    return Clip(frames, hole, hole | judge), judge


def test_it_is_the_fill_kept_as_the_frames_are() -> None:
    own, _ = clip()
    prior, expected = as_prior(tiny(), OFF)(own)
    for t, made in fill(tiny(), own, OFF):
        assert torch.equal(prior[t], made.mul(255).round().byte())
    half = Clip(own.frames.half() / 255, own.hole, own.unknown)
    assert as_prior(tiny(), OFF)(half)[0].dtype == torch.float16
    assert (expected > 0).equal(own.unknown)
    assert expected[0, 0, 4, 4] > expected[0, 0, 2, 2]


def test_it_is_blended_in_where_it_is_the_better_of_the_two() -> None:
    own, judge = clip()
    network = build(CAPACITIES["small"], 3, 0)
    depth = (own.unknown * 2).half()
    right = weigh(network, own, judge, OFF, lambda _: (own.frames, depth))
    wrong = weigh(network, own, judge, OFF, lambda _: (255 - own.frames, depth))
    assert right is not None
    assert wrong is not None
    assert float(right.share[own.hole].float().mean()) > 0.9
    assert float(wrong.share[own.hole].float().mean()) < 0.5
