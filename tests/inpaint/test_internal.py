"""Internal learning: what it may look at, that it learns, and that it goes on where it was."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from inpaint_fakes import COARSE, CPU, REFINED, Watched, clip, fitted
from torch import Tensor

from inpaint.checkpoint import dump, read, restore
from inpaint.clip import Clip, load
from inpaint.fill import fill
from inpaint.holes import validation_hole
from inpaint.internal import (
    Exam,
    examined,
    fit,
    judged_frames,
    validate,
)
from inpaint.learning import Report, State, begin, learning_rate
from inpaint.metrics import psnr
from inpaint.network import Network, build
from inpaint.precision import Precision
from inpaint.recipes import RECIPES, FitConfig
from inpaint.tone import Tone

SHORT = FitConfig(steps=6, batch=2, learning_rate=1e-3, report_every=1)


def begun(config: FitConfig, seed: int = 0, refined: bool = False) -> tuple[Network, State]:
    network = build(REFINED if refined else COARSE, seed=seed)
    return network, begin(network, config, CPU)


def exam(material: Clip, judge: Tensor) -> Exam:
    found = examined(material, judge)
    assert found is not None
    return found


def changed(material: Clip, where: Tensor) -> Clip:
    """The clip with other values where `(T, 1, H, W)` says."""
    return replace(material, frames=torch.where(where, 255 - material.frames, material.frames))


def weights(saved: bytes) -> list[list[float]]:
    return [tensor.flatten().tolist() for tensor in read(saved)["network"].values()]


def up_to(reports: Iterator[Report], step: int) -> None:
    for report in reports:
        if report.step == step:
            return


@pytest.mark.parametrize("recipe", ["paper", "fast"])
def test_the_real_hole_is_never_supervised_nor_seen(recipe: str) -> None:
    config = replace(RECIPES[recipe], steps=6, batch=2)
    material = clip()
    other = changed(material, material.hole)
    assert not torch.equal(material.frames, other.frames)
    assert fitted(material, config)[0] == fitted(other, config)[0]


@pytest.mark.parametrize("recipe", ["paper", "fast"])
def test_the_validation_hole_is_never_supervised_nor_seen(recipe: str) -> None:
    config = replace(RECIPES[recipe], steps=6, batch=2)
    judge = validation_hole(clip().hole, 0.05, seed=0)
    assert judge.any()
    material = clip().hiding(judge)
    assert fitted(material, config)[0] == fitted(changed(material, judge), config)[0]


@pytest.mark.parametrize("count", [1, 2])
def test_the_network_does_not_see_the_hole_nor_the_shifted_holes(count: int) -> None:
    material, network = clip(1), Watched()
    config = replace(SHORT, shifted_holes=count)
    up_to(fit(network, material, config, begin(network, config, CPU)), step=6)
    hidden = torch.cat(network.hidden).bool()
    assert len(hidden) == 12
    assert (hidden & material.hole == material.hole).all()
    assert (hidden.sum(dim=(1, 2, 3)) <= 36 * (1 + count)).all()
    assert (hidden.sum(dim=(1, 2, 3)) > 36 * count).float().mean() > 0.5
    assert len(hidden.unique(dim=0)) > 8


def test_a_known_pixel_beside_the_hole_is_supervised() -> None:
    material = clip()
    beside = material.hole.roll(1, dims=2) & ~material.hole
    assert fitted(material, SHORT)[0] != fitted(changed(material, beside), SHORT)[0]


def test_the_hole_of_the_source_has_no_influence_on_a_smaller_fit() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 50, 61, 3)).astype(np.uint8)
    hole = np.zeros((3, 50, 61), bool)
    hole[:, 11:25, 17:30] = True
    other = np.where(hole[..., None], 255 - pixels, pixels)
    ends = []
    for frames in (pixels, other):
        pairs = zip(frames, hole, strict=True)
        ends.append(fitted(load(pairs, 3, (20, 24), Tone("uint8", 255.0)), SHORT)[0])
    assert ends[0] == ends[1]


def test_one_seed_gives_one_fit_and_another_seed_another() -> None:
    (end, reports), (again, same), (other, _) = (
        fitted(clip(), replace(SHORT, seed=seed)) for seed in (0, 0, 1)
    )
    assert [report.loss for report in reports] == [report.loss for report in same]
    assert end == again
    assert end != other


def test_the_seed_draws_frames_and_holes_as_well_as_the_weights() -> None:
    losses = []
    for seed in (0, 1):
        config = replace(SHORT, seed=seed)
        network, state = begun(config, seed=0)
        losses.append([report.loss for report in fit(network, clip(), config, state)])
    assert losses[0] != losses[1]


@pytest.mark.parametrize("precision", ["off", "bf16"])
@pytest.mark.parametrize("refined", [False, True])
def test_a_fit_resumed_from_its_checkpoint_equals_an_unbroken_one(
    precision: Precision, refined: bool
) -> None:
    config = replace(RECIPES["fast"], steps=6, batch=2, report_every=1, precision=precision)
    network, state = begun(config, refined=refined)
    up_to(fit(network, clip(), config, state), step=6)
    broken, broken_state = begun(config, refined=refined)
    up_to(fit(broken, clip(), config, broken_state), step=3)
    resumed, resumed_state = begun(config, seed=9, refined=refined)
    restore(dump(broken, broken_state), resumed, resumed_state)
    up_to(fit(resumed, clip(), config, resumed_state), step=6)
    assert dump(resumed, resumed_state) == dump(network, state)


@pytest.mark.parametrize("report_every", [2, 5, 100])
def test_where_it_reports_does_not_change_the_fit(report_every: int) -> None:
    other = replace(SHORT, report_every=report_every, validate_every=report_every + 1)
    judge = validation_hole(clip().hole, 0.05, seed=0)
    material = clip().hiding(judge)
    assert fitted(material, SHORT)[0] == fitted(material, other, judge)[0]


def test_the_curve_has_an_entry_every_so_often_and_one_at_the_end() -> None:
    _, reports = fitted(clip(), replace(SHORT, steps=7, report_every=3))
    assert [report.step for report in reports] == [3, 6, 7]
    assert [report.learning_rate for report in reports] == [1e-3] * 3
    assert all(report.steps_per_s > 0 for report in reports)
    assert all(report.validation_psnr is None for report in reports)


def test_an_entry_holds_the_mean_loss_since_the_one_before() -> None:
    every = [report.loss for report in fitted(clip(), SHORT)[1]]
    third = [report.loss for report in fitted(clip(), replace(SHORT, report_every=3))[1]]
    assert third == pytest.approx([sum(every[:3]) / 3, sum(every[3:]) / 3])


def test_validation_comes_when_due_whatever_the_curve_does() -> None:
    judge = validation_hole(clip().hole, 0.05, seed=0)
    config = replace(SHORT, steps=7, report_every=3, validate_every=2)
    _, reports = fitted(clip().hiding(judge), config, judge)
    measured = [report.step for report in reports if report.validation_psnr is not None]
    assert measured == [2, 4, 6, 7]


def test_validation_agrees_with_filling_the_validation_hole() -> None:
    judge = validation_hole(clip().hole, 0.05, seed=0)
    material = clip().hiding(judge)
    network, state = begun(SHORT)
    filled = dict(fill(network, replace(material, hole=judge), state.accelerator))
    scores = [
        psnr(filled[t][None], material.frames[t][None] / 255, judge[t][None]).item()
        for t in range(len(material))
        if judge[t].any()
    ]
    found = validate(network, exam(material, judge), state)
    assert found == pytest.approx(sum(scores) / len(scores), abs=1e-4)
    assert network.training


def test_validation_hides_all_that_the_fit_hides() -> None:
    judge = validation_hole(clip().hole, 0.05, seed=0)
    material, network = clip().hiding(judge), Watched()
    validate(network, exam(material, judge), begin(network, SHORT, CPU))
    unknown = material.unknown[judged_frames(judge)]
    assert torch.equal(torch.cat(network.hidden), unknown.float())


def test_an_empty_validation_hole_makes_no_exam() -> None:
    assert examined(clip(), torch.zeros_like(clip().hole)) is None


@pytest.mark.parametrize("count", [1, 16, 17, 100])
def test_at_most_sixteen_frames_are_judged_spread_over_those_that_can_be(count: int) -> None:
    judge = torch.zeros(2 * count, 1, 4, 4, dtype=torch.bool)
    judge[::2, :, 0, 0] = True
    frames = judged_frames(judge).tolist()
    assert len(frames) == len(set(frames)) <= 16
    assert len(frames) >= min(count, 9)
    assert all(t % 2 == 0 for t in frames)
    assert frames[-1] >= 2 * count * 0.85 - 2


def test_a_fit_learns_a_pattern_that_repeats() -> None:
    stripes = (127.5 + 120 * torch.sin(torch.arange(24) * math.pi / 4)).round().byte()
    material = replace(clip(4, 24, 24), frames=stripes.expand(4, 3, 24, 24))
    judge = validation_hole(material.hole, 0.05, seed=1)
    config = FitConfig(steps=160, batch=4, learning_rate=5e-3, warmup_steps=10, validate_every=40)
    _, reports = fitted(material.hiding(judge), config, judge)
    scores = [report.validation_psnr for report in reports if report.validation_psnr]
    assert reports[-1].loss < reports[0].loss / 5
    assert scores[-1] > scores[0] + 10


def test_the_rate_warms_up_in_a_line_and_then_stays() -> None:
    config = FitConfig(steps=100, learning_rate=1e-3, warmup_steps=4)
    rates = [learning_rate(step, config, 100) for step in (0, 1, 3, 4, 99)]
    assert rates == pytest.approx([2.5e-4, 5e-4, 1e-3, 1e-3, 1e-3])


def test_the_cosine_falls_from_the_full_rate_to_a_fiftieth() -> None:
    config = FitConfig(steps=1000, learning_rate=1e-3, schedule="cosine")
    rates = [learning_rate(step, config, 1000) for step in range(1000)]
    assert rates[0] == 1e-3
    assert rates[500] == pytest.approx(0.51e-3)
    assert rates[-1] == pytest.approx(2e-5, rel=1e-3)
    assert rates == sorted(rates, reverse=True)


def test_the_trapezoid_stays_and_then_falls_in_a_line_to_nothing() -> None:
    config = FitConfig(learning_rate=1e-3, schedule="trapezoid", cooldown_share=0.5)
    rates = [learning_rate(step, config, 100) for step in (0, 50, 75, 99)]
    assert rates == pytest.approx([1e-3, 1e-3, 5e-4, 2e-5])


PATIENT = replace(SHORT, steps=40, validate_every=4, patience=2, least_gain_db=100)
TRAPEZOID = replace(PATIENT, schedule="trapezoid", cooldown_share=0.5)


def test_a_fit_that_gains_nothing_more_is_one_that_was_planned_for_fewer_steps() -> None:
    judge = validation_hole(clip().hole, 0.05, seed=0)
    material = clip().hiding(judge)
    early, reports = fitted(material, TRAPEZOID, judge)
    assert reports[-1].step == 24  # the first figure counts; two more, at 8 and 12, bring nothing
    short, _ = fitted(material, replace(TRAPEZOID, steps=24, patience=0), judge)
    assert weights(early) == weights(short)


def test_a_constant_rate_needs_no_cool_down() -> None:
    judge = validation_hole(clip().hole, 0.05, seed=0)
    _, reports = fitted(clip().hiding(judge), PATIENT, judge)
    assert reports[-1].step == 12


def test_gains_keep_a_fit_going() -> None:
    judge = validation_hole(clip().hole, 0.05, seed=0)
    config = replace(TRAPEZOID, least_gain_db=-100)
    assert fitted(clip().hiding(judge), config, judge)[1][-1].step == 40


def test_a_fit_that_ends_early_ends_alike_when_it_was_interrupted() -> None:
    judge = validation_hole(clip().hole, 0.05, seed=0)
    material = clip().hiding(judge)
    network, state = begun(TRAPEZOID)
    up_to(fit(network, material, TRAPEZOID, state, exam(material, judge)), step=9)
    saved = dump(network, state)
    network, state = begun(TRAPEZOID, seed=1)
    restore(saved, network, state)
    for _ in fit(network, material, TRAPEZOID, state, exam(material, judge)):
        pass
    assert dump(network, state) == fitted(material, TRAPEZOID, judge)[0]


def test_the_optimiser_goes_by_the_rate_of_the_step() -> None:
    network, state = begun(SHORT)
    before = [weights.detach().clone() for weights in network.parameters()]
    config = replace(SHORT, learning_rate=1e-3, warmup_steps=1000)
    up_to(fit(network, clip(), config, state), step=1)
    moved = max(
        float((new.detach() - old).abs().max())
        for new, old in zip(network.parameters(), before, strict=True)
    )
    assert moved == pytest.approx(1e-6, rel=0.2)  # Adam's first step is as long as the rate


def test_a_loss_that_is_no_number_stops_the_fit_and_says_where() -> None:
    frames = torch.full((4, 3, 20, 24), math.nan, dtype=torch.float16)
    network, state = begun(SHORT)
    with pytest.raises(FloatingPointError, match="nan at step 1"):
        next(fit(network, replace(clip(), frames=frames), SHORT, state))


def test_numbers_that_are_none_do_no_harm_where_unknown() -> None:
    halves = (clip().frames / 255).half()
    material = replace(clip(), frames=halves)
    broken = replace(clip(), frames=halves.masked_fill(clip().hole, math.nan))
    assert fitted(material, SHORT)[0] == fitted(broken, SHORT)[0]


def test_a_frame_that_is_all_hole_is_no_obstacle() -> None:
    hole = clip().hole.clone()
    hole[1] = True
    _, reports = fitted(Clip(clip().frames, hole, hole), SHORT)
    assert all(math.isfinite(report.loss) for report in reports)


def test_a_finished_fit_has_nothing_left_to_do() -> None:
    network, state = begun(SHORT)
    up_to(fit(network, clip(), SHORT, state), step=6)
    before = dump(network, state)
    assert list(fit(network, clip(), SHORT, state)) == []
    assert dump(network, state) == before


def test_extra_weight_under_the_shifted_holes_changes_the_loss_and_more_holes_the_fit() -> None:
    plain = fitted(clip(), SHORT)
    weighted = fitted(clip(), replace(SHORT, hole_weight=5.0))
    assert weighted[1][0].loss > plain[1][0].loss
    assert fitted(clip(), replace(SHORT, shifted_holes=3))[0] != plain[0]


@pytest.mark.parametrize("weight", ["ambiguity", "stabilisation"])
def test_a_regulariser_acts_in_the_last_part_of_the_steps_only(weight: str) -> None:
    plain = replace(SHORT, steps=8)
    config = replace(plain, **{weight: 0.5}, regularise_share=0.5)
    first, second = fitted(clip(), plain)[1], fitted(clip(), config)[1]
    assert [a.loss for a in first[:4]] == [b.loss for b in second[:4]]
    assert all(a.loss != b.loss for a, b in zip(first[4:], second[4:], strict=True))


@pytest.mark.parametrize("weight", ["ambiguity", "stabilisation"])
def test_the_regularisers_see_nothing_of_the_hole(weight: str) -> None:
    config = replace(SHORT, **{weight: 0.5}, regularise_share=1.0)
    material = clip()
    assert fitted(material, config)[0] == fitted(changed(material, material.hole), config)[0]


def test_a_regularised_fit_resumed_equals_the_unbroken_one() -> None:
    config = replace(SHORT, ambiguity=0.3, stabilisation=0.3)
    network, state = begun(config)
    up_to(fit(network, clip(), config, state), 5)
    saved = dump(network, state)
    network, state = begun(config)
    restore(saved, network, state)
    for _ in fit(network, clip(), config, state):
        pass
    assert dump(network, state) == fitted(clip(), config)[0]


def test_free_form_holes_take_the_place_of_shifted_ones() -> None:
    config = replace(SHORT, holes="free_form")
    network = Watched()
    list(fit(network, clip(), config, begin(network, config, CPU)))
    sizes = {int(hidden.sum()) for batch in network.hidden for hidden in batch}
    assert fitted(clip(), config)[0] != fitted(clip(), SHORT)[0]
    assert len(sizes) > 4  # strokes are of all sizes, the clip's own holes of one


def test_windows_that_show_no_hole_do_not_stop_a_fit() -> None:
    nothing = torch.zeros_like(clip().hole)
    _, reports = fitted(replace(clip(), hole=nothing, unknown=nothing), SHORT)
    assert [report.step for report in reports] == list(range(1, 7))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")  # it does not see everything yet
@pytest.mark.parametrize("changes", [{}, {"ambiguity": 0.1}, {"stabilisation": 0.2}])
@pytest.mark.parametrize("recipe", ["paper", "fast"])
def test_a_fit_does_not_wait_for_the_gpu_between_two_reports(
    recipe: str, changes: dict[str, float]
) -> None:
    schedule = {"steps": 20, "batch": 2, "report_every": 10, "regularise_share": 1.0}
    config = replace(RECIPES[recipe], **schedule, **changes)
    network = build(REFINED)
    state = begin(network, config, torch.device("cuda"))
    footage = NoWaiting(clip().to(state.device), steps=range(10, 19))
    try:
        assert [report.step for report in fit(network, footage, config, state)][-1] == 20
    finally:
        torch.cuda.set_sync_debug_mode("default")


@dataclass(frozen=True)
class NoWaiting:
    """A clip that lets no operation wait for the GPU in some of the steps."""

    clip: Clip
    steps: range

    def at(self, step: int) -> Clip:
        torch.cuda.set_sync_debug_mode("error" if step in self.steps else "default")
        return self.clip
