"""What an archive holds, shot by shot, for `cluster.status` and `cluster.report`. Reads only.

Attributes may be of another code or damaged: what is not what it should be counts as not known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from functools import partial
from typing import Any, Literal

import numpy as np

from cluster.lineage import Lineage, lineage
from cluster.spread import spread
from cluster.summary import Quality, Stage, Summary, total
from storage import Archive, Shot, Version
from storage.attributes import info_from_json
from storage.mask_versions import MaskVersion
from storage.urls import folders, join

SAMPLED_FRAMES = 12
"""Frames of a shot whose holes are looked at where it was not kept how large the hole is."""

READERS = 32
"""Shots that are read at once: an object store answers each request late, but many together."""


def summarise(
    archive: Archive,
    shots: Sequence[str] | None = None,
    versions: Mapping[str, str] | None = None,
    known: Mapping[str, Summary] | None = None,
) -> list[Summary]:
    """Describe the shots in the order of `shots`, those whose ingest failed included.

    Args:
        shots: names; None for every shot of the archive, and for those of `versions`. One that is
            not stored yet is waiting.
        versions: shot name to version name, which may be still to come; a shot not named shows what
            was begun last.
        known: shots that are not read again, by name.
    """
    failures, wanted = _ingest_failures(archive), versions or {}
    names = sorted({*folders(archive.url), *failures, *wanted}) if shots is None else shots
    unread = [name for name in names if name not in (known or {})]
    with ThreadPoolExecutor(READERS) as readers:
        read = readers.map(partial(_summary, archive, wanted, failures), unread)
        found = dict(zip(unread, read, strict=True)) | dict(known or {})
    expected = wanted if shots is None else shots
    return [
        summary or Summary(name, "waiting")
        for name in names
        if (summary := found[name]) is not None or name in expected
    ]


def _ingest_failures(archive: Archive) -> dict[str, str]:
    stored = _json(archive.files.read("failures.json"))
    return {name: _line(why) for name, why in stored.items()} if isinstance(stored, dict) else {}


def _summary(
    archive: Archive, versions: Mapping[str, str], failures: Mapping[str, str], name: str
) -> Summary | None:
    """Describe one shot, None where nothing is stored under that name."""
    why = failures.get(name)
    failed: dict[str, Any] = {} if why is None else {"state": "failed", "message": why}
    shot = Shot(join(archive.url, name))
    try:
        found = lineage(shot, versions.get(name))
        attrs = found.attrs[shot.url]
        if not attrs:
            return Summary(name, **failed) if failed else None
        described = _of_shot(found, attrs) | _of_stages(found)
    except (KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        return Summary(name, "failed", message=f"it cannot be read: {_line(error)}")
    state = {} if attrs.get("complete") else {"state": "ingesting"}
    return Summary(**described | state | failed)


def _of_shot(found: Lineage, attrs: Mapping[str, Any]) -> dict[str, Any]:
    info, count = info_from_json(attrs["source"]), int(attrs.get("stored", 0))
    area = count * info.width * info.height if attrs.get("complete") else 0
    return {
        "shot": found.shot.name,
        "frames": count,
        "width": info.width,
        "height": info.height,
        "fps": None if info.fps is None else float(info.fps),
        "hole_share": _hole_share(found, attrs, count, area) if area else None,
    }


def _hole_share(found: Lineage, attrs: Mapping[str, Any], count: int, area: int) -> float | None:
    """Return what part of `area`, the pixels of all frames, is missing."""
    if found.masks is not None:
        attrs = found.attrs[found.masks.url]
    elif found.last is None and attrs.get("given") is not None:
        return None
    if (missing := _whole(attrs.get("missing_px"))) is not None:
        return missing / area
    if (hole := found.hole) is None:
        return None
    sampled = spread(count, SAMPLED_FRAMES)
    return float(np.mean([np.count_nonzero(hole[t]) for t in sampled])) * count / area


def _of_stages(found: Lineage) -> dict[str, Any]:
    """Describe the work as a whole: where it stands, and what all of it took."""
    stages = [] if found.masks is None else [_stage("masks", found, found.masks)]
    stages += [_stage("fit", found, version) for version in found.fits]
    return {
        "stages": tuple(stages),
        "fit_s": total(*(stage.fit_s for stage in stages)),
        "fill_s": total(*(stage.fill_s for stage in stages)),
        **_standing(found, stages),
        **({} if found.last is None else _of_version(found, found.attrs[found.last.url])),
    }


def _standing(found: Lineage, stages: Sequence[Stage]) -> dict[str, Any]:
    """Return state, scale and steps of the stage in work, or of the result."""
    if not stages:
        return {"state": "waiting"}
    stage = stages[-1]
    steps = {"step": stage.step, "steps": stage.steps, "steps_per_s": stage.steps_per_s}
    if stage.kind == "masks":
        known = {"done": "waiting", "failed": "failed"}
        return steps | {"state": known.get(stage.state, "propagating")}
    if found.begun:
        several = len(found.fits) > 1 and stage.state not in ("done", "copied")
        return steps | {"state": stage.state, "scale": stage.scale if several else ""}
    if stage.state in ("done", "copied"):
        return {"state": "fitting", "scale": _next_scale(found, stage)}
    state = stage.state if stage.state in ("filling", "failed") else "fitting"
    return steps | {"state": state, "scale": stage.scale}


def _next_scale(found: Lineage, stage: Stage) -> str:
    attrs = {} if found.last is None else found.attrs[found.last.url]
    labels = _scales(_mapping(attrs.get("config")))
    return labels[labels.index(stage.scale) + 1] if stage.scale in labels[:-1] else ""


def _stage(kind: Literal["masks", "fit"], found: Lineage, version: Version | MaskVersion) -> Stage:
    attrs = found.attrs[version.url]
    quality, seconds = _mapping(attrs.get("quality")), _mapping(attrs.get("seconds"))
    config = _mapping(attrs.get("config"))
    scale = config.get("scale") or next(reversed(_scales(config)), "")
    return Stage(
        kind=kind,
        version=version.name,
        scale=_line(scale),
        state=_line(attrs.get("status") or "waiting"),
        step=_whole(attrs.get("step")),
        steps=_whole(attrs.get("steps")),
        steps_per_s=_number(attrs.get("steps_per_s")),
        validation_psnr=_number(quality.get("validation_psnr")),
        fit_s=_number(seconds.get("fit")),
        fill_s=_number(seconds.get("fill")),
    )


def _of_version(found: Lineage, attrs: Mapping[str, Any]) -> dict[str, Any]:
    quality = _mapping(attrs.get("quality")) if found.begun else {}
    return {
        "version": found.result,
        "created": _line(attrs.get("created")),
        "finished": _line(attrs.get("finished")) if found.begun else "",
        "quality": Quality(**{f.name: _number(quality.get(f.name)) for f in fields(Quality)}),
        "device": _line(attrs.get("device")),
        "code": _line(attrs.get("code")),
        "attempt": _whole(attrs.get("attempt")),
        "message": _line(attrs.get("error")),
        "config": _mapping(attrs.get("config")),
    }


def _scales(config: Mapping[str, Any]) -> list[str]:
    """The scales of a result as its configuration names them, none where it does not."""
    labels = config.get("scales")
    return [_line(label) for label in labels] if isinstance(labels, list) else []


def _json(data: bytes | None) -> Any:
    try:
        return None if data is None else json.loads(data)
    except ValueError:
        return None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    """Return a number, None for what is none; a PSNR may be infinite."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return None
    return float(value)


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None or math.isinf(number) else int(number)


def _line(value: Any) -> str:
    """One line of printable text: messages quote file names, which may hold anything."""
    text = " ".join(str("" if value is None else value).split())
    return "".join(letter for letter in text if letter.isprintable())
