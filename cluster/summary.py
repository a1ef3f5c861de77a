"""What an archive holds, shot by shot, for `cluster.status` and `cluster.report`. Reads only."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from storage import Archive, Shot, Version

SAMPLED_FRAMES = 12
"""Frames of a shot whose holes are looked at to tell how large the hole is."""

RUNNING = ("fitting", "filling")


@dataclass(frozen=True)
class Quality:
    """PSNR in dB and SSIM of a result; None where it is not known.

    Attributes:
        validation_psnr: in the validation hole, which needs no truth.
        validation_peer_psnr: there, of per-frame Telea.
        hole_psnr, whole_psnr, hole_ssim: against the truth, in the real hole or the whole frame.
        telea_hole_psnr, telea_whole_psnr, telea_hole_ssim: the same of per-frame Telea.
    """

    validation_psnr: float | None = None
    validation_peer_psnr: float | None = None
    hole_psnr: float | None = None
    whole_psnr: float | None = None
    hole_ssim: float | None = None
    telea_hole_psnr: float | None = None
    telea_whole_psnr: float | None = None
    telea_hole_ssim: float | None = None


@dataclass(frozen=True)
class Summary:
    """One shot and one version of its result.

    Attributes:
        shot: name of the shot.
        state: the version's status; `failed` where the ingest failed, `ingesting` where it is not
            finished, `waiting` where there is no version yet.
        frames, width, height: of the shot; zero where it is not stored.
        hole_share: part of the pixels that are missing, 0 to 1, from a sample of the frames.
        version: name of the version, None where there is none.
        fit_s, fill_s: time it took.
        message: why it failed, one line.
        config: the version's own, nested.
    """

    shot: str
    state: str
    frames: int = 0
    width: int = 0
    height: int = 0
    fps: float | None = None
    hole_share: float | None = None
    version: str | None = None
    created: str = ""
    step: int | None = None
    steps: int | None = None
    quality: Quality = Quality()
    fit_s: float | None = None
    fill_s: float | None = None
    device: str = ""
    code: str = ""
    attempt: int | None = None
    message: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def total_s(self) -> float | None:
        """Time for fitting and filling together, None where neither is known."""
        known = [seconds for seconds in (self.fit_s, self.fill_s) if seconds is not None]
        return sum(known) if known else None

    @property
    def margin_db(self) -> float | None:
        """How far the result lies above per-frame Telea in the validation hole."""
        ours, peer = self.quality.validation_psnr, self.quality.validation_peer_psnr
        if ours is None or peer is None or not (math.isfinite(ours) and math.isfinite(peer)):
            return None
        return ours - peer


def summarise(
    archive: Archive,
    shots: Sequence[str] | None = None,
    versions: Mapping[str, str] | None = None,
) -> list[Summary]:
    """Describe the shots in the order of `shots`, those whose ingest failed included.

    Args:
        shots: names; None for every shot of the archive. One that is not stored yet is waiting.
        versions: shot name to version name, which may be still to come; a shot not named shows its
            newest version.
    """
    failures = _ingest_failures(archive)
    names = sorted({*archive.shots(), *failures}) if shots is None else shots
    wanted = versions or {}
    return [_summary(archive, name, wanted.get(name), failures.get(name)) for name in names]


def worst_first(summaries: Sequence[Summary]) -> list[Summary]:
    """Order for a person who looks for trouble: failed, lowest PSNR first, then unfinished."""
    return sorted(summaries, key=_trouble)


def hole_pixels(shot: Shot, frames: Sequence[int]) -> np.ndarray:
    """Number of missing pixels in each of these frames, `(len(frames),)` int64."""
    return np.array([np.count_nonzero(shot.hole[t]) for t in frames], np.int64)


def spread(count: int, most: int) -> list[int]:
    """Return at most `most` indices below `count`, evenly spread, first and last among them."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})


def _trouble(summary: Summary) -> tuple[int, float, str]:
    psnr = summary.quality.validation_psnr
    if summary.state == "failed":
        group = 0
    elif summary.state == "copied":
        group = 4
    elif summary.state in RUNNING:
        group = 2
    else:
        group = 1 if summary.state == "done" else 3
    return group, math.inf if psnr is None else psnr, summary.shot


def _ingest_failures(archive: Archive) -> dict[str, str]:
    stored = _json(archive.files.read("failures.json"))
    return {name: _line(why) for name, why in stored.items()} if isinstance(stored, dict) else {}


def _summary(archive: Archive, name: str, version: str | None, failure: str | None) -> Summary:
    if name not in archive:
        return Summary(name, "waiting" if failure is None else "failed", message=failure or "")
    shot = archive.shot(name)
    try:
        described = _of_shot(shot)
        found = _chosen(shot, version)
    except (KeyError, ValueError, RuntimeError, OSError) as error:
        return Summary(name, "failed", message=f"it cannot be read: {_line(error)}")
    result = {} if found is None else _of_version(found)
    failed = {} if failure is None else {"state": "failed", "message": failure}
    return Summary(**described | result | failed)


def _chosen(shot: Shot, name: str | None) -> Version | None:
    names = shot.versions()
    if name is None:
        return shot.version(names[-1]) if names else None
    return shot.version(name) if name in names else None


def _of_shot(shot: Shot) -> dict[str, Any]:
    info, count = shot.info, len(shot)
    share = None
    if shot.complete and count:
        sampled = spread(count, SAMPLED_FRAMES)
        share = float(hole_pixels(shot, sampled).mean() / (info.width * info.height))
    return {
        "shot": shot.name,
        "state": "waiting" if shot.complete else "ingesting",
        "frames": count,
        "width": info.width,
        "height": info.height,
        "fps": None if info.fps is None else float(info.fps),
        "hole_share": share,
    }


def _of_version(version: Version) -> dict[str, Any]:
    attrs = version.attrs
    quality, seconds = _mapping(attrs.get("quality")), _mapping(attrs.get("seconds"))
    return {
        "state": _line(attrs.get("status") or "waiting"),
        "version": version.name,
        "created": _line(attrs.get("created")),
        "step": _whole(attrs.get("step")),
        "steps": _whole(attrs.get("steps")),
        "quality": Quality(**{f.name: _number(quality.get(f.name)) for f in fields(Quality)}),
        "fit_s": _number(seconds.get("fit")),
        "fill_s": _number(seconds.get("fill")),
        "device": _line(attrs.get("device")),
        "code": _line(attrs.get("code")),
        "attempt": _whole(attrs.get("attempt")),
        "message": _line(attrs.get("error")),
        "config": _mapping(attrs.get("config")),
    }


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
