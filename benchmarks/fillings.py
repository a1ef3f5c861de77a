"""One filling, measured: by a recipe or by a peer, of a clip whose truth is known.

The clip is its own truth under the holes of the paper's two protocols: `rectangle`, a quarter of
the width and height in the middle of every frame; `objects`, the masks of another clip, played
forth and back, not grown. Needs torch, accelerate, numpy and opencv only.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from inpaint.classical import telea
from inpaint.clip import Clip, Whole, load, shrunk, touched
from inpaint.fill import fill
from inpaint.flow import motion
from inpaint.flow_propagation import finished, propagate
from inpaint.holes import centre_rectangle, validation_hole
from inpaint.internal import examined, fit
from inpaint.learning import State, begin
from inpaint.metrics import average, fine_detail, psnr, ssim
from inpaint.network import CAPACITIES, Network, build
from inpaint.prior import Blend, along_flow, blended, weigh
from inpaint.recipes import FitConfig
from inpaint.temporal import warping_errors
from inpaint.tone import Tone

VALIDATION_SHARE = 0.05
"""Of the known pixels, as in `configs/internal.yaml`."""


@dataclass(frozen=True)
class Work:
    """What is to be filled, and how.

    Attributes:
        clip: folder.
        donor: folder of the clip whose masks lie over it; None for the rectangle.
        size: working height and width.
        method: among the recipes or `PEERS`.
        config: of a recipe's fit, with its steps and seed; None for a peer.
        capacity, device: of the fit.
    """

    clip: str
    donor: str | None
    size: tuple[int, int]
    method: str
    config: FitConfig | None = None
    capacity: str = ""
    device: str = ""

    @property
    def protocol(self) -> str:
        return "rectangle" if self.donor is None else "objects"

    @property
    def key(self) -> str:
        """JSON of all that the figures depend on, but not of where the folders lie."""
        donor = None if self.donor is None else called(self.donor)
        work = dataclasses.replace(self, clip=called(self.clip), donor=donor)
        return json.dumps(asdict(work), sort_keys=True)

    def __str__(self) -> str:
        seed = "" if self.config is None else f", seed {self.config.seed}"
        return f"{called(self.clip)}, {self.protocol}, {self.method}{seed}"


@dataclass(frozen=True)
class Figures:
    """What was measured: means over the frames that have a hole, None where there is nothing.

    Attributes:
        whole_psnr, hole_psnr: in dB.
        whole_ssim, hole_ssim: window 11.
        hole_warping: mean squared difference to the frame before, along the true motion.
        sharpness: fine detail in the hole over the truth's there.
        seconds: from the frames to the filled ones, measuring left out.
        validation_psnr: the fit's own estimate at its end, in dB.
        curve: frames seen, and the network's hole PSNR then.
    """

    whole_psnr: float | None
    hole_psnr: float | None
    whole_ssim: float | None
    hole_ssim: float | None
    hole_warping: float | None
    sharpness: float | None
    seconds: float
    validation_psnr: float | None = None
    curve: Sequence[tuple[int, float]] = ()

    @property
    def seen(self) -> int | None:
        return self.curve[-1][0] if self.curve else None

    @property
    def seen_to_95(self) -> int | None:
        return seen_to(0.95, self.curve)

    @property
    def seen_to_99(self) -> int | None:
        return seen_to(0.99, self.curve)


def called(folder: str) -> str:
    """Return a clip's name."""
    return Path(folder).resolve().name


def measure(work: Work, start: Mapping[str, Tensor] | None = None) -> Figures:
    """Fill a clip, on one thread, and compare it with itself.

    Args:
        start: weights that a fit begins with, in the place of drawn ones.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    frames, holes = read(work)
    if work.config is not None:
        return _learnt(work, work.config, frames, holes, start)
    started = time.monotonic()
    filled = PEERS[work.method](frames, holes)
    seconds = time.monotonic() - started
    return Figures(**compared(filled, frames, holes), seconds=seconds)


def read(work: Work) -> tuple[np.ndarray, np.ndarray]:
    """Return frames `(T, H, W, 3)` uint8 RGB and holes `(T, H, W)` bool at the working size."""
    pictures = (_colours(file)[..., ::-1] for file in _files(work.clip, "frames"))
    frames = np.stack([shrunk(picture, work.size) for picture in pictures])
    if work.donor is None:
        return frames, centre_rectangle(*work.size).numpy()[None].repeat(len(frames), axis=0)
    shown = (np.any(_colours(file), axis=2) for file in _files(work.donor, "masks"))
    masks = [touched(np.asarray(mask), work.size) for mask in shown]
    holes = np.stack([masks[t] for t in back_and_forth(len(masks), len(frames))])
    if not holes.any():
        raise ValueError(f"{work.donor}: no mask shows an object")
    return frames, holes


def known(frames: np.ndarray, holes: np.ndarray, seed: int) -> tuple[Clip, Tensor]:
    """Return a clip, its validation hole unknown, and that hole."""
    pairs = zip(frames, holes, strict=True)
    clip = load(pairs, len(frames), frames.shape[1:3], Tone("uint8", 255))
    judge = validation_hole(clip.hole, VALIDATION_SHARE, seed)
    return clip.hiding(judge), judge


def back_and_forth(length: int, count: int) -> list[int]:
    """Return `count` indices below `length`: forwards, backwards, forwards …"""
    period = [*range(length), *reversed(range(length))]
    return [period[t % len(period)] for t in range(count)]


def compared(filled: np.ndarray, frames: np.ndarray, holes: np.ndarray) -> dict[str, Any]:
    """Return the figures of a filled clip by name.

    Args:
        filled: `(T, H, W, 3)` uint8.
        frames: the same, the truth.
        holes: `(T, H, W)` bool, one at least with a pixel set.
    """
    with_hole = np.flatnonzero(holes.any(axis=(1, 2)))
    each = [_of_frame(filled[t], frames[t], holes[t]) for t in with_hole]
    found = {name: average(torch.cat([one[name] for one in each])).value for name in each[0]}
    detail, true_detail = found.pop("detail"), found.pop("true_detail")
    motions = (motion(frames[t], frames[t - 1]) for t in range(1, len(frames)))
    errors = [error.hole for error in warping_errors(filled, holes, motions)]
    return {
        **found,
        "hole_warping": average(torch.tensor(errors)).value,
        "sharpness": detail / true_detail if detail is not None and true_detail else None,
    }


def seen_to(share: float, curve: Sequence[tuple[int, float]]) -> int | None:
    """Return the fewest frames seen from which on a curve keeps to a share of its final value."""
    reached = None
    for seen, value in reversed(curve):
        if value < share * curve[-1][1]:
            break
        reached = seen
    return reached


def _of_frame(filled: np.ndarray, true: np.ndarray, hole: np.ndarray) -> dict[str, Tensor]:
    """The figures of one frame, `(1,)` each."""
    ours, truth = (torch.from_numpy(x).permute(2, 0, 1)[None] / 255 for x in (filled, true))
    where = torch.from_numpy(hole)[None, None]
    return {
        "whole_psnr": psnr(ours, truth),
        "hole_psnr": psnr(ours, truth, where),
        "whole_ssim": ssim(ours, truth),
        "hole_ssim": ssim(ours, truth, where),
        "detail": fine_detail(ours, where),
        "true_detail": fine_detail(truth, where),
    }


def _learnt(
    work: Work,
    config: FitConfig,
    frames: np.ndarray,
    holes: np.ndarray,
    start: Mapping[str, Tensor] | None,
) -> Figures:
    """Fit a network to the known pixels and fill with it; measure on the way and at the end."""
    started, measuring = time.monotonic(), 0.0
    clip, judge = known(frames, holes, config.seed)
    network = build(CAPACITIES[work.capacity], 3, config.seed)
    if start is not None:
        network.load_state_dict(start)
    state = begin(network, config, torch.device(work.device))
    clip, judge = clip.to(state.device), judge.to(state.device)
    curve, estimate, exam = [], None, examined(clip, judge)
    for stand in fit(network, clip, config, state, exam):
        estimate = stand.validation_psnr
        if stand.entry:
            paused = time.monotonic()
            curve.append((stand.step * config.batch, _hole_psnr(network, clip, state)))
            measuring += time.monotonic() - paused
    blend = None
    if exam is not None and config.prior != "none":
        carried = finished(along_flow(Whole(clip)))
        blend = weigh(network, exam, carried, state.accelerator)
    estimate = estimate if blend is None else blend.validation_psnr
    filled = torch.where(clip.hole, _made(network, clip, state, blend), clip.frames)
    seconds = time.monotonic() - started - measuring
    found = compared(filled.permute(0, 2, 3, 1).cpu().numpy(), frames, holes)
    return Figures(**found, seconds=seconds, validation_psnr=estimate, curve=curve)


def _hole_psnr(network: Network, clip: Clip, state: State) -> float:
    """What the network makes of the hole by now, in dB."""
    made = _made(network, clip, state)
    scores = [
        psnr(ours[None] / 255, truth[None] / 255, where[None])
        for ours, truth, where in zip(made, clip.frames, clip.hole, strict=True)
    ]
    inside = average(torch.cat(scores)).value
    assert inside is not None
    return inside


def _made(network: Network, clip: Clip, state: State, blend: Blend | None = None) -> Tensor:
    """Return what the network makes of the frames, `(T, C, H, W)` uint8."""
    filled = blended(fill(network, clip, state.accelerator), clip, blend)
    pictures = [picture for _, picture in filled]
    network.train()
    return torch.stack(pictures).mul_(255).round_().byte()


def _by_telea(frames: np.ndarray, holes: np.ndarray) -> np.ndarray:
    return np.stack([telea(frame, hole) for frame, hole in zip(frames, holes, strict=True)])


def _by_flow(frames: np.ndarray, holes: np.ndarray) -> np.ndarray:
    return np.stack([filled.pixels for filled in propagate(list(zip(frames, holes, strict=True)))])


PEERS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "truth": lambda frames, holes: frames,  # for its warping error, which is not 0
    "Telea": _by_telea,
    "flow propagation": _by_flow,
}
"""What learns nothing: from frames `(T, H, W, C)` and holes to filled frames."""


def _files(folder: str, part: str) -> list[Path]:
    return sorted(Path(folder, part).iterdir())


def _colours(file: Path) -> np.ndarray:
    """Read `(H, W, 3)` uint8, BGR."""
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{file} is no picture")
    return picture
