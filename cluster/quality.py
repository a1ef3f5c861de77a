"""Measuring a result: at the validation hole, and against the truth where it is known.

Every figure stands beside that of per-frame Telea on the same pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from inpaint.classical import telea
from inpaint.clip import Clip
from inpaint.internal import judged_frames
from inpaint.metrics import average, psnr, ssim
from inpaint.tone import Tone
from storage import Shot, Version


def telea_at(clip: Clip, judge: Tensor) -> float | None:
    """Return Telea's mean PSNR (dB) at the validation hole, on the frames the fit is judged on."""
    scores = []
    for t in judged_frames(judge).tolist():
        truth = (clip.pictures(slice(t, t + 1)).cpu() + 1) / 2
        filled = telea(truth[0].permute(1, 2, 0).numpy(), clip.unknown[t, 0].cpu().numpy())
        scores.append(psnr(_tensor(filled), truth, judge[t : t + 1].cpu()))
    return average(torch.cat(scores)).value if scores else None


def against_truth(version: Version, shot: Shot, tone: Tone) -> dict[str, float | None]:
    """Return the figures of a result whose truth is stored, empty where it is not.

    PSNR in dB and SSIM (window 11), means over the frames that have a hole, measured on the values
    after the tone curve: `hole_psnr`, `whole_psnr`, `hole_ssim`, and Telea's `telea_…`.
    """
    if shot.truth is None:
        return {}
    scores: dict[str, list[Tensor]] = {}
    for t in range(len(shot)):
        hole = np.asarray(shot.hole[t])
        if not hole.any():
            continue
        frame = np.asarray(shot.frames[t])
        truth = _tensor(tone.encode(np.where(hole[..., None], shot.truth[t], frame)))
        where = torch.from_numpy(hole)[None, None]
        ours = tone.encode(version.result(t))
        peer = np.where(hole[..., None], telea(tone.encode(frame), hole), tone.encode(frame))
        for prefix, picture in (("", _tensor(ours)), ("telea_", _tensor(peer))):
            scores.setdefault(f"{prefix}hole_psnr", []).append(psnr(picture, truth, where))
            scores.setdefault(f"{prefix}whole_psnr", []).append(psnr(picture, truth))
            scores.setdefault(f"{prefix}hole_ssim", []).append(ssim(picture, truth, where))
    return {name: average(torch.cat(values)).value for name, values in scores.items()}


def _tensor(picture: np.ndarray) -> Tensor:
    """`(H, W, C)` to `(1, C, H, W)`; what is no number becomes 0 in every picture alike."""
    return torch.from_numpy(np.nan_to_num(picture, posinf=0, neginf=0)).permute(2, 0, 1)[None]
