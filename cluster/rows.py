"""What an evaluation is told: its configuration, and the rows of its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

from pydantic import Field, field_validator

from cluster.config import Config, working_area
from cluster.protocols import Protocol
from cluster.strict import (
    ConfigError,
    Options,
    Text,
    key_and_text,
    read_file,
    read_yaml,
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
    size: Text = "432x240"
    seed: int = Field(0, ge=0, lt=2**63)
    runner: Literal["ray", "serial"] = "ray"
    base: dict[str, Any] = Field(default_factory=dict)
    rows: dict[Text, dict[str, Any]] = Field(default_factory=dict)

    @field_validator("size")
    @classmethod
    def _size(cls, value: str) -> str:
        working_area(value)
        return value


def load_evaluation(path: str | None, words: Sequence[str] = ()) -> EvaluateConfig:
    """Read a configuration file, then let `key=value` words such as `base.fit.steps=500` replace.

    Raises:
        ConfigError: every fault, one a line.
    """
    values = {} if path is None else read_file(path)
    for word in words:
        key, text = key_and_text(word, "base.fit.steps=500")
        values = merged(values, nested(key.split("."), read_yaml(text, word)))
    return validated(EvaluateConfig, values)


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


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of both; where both have a mapping, merged in turn; else the second's."""
    result = dict(base)
    for key, value in over.items():
        inner = result.get(key)
        if isinstance(inner, dict) and isinstance(value, dict):
            value = merged(inner, value)
        result[key] = value
    return result


def nested(path: Sequence[str], value: Any) -> dict[str, Any]:
    """`a.b.c` as nested dictionaries."""
    first, *rest = path
    return {first: nested(rest, value) if rest else value}


def in_row(name: str) -> AbstractContextManager[None]:
    """Name the row in what is wrong with it."""
    return under(f"rows.{name}")


def _row(config: EvaluateConfig, name: str, values: Mapping[str, Any]) -> Config:
    wanted = merged(config.base, values)
    if settled := sorted(SET_HERE & wanted.keys()):
        raise ConfigError(f"rows.{name}.{settled[0]}: is decided by the evaluation; leave it out")
    with in_row(name):
        return validated(Config, {"size": config.size} | wanted)
