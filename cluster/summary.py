"""One shot of an archive and where its result stands, as values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

RUNNING = ("propagating", "fitting", "filling")


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
class Stage:
    """One step on the way to a result: masks made from a few, or the fit at one scale.

    Attributes:
        kind: `masks` or `fit`.
        version: name of the mask version; of the result, or of its part at a coarser scale.
        scale: WIDTHxHEIGHT that a fit works at, empty where that is not known.
        state: the version's status.
        steps_per_s: when it was last saved.
        validation_psnr: in dB, in the validation hole at this scale.
        fit_s, fill_s: time it took.
    """

    kind: Literal["masks", "fit"]
    version: str
    scale: str
    state: str
    step: int | None
    steps: int | None
    steps_per_s: float | None
    validation_psnr: float | None
    fit_s: float | None
    fill_s: float | None

    @property
    def total_s(self) -> float | None:
        """Time for fitting and filling together, None where neither is known."""
        return total(self.fit_s, self.fill_s)


@dataclass(frozen=True)
class Summary:
    """One shot and one version of its result.

    Attributes:
        shot: name of the shot.
        state: the result's status, of the scale in work while there is no result; `failed` where
            the ingest failed, `ingesting` where it is not finished, `propagating` while masks are
            made from a few, `waiting` where nothing is begun.
        scale: WIDTHxHEIGHT in work where there are several; empty when the result is done.
        frames, width, height: of the shot; zero where it is not stored.
        hole_share: part of the pixels that are missing, 0 to 1; None while some frame has no mask
            yet.
        version: name of the result, None where neither it nor a coarser scale is begun.
        step, steps: of the stage in work, or of the result.
        steps_per_s: of the stage in work, when it was last saved.
        finished: when the result was, ISO 8601; empty where it is not, or not known.
        quality: of the result.
        fit_s, fill_s: time that all stages took.
        message: why it failed, one line.
        config: the version's own, nested.
        stages: in the order in which they follow one another, those begun.
    """

    shot: str
    state: str
    scale: str = ""
    frames: int = 0
    width: int = 0
    height: int = 0
    fps: float | None = None
    hole_share: float | None = None
    version: str | None = None
    created: str = ""
    step: int | None = None
    steps: int | None = None
    steps_per_s: float | None = None
    finished: str = ""
    quality: Quality = Quality()
    fit_s: float | None = None
    fill_s: float | None = None
    device: str = ""
    code: str = ""
    attempt: int | None = None
    message: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    stages: tuple[Stage, ...] = ()

    @property
    def doing(self) -> str:
        """The state in words, with the scale in work: `fitting 320×180`."""
        return f"{self.state} {self.scale.replace('x', '×')}".rstrip()

    @property
    def total_s(self) -> float | None:
        """Time for fitting and filling together, None where neither is known."""
        return total(self.fit_s, self.fill_s)

    @property
    def margin_db(self) -> float | None:
        """How far the result lies above per-frame Telea in the validation hole."""
        ours, peer = self.quality.validation_psnr, self.quality.validation_peer_psnr
        if ours is None or peer is None or not (math.isfinite(ours) and math.isfinite(peer)):
            return None
        return ours - peer


def worst_first(summaries: Sequence[Summary]) -> list[Summary]:
    """Order for a person who looks for trouble: failed, lowest PSNR first, then unfinished."""
    return sorted(summaries, key=_trouble)


def total(*seconds: float | None) -> float | None:
    """Sum what is known, None where nothing is."""
    known = [each for each in seconds if each is not None]
    return sum(known) if known else None


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
