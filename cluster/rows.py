"""What an evaluation is told: its configuration, and the rows of its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from pydantic import Field

from cluster.bounds import RunnerKind, Seed
from cluster.config import Config
from cluster.protocols import Protocol
from cluster.strict import (
    ConfigError,
    Options,
    Size,
    Text,
    merged,
    read_values,
    under,
    validated,
)

PEERS: dict[str, dict[str, Any]] = {
    "Telea": {"method": "telea"},
    "Flow propagation": {"method": "flow"},
}
"""Rows of every table: no result is shown without a peer."""

SET_HERE = {
    *("archive", "source", "mask", "few_masks", "range", "truth", "name", "shots", "export"),
    *("version", "report", "tensorboard", "delivery", "hole", "runner"),
}
"""Keys of the main job that the evaluation decides."""


class EvaluateConfig(Options):
    """One evaluation. Every key is explained in `configs/evaluate.yaml`."""

    data: Text | None = None
    out: Text = "runs/evaluate"
    sequences: list[Text] | None = Field(None, min_length=1)
    protocols: list[Protocol] = Field(["fixed", "shuffle"], min_length=1)
    frames: int | None = Field(None, ge=2)
    size: Size = "432x240"
    seed: Seed = 0
    runner: RunnerKind = "ray"
    base: dict[str, Any] = Field(default_factory=dict)
    rows: dict[Text, dict[str, Any]] = Field(default_factory=dict)


def load_evaluation(path: str | None, words: Sequence[str] = ()) -> EvaluateConfig:
    """Read a configuration file, then let `key=value` words such as `base.capacity=base` replace.

    Raises:
        ConfigError: every fault, one a line.
    """
    return validated(EvaluateConfig, read_values(path, words, "base.capacity=base"))


def rows_of(config: EvaluateConfig) -> dict[str, Config]:
    """Return the rows of the table and what each is made with, the peers first.

    Frames are learnt whole at the evaluation's size where `size` says nothing else.

    Raises:
        ConfigError: a row's values are no configuration of the main job; the row is named.
    """
    rows = {name: _row(config, name, values) for name, values in config.rows.items()}
    methods = {row.method for row in rows.values()}
    peers = {name: values for name, values in PEERS.items() if values["method"] not in methods}
    if taken := peers.keys() & rows.keys():
        raise ConfigError(f"rows.{taken.pop()}: is the name of a peer; choose another")
    return {name: _row(config, name, values) for name, values in peers.items()} | rows


def in_row(name: str) -> AbstractContextManager[None]:
    """Name the row in what is wrong with it."""
    return under(f"rows.{name}")


def _row(config: EvaluateConfig, name: str, values: Mapping[str, Any]) -> Config:
    wanted = merged(config.base, values)
    if settled := sorted(SET_HERE & wanted.keys()):
        raise ConfigError(f"rows.{name}.{settled[0]}: is decided by the evaluation; leave it out")
    with in_row(name):
        return validated(Config, {"size": config.size} | wanted)
