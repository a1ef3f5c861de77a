"""VINet in the flow's place: what it fills a clip with, weighed against a fitted network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from vinet_fakes import texture, tiny

from inpaint.clip import Clip
from inpaint.flow_propagation import Filled, finished
from inpaint.internal import examined
from inpaint.network import CAPACITIES, build
from inpaint.precision import accelerator
from inpaint.prior import Carried, weigh
from inpaint.vinet.fill import carried_by, fill

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
    carried = finished(carried_by(tiny(), own, OFF))
    for t, made in fill(tiny(), own, OFF):
        pixels, error, hole = carried[t].unpacked()
        assert hole.equal(own.unknown[t, 0])
        assert torch.equal(pixels[:, hole], (made.mul(255).round() / 255)[:, hole])
        assert (error > 0).equal(hole)
    assert carried[0].unpacked()[1][4, 4] > carried[0].unpacked()[1][2, 2]
    half = Clip(own.frames.half() / 255, own.hole, own.unknown)
    assert finished(carried_by(tiny(), half, OFF))[0].pixels.dtype == np.float16


def test_it_tells_how_far_it_is() -> None:
    assert list(carried_by(tiny(), clip()[0], OFF)) == [(n, 5) for n in range(1, 6)]


def test_it_is_blended_in_where_it_is_the_better_of_the_two() -> None:
    own, judge = clip()
    network, exam = build(CAPACITIES["small"], 3, 0), examined(own, judge)
    assert exam is not None
    frames, hole = own.frames.permute(0, 2, 3, 1).numpy(), own.unknown[0, 0].numpy()
    shares = []
    for pictures in (frames, 255 - frames):
        deep = 2 * hole.astype(np.float32)
        carried = [Carried.of(Filled(picture, hole, deep)) for picture in pictures]
        blend = weigh(network, exam, carried, OFF)
        nothing = torch.full((3, 16, 24), 0.5)
        mixed, prior = blend(0, nothing, own.missing(0)), carried[0].unpacked()[0]
        part = ((mixed - nothing).abs().sum(0) / (prior - nothing).abs().sum(0))[own.hole[0, 0]]
        shares.append(float(part.mean()))
    assert shares[0] > 0.9
    assert shares[1] < 0.5


def test_where_nothing_is_known_the_error_it_expects_is_finite() -> None:
    own = clip()[0]
    nothing = replace(own, unknown=torch.ones_like(own.unknown))
    assert all(np.isfinite(each.error).all() for each in finished(carried_by(tiny(), nothing, OFF)))
