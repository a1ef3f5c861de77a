"""The losses: their values, their gradients, what they do not look at."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from inpaint_fakes import COARSE
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from inpaint.features import Features, internal
from inpaint.holes import free_form
from inpaint.losses import AmbiguityForm, ambiguity, reconstruction, stabilisation
from inpaint.network import build
from inpaint.warps import WarpRanges, draw


def example() -> tuple[Tensor, Tensor, Tensor]:
    """A picture, its truth and a weight of 0, 1 and 3."""
    random = torch.Generator().manual_seed(0)
    picture, truth = torch.rand((2, 2, 3, 5, 6), generator=random) * 2 - 1
    weight = torch.ones(2, 1, 5, 6)
    weight[:, :, :2] = 0
    weight[:, :, 4] = 3
    return picture, truth, weight


def test_the_loss_of_a_known_difference() -> None:
    truth, weight = torch.zeros(1, 2, 2, 2), torch.tensor([[[[1.0, 0.0], [2.0, 1.0]]]])
    picture = torch.tensor([[0.5, 9.0], [-0.25, 0.0]]).expand(1, 2, 2, 2)
    assert reconstruction([picture], truth, weight) == 2 * (0.5 + 2 * 0.25) / 8


def test_the_stages_add_up() -> None:
    picture, truth, weight = example()
    one, other = reconstruction([picture], truth, weight), reconstruction([-picture], truth, weight)
    assert torch.allclose(reconstruction([picture, -picture], truth, weight), one + other)


def test_the_truth_itself_costs_nothing() -> None:
    _, truth, weight = example()
    assert reconstruction([truth, truth], truth, weight) == 0


def test_the_gradient_is_the_weight_and_none_where_there_is_none() -> None:
    picture, truth, weight = example()
    picture.requires_grad_()
    reconstruction([picture], truth, weight).backward()
    assert picture.grad is not None
    expected = (picture - truth).sign() * weight / picture.numel()
    assert torch.allclose(picture.grad, expected)
    assert (picture.grad[:, :, :2] == 0).all()


def test_a_truth_that_is_no_number_does_no_harm_under_weight_zero() -> None:
    picture, truth, weight = example()
    picture.requires_grad_()
    broken = truth.masked_fill(weight == 0, math.nan)
    loss = reconstruction([picture], broken, weight)
    loss.backward()
    assert loss == reconstruction([picture], truth, weight)
    assert picture.grad is not None
    assert picture.grad.isfinite().all()


def test_a_result_that_changes_as_the_truth_does_is_stable() -> None:
    output, truth, weight = example()
    change = torch.rand(truth.shape, generator=seeded()) - 0.5
    assert stabilisation([output], [output + change], truth, truth + change, weight) < 1e-7


def test_the_instability_of_a_known_flicker() -> None:
    truth, weight = torch.zeros(1, 2, 2, 2), torch.tensor([[[[1.0, 0.0], [1.0, 1.0]]]])
    flicker = torch.tensor([[0.5, 9.0], [-0.25, 0.0]]).expand(1, 2, 2, 2)
    brighter = torch.full_like(truth, 0.5)
    loss = stabilisation([truth, truth], [flicker, truth], truth, brighter, weight)
    assert loss == 2 * (0 + 0.75 + 0.5 + 3 * 0.5) / 8


def test_stability_pulls_at_both_results_and_not_where_the_weight_is_zero() -> None:
    output, truth, weight = example()
    steady, moved = output.requires_grad_(), (output * 0.5).detach().requires_grad_()
    broken = truth.masked_fill(weight == 0, math.nan)
    loss = stabilisation([steady], [moved], broken, broken * 0.9, weight)
    loss.backward()
    assert loss == stabilisation([steady], [moved], truth, truth * 0.9, weight)
    assert steady.grad is not None
    assert moved.grad is not None
    assert torch.equal(steady.grad, -moved.grad)
    assert torch.equal((steady.grad != 0).any(dim=1, keepdim=True), weight > 0)


PIXELS = Features(lambda picture: picture, stride=1)
both_forms = pytest.mark.parametrize("form", ["minimum", "contextual"])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def textures(channels: int = 3, height: int = 10, width: int = 12) -> tuple[Tensor, Tensor]:
    """Output and target: noise, each its own."""
    both = torch.rand((2, 2, channels, height, width), generator=seeded(1)) * 2 - 1
    return both[0], both[1]


def halves() -> tuple[Tensor, Tensor]:
    """Where each sample is generated, and where its target is known."""
    generated = torch.zeros((2, 1, 10, 12), dtype=torch.bool)
    generated[0, :, 2:5, 3:9] = True
    generated[1, :, 7:, :4] = True
    known = torch.ones_like(generated)
    known[:, :, 6:, 8:] = False
    return generated, known


def slow_ambiguity(s: np.ndarray, t: np.ndarray, form: AmbiguityForm, floor: float) -> float:
    """Of the points `(P, F)` and `(Q, F)` of one sample, one pair at a time."""
    s, t = s - t.mean(axis=0), t - t.mean(axis=0)
    shortest = floor * np.linalg.norm(t, axis=1).mean()
    distance = np.empty((len(s), len(t)))
    for p, one in enumerate(s):
        for q, other in enumerate(t):
            lengths = (max(float(np.linalg.norm(v)), shortest) for v in (one, other))
            distance[p, q] = 1 - one @ other / math.prod(lengths)
    if form == "minimum":
        return float(np.mean([min(row) for row in distance]))
    share = np.empty_like(distance)
    for p, row in enumerate(distance):
        affinity = np.exp((1 - row / (row.min() + 1e-5)) / 0.5)
        share[p] = affinity / affinity.sum()
    return float(-np.log(np.mean([max(column) for column in share.T])))


@both_forms
@pytest.mark.parametrize("floor", [0.0, 1.0])
def test_the_ambiguity_agrees_with_pairs_taken_one_by_one(
    form: AmbiguityForm, floor: float
) -> None:
    (output, target), (generated, known) = textures(), halves()
    grown = torch.nn.functional.max_pool2d((~known).float(), 3, 1, padding=1) == 0
    slow = []
    for i in range(2):
        s = output[i, :, generated[i, 0]].T.double().numpy()
        t = target[i, :, grown[i, 0]].T.double().numpy()
        slow.append(slow_ambiguity(s, t, form, floor))
    loss = ambiguity(PIXELS, output, target, generated, known, seeded(), form, floor=floor)
    assert float(loss) == pytest.approx(np.mean(slow), rel=1e-4)


@both_forms
def test_only_what_was_generated_is_pulled(form: AmbiguityForm) -> None:
    (output, target), (generated, known) = textures(), halves()
    output.requires_grad_()
    target.requires_grad_()
    ambiguity(PIXELS, output, target, generated, known, seeded(), form).backward()
    assert output.grad is not None
    assert target.grad is None
    pulled = (output.grad != 0).any(dim=1, keepdim=True)
    assert not (pulled & ~generated).any()
    if form == "minimum":
        assert torch.equal(pulled, generated)


def test_a_colour_the_target_has_anywhere_costs_nothing() -> None:
    (_, target), (generated, _) = textures(), halves()
    known = torch.ones_like(generated)
    mirrored = target.flip(-1)
    assert ambiguity(PIXELS, mirrored, target, generated, known, seeded(), floor=0) < 1e-6


@both_forms
def test_what_the_target_hides_is_not_looked_at(form: AmbiguityForm) -> None:
    (output, target), (generated, known) = textures(), halves()
    output.requires_grad_()
    broken = target.masked_fill(~known, math.nan)
    loss = ambiguity(PIXELS, output, broken, generated, known, seeded(), form)
    loss.backward()
    assert loss == ambiguity(PIXELS, output, target, generated, known, seeded(), form)
    assert output.grad is not None
    assert output.grad.isfinite().all()


@both_forms
@pytest.mark.parametrize("empty", ["generated", "known"])
def test_nothing_to_compare_costs_nothing(form: AmbiguityForm, empty: str) -> None:
    (output, target), (generated, known) = textures(), halves()
    (generated if empty == "generated" else known).zero_()
    output.requires_grad_()
    loss = ambiguity(PIXELS, output, target, generated, known, seeded(), form)
    loss.backward()
    assert loss == 0
    assert output.grad is not None
    assert (output.grad == 0).all()


@both_forms
def test_a_flat_scene_has_a_bounded_gradient(form: AmbiguityForm) -> None:
    generated, known = halves()
    flat = torch.full((2, 3, 10, 12), 0.4)
    output = (flat + 1e-6 * textures()[0]).requires_grad_()
    ambiguity(PIXELS, output, flat, generated, known, seeded(), form).backward()
    assert output.grad is not None
    assert output.grad.abs().max() < 100


@pytest.mark.parametrize("seed", range(4))
def test_the_crop_meets_the_hole_wherever_it_is(seed: int) -> None:
    output, target = textures(3, 120, 150)
    place = torch.randint(120, (2,), generator=seeded(seed))
    generated = torch.zeros((2, 1, 120, 150), dtype=torch.bool)
    generated[0, :, place[0], place[1]] = generated[1, :, -1, 0] = True
    output.requires_grad_()
    features = internal(build(COARSE))
    known = torch.ones_like(generated)
    loss = ambiguity(features, output, target, generated, known, seeded(seed), crop_px=32)
    loss.backward()
    assert output.grad is not None
    assert (output.grad[generated.expand_as(output)] != 0).all()
    assert (output.grad != 0).flatten(1).any(dim=1).all()


def test_few_points_estimate_what_all_would_give() -> None:
    output, target = textures(3, 48, 48)
    everywhere = torch.ones((2, 1, 48, 48), dtype=torch.bool)
    asked = PIXELS, output, target, everywhere, everywhere
    whole = ambiguity(*asked, seeded(), points=48 * 48)
    part = [ambiguity(*asked, seeded(seed), points=1024) for seed in range(4)]
    assert float(sum(part) / 4) == pytest.approx(float(whole), abs=0.01)


@both_forms
def test_a_blurred_texture_costs_more_than_another_piece_of_it(form: AmbiguityForm) -> None:
    output, target = textures(3, 64, 64)
    everywhere = torch.ones((2, 1, 64, 64), dtype=torch.bool)
    blurred = torch.nn.functional.avg_pool2d(output, 5, 1, padding=2)
    features = internal(build(COARSE))
    sharp, dull = (
        ambiguity(features, made, target, everywhere, everywhere, seeded(), form)
        for made in (output, blurred)
    )
    assert dull > 1.05 * sharp


def test_one_seed_gives_the_same_ambiguity() -> None:
    (output, target), (generated, known) = textures(), halves()
    asked = PIXELS, output, target, generated, known
    one, again, other = (ambiguity(*asked, seeded(s), points=8) for s in (3, 3, 4))
    assert one == again
    assert one != other


def test_a_frame_too_small_for_the_features_is_refused() -> None:
    (output, target), (generated, known) = textures(), halves()
    wide = Features(PIXELS.extract, stride=16)
    with pytest.raises(ValueError, match="no room for 16 px"):
        ambiguity(wide, output, target, generated, known, seeded())


class Unhalting(TorchDispatchMode):
    """Refuses what would make the host wait for the device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        chosen = name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1])
        if chosen or name in ("_local_scalar_dense", "nonzero", "masked_select"):
            raise AssertionError(f"{func} waits for the device")
        return func(*args, **(kwargs or {}))


@both_forms
def test_the_regularisers_never_wait_for_the_device(form: AmbiguityForm) -> None:
    output, target = textures(3, 40, 48)
    features, random = internal(build(COARSE)), seeded()
    with Unhalting():
        generated = free_form(2, (40, 48), random)
        known = ~free_form(2, (40, 48), random)
        warp = draw(2, (40, 48), WarpRanges(), random)
        ambiguity(features, output, target, generated, known, random, form)
        weight = (known & ~warp.masks(~known)).float()
        moved = warp.pictures(target, ~known)
        stabilisation([output], [output], target, moved, weight)


@both_forms
def test_even_features_do_not_mind_how_loud_a_channel_is(form: AmbiguityForm) -> None:
    (output, target), (generated, known) = textures(), halves()
    loud = torch.tensor([1.0, 7.0, 0.3])[:, None, None]
    even = Features(lambda picture: picture, stride=1, even=True)
    louder = Features(lambda picture: picture * loud, stride=1, even=True)
    losses = [
        ambiguity(features, output, target, generated, known, seeded(), form)
        for features in (even, louder)
    ]
    assert float(losses[1]) == pytest.approx(float(losses[0]), rel=0.05)
    plain = Features(lambda picture: picture * loud, stride=1)
    uneven = ambiguity(plain, output, target, generated, known, seeded(), form)
    assert abs(float(uneven) - float(losses[0])) > abs(float(losses[1]) - float(losses[0]))
