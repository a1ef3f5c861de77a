"""What is to be done, in which order, and to which version."""

from __future__ import annotations

import pytest
from job_fakes import job, quick

from cluster.backlog import ShotSpec
from cluster.config import ConfigError
from cluster.plan import Agenda, Job, Need, fitted_part, plan, version_for

NEED = Need(gpus=0.5, cpus=3, memory_bytes=7)


def planned(*shots: ShotSpec) -> list[Job]:
    return plan(shots, {shot.name: "v007" for shot in shots}, "/archive", quick(), NEED)


def test_a_shot_is_brought_in_then_inpainted_then_delivered():
    ingest, inpaint, export = planned(ShotSpec("a", "a.mov", "alpha", export="/out.mov"))
    assert [job.key for job in (ingest, inpaint, export)] == ["ingest a", "inpaint a", "export a"]
    assert (ingest.after, inpaint.after, export.after) == (None, "ingest a", "inpaint a")
    assert {job.version for job in (ingest, inpaint, export)} == {"v007"}


def test_what_is_not_asked_for_is_not_delivered():
    assert [job.kind for job in planned(ShotSpec("a", "a.mov", "alpha"))] == ["ingest", "inpaint"]


def test_only_the_fitting_asks_for_the_machine():
    ingest, inpaint, export = planned(ShotSpec("a", "a.mov", "alpha", export="/out.mov"))
    assert (ingest.need, inpaint.need, export.need) == (Need(), NEED, Need())


def test_an_agenda_hands_out_a_job_once_what_it_waits_for_is_done():
    agenda = Agenda(planned(ShotSpec("a", "a.mov", "alpha"), ShotSpec("b", "b.mov", "alpha")))
    first, second = agenda.ready(), agenda.ready()
    assert (first.key, second.key, agenda.ready()) == ("ingest a", "ingest b", None)
    agenda.finish(second)
    assert (agenda.ready().key, agenda.ready()) == ("inpaint b", None)
    agenda.finish(first)
    assert agenda.ready().key == "inpaint a"
    assert agenda.waiting == []


def test_a_failed_shot_takes_only_its_own_jobs_along():
    agenda = Agenda(planned(ShotSpec("a", "a.mov", "alpha"), ShotSpec("b", "b.mov", "alpha")))
    agenda.fail(agenda.ready(), "the disk is full")
    assert [job.shot.name for job in agenda.waiting] == ["b", "b"]
    assert agenda.failed == {"a": "the disk is full"}


def test_a_job_put_back_is_the_next_and_its_attempts_are_counted():
    agenda = Agenda([job("a", "ingest"), job("b", "ingest")])
    taken = agenda.ready()
    agenda.again(taken)
    assert agenda.ready() == taken
    assert agenda.attempts == {"ingest a": 2}


def version(versions: dict, *words: str) -> str:
    config = quick(*words)
    return version_for(config, fitted_part(config, "small"), versions)


def made_by(*words: str) -> dict:
    """Return the attributes of a version that this configuration made."""
    return {"config": fitted_part(quick(*words), "small")}


def test_the_first_version_is_the_first_number_and_a_new_one_the_next():
    assert version({}) == "v001"
    others = {"v003": made_by("seed=1"), "final": {}, "v2b": {}, "v010": made_by("seed=2")}
    assert version(others) == "v011"


def test_the_same_configuration_goes_on_with_its_own_version():
    versions = {"v001": made_by(), "v002": made_by("seed=1"), "mine": made_by(), "v003": {}}
    assert version(versions) == "mine"
    assert version(versions, "seed=1") == "v002"


@pytest.mark.parametrize(
    "word", ["seed=1", "fit.steps=5", "recipe=paper", "size=64x64", "validation_share=0.1"]
)
def test_whatever_the_result_depends_on_makes_a_new_version(word):
    assert version({"v001": made_by()}, word) == "v002"


@pytest.mark.parametrize(
    "word", ["runner=ray", "export=out.mov", "report=r.html", "max_attempts=9", "resources.cpus=2"]
)
def test_what_only_says_how_to_run_makes_no_new_version(word):
    assert version({"v001": made_by()}, word) == "v001"


def test_another_capacity_makes_a_new_version():
    config = quick()
    assert version_for(config, fitted_part(config, "base"), {"v001": made_by()}) == "v002"


def test_a_version_asked_for_is_taken_if_it_is_free_or_of_this_configuration():
    assert version({"v001": made_by("seed=1")}, "version=final") == "final"
    assert version({"final": made_by()}, "version=final") == "final"


def test_a_version_of_another_configuration_is_refused_with_what_differs():
    with pytest.raises(ConfigError, match="'final' was made with another seed \\(1\\); choose"):
        version({"final": made_by("seed=1")}, "version=final")
