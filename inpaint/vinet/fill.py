"""Run a trained VINet over a clip of any length, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from inpaint.clip import Clip, Frames, depth
from inpaint.flow_propagation import Filled
from inpaint.prior import Carried, Carrying
from inpaint.vinet.network import OFFSETS, VINet, neighbours
from inpaint.windows import Window

_REACH = max(OFFSETS)


@torch.no_grad()
def fill(
    network: VINet,
    frames: Frames,
    accelerator: Accelerator,
    *,
    start: int = 0,
    recurrent: bool = True,
) -> Iterator[tuple[int, Tensor]]:
    """Yield each frame from `start` on: its index and the network's `(C, H, W)` in [0, 1].

    Only what lies inside the hole means something. Each frame is read once, and no more than
    thirteen are held. With recurrence every frame depends on all before it, so a later start goes
    through those again, and gives the same pictures.

    Args:
        frames: their whole `unknown` is hidden from the network, their hole is filled.
        recurrent: False fills each frame as if it were the first: what a network can do that was
            trained on single frames only.
    """
    network.eval()
    whole = Window(0, 0, *frames.size)
    held: dict[int, Clip] = {}
    state = None
    for t in range(0 if recurrent else start, len(frames)):
        around = range(max(0, t - _REACH), min(t + _REACH + 1, len(frames)))
        held = {s: held.get(s) or frames.window(s, whole).to(accelerator.device) for s in around}
        own, near = (_shown([held[s] for s in each]) for each in ([t], neighbours(t, len(frames))))
        with accelerator.autocast():
            filled = network(*own, *(part[:, None] for part in near), state)
        state = filled.state if recurrent else None
        if t >= start:
            yield t, filled.pictures[0, 0].float().add_(1).div_(2).clamp_(0, 1)


def carried_by(network: VINet, clip: Clip, accelerator: Accelerator) -> Carrying:
    """Carry a trained network's fill into the holes of a clip, as `inpaint.prior` wants it.

    The error that it expects is the distance to what is known, in pixels.
    """
    carried = []
    for t, made in fill(network, clip, accelerator):
        kept = made.mul(255).round_() if clip.frames.dtype == torch.uint8 else made
        pixels = kept.to(clip.frames.dtype).permute(1, 2, 0).cpu().numpy()
        hole = clip.unknown[t, 0].cpu().numpy()
        deep = depth(hole).clip(max=sum(hole.shape)).astype(np.float32)
        carried.append(Carried.of(Filled(pixels, hole, deep)))
        yield len(carried), len(clip)
    return carried


def _shown(clips: list[Clip]) -> tuple[Tensor, Tensor]:
    """Pictures `(1, N, C, H, W)` in [-1, 1], and what is hidden of them."""
    every = slice(None)
    return (
        torch.cat([clip.pictures(every) for clip in clips])[None],
        torch.cat([clip.unknown for clip in clips])[None],
    )
