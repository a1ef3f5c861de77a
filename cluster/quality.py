"""Measuring a result: at the validation hole, and against the truth where it is known.

Every figure stands beside that of per-frame Telea on the same pixels.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from inpaint.classical import telea
from inpaint.clip import around
from inpaint.internal import Exam
from inpaint.metrics import average, psnr, ssim
from inpaint.tone import Tone
from storage import Version


def telea_at(exam: Exam | None) -> float | None:
    """Return Telea's mean PSNR (dB) at the validation hole, on the frames the fit is judged on."""
    if exam is None:
        return None
    scores = []
    for t in range(len(exam.clip)):
        part = exam.clip[t : t + 1].to(torch.device("cpu"))
        truth = (part.pictures(slice(None)) + 1) / 2
        filled = telea(truth[0].permute(1, 2, 0).numpy(), part.unknown[0, 0].numpy())
        scores.append(psnr(_tensor(filled), truth, exam.where[t : t + 1].cpu()))
    return average(torch.cat(scores)).value


def against_truth(version: Version, tone: Tone) -> dict[str, float | None]:
    """Return the figures of a result whose truth is stored, empty where it is not.

    PSNR in dB and SSIM (window 11), means over the frames that have a hole, measured on the values
    after the tone curve: `hole_psnr`, `whole_psnr`, `hole_ssim`, and Telea's `telea_…`. Outside
    the hole a result equals its source, so a hole of area share a lifts whole over hole PSNR by
    -10·log10(a).
    """
    shot = version.shot
    if shot.truth is None:
        return {}
    scores: dict[str, list[Tensor]] = {}
    for t in range(len(shot)):
        hole = np.asarray(version.hole[t])
        if not hole.any():
            continue
        near = around(hole, MARGIN_PX)  # the rest of the frame is equal and need not be looked at
        missing, share = hole[near], float(hole.mean())
        frame = tone.encode(np.asarray(shot.frames[(t, *near)]))
        truth = np.where(missing[..., None], tone.encode(np.asarray(shot.truth[(t, *near)])), frame)
        ours = np.where(
            missing[..., None], tone.encode(np.asarray(version.filled[(t, *near)])), frame
        )
        where = torch.from_numpy(missing)[None, None]
        for prefix, picture in (("", ours), ("telea_", telea(frame, missing))):
            pair = _tensor(picture), _tensor(truth), where
            inside = psnr(*pair)
            scores.setdefault(f"{prefix}hole_psnr", []).append(inside)
            scores.setdefault(f"{prefix}whole_psnr", []).append(inside - 10 * math.log10(share))
            scores.setdefault(f"{prefix}hole_ssim", []).append(ssim(*pair))
    return {name: average(torch.cat(values)).value for name, values in scores.items()}


MARGIN_PX = 16
"""Around the hole: what Telea and the window of SSIM reach."""


def _tensor(picture: np.ndarray) -> Tensor:
    """`(H, W, C)` to `(1, C, H, W)`; what is no number becomes 0 in every picture alike."""
    return torch.from_numpy(np.nan_to_num(picture, posinf=0, neginf=0)).permute(2, 0, 1)[None]
