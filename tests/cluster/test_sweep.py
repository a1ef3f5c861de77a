"""A sweep: what its budget buys, its trials, what is told of them, and what it recommends."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from report_fakes import add_shot

from cluster.budget import step_flops, steps_for
from cluster.config import Config, load_config
from cluster.initial import with_init
from cluster.outcome import Outcome, Trial, markdown, recommended
from cluster.room import Need
from cluster.space import SweepConfig, base_of, load_sweep, space_of
from cluster.stop import Stop
from cluster.sweep import main
from cluster.sweep_page import page
from cluster.trial import Fit, Task, attempt
from inpaint.network import CAPACITIES, build
from inpaint.recipes import RECIPES
from inpaint.warmstart import pack
from storage import Archive

CPU = torch.device("cpu")
QUICK = ["base.capacity=small", "base.precision=off", "base.fit.batch=2", "base.resources.cpus=1"]
RATE = "space.fit.learning_rate={loguniform: [1e-3, 1e-1]}"
WARPED = {"stabilisation": 0.2}


def flops(**changed: object) -> float:
    config = replace(RECIPES["fast"], precision="off", **{"batch": 1, **changed})
    return step_flops("small", 3, (32, 48), config, CPU)


def test_a_step_of_twice_the_batch_costs_twice_but_for_the_optimiser():
    once, twice = flops(optimizer="adam"), flops(optimizer="adam", batch=2)
    assert twice == 2 * once
    assert flops(batch=2) - twice == flops() - once > 0


def test_a_regulariser_costs_by_the_share_of_steps_in_which_it_acts():
    plain, always = flops(), flops(regularise_share=1.0, **WARPED)
    assert flops(**WARPED) == pytest.approx(plain + 0.25 * (always - plain))
    assert always > 1.25 * plain


@pytest.mark.parametrize(
    ("budget", "cost", "steps"), [(100, 10, 10), (0.3, 0.1, 3), (99, 10, 9), (1, 10, 1)]
)
def test_a_budget_buys_whole_steps_and_one_at_least(budget, cost, steps):
    assert steps_for(budget, cost) == steps


@pytest.fixture
def archive(tmp_path) -> Archive:
    """Two small shots, one of them longer."""
    made = Archive.open(str(tmp_path / "archive"), "a")
    add_shot(made, "one", frames=3)
    add_shot(made, "two", frames=4)
    return made


def asked(*words: str) -> tuple[SweepConfig, Config]:
    sweep = load_sweep(None, [*QUICK, RATE, *words])
    return sweep, base_of(sweep)


def task_of(archive: Archive, base: Config, budget_steps: int = 4) -> Task:
    return Task(archive.url, ("one", "two"), base, budget_steps, Need(cpus=1))


def test_a_trial_fits_its_shots_in_order_within_the_budget(archive):
    before = sorted(Path(archive.url).rglob("*"))
    told = list(attempt(task_of(archive, asked()[1]), {"fit.batch": 4}, CPU, [], b""))
    last = told[-1][0]
    assert [len(fits) for fits, _ in told] == [1, 1, 2, 2]
    assert [one.steps for one in last] == [2, 2]  # of twice the batch
    assert all(one.psnr is not None and 0 < one.telea < 99 for one in last)
    assert sorted(Path(archive.url).rglob("*")) == before


def test_a_trial_goes_on_from_its_checkpoint_to_the_same_figures(archive):
    task = task_of(archive, asked()[1])
    whole = list(attempt(task, {}, CPU, [], b""))
    for pause in (1, 4):
        fits, saved = whole[pause]
        resumed = list(attempt(task, {}, CPU, fits, saved))
        assert [fits for fits, _ in resumed] == [fits for fits, _ in whole[pause + 1 :]]


def test_a_trial_begins_with_the_weights_that_the_base_names(archive, tmp_path):
    file = tmp_path / "warm.pt"
    said = {"capacity": "small", "channels": 3, "seed": 0, "validation_share": 0.05, "shots": {}}
    file.write_bytes(pack(build(CAPACITIES["small"], 3, 7).state_dict(), said))
    warm = with_init(asked(f"base.init={file}")[1])
    ends = [[*attempt(task_of(archive, b), {}, CPU, [], b"")][-1][0] for b in (asked()[1], warm)]
    assert [one.psnr for one in ends[0]] != [one.psnr for one in ends[1]]


def tried(number: int, rate: float, *figures: float, state: str = "done") -> Trial:
    fits = [Fit(4, 2.0, 10.0, ((2, db - 1), (4, db - 0.5)), db) for db in figures]
    return Trial(number, {"fit.learning_rate": rate}, state, fits)


@pytest.fixture
def outcome(archive) -> Outcome:
    """The default, one that is better, one that was stopped, one that failed."""
    sweep, base = asked("base.fit.hole_weight=7", "base.fit.batch=3")
    trials = [
        tried(0, 0.02, 20.0, 30.0),
        tried(1, 0.05, 21.0, 30.5),
        tried(2, 0.001, 15.0, state="stopped"),
        Trial(3, {"fit.learning_rate": 0.1}, "failed", [], "the loss is <nan> at step 3"),
    ]
    return Outcome("sweep-1", task_of(archive, base), space_of(sweep, base), trials, 4)


def test_trials_are_ranked_by_their_gain_on_the_shots_they_share_with_the_default(outcome):
    assert [trial.number for trial in outcome.ranked] == [1, 0, 2, 3]
    assert outcome.gain_db(outcome.trials[2]) == -5
    rows = [line.split(" | ")[:5] for line in markdown(outcome).splitlines()]
    assert rows[2] == ["| 1", "done", "25.75", "+0.75", "2 of 2"]
    assert rows[3] == ["| 0 (default)", "done", "25.00", "+0.00", "2 of 2"]
    assert "beats the default by 0.75 dB at equal compute, on 2 of 2 shots" in outcome.verdict


def test_a_small_gain_is_called_noise_and_the_default_may_be_best(outcome):
    close = replace(outcome, trials=[outcome.trials[0], tried(1, 0.05, 20.1, 30.1)])
    assert "less than 0.3 dB may be noise" in close.verdict
    assert replace(outcome, trials=outcome.trials[:1]).verdict.startswith("the default is the best")


def test_a_sweep_is_complete_when_every_trial_has_ended(outcome):
    assert outcome.complete
    assert not replace(outcome, wanted=5).complete
    half = replace(outcome.trials[2], state="open")
    assert not replace(outcome, trials=[*outcome.trials[:2], half, outcome.trials[3]]).complete


def test_what_is_recommended_is_what_a_launch_reads(outcome, tmp_path):
    best = tmp_path / "best.yaml"
    best.write_text(recommended(outcome, outcome.trials[1]))
    found = load_config(str(best))
    assert (found.fit.learning_rate, found.fit.hole_weight, found.fit.batch) == (0.05, 7, 3)
    assert (found.capacity, found.precision, found.fit.steps) == ("small", "off", None)
    assert found.resources == Config().resources
    assert "25.75 dB" in best.read_text()


def test_what_is_recommended_costs_what_the_default_does(outcome, tmp_path):
    cheap = replace(outcome.trials[1], fits=[replace(f, steps=2) for f in outcome.trials[1].fits])
    best = tmp_path / "best.yaml"
    best.write_text(recommended(outcome, cheap))
    assert load_config(str(best)).fit.steps == 3000


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.titles, self.sources, self._in_title = list[str](), list[str](), False

    def handle_starttag(self, tag, attrs):
        self._in_title = tag == "title"
        self.sources += [value for key, value in attrs if key in ("src", "href")]

    def handle_data(self, data):
        self.titles += [data] if self._in_title else []
        self._in_title = False


def test_the_page_shows_every_trial_and_needs_no_network(outcome):
    text = page(outcome)
    found = Tags()
    found.feed(text)
    assert all(source.startswith("data:") for source in found.sources)
    lines = [title for title in found.titles if title.startswith("trial 1: 25.75 dB")]
    assert len(lines) == 3  # parallel coordinates and two shots
    assert "the loss is &lt;nan&gt; at step 3" in text
    assert not re.search(r"\bnan\b|\binf\b", re.sub(r"&lt;nan&gt;", "", text))


def refusal(capsys, *words: str) -> list[str]:
    assert main([*QUICK, RATE, *words]) == 2
    return capsys.readouterr().err.splitlines()


def test_what_cannot_be_tried_is_refused_in_a_line_before_ray_starts(archive, capsys, tmp_path):
    add_shot(archive, "bare", holes=False)
    add_shot(archive, "few", given=[0])
    place = f"archive={archive.url}"
    assert refusal(capsys, place, "shots=[one, bare, few]") == [
        "error: shot bare: has no hole",
        "error: shot few: has masks for a few frames only",
    ]
    assert refusal(capsys, place, "space.seed={choice: [0, 1]}")[0].startswith("error: space.seed")
    Archive.open(str(tmp_path / "empty"), "a")
    (line,) = refusal(capsys, f"archive={tmp_path / 'empty'}")
    assert line.endswith("no shot to try on; run a launch to bring some in")


@pytest.mark.slow
def test_a_sweep_that_is_ended_goes_on_to_the_figures_of_unbroken_trials(
    cluster, archive, tmp_path
):
    from cluster.on_tune import search

    sweep, base = asked("trials=2", "max_concurrent=1", "scheduler=none")
    task, space, folder = task_of(archive, base, 60), space_of(sweep, base), tmp_path / "s" / "tune"
    threading.Thread(target=end_at_first_checkpoint, args=[folder], daemon=True).start()
    stop = Stop()
    with stop.caught():
        half = search(task, sweep, space, folder)
    assert stop.signal == signal.SIGTERM
    assert [trial.state for trial in half].count("done") < 2
    found = search(task, sweep, space, folder)
    assert [trial.state for trial in found] == ["done", "done"]
    for trial in found:
        *_, (unbroken, _) = attempt(task, trial.values, CPU, [], b"")
        assert list(trial.fits) == unbroken


def end_at_first_checkpoint(folder: Path, timeout_s: float = 120) -> None:
    """Send this process SIGTERM as soon as a trial has saved something."""
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s and not list(folder.glob("trial-*/checkpoint_*")):
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGTERM)


@dataclass
class Tried:
    """What the scheduler sees of one of Tune's trials."""

    trial_id: str
    config: dict[str, float]


def test_a_trial_below_the_median_is_stopped_but_never_the_default():
    from cluster.on_tune import METRIC, Halving

    halving = Halving({"fit.batch": 5}, shots=2)
    halving.set_search_properties(METRIC, "max")
    told = []
    for number, (batch, gain) in enumerate([(8, 9.0), (4, 8.0), (5, 1.0), (3, 9.5)]):
        trial = Tried(str(number), {"fit.batch": batch})
        halving.on_trial_add(None, trial)
        told.append(halving.on_trial_result(None, trial, {"shots": 1, METRIC: gain}))
    assert told == ["CONTINUE", "STOP", "CONTINUE", "CONTINUE"]


@pytest.mark.slow
def test_the_model_based_searcher_begins_with_the_default(cluster, archive, tmp_path):
    from cluster.on_tune import search

    words = ("trials=2", "searcher=optuna", "scheduler=none")
    sweep, base = asked(*words, "space.fit.batch={randint: [1, 3]}")
    found = search(task_of(archive, base), sweep, space_of(sweep, base), tmp_path / "s" / "tune")
    assert [trial.state for trial in found] == ["done", "done"]
    assert found[0].values == {"fit.learning_rate": 0.02, "fit.batch": 2}


@pytest.mark.slow
def test_a_trial_that_fails_is_named_and_the_others_go_on(cluster, archive, tmp_path, capsys):
    from cluster.on_tune import search

    sweep, base = asked("trials=2", "base.max_attempts=1", "scheduler=none")
    task = replace(task_of(archive, base), shots=("one", "gone"))
    found = search(task, sweep, space_of(sweep, base), tmp_path / "sweep" / "tune")
    assert [trial.state for trial in found] == ["failed", "failed"]
    assert all("gone" in trial.reason and len(trial.figures) == 1 for trial in found)
    assert "trial 1 of 2: FAILED: " in capsys.readouterr().out
