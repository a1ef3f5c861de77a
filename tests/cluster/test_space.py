"""What a sweep searches: good spaces are read, faults get a line each, before anything starts."""

from __future__ import annotations

import pytest

from cluster.space import SweepConfig, applied, base_of, load_sweep, rounded, space_of
from cluster.strict import ConfigError, read_file

RATE = "space.fit.learning_rate={loguniform: [1e-3, 1e-1]}"


def faults(*words: str) -> list[str]:
    """Return the lines with which a sweep is refused, none where it is not."""
    try:
        sweep = load_sweep(None, words)
        space_of(sweep, base_of(sweep))
    except ConfigError as error:
        return str(error).splitlines()
    return []


def test_a_dimension_knows_its_values_and_the_default():
    sweep = load_sweep(None, [RATE, "space.fit.batch={randint: [2, 8]}", "base.fit.batch=4"])
    rate, batch = space_of(sweep, base_of(sweep))
    assert (rate.key, rate.kind, rate.values) == ("fit.learning_rate", "loguniform", (1e-3, 1e-1))
    assert rate.default == 2e-2  # the recipe's
    assert batch.default == 4  # the base's
    assert batch.has(8)
    assert not batch.has(9)


def test_dotted_and_nested_keys_are_the_same_and_a_word_wins(tmp_path):
    file = tmp_path / "sweep.yaml"
    file.write_text(
        "space:\n  fit.hole_weight: {uniform: [0, 9]}\n  fit: {batch: {choice: [2, 5]}}"
    )
    sweep = load_sweep(str(file), ["space.fit.hole_weight={uniform: [1, 20]}"])
    found = {dimension.key: dimension.values for dimension in space_of(sweep, base_of(sweep))}
    assert found == {"fit.hole_weight": (1, 20), "fit.batch": (2, 5)}


@pytest.mark.parametrize(
    ("word", "line"),
    [
        (
            "space.fit.learning_rate={loguniform: [1e-3, 10]}",
            "space.fit.learning_rate = 10: expected less than 1",
        ),
        (
            "space.fit.ambiguity={loguniform: [0.01, 1]}",
            "space.fit.ambiguity: the default, 0.0, lies outside, and a sweep begins with it; "
            "widen the space, write a choice, or set base.fit.ambiguity",
        ),
        (
            "space.fit.hole_weight={loguniform: [0, 9]}",
            "space.fit.hole_weight: loguniform: [0, 9]: expected rising values, the lowest above 0",
        ),
        (
            "space.fit.hole_weight={uniform: 3}",
            "space.fit.hole_weight: uniform: 3: expected a list of the lowest and the highest "
            "value",
        ),
        (
            "space.fit.optimizer={uniform: [adam, muon]}",
            "space.fit.optimizer: uniform: ['adam', 'muon']: expected numbers; or a choice",
        ),
        (
            "space.recipe={choice: [fast, quick]}",
            "space.recipe = 'quick': expected 'fast' or 'paper'",
        ),
        (
            "space.fit.steps={randint: [10, 20]}",
            "space.fit.steps: cannot be searched: it follows from budget_steps, so that all trials "
            "cost the same",
        ),
        (
            "space.capacity={choice: [small, base]}",
            "space.capacity: needs base.capacity, to begin with, and base.size, one for all",
        ),
        ("base.source=x.mov", "base: source: is decided by the sweep; leave it out"),
        ("base.method=flow", "base: method = 'flow': learns nothing"),
        ("base.fit.bach=4", "base: fit.bach: is not a known key; did you mean 'batch'?"),
        ("scheduler=asher", "scheduler = 'asher': expected 'asha' or 'none'"),
    ],
)
def test_a_fault_gets_a_line_that_names_it(word, line):
    assert faults(RATE, word) == [line]


def test_what_makes_figures_incomparable_cannot_be_searched():
    (line,) = faults("space.size={choice: [160x96, 320x180]}")
    assert line.startswith("space.size: cannot be searched; these can: recipe, capacity, ")


def test_all_faults_of_a_space_are_told_at_once():
    assert len(faults("space.fit={batch: {randint: [0, 9]}, holes: {choice: [a, b]}}")) == 2


def test_something_else_than_a_space_is_refused():
    (line,) = faults("space.fit.batch=4")
    assert line.startswith("space.fit.batch: 4: expected one of choice, uniform, ")


def test_the_file_in_configs_names_every_key_at_its_default_and_is_good():
    values, defaults = read_file("sweep"), SweepConfig(space=read_file("sweep")["space"])
    assert values.keys() == SweepConfig.model_fields.keys()
    assert {**values, "base": {}} == defaults.model_dump()
    sweep = load_sweep("sweep")
    assert len(space_of(sweep, base_of(sweep))) == 8


def test_a_point_is_put_into_the_base_and_leaves_the_rest():
    sweep = load_sweep(None, [RATE, "base.fit.batch=4", "base.capacity=small"])
    found = applied(base_of(sweep), {"fit.learning_rate": 0.05, "fit.warps.shift_px": 3.0})
    assert (found.fit.learning_rate, found.fit.batch, found.capacity) == (0.05, 4, "small")
    assert found.fit.warps is not None
    assert found.fit.warps.shift_px == 3


def test_a_sampled_number_is_one_to_read():
    assert [rounded(value) for value in (0.0187898, 7, "fast")] == [0.0188, 7, "fast"]
