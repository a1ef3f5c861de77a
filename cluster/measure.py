"""The measure job: how a result compares with the truth, frame by frame, kept beside it.

The figures are those of the field: PSNR, SSIM, LPIPS, warping error, and the sharpness of what was
filled. Where no truth is known, what needs none is told. Memory holds two frames.
"""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from cluster import __version__, cores
from cluster.fitting import Event
from cluster.footage import tone_for
from cluster.lineage import lineage
from cluster.plan import Job
from inpaint.classical import telea
from inpaint.flow import Motion, completed, flow, inside, motion, occluded
from inpaint.metrics import average, fine_detail, psnr, ring, ssim
from inpaint.perceptual import SMALLEST_PX, Lpips, find_weights
from inpaint.temporal import warping_errors
from inpaint.tone import Tone
from storage import Archive, Version

MEASURES = "measures.json"
"""Beside a version: what was measured of it."""

FORM = 1
"""Of the file; one of another form is measured anew."""

RIM_PX = 4
"""The flow this near to an object has seen it."""

Figures = dict[str, list[float | None]]
"""A value for each frame that has a hole, None where there is none."""


def measure(job: Job) -> Generator[Event, None, None]:
    """Measure the job's version. Yields progress as `cluster.jobs` describes it.

    What is there already is kept; it is measured anew where the weights of LPIPS were missing then
    and are found now.

    Writes JSON: `frames`, the indices of those with a hole; `skipped`, how many have none;
    `figures`, a list each; `means`; `truth`, the truth's own figures; `lpips`, why it is missing;
    `validation_psnr`; `loss` of the training; `seconds` of fitting and filling; `device`.

    The figures: `whole_psnr`, `hole_psnr` in dB; `whole_ssim65`, `whole_ssim11`, `hole_ssim11`;
    `whole_lpips`; `whole_warping`, `hole_warping`, mean squared differences to the frame before;
    and the fine detail, `hole_detail` of the result, `true_detail` and `ring_detail` to compare
    with, whose means give `sharpness` and `ring_sharpness`.
    """
    cores.take(job.need.cpus)
    version = Archive.open(job.archive, "a").shot(job.shot.name).version(job.version)
    weights, reason = find_weights()
    known = read_measures(version)
    if known is not None and not (weights and known["lpips"]):
        return
    lpips = (
        Lpips(weights) if weights and min(version.shot.frames.shape[1:3]) >= SMALLEST_PX else None
    )
    frames, figures, truth = list[int](), Figures(), Figures()
    for t, ours, true in _measured(version, tone_for(version), lpips):
        if ours:
            frames.append(t)
            _append(figures, ours)
            _append(truth, true)
        yield {"kind": "progress", "done": t + 1, "total": len(version.shot), "unit": "frames"}
    values = {
        "form": FORM,
        "code": __version__,
        "frames": frames,
        "skipped": len(version.shot) - len(frames),
        "figures": figures,
        "means": means(figures),
        "truth": {"figures": truth, "means": means(truth)},
        "lpips": "" if lpips else reason or f"LPIPS: frames below {SMALLEST_PX} px",
        **_spent(version),
    }
    version.files.write(MEASURES, json.dumps(values, allow_nan=False).encode())


def read_measures(version: Version) -> dict[str, Any] | None:
    """Return what was measured of a version, None where nothing was, or in another form."""
    values = json.loads(version.files.read(MEASURES) or b"{}")
    return values if values.get("form") == FORM else None


def means(figures: Figures) -> dict[str, float | None]:
    """Average each figure over the frames that have one; of the fine detail also the ratios.

    Sharpness is the ratio of averages: among ratios, that of one flat picture outweighs all others.
    """
    found = {name: average(_values(figures[name])).value for name in figures}
    for name, yardstick in (("sharpness", "true_detail"), ("ring_sharpness", "ring_detail")):
        if yardstick in figures:
            found[name] = _ratio(_values(figures["hole_detail"]), _values(figures[yardstick]))
    return found


@dataclass(frozen=True)
class _Moment:
    """One frame: as it was read, its hole, the result, and the truth where it is known."""

    read: np.ndarray
    hole: np.ndarray
    ours: np.ndarray
    true: np.ndarray | None


def _measured(
    version: Version, tone: Tone, lpips: Lpips | None
) -> Iterator[tuple[int, dict[str, float], dict[str, float]]]:
    """Yield each frame's index, figures and the truth's figures; none where it has no hole."""
    before = None
    for t in range(len(version.shot)):
        now = _moment(version, tone, t)
        if not now.hole.any():
            yield t, {}, {}
        else:
            way = None if before is None else _motion(now, before)
            ours = _pictured(now, lpips) | _moved(before, now, way, "ours")
            known = now.true is not None
            yield t, ours, _true(ours) | _moved(before, now, way, "true") if known else {}
        before = now


def _moment(version: Version, tone: Tone, t: int) -> _Moment:
    """Read a frame: `(H, W, C)` float32, 1 is white after the tone curve."""
    shot, hole = version.shot, np.asarray(version.hole[t])
    read = _finite(tone.encode(np.asarray(shot.frames[t])))
    ours = _finite(tone.encode(version.result(t)))
    if shot.truth is None:
        return _Moment(read, hole, ours, None)
    true = _finite(tone.encode(np.asarray(shot.truth[t])))
    return _Moment(read, hole, ours, np.where(hole[..., None], true, read))


def _pictured(now: _Moment, lpips: Lpips | None) -> dict[str, float]:
    """Figures of one picture."""
    ours, hole = _tensor(now.ours), torch.from_numpy(now.hole)[None, None]
    found = {
        "hole_detail": fine_detail(ours, hole),
        "ring_detail": fine_detail(ours, ring(hole)),
    }
    if now.true is not None:
        true = _tensor(now.true)
        found |= {
            "whole_psnr": psnr(ours, true),
            "hole_psnr": psnr(ours, true, hole),
            "whole_ssim65": ssim(ours, true, window=65),
            "whole_ssim11": ssim(ours, true, window=11),
            "hole_ssim11": ssim(ours, true, hole, window=11),
            "true_detail": fine_detail(true, hole),
        }
        if lpips is not None:
            found["whole_lpips"] = lpips(ours, true)
    return {name: float(value) for name, value in found.items()}


def _true(ours: dict[str, float]) -> dict[str, float]:
    """How sharp the truth itself is; around the hole every result equals it."""
    detail = ours["true_detail"]
    return {"hole_detail": detail, "true_detail": detail, "ring_detail": ours["ring_detail"]}


def _motion(now: _Moment, before: _Moment) -> Motion:
    """The true motion to the frame before; where no truth is known, that of what is around."""
    if now.true is not None and before.true is not None:
        return motion(now.true, before.true)
    here, there = (telea(moment.read, moment.hole) for moment in (now, before))
    forward = completed(flow(here, there), _near(now.hole))
    backward = completed(flow(there, here), _near(before.hole))
    return Motion(forward, inside(forward) & ~occluded(forward, backward))


def _near(hole: np.ndarray) -> np.ndarray:
    """Grow a hole by what flow sees of it from outside."""
    side = 2 * RIM_PX + 1
    return cv2.dilate(hole.astype(np.uint8), np.ones((side, side), np.uint8)) > 0


def _moved(
    before: _Moment | None, now: _Moment, way: Motion | None, which: str
) -> dict[str, float]:
    """Warping error to the frame before, NaN for the first."""
    if before is None or way is None:
        return {"whole_warping": math.nan, "hole_warping": math.nan}
    frames = [getattr(before, which), getattr(now, which)]
    (error,) = warping_errors(frames, [before.hole, now.hole], [way])
    return {"whole_warping": error.whole, "hole_warping": error.hole}


def _spent(version: Version) -> dict[str, Any]:
    """What the version cost, the coarser scales that it began from included."""
    spent: dict[str, float] = {}
    for part in lineage(version.shot, version.name).fits:
        for phase, seconds in (part.attrs.get("seconds") or {}).items():
            spent[phase] = spent.get(phase, 0) + seconds
    quality = version.attrs.get("quality") or {}
    return {
        "seconds": spent,
        "device": version.attrs.get("device", "CPU"),
        "validation_psnr": quality.get("validation_psnr"),
        "loss": _loss(version),
    }


def _loss(version: Version) -> float | None:
    """The training's loss, averaged over its last tenth."""
    losses = [entry["loss"] for entry in json.loads(version.files.read("curve.json") or b"[]")]
    return average(_values(losses[-max(1, len(losses) // 10) :])).value


def _append(figures: Figures, one: dict[str, float]) -> None:
    for name, value in one.items():
        figures.setdefault(name, []).append(value if math.isfinite(value) else None)


def _values(figures: list[float | None]) -> Tensor:
    return torch.tensor([math.nan if v is None else v for v in figures], dtype=torch.float64)


def _ratio(detail: Tensor, yardstick: Tensor) -> float | None:
    """Ratio of the averages over the frames that have both."""
    both = detail.isfinite() & yardstick.isfinite()
    if not both.any() or yardstick[both].mean() == 0:
        return None
    return float(detail[both].mean() / yardstick[both].mean())


def _finite(picture: np.ndarray) -> np.ndarray:
    """What is no number becomes 0 in every picture alike."""
    return np.nan_to_num(picture, posinf=0, neginf=0)


def _tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None]
