"""What is to be done, in which order, and to which version."""

from __future__ import annotations

from dataclasses import replace

import pytest
from job_fakes import quick

from cluster.backlog import ShotSpec
from cluster.plan import Intent, Job, fitted_part, name_for, plan, propagated_part
from cluster.room import Need
from cluster.strict import ConfigError
from inpaint.progressive import Scale
from inpaint.propagate import RECIPES as MASK_RECIPES
from inpaint.recipes import RECIPES

NEED = Need(gpus=0.5, cpus=3, memory_bytes=7)


WHOLE = (Scale(90, 160),)
FINER = (Scale(90, 160), Scale(540, 960, 4, 6.0), Scale(2160, 3840, 1, 4.0))


def planned(*shots: ShotSpec, scales: tuple[Scale, ...] = WHOLE) -> list[Job]:
    masks = {shot.name: "m001" if shot.few else None for shot in shots}
    intents = [Intent(shot, "v007", scales, {"seed": 0}, masks[shot.name]) for shot in shots]
    return plan(intents, "/archive", quick(), NEED)


def test_a_shot_is_brought_in_then_inpainted_then_delivered():
    ingest, inpaint, export = planned(ShotSpec("a", "a.mov", "alpha", export="/out.mov"))
    assert [job.key for job in (ingest, inpaint, export)] == [
        "ingest a",
        "inpaint a v007",
        "export a v007",
    ]
    assert (ingest.after, inpaint.after, export.after) == (None, "ingest a", "inpaint a v007")
    assert {job.version for job in (ingest, inpaint, export)} == {"v007"}


def test_what_is_not_asked_for_is_not_delivered():
    assert [job.kind for job in planned(ShotSpec("a", "a.mov", "alpha"))] == ["ingest", "inpaint"]


def test_only_the_fitting_asks_for_the_machine():
    ingest, inpaint, export = planned(ShotSpec("a", "a.mov", "alpha", export="/out.mov"))
    assert (ingest.need, inpaint.need, export.need) == (Need(), NEED, Need())


def test_a_shots_own_wishes_go_before_the_runs():
    large = ShotSpec("a", "a.mov", "alpha", gpus=2, memory_gb=0.5)
    assert planned(large)[1].need == Need(gpus=2, cpus=3, memory_bytes=2**29)
    assert planned(ShotSpec("b", "b.mov", "alpha", gpus=0, cpus=8))[1].need == Need(0, 8, 7)


def test_the_scales_of_a_shot_follow_each_other_each_from_the_one_before():
    jobs = planned(ShotSpec("a", "a.mov", "alpha"), scales=FINER)[1:]
    assert [scale.version for scale in jobs] == ["v007.160x90", "v007.960x540", "v007"]
    assert [scale.coarser for scale in jobs] == [None, "v007.160x90", "v007.960x540"]
    assert [scale.part_of for scale in jobs] == ["v007", "v007", None]
    assert [scale.after for scale in jobs[1:]] == [scale.key for scale in jobs[:-1]]


def test_masks_are_made_before_they_are_used():
    jobs = planned(ShotSpec("a", "a.mov", "alpha", few=True))
    assert [job.kind for job in jobs] == ["ingest", "propagate", "inpaint"]
    assert [job.masks for job in jobs] == [None, "m001", "m001"]
    assert jobs[1].need == NEED


def version(versions: dict, *words: str) -> str:
    config = quick(*words)
    return name_for(config.version, fitted_part(config, WHOLE), versions, "v")


def made_by(*words: str) -> dict:
    """Return the attributes of a version that this configuration made."""
    return {"config": fitted_part(quick(*words), WHOLE)}


def test_the_first_version_is_the_first_number_and_a_new_one_the_next():
    assert version({}) == "v001"
    others = {"v003": made_by("seed=1"), "final": {}, "v2b": {}, "v010": made_by("seed=2")}
    assert version(others) == "v011"


def test_the_same_configuration_goes_on_with_its_own_version():
    versions = {"v001": made_by(), "v002": made_by("seed=1"), "mine": made_by(), "v003": {}}
    assert version(versions) == "mine"
    assert version(versions, "seed=1") == "v002"


@pytest.mark.parametrize(
    "word", ["seed=1", "fit.steps=5", "recipe=paper", "capacity=base", "validation_share=0.1"]
)
def test_whatever_the_result_depends_on_makes_a_new_version(word):
    assert version({"v001": made_by()}, word) == "v002"


def test_a_recipe_that_is_tuned_makes_a_new_version_and_its_own_values_named_make_none(monkeypatch):
    before = {"v001": made_by("fit.batch=null")}
    assert version(before, f"fit.batch={RECIPES['fast'].batch}") == "v001"
    monkeypatch.setitem(RECIPES, "fast", replace(RECIPES["fast"], batch=7))
    assert version(before, "fit.batch=null") == "v002"


def test_masks_depend_on_what_their_recipe_gives(monkeypatch):
    before = propagated_part(quick())
    assert propagated_part(quick("fit.steps=9")) == before
    monkeypatch.setitem(MASK_RECIPES, "fast", replace(MASK_RECIPES["fast"], crop=0.25))
    assert propagated_part(quick()) != before


@pytest.mark.parametrize(
    "word", ["runner=ray", "export=out.mov", "report=r.html", "max_attempts=9", "resources.cpus=2"]
)
def test_what_only_says_how_to_run_makes_no_new_version(word):
    assert version({"v001": made_by()}, word) == "v001"


@pytest.mark.parametrize("scales", [(Scale(45, 80),), FINER])
def test_other_scales_make_a_new_version(scales):
    fitted = fitted_part(quick(), scales)
    assert name_for("auto", fitted, {"v001": made_by()}, "v") == "v002"


def test_other_masks_make_a_new_version():
    fitted = fitted_part(quick(), WHOLE, "m001")
    assert name_for("auto", fitted, {"v001": made_by()}, "v") == "v002"


def test_a_method_that_learns_nothing_depends_on_no_recipe():
    assert version({"v001": made_by("method=telea")}, "method=telea", "seed=1") == "v001"


def test_a_version_asked_for_is_taken_if_it_is_free_or_of_this_configuration():
    assert version({"v001": made_by("seed=1")}, "version=final") == "final"
    assert version({"final": made_by()}, "version=final") == "final"


def test_a_version_of_another_configuration_is_refused_with_what_differs():
    with pytest.raises(ConfigError, match="'final' was made with another seed \\(1\\); choose"):
        version({"final": made_by("seed=1")}, "version=final")
