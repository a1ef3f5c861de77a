"""What several shots teach one network: the same samples, however many processes share them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from inpaint_fakes import COARSE, CPU, clip
from torch import Tensor

from inpaint.checkpoint import DamagedCheckpoint, dump
from inpaint.clip import Clip
from inpaint.learning import State, begin
from inpaint.network import Network, build
from inpaint.warmstart import Warmstart, WarmstartConfig, canvas, pack, pool, unpack

CONFIG = WarmstartConfig(steps=4, batch=4, precision="off", renew_every=2)
SHOTS = [clip(4), clip(9), clip(6)]


def frame(shot: int, t: int) -> Clip:
    return SHOTS[shot][t : t + 1]


def lesson(network: Network, slots: Sequence[int]) -> Warmstart:
    footage = pool([len(shot) for shot in SHOTS], frame, CONFIG, slots)
    return Warmstart(network, footage, CONFIG, slots)


def gradients(slots: Sequence[int], step: int = 3) -> Tensor:
    """The gradients of a fresh network by some of a step's samples."""
    network = build(COARSE)
    state: State = begin(network, CONFIG, CPU)
    state.step = step
    lesson(network, slots).loss(state).backward()
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


def test_the_mean_over_two_processes_is_the_gradient_of_one() -> None:
    halves = torch.stack([gradients([0, 1]), gradients([2, 3])])
    assert not torch.allclose(halves[0], halves[1], atol=1e-3)
    torch.testing.assert_close(halves.mean(dim=0), gradients([0, 1, 2, 3]), rtol=1e-4, atol=1e-6)


def test_every_step_and_every_slot_draws_its_own_sample() -> None:
    drawn = [gradients([slot], step) for slot in range(2) for step in range(3)]
    assert len(torch.stack(drawn).unique(dim=0)) == 6


def test_what_is_held_changes_by_one_shot_at_a_time_and_again_the_same() -> None:
    counts = [len(shot) for shot in SHOTS]
    first, again = (pool(counts, frame, CONFIG, [1, 2]) for _ in range(2))
    early, late = first.at(0), first.at(2)
    assert len(early) == len(late) == 4 * 2 * 8
    assert torch.equal(early.frames[16:], late.frames[:48])
    assert torch.equal(again.at(3).frames, late.frames)


def test_a_canvas_adds_unknown_pixels_and_rounds_to_8_bits() -> None:
    deep = Clip(torch.full((1, 3, 4, 6), 0.5).half(), *[torch.zeros(1, 1, 4, 6).bool()] * 2)
    grown = canvas(deep, (5, 8))
    assert grown.frames.dtype == torch.uint8
    assert grown.frames[..., :4, :6].unique().tolist() == [128]
    assert grown.unknown.sum() == 5 * 8 - 4 * 6
    assert grown.unknown[..., 4:, :].all()
    assert not grown.hole.any()


def test_weights_come_back_with_their_description_and_a_plain_checkpoint_is_refused() -> None:
    network = build(COARSE)
    weights, description = unpack(pack(network.state_dict(), {"capacity": "small"}))
    assert description == {"capacity": "small"}
    assert all(torch.equal(weights[name], w) for name, w in network.state_dict().items())
    with pytest.raises(DamagedCheckpoint, match="no warm start"):
        unpack(dump(network, begin(network, CONFIG, CPU)))
