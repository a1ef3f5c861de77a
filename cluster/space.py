"""What a sweep is told: its configuration, and the space that it searches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import Field

from cluster.bounds import Steps
from cluster.config import Config, FitOptions, WarpOptions, fit_config
from cluster.rows import SET_HERE
from cluster.strict import (
    ConfigError,
    Name,
    Options,
    Text,
    merged,
    nested,
    read_values,
    under,
    validated,
)

Kind = Literal["choice", "uniform", "loguniform", "randint", "lograndint"]
KINDS: tuple[Kind, ...] = get_args(Kind)

EXAMPLE = "{loguniform: [1e-3, 1e-1]}"

SETTLED = {
    "steps": "follows from budget_steps, so that all trials cost the same",
    "patience": "would end a fit before its budget is spent",
    "least_gain_db": "would end a fit before its budget is spent",
    "report_every": "changes nothing of a result",
    "validate_every": "changes nothing of a result",
    "features_path": "belongs into base",
}
"""Keys of `fit` that cannot be searched, and why."""

SEARCHABLE = (
    *("recipe", "capacity", "precision"),
    *(f"fit.{key}" for key in FitOptions.model_fields if key not in {*SETTLED, "warps"}),
    *(f"fit.warps.{key}" for key in WarpOptions.model_fields),
)
"""Keys that can: those that make one and the same figure better or worse."""


class SweepConfig(Options):
    """One sweep. Every key is explained in `configs/sweep.yaml`."""

    archive: Text = "runs/archive"
    out: Text | None = None
    shots: list[Name] | None = Field(None, min_length=1)
    sample: int = Field(4, ge=1, le=1000)
    trials: int = Field(16, ge=2, le=100_000)
    budget_steps: Steps = 3000
    searcher: Literal["random", "optuna"] = "random"
    scheduler: Literal["asha", "none"] = "asha"
    max_concurrent: int | None = Field(None, ge=1)
    seed: int = Field(0, ge=0, lt=2**31)
    base: dict[str, Any] = Field(default_factory=dict)
    space: dict[str, Any] = Field(min_length=1)


@dataclass(frozen=True)
class Dimension:
    """One key of the launch configuration, and the values that it may take.

    Attributes:
        key: dotted, such as `fit.learning_rate`.
        values: of a `choice`, all; else the lowest and the highest, both included.
        default: what it is where nothing is searched; one of the values.
    """

    key: str
    kind: Kind
    values: tuple[Any, ...]
    default: Any

    def has(self, value: Any) -> bool:
        if self.kind == "choice":
            return value in self.values
        return bool(self.values[0] <= value <= self.values[1])


def load_sweep(path: str | None, words: Sequence[str] = ()) -> SweepConfig:
    """Read a configuration file, then let `key=value` words such as `trials=8` replace its values.

    Raises:
        ConfigError: every fault, one a line.
    """
    return validated(SweepConfig, read_values(path, words, "trials=8"))


def base_of(sweep: SweepConfig) -> Config:
    """Return what all trials share, and what the first of them is.

    Raises:
        ConfigError: it is no configuration of the main job, or not one to search around.
    """
    with under("base"):
        if settled := sorted(SET_HERE & sweep.base.keys()):
            raise ConfigError(f"{settled[0]}: is decided by the sweep; leave it out")
        base = validated(Config, sweep.base)
        if base.method != "internal":
            raise ConfigError(f"method = {base.method!r}: learns nothing")
        if base.fit.patience:
            raise ConfigError(f"fit.patience = {base.fit.patience}: it {SETTLED['patience']}")
    return base


def space_of(sweep: SweepConfig, base: Config) -> list[Dimension]:
    """Return the dimensions of the space, every value of them good in a launch.

    Raises:
        ConfigError: every fault, one a line.
    """
    found, faults = [], []
    for key, wanted in dict(_leaves(sweep.space)).items():
        try:
            found.append(_dimension(key, *wanted, base))
        except ConfigError as error:
            faults.append(str(error))
    if faults:
        raise ConfigError("\n".join(faults))
    return found


def applied(base: Config, point: Mapping[str, Any]) -> Config:
    """Return the configuration with the point's values, by dotted key, in it.

    Raises:
        ConfigError: they do not go together.
    """
    values = base.model_dump(exclude_unset=True)
    for key, value in point.items():
        values = merged(values, nested(key.split("."), value))
    return validated(Config, values)


def rounded(value: Any) -> Any:
    """Return a sampled number as one to read: three digits are more than a figure can tell."""
    return float(f"{value:.3g}") if isinstance(value, float) else value


def _leaves(
    space: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[str, tuple[Kind, Any]]]:
    """Yield dotted keys with kind and values; groups may be nested as in a launch configuration."""
    for name, value in space.items():
        key = ".".join(inner := (*path, name))
        kind = next(
            (kind for kind in KINDS if isinstance(value, dict) and [*value] == [kind]), None
        )
        if kind is not None:
            yield key, (kind, value[kind])
        elif isinstance(value, dict) and value:
            yield from _leaves(value, inner)
        else:
            raise _fault(key, f"{value!r}: expected one of {', '.join(KINDS)}, such as {EXAMPLE}")


def _dimension(key: str, kind: Kind, values: Any, base: Config) -> Dimension:
    _check_searchable(key, base)
    several = isinstance(values, list) and len(values) >= 2
    if not several or (kind != "choice" and len(values) != 2):
        wanted = "two values or more" if kind == "choice" else "the lowest and the highest value"
        raise _fault(key, f"{kind}: {values!r}: expected a list of {wanted}")
    for value in values:
        try:
            applied(base, {key: value})
        except ConfigError as error:
            raise ConfigError(f"space.{error}") from None
    found = Dimension(key, kind, tuple(values), _value(base, key))
    if kind != "choice":
        _check_ends(found)
    if not found.has(found.default):
        raise _fault(
            key,
            f"the default, {found.default!r}, lies outside, and a sweep begins with it; widen the "
            f"space, write a choice, or set base.{key}",
        )
    return found


def _check_searchable(key: str, base: Config) -> None:
    group, _, last = key.partition(".")
    if group == "fit" and last in SETTLED:
        raise _fault(key, f"cannot be searched: it {SETTLED[last]}")
    if key not in SEARCHABLE:
        raise _fault(key, f"cannot be searched; these can: {', '.join(SEARCHABLE)}")
    if key == "capacity" and (base.size is None or base.capacity == "auto"):
        raise _fault(key, "needs base.capacity, to begin with, and base.size, one for all")
    if key == "capacity" and base.init is not None:
        raise _fault(key, "cannot be searched with base.init, which is of one capacity")


def _check_ends(found: Dimension) -> None:
    low, high = found.values
    whole = found.kind.endswith("randint")
    kinds = {int} if whole else {int, float}
    if not {type(low), type(high), type(found.default)} <= kinds:
        wanted = "whole numbers" if whole else "numbers"
        raise _fault(found.key, f"{found.kind}: {[low, high]!r}: expected {wanted}; or a choice")
    if low >= high or (found.kind.startswith("log") and low <= 0):
        above = ", the lowest above 0" if found.kind.startswith("log") else ""
        raise _fault(found.key, f"{found.kind}: {[low, high]!r}: expected rising values{above}")


def _value(base: Config, key: str) -> Any:
    """What a key stands for in the base, be it the recipe's."""
    group, *inner = key.split(".")
    value = dataclasses.asdict(fit_config(base)) if group == "fit" else getattr(base, group)
    for name in inner:
        value = value[name]
    return value


def _fault(key: str, text: str) -> ConfigError:
    return ConfigError(f"space.{key}: {text}")
