"""A step of VINet's training: what it is shown, and what it costs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from vinet_fakes import texture, tiny

from inpaint.learning import begin
from inpaint.precision import accelerator
from inpaint.vinet.holes import HoleRanges, draw
from inpaint.vinet.training import STAGES, Batch, TrainConfig, chosen, joined, losses, sample

CPU = torch.device("cpu")
RECURRENT = replace(STAGES["recurrent"], frames=3)


def pictures(count: int = 20) -> Tensor:
    return texture(count).float() / 127.5 - 1


def drawn(config: TrainConfig, start: int = 7, unknown: Tensor | None = None) -> Batch:
    clip, random = pictures(), torch.Generator().manual_seed(2)
    hole = draw(len(clip), (16, 24), HoleRanges(("box",)), random)
    unknown = torch.zeros_like(hole) if unknown is None else unknown
    return sample(clip, unknown, hole, chosen(start, len(clip), config, random))


def cost(batch: Batch, config: TrainConfig) -> dict[str, float]:
    terms = losses(tiny(), batch, config, accelerator("off", CPU))
    return {name: term.item() for name, term in terms.items()}


def test_a_sample_has_the_neighbours_of_each_frame() -> None:
    batch, clip = drawn(RECURRENT), pictures()
    assert torch.equal(batch.truth[0], clip[7:10])
    for n in range(3):
        assert torch.equal(batch.near[0, n], clip[[n + 1, n + 4, n + 10, n + 13]])


def test_a_single_support_stands_in_for_all() -> None:
    batch = drawn(STAGES["pair"])
    assert batch.truth.shape[1] == 1
    assert (batch.near == batch.near[:, :, :1]).all()
    assert not torch.equal(batch.near[:, :, 0], batch.truth)


def test_the_true_flows_are_those_of_the_texture() -> None:
    batch = drawn(RECURRENT)
    inside = (..., slice(4, -4), slice(4, -4))
    assert batch.to_before[:, :, 0][inside].median().item() == pytest.approx(-1, abs=0.2)
    assert batch.to_first[:, :, 0][inside].median().item() == pytest.approx(-2, abs=0.3)
    assert batch.to_first.shape == (1, 1, 2, 16, 24)


def test_a_flow_to_a_neighbour_is_believed_where_it_was_seen_in_both() -> None:
    unknown = torch.zeros((20, 1, 16, 24), dtype=torch.bool)
    unknown[13, :, :, :12] = True  # the last neighbour of frame 7
    batch = drawn(STAGES["neighbours"], unknown=unknown)
    inside = (..., slice(4, -4), slice(4, -4))
    assert batch.to_near[0, 0, :, 0][inside].median().item() == pytest.approx(0, abs=3)
    assert batch.to_near[0, 0, 1, 0][inside].median().item() == pytest.approx(-3, abs=0.3)
    assert batch.sure[0, 0, 1].float().mean() > 0.5
    assert not batch.sure[0, 0, 3, :, :, :6].any()


def test_without_recurrence_nothing_is_asked_of_the_frame_before() -> None:
    config = STAGES["neighbours"]
    assert set(cost(drawn(config), config)) == {"reconstruction", "alignment"}
    assert set(cost(drawn(config), replace(config, alignment=0.0))) == {"reconstruction"}


def test_with_recurrence_each_term_has_its_weight() -> None:
    batch = drawn(RECURRENT)
    once = cost(batch, RECURRENT)
    weights = ("alignment", "flow", "short_term", "long_term")
    doubled = {name: 2 * getattr(RECURRENT, name) for name in weights}
    twice = cost(batch, replace(RECURRENT, **doubled))
    assert set(once) == {"reconstruction", *weights}
    for name in weights:
        assert once[name] > 0
        assert twice[name] == pytest.approx(2 * once[name])
    assert twice["reconstruction"] == once["reconstruction"]


def test_two_frames_have_no_long_term() -> None:
    config = replace(RECURRENT, frames=2)
    assert "long_term" not in cost(drawn(config), config)


def test_what_is_unknown_has_no_influence() -> None:
    unknown = torch.rand((20, 1, 16, 24), generator=torch.Generator().manual_seed(5)) < 0.2
    clip, random = pictures(), torch.Generator().manual_seed(2)
    hole = draw(20, (16, 24), HoleRanges(), random)
    costs = []
    for value in (0.0, 0.9, torch.nan):
        other = clip.masked_fill(unknown, value)
        batch = sample(other, unknown, hole, chosen(0, len(other), RECURRENT, random))
        costs.append(cost(batch, RECURRENT))
    assert costs[0] == costs[1] == costs[2]


def test_a_batch_costs_the_mean_of_its_samples() -> None:
    config = STAGES["neighbours"]
    alone = [drawn(config, start) for start in (3, 9)]
    together = cost(joined(alone), config)["reconstruction"]
    mean = sum(cost(each, config)["reconstruction"] for each in alone) / 2
    assert together == pytest.approx(mean, abs=1e-5)


@pytest.mark.parametrize("stage", list(STAGES))
def test_each_stage_learns(stage: str) -> None:
    config = replace(STAGES[stage], steps=8, precision="off")
    config = replace(config, frames=min(config.frames, 3))
    network, batch, course = tiny(), drawn(config), []
    state = begin(network, config, CPU)
    for _ in range(config.steps):
        total = torch.stack(list(losses(network, batch, config, state.accelerator).values())).sum()
        course.append(float(state.descend(total, 5e-3)))
    assert course[-1] < course[0] - 0.05
