"""Which shots a run means: one source, a glob, or a manifest; and where their paths lie."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from cluster.bounds import Cpus, Gpus, MemoryGb
from cluster.config import Config
from cluster.spreadsheet import read_csv
from cluster.strict import (
    ConfigError,
    Name,
    Options,
    Range,
    Text,
    frame_range,
    read_yaml,
    validated,
)
from storage.masks import ALPHA
from storage.media import globbed, split_glob

PLACEHOLDER = "{shot}"
STOP_WITHIN_S = 30
"""What saving every shot's checkpoint may take when a job is stopped, with a margin."""
ADVICE = {
    "name": "give each a name in a manifest",
    "export": f"write {PLACEHOLDER} where each shot's name belongs",
}


def _as_whole(value: Any) -> Any:
    """A table knows only text."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?\d+", value) else value


def _as_number(value: Any) -> Any:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _as_truth(value: Any) -> Any:
    """A spreadsheet writes TRUE."""
    known = {"true": True, "false": False}
    return known.get(value.lower(), value) if isinstance(value, str) else value


@dataclass(frozen=True)
class ShotSpec:
    """One shot of a run, its paths absolute.

    Attributes:
        name: in the archive.
        source, mask, truth: as `storage.media.open_source` and `storage.masks.open_mask` take them.
        first, last: frame numbers, both included; None for the source's own ends.
        export: where to deliver; None delivers nothing.
        few: the mask is given for one or a few frames only; the others' are made from it.
        priority: higher is done earlier.
        gpus, cpus, memory_gb: what fitting it asks of a machine; None for what the run asks.
    """

    name: str
    source: str
    mask: str
    first: int | None = None
    last: int | None = None
    truth: str | None = None
    export: str | None = None
    few: bool = False
    priority: int = 0
    gpus: float | None = None
    cpus: int | None = None
    memory_gb: float | None = None


class Row(Options):
    """One shot of a manifest; what it does not say is taken from the configuration."""

    source: Text
    name: Name | None = None
    mask: Text | None = None
    range: Range | None = None
    truth: Text | None = None
    export: Text | None = None
    few_masks: Annotated[bool | None, BeforeValidator(_as_truth)] = None
    priority: Annotated[int, BeforeValidator(_as_whole)] = 0
    gpus: Annotated[Gpus | None, BeforeValidator(_as_number)] = None
    cpus: Annotated[Cpus | None, BeforeValidator(_as_whole)] = None
    memory_gb: Annotated[MemoryGb | None, BeforeValidator(_as_number)] = None


def shots_of(config: Config) -> list[ShotSpec]:
    """Return the shots of a run, those of higher priority first.

    Raises:
        ConfigError: nothing is named, a mask is missing, a glob finds nothing, a manifest is wrong,
            or two shots have one name or one export.
    """
    if config.source is not None:
        shots = [_spec(config, Row(source=config.source, name=config.name))]
    elif config.shots is None:
        raise ConfigError("source: nothing to inpaint; give source=… and mask=…, or shots=…")
    elif _ending(config.shots) in (".yaml", ".yml", ".csv"):
        shots = _manifest(config, absolute(config.shots))
    else:
        shots = _glob(config, absolute(config.shots))
    _refuse_twins(shots)
    return sorted(shots, key=lambda shot: -shot.priority)


def absolute(path: str, base: str | None = None) -> str:
    """Return the path against `base` (default: where the command was typed); a URL stays."""
    if "://" in path:
        return path
    return os.path.abspath(os.path.join(base or os.getcwd(), os.path.expanduser(path)))


def in_submitted_job() -> bool:
    """Whether this is the entry of `ray job submit`, whose working directory is thrown away."""
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def output(path: str) -> str:
    """Return where an output goes; in a submitted job a relative one goes below the home."""
    base = os.path.expanduser("~/cleanplate") if in_submitted_job() else None
    return absolute(path, base)


def job_advice(config: Config) -> list[str]:
    """Return what a submitted job says first: what of it is not as on one's own machine."""
    if not in_submitted_job():
        return []
    said = [
        f"{key} = {path}: a job's own folder is thrown away, so this goes to {output(path)}, "
        "which every machine has to see"
        for key, path in (("archive", config.archive), ("export", config.export))
        if path is not None and output(path) != absolute(path)
    ]
    waits_s = os.environ.get("RAY_JOB_STOP_WAIT_TIME_S", "3")
    if waits_s.isdigit() and int(waits_s) < STOP_WITHIN_S:
        said.append(
            f"`ray job stop` will wait {waits_s} s, too short to save the shots at work: start "
            "the head with RAY_JOB_STOP_WAIT_TIME_S=120"
        )
    return said


def _glob(config: Config, pattern: str) -> list[ShotSpec]:
    """One shot for each match, named by what the wildcards stood for."""
    found = globbed(pattern)
    if not found:
        raise ConfigError(f"shots = {pattern}: nothing matches")
    folder, wild = split_glob(pattern)
    expression = re.compile(re.escape(wild).replace(r"\*", "([^/]*)").replace(r"\?", "([^/])"))
    shots = []
    for path in found:
        match = expression.fullmatch(os.path.relpath(path, folder))
        parts = [part for part in (match.groups() if match else ()) if part]
        name = re.sub(r"[^\w .+@-]", "_", "-".join(parts)) or _name_of(path)
        shots.append(_spec(config, validated(Row, {"source": path, "name": name})))
    return shots


def _manifest(config: Config, path: str) -> list[ShotSpec]:
    """The rows of a YAML list or a CSV table; its relative paths start where the manifest lies."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")  # spreadsheets put a mark in front
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"shots = {path}: cannot be read ({reason})") from None
    rows = read_csv(text, path) if _ending(path) == ".csv" else _listed(text, path)
    if not rows:
        raise ConfigError(f"{path}: expected a list of shots, each with source and mask")
    return [_row(config, row, where, path) for where, row in rows]


def _listed(text: str, path: str) -> list[tuple[str, Any]]:
    """Where each item of a YAML list stands, and the item."""
    rows = read_yaml(text, path)
    items = rows if isinstance(rows, list) else []
    return [(f"{path}: shot {i}", item) for i, item in enumerate(items, start=1)]


def _ending(path: str) -> str:
    return Path(path).suffix.lower()


def _row(config: Config, row: Any, where: str, manifest: str) -> ShotSpec:
    if not isinstance(row, dict):
        raise ConfigError(f"{where}: expected keys and values, source among them")
    try:
        return _spec(config, validated(Row, row), os.path.dirname(manifest))
    except ConfigError as error:
        lines = str(error).splitlines()
        raise ConfigError("\n".join(f"{where}: {line}" for line in lines)) from None


def _spec(config: Config, row: Row, base: str | None = None) -> ShotSpec:
    """Make a spec of a row; its own relative paths start at `base`."""
    source, first, last = _input(row.source, base), None, None
    name = row.name or _name_of(source)
    if between := row.range or config.range:
        first, last = frame_range(between)
        name = name if row.name else f"{name}.{first}-{last}"

    def path(key: str) -> str | None:
        own, shared = getattr(row, key), getattr(config, key)
        if own:
            return own if own == ALPHA else _input(own, base)
        return shared if shared in (None, ALPHA) else _input(shared.replace(PLACEHOLDER, name))

    mask, export = path("mask"), row.export or config.export
    if mask is None:
        raise ConfigError(
            f"mask: missing for shot {name!r}; a folder, movie or image of what to remove, or alpha"
        )
    return ShotSpec(
        name=name,
        source=source,
        mask=mask,
        first=first,
        last=last,
        truth=path("truth"),
        export=export and output(export.replace(PLACEHOLDER, name)),
        few=config.few_masks if row.few_masks is None else row.few_masks,
        priority=row.priority,
        gpus=row.gpus,
        cpus=row.cpus,
        memory_gb=row.memory_gb,
    )


def _input(path: str, base: str | None = None) -> str:
    found = absolute(path, base)
    if in_submitted_job() and not os.path.isabs(path) and "://" not in path:
        here = os.path.exists(found) or globbed(found) or any(mark in path for mark in "#%")
        if not here:
            raise ConfigError(
                f"{path}: a submitted job runs in a throw-away copy of the working directory, "
                "where this is not; give an absolute path"
            )
    return found


def _name_of(source: str) -> str:
    """Name a shot after its file, or its folder where the folder's own name says nothing."""
    path = Path(source)
    stem = path.name if path.is_dir() else path.stem
    stem = re.sub(r"[._-]?(?:#+|%\d*d|\*+|\?+)[._-]?", "", stem)
    if stem.lower() in ("", "files", "frames", "source", "images", "plate", "plates"):
        stem = path.parent.name
    return re.sub(r"[^\w .+@-]", "_", stem).strip(" .")[:128] or "shot"


def _refuse_twins(shots: list[ShotSpec]) -> None:
    for what in ADVICE:
        seen: dict[str, ShotSpec] = {}
        for shot in shots:
            value = getattr(shot, what)
            if value is not None and value in seen:
                raise ConfigError(
                    f"two shots have the {what} {value}: {seen[value].source} and {shot.source}; "
                    + ADVICE[what]
                )
            seen[value] = shot
