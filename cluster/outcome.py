"""What came of a sweep: its trials, which is best, and the configuration that it recommends."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from cluster.config import Config, fit_config
from cluster.space import Dimension, applied
from cluster.trial import Fit, Task
from inpaint.recipes import RECIPES

NOISE_DB = 0.3
"""Differences that another seed may turn round, see docs/decisions.md."""


@dataclass(frozen=True)
class Trial:
    """A point of the space and what came of it.

    Attributes:
        number: from 0, which is the default.
        values: by dotted key, as they were used.
        state: `stopped` early by the scheduler, `open` where the sweep was stopped before its end.
        fits: of the shots, in the sweep's order; the last may be unfinished.
        reason: why it failed, one line.
    """

    number: int
    values: Mapping[str, Any]
    state: Literal["done", "stopped", "failed", "open"]
    fits: Sequence[Fit] = ()
    reason: str = ""

    @property
    def figures(self) -> list[float]:
        """PSNR (dB) of the shots that are finished."""
        return [one.psnr for one in self.fits if one.psnr is not None]

    @property
    def psnr(self) -> float | None:
        """Mean PSNR (dB) at the validation holes of the finished shots; None without any."""
        return statistics.fmean(self.figures) if self.figures else None

    @property
    def tflop(self) -> float:
        return sum(one.spent_tflop for one in self.fits)


@dataclass(frozen=True)
class Outcome:
    """A sweep as it stands.

    Attributes:
        name: of the sweep.
        task: what every trial does.
        wanted: how many trials there are to be.
    """

    name: str
    task: Task
    space: Sequence[Dimension]
    trials: Sequence[Trial]
    wanted: int

    @property
    def ended(self) -> int:
        return sum(trial.state != "open" for trial in self.trials)

    @property
    def complete(self) -> bool:
        return self.ended >= self.wanted

    @property
    def failed(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.state == "failed"]

    @property
    def default(self) -> Trial | None:
        return next((trial for trial in self.trials if trial.number == 0), None)

    @property
    def best(self) -> Trial | None:
        """The finished trial with the highest mean PSNR; None where none is finished."""
        done = [trial for trial in self.trials if trial.state == "done"]
        return max(done, key=lambda trial: trial.psnr or 0, default=None)

    @property
    def ranked(self) -> list[Trial]:
        """Finished trials, best first; then stopped and open ones by their gain; then failed."""
        order = ("done", "stopped", "open", "failed")

        def key(trial: Trial) -> tuple[int, float, int]:
            gain = self.gain_db(trial)
            return order.index(trial.state), -(gain if gain is not None else -1e9), trial.number

        return sorted(self.trials, key=key)

    def gains_db(self, trial: Trial) -> list[float]:
        """Return what a trial gains over the default on each shot that both have finished."""
        default = [] if self.default is None else self.default.figures
        return [ours - peer for ours, peer in zip(trial.figures, default, strict=False)]

    def gain_db(self, trial: Trial) -> float | None:
        """Return the mean gain, None where no shot can be compared."""
        gains = self.gains_db(trial)
        return statistics.fmean(gains) if gains else None

    @property
    def verdict(self) -> str:
        """Say in a sentence whether the sweep's choice beats the default."""
        best = self.best
        gain = None if best is None else self.gain_db(best)
        if best is None or gain is None:
            return "nothing to compare: the default or every other trial is unfinished"
        if best.number == 0:
            return "the default is the best of the trials"
        gains = self.gains_db(best)
        better = sum(one > 0 for one in gains)
        noise = "" if gain > NOISE_DB else f"; less than {NOISE_DB} dB may be noise"
        return (
            f"trial {best.number} beats the default by {gain:.2f} dB at equal compute, "
            f"on {better} of {len(gains)} shots{noise}"
        )


def table(outcome: Outcome) -> list[list[str]]:
    """Return the rows of the table, its head first."""
    keys = [dimension.key for dimension in outcome.space]
    head = ["trial", "state", "PSNR, dB", "gain, dB", "shots", "steps", "TFLOP", *keys]
    return [head, *(_row(outcome, trial, keys) for trial in outcome.ranked)]


def markdown(outcome: Outcome) -> str:
    """Return the table as Markdown."""
    head, *rows = table(outcome)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def recommended(outcome: Outcome, best: Trial) -> str:
    """Return the best trial as YAML that a launch takes: what differs from the defaults."""
    telea = statistics.fmean(one.telea for one in best.fits)
    said = [
        f"Found by {outcome.name} in {outcome.task.archive}:",
        f"trial {best.number} of {outcome.wanted}, on {', '.join(outcome.task.shots)}.",
        f"Each shot had the compute of {outcome.task.budget_steps} steps of the default.",
        f"Validation holes: {best.psnr:.2f} dB, Telea {telea:.2f} dB; {outcome.verdict}.",
        "Run it:  python -m cluster.launch best.yaml source=… mask=…",
    ]
    values = _differing(_recommended(outcome, best))
    body = yaml.safe_dump(values, sort_keys=False, allow_unicode=True) if values else ""
    return "".join(f"# {' '.join(line.split())}\n" for line in said) + body


def _row(outcome: Outcome, trial: Trial, keys: Sequence[str]) -> list[str]:
    gain = outcome.gain_db(trial)
    return [
        f"{trial.number} (default)" if trial.number == 0 else str(trial.number),
        trial.state,
        "–" if trial.psnr is None else f"{trial.psnr:.2f}",
        "–" if gain is None else f"{gain:+.2f}",
        f"{len(trial.figures)} of {len(outcome.task.shots)}",
        ", ".join(dict.fromkeys(str(one.steps) for one in trial.fits)) or "–",
        f"{trial.tflop:.3g}",
        *(shown(trial.values[key]) for key in keys),
    ]


def shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _recommended(outcome: Outcome, best: Trial) -> Config:
    """The trial's configuration; its steps cost what the base's would."""
    config = applied(outcome.task.base, best.values)
    ratio = statistics.median(one.steps for one in best.fits) / outcome.task.budget_steps
    steps = max(1, round(fit_config(outcome.task.base).steps * ratio))
    return applied(config, {"fit.steps": steps})


def _differing(config: Config) -> dict[str, Any]:
    """What of a configuration is not the default, be it the recipe's; nothing of the machine."""
    values = config.model_dump(exclude_defaults=True, exclude={"resources", "runner"})
    own = dataclasses.asdict(RECIPES[config.recipe])
    for key, value in list(values.get("fit", {}).items()):
        if value is None or value == own[key]:
            del values["fit"][key]
    return {key: value for key, value in values.items() if value != {}}
