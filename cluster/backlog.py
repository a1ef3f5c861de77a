"""Which shots a run means: one source, a glob, or a manifest; and where their paths lie."""

from __future__ import annotations

import csv
import glob
import io
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cluster.config import Config, ConfigError, frame_range, read_yaml

PLACEHOLDER = "{shot}"


@dataclass(frozen=True)
class ShotSpec:
    """One shot of a run, its paths absolute.

    Attributes:
        name: in the archive.
        source, mask, truth: as `storage.media.open_source` and `storage.masks.open_mask` take them.
        first, last: frame numbers, both included; None for the source's own ends.
        export: where to deliver; None delivers nothing.
        priority: higher is done earlier.
    """

    name: str
    source: str
    mask: str
    first: int | None = None
    last: int | None = None
    truth: str | None = None
    export: str | None = None
    priority: int = 0


def shots_of(config: Config) -> list[ShotSpec]:
    """Return the shots of a run, those of higher priority first.

    Raises:
        ConfigError: nothing is named, a mask is missing, a glob finds nothing, a manifest is wrong,
            or two shots have one name or one export.
    """
    if config.source is not None:
        shots = [_single(config, config.source)]
    elif config.shots is None:
        raise ConfigError("source: nothing to inpaint; give source=… and mask=…, or shots=…")
    elif Path(config.shots).suffix in (".yaml", ".yml", ".csv"):
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


def _single(config: Config, source: str) -> ShotSpec:
    if config.mask is None:
        raise ConfigError("mask: missing; a folder, movie or image of what to remove, or `alpha`")
    name = config.name or _name_of(source)
    spec = ShotSpec(name, _input(source), _mask(config.mask))
    if config.range is not None:
        first, last = frame_range(config.range)
        name = name if config.name else f"{name}.{first}-{last}"
        spec = replace(spec, name=name, first=first, last=last)
    return replace(
        spec,
        truth=config.truth and _input(config.truth),
        export=config.export and output(config.export.replace(PLACEHOLDER, name)),
    )


def _glob(config: Config, pattern: str) -> list[ShotSpec]:
    """One shot for each match, named by what the wildcards stood for."""
    found = sorted(glob.glob(pattern))
    if not found:
        raise ConfigError(f"shots = {pattern}: nothing matches")
    expression = re.compile(re.escape(pattern).replace(r"\*", "([^/]*)").replace(r"\?", "([^/])"))
    shots = []
    for path in found:
        match = expression.fullmatch(path)
        parts = [part for part in (match.groups() if match else ()) if part]
        name = "-".join(parts) or _name_of(path)
        shots.append(_listed(config, {"name": name, "source": path}))
    return shots


def _manifest(config: Config, path: str) -> list[ShotSpec]:
    """The rows of a YAML list or a CSV table; its relative paths start where the manifest lies."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"shots = {path}: cannot be read ({error.strerror})") from None
    if path.endswith(".csv"):
        rows: Any = [
            {key: value for key, value in row.items() if value}
            for row in csv.DictReader(io.StringIO(text))
        ]
    else:
        rows = read_yaml(text, path)
    if not isinstance(rows, list) or not rows:
        raise ConfigError(f"{path}: expected a list of shots, each with source and mask")
    return [_row(config, row, f"{path}: shot {i}", path) for i, row in enumerate(rows, start=1)]


def _row(config: Config, row: Any, where: str, manifest: str) -> ShotSpec:
    known = {"name", "source", "mask", "range", "truth", "export", "priority"}
    if not isinstance(row, dict) or not row.get("source"):
        raise ConfigError(f"{where}: expected keys and values, source among them")
    if unknown := [key for key in row if key not in known]:
        raise ConfigError(f"{where}: {unknown[0]!r} is not a known key; known are: {sorted(known)}")
    try:
        return _listed(config, row, os.path.dirname(manifest))
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


def _listed(config: Config, row: dict[str, Any], base: str | None = None) -> ShotSpec:
    """Make a spec of a row; what it does not say is taken from the configuration."""
    first, last = frame_range(str(row["range"])) if row.get("range") is not None else (None, None)
    name = str(row.get("name") or _name_of(row["source"]))
    if first is not None and not row.get("name"):
        name = f"{name}.{first}-{last}"

    def path(key: str) -> str | None:
        if row.get(key):
            return _input(str(row[key]), base)
        shared = getattr(config, key)
        return shared and _input(shared.replace(PLACEHOLDER, name))

    mask = row.get("mask") or config.mask
    if mask is None:
        raise ConfigError(f"mask: missing for shot {name!r}; give mask=… with {PLACEHOLDER} in it")
    export = row.get("export") or config.export
    if export and not row.get("export") and PLACEHOLDER not in export:
        raise ConfigError(f"export = {export}: write {PLACEHOLDER} where each shot's name belongs")
    return ShotSpec(
        name=name,
        source=_input(str(row["source"]), base),
        mask="alpha" if mask == "alpha" else path("mask") or "",
        first=first,
        last=last,
        truth=path("truth"),
        export=export and output(export.replace(PLACEHOLDER, name)),
        priority=int(row.get("priority", 0)),
    )


def _mask(path: str) -> str:
    return path if path == "alpha" else _input(path)


def _input(path: str, base: str | None = None) -> str:
    found = absolute(path, base)
    if in_submitted_job() and not os.path.isabs(path) and "://" not in path:
        here = glob.glob(found) or any(mark in path for mark in "#%")
        if not here:
            raise ConfigError(
                f"{path}: a submitted job runs in a throw-away copy of the working directory, "
                "where this is not; give an absolute path"
            )
    return found


def _name_of(source: str) -> str:
    """Name a shot after its file, or its folder where the folder's own name says nothing."""
    path = Path(source)
    stem = re.sub(r"[._-]?(?:#+|%\d*d|\*+|\?+)[._-]?", "", path.stem if path.suffix else path.name)
    if stem.lower() in ("", "frames", "source", "images", "plate", "plates"):
        stem = path.absolute().parent.name
    return re.sub(r"[^\w .+@-]", "_", stem) or "shot"


def _refuse_twins(shots: list[ShotSpec]) -> None:
    for what in ("name", "export"):
        seen: dict[str, ShotSpec] = {}
        for shot in shots:
            value = getattr(shot, what)
            if value is not None and value in seen:
                raise ConfigError(
                    f"two shots have the {what} {value}: {seen[value].source} and {shot.source}"
                )
            seen[value] = shot
