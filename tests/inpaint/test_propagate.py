"""From the masks of a few frames to masks for all."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from inpaint_fakes import CPU
from torch import Tensor

from inpaint.checkpoint import dump, restore
from inpaint.clip import Clip
from inpaint.learning import Report, State, begin
from inpaint.metrics import Average, average
from inpaint.propagate import (
    RECIPES,
    PropagateConfig,
    chains,
    fit,
    predict,
    region,
    weighted_entropy,
)
from inpaint.segmentation import Capacity, Segmenter, build
from inpaint.trail import Trail

TINY = Capacity(widths=(8, 16, 32), working_px=0)
SHORT = {
    "paper": replace(RECIPES["paper"], steps=6, batch=2, report_every=1),
    "fast": replace(RECIPES["fast"], steps=6, batch=2, report_every=1),
}
LEARNT = replace(
    RECIPES["fast"],
    steps=200,
    crop=0.75,
    warmup_steps=10,
    learning_rate=5e-3,
    threshold=0.5,
)


def material(count: int = 7, height: int = 32, width: int = 48) -> tuple[Clip, Tensor]:
    """A bright square that moves over a still texture, and where it is; frame 2 has its mask."""
    random = torch.Generator().manual_seed(0)
    texture = torch.randint(0, 120, (3, height, width), generator=random).byte()
    frames, truth = texture.repeat(count, 1, 1, 1), torch.zeros(count, 1, height, width).bool()
    for t in range(count):
        truth[t, :, 10:22, 4 + 3 * t : 16 + 3 * t] = True
    frames = torch.where(truth, torch.tensor([240, 200, 30]).byte()[:, None, None], frames)
    hole = torch.zeros_like(truth)
    hole[2] = truth[2]
    return Clip(frames, hole, hole), truth


def begun(config: PropagateConfig, seed: int = 0) -> tuple[Segmenter, State]:
    network = build(TINY, seed=seed)
    return network, begin(network, config, CPU)


def up_to(reports: Iterator[Report], step: int) -> None:
    for report in reports:
        if report.step == step:
            return


def fitted(clip: Clip, config: PropagateConfig) -> bytes:
    network, state = begun(config)
    up_to(fit(network, clip, [2], config, state), config.steps)
    return dump(network, state)


@pytest.fixture(scope="module")
def learnt() -> tuple[Segmenter, State]:
    network, state = begun(LEARNT)
    up_to(fit(network, material()[0], [2], LEARNT, state), LEARNT.steps)
    return network, state


def looked_for(learnt: tuple[Segmenter, State], clip: Clip, start: int = 0) -> dict[int, Tensor]:
    network, state = learnt
    return dict(predict(network, clip, [2], LEARNT, state.accelerator, start))


def test_an_object_is_found_before_and_after_the_frame_that_shows_it(
    learnt: tuple[Segmenter, State],
) -> None:
    clip, truth = material()
    found = looked_for(learnt, clip)
    assert list(found) == list(range(7))
    score = region(torch.stack(list(found.values())), truth)
    assert score.jaccard.min() > 0.75
    assert torch.equal(found[2], truth[2])


def test_looking_from_a_later_frame_on_finds_the_same(learnt: tuple[Segmenter, State]) -> None:
    clip, _ = material()
    found = looked_for(learnt, clip)
    for start in (1, 2, 5):
        again = looked_for(learnt, clip, start)
        assert list(again) == list(range(start, 7))
        assert all(torch.equal(again[t], found[t]) for t in again)


def test_an_object_that_was_hidden_is_found_again(learnt: tuple[Segmenter, State]) -> None:
    clip, truth = material()
    texture = torch.where(truth[0], clip.frames[6], clip.frames[0])
    clip.frames[4] = texture
    found = looked_for(learnt, clip)
    assert found[4].sum() < 0.5 * truth[4].sum()
    assert region(found[6][None], truth[6:]).jaccard > 0.6


def test_the_paper_s_recipe_finds_it_in_each_frame_by_itself() -> None:
    clip, truth = material()
    config = replace(RECIPES["paper"], steps=100, learning_rate=5e-3)
    network, state = begun(config)
    up_to(fit(network, clip, [2], config, state), 100)
    found = torch.stack(
        [mask for _, mask in predict(network, clip, [2], config, state.accelerator)]
    )
    assert region(found, truth).jaccard.mean() > 0.75


@pytest.mark.parametrize("recipe", ["paper", "fast"])
def test_no_other_hole_and_no_other_frame_is_learnt_from(recipe: str) -> None:
    clip, truth = material()
    others = clip.frames.clone().flip(0)
    others[2] = clip.frames[2]
    hole = truth.clone()
    assert fitted(clip, SHORT[recipe]) == fitted(Clip(others, hole, hole), SHORT[recipe])


@pytest.mark.parametrize("recipe", ["paper", "fast"])
def test_a_fit_resumed_from_its_checkpoint_equals_an_unbroken_one(recipe: str) -> None:
    (clip, _), config = material(), SHORT[recipe]
    broken, broken_state = begun(config)
    up_to(fit(broken, clip, [2], config, broken_state), step=3)
    resumed, resumed_state = begun(config, seed=9)
    restore(dump(broken, broken_state), resumed, resumed_state)
    up_to(fit(resumed, clip, [2], config, resumed_state), step=6)
    assert dump(resumed, resumed_state) == fitted(clip, config)


def test_of_many_given_frames_some_are_learnt_from() -> None:
    clip, truth = material(40, width=140)
    clip, config = replace(clip, hole=truth), SHORT["fast"]
    ends = []
    for given in (range(40), range(0, 40, 3)):
        network, state = begun(config)
        up_to(fit(network, clip, given, config, state), 6)
        ends.append(dump(network, state))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("report_every", [2, 5, 100])
def test_where_it_reports_does_not_change_the_fit(report_every: int) -> None:
    clip, _ = material()
    other = replace(SHORT["fast"], report_every=report_every)
    assert fitted(clip, other) == fitted(clip, SHORT["fast"])


def test_another_seed_gives_another_fit() -> None:
    clip, _ = material()
    assert fitted(clip, replace(SHORT["fast"], seed=1)) != fitted(clip, SHORT["fast"])


def test_a_loss_that_is_no_number_stops_the_fit_and_says_where() -> None:
    clip, _ = material()
    broken = replace(clip, frames=torch.full(clip.frames.shape, math.nan, dtype=torch.float16))
    network, state = begun(SHORT["paper"])
    with pytest.raises(FloatingPointError, match="nan at step 1"):
        next(fit(network, broken, [2], SHORT["paper"], state))


@pytest.mark.parametrize(
    ("given", "says"),
    [([], "no frame is given"), ([7], "frame 7 is given.*0 to 6"), ([1], "frame 1.*empty")],
)
def test_a_given_frame_is_of_the_clip_and_shows_the_object(given: list[int], says: str) -> None:
    network, state = begun(SHORT["fast"])
    with pytest.raises(ValueError, match=says):
        next(fit(network, material()[0], given, SHORT["fast"], state))


@drawn(st.integers(1, 30), st.sets(st.integers(0, 29), min_size=1))
@settings(deadline=None, derandomize=True)
def test_the_chains_hold_each_frame_once_and_start_at_the_nearest_given(
    count: int, places: set[int]
) -> None:
    given = sorted({place % count for place in places})
    held = []
    for chain in chains(count, given):
        assert chain[0] in given
        held += sorted(chain if chain.step > 0 else chain[1:])
        for t in chain:
            assert abs(t - chain[0]) == min(abs(t - g) for g in given)
    assert held == list(range(count))


def test_the_longer_the_object_is_hidden_the_farther_it_is_looked_for() -> None:
    mask = material()[1][:1]
    trail = Trail(mask, float(mask.sum()))
    sizes = []
    for _ in range(4):
        sizes.append(int(trail.search(0.5).sum()))
        trail = trail.renewed(torch.zeros_like(mask))
    assert sizes == sorted(set(sizes))
    assert trail.lost == 4
    assert trail.renewed(mask).lost == 0


def test_calling_background_object_costs_alpha() -> None:
    logit, one = torch.tensor([[[[2.0]]]]), torch.ones(1, 1, 1, 1)
    missed = weighted_entropy(-logit, one, one, 0.8)
    invented = weighted_entropy(logit, 1 - one, one, 0.8)
    assert missed.item() == pytest.approx(math.log(1 + math.exp(2)))
    assert invented.item() == pytest.approx(0.8 * missed.item())


def test_pixels_without_weight_cost_nothing_and_teach_nothing() -> None:
    logit = torch.zeros(1, 1, 2, 2, requires_grad=True)
    weight = torch.tensor([[[[1.0, 0], [0, 0]]]])
    loss = weighted_entropy(logit, torch.ones_like(weight), weight, 0.8)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2))
    assert logit.grad is not None
    assert torch.equal(logit.grad != 0, weight > 0)


def test_the_region_of_known_masks() -> None:
    predicted, true = torch.zeros(3, 1, 4, 4).bool(), torch.zeros(3, 1, 4, 4).bool()
    true[0, :, :2], predicted[0, :, 1:] = True, True
    true[1] = True
    predicted[2] = True
    score = region(predicted, true)
    assert score.jaccard.nan_to_num(-1).tolist() == [0.25, 0, -1]
    assert score.recall.nan_to_num(-1).tolist() == [0.5, 0, -1]
    assert score.precision.nan_to_num(-1).tolist() == pytest.approx([1 / 3, 0, -1])
    assert average(score.jaccard) == Average(0.125, 2, 1)
