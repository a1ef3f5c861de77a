"""The recipes side by side, at equal compute, beside per-frame Telea.

    python -m benchmarks.quality FRAMES… [--steps 1500] [--recipes paper fast]

Each folder of frames is scaled down and given the papers' fixed mask, a rectangle of a quarter of
the width and height in the middle of every frame. Needs torch, accelerate, numpy and opencv only.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from inpaint.classical import telea
from inpaint.clip import load
from inpaint.fill import fill
from inpaint.holes import centre_rectangle, validation_hole
from inpaint.internal import examined, fit
from inpaint.learning import begin
from inpaint.metrics import average, psnr
from inpaint.network import CAPACITIES, build
from inpaint.recipes import RECIPES
from inpaint.tone import Tone


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    torch.set_num_threads(options.threads)
    width, height = map(int, options.size.split("x"))
    print("| clip | method | steps | whole, dB | hole, dB | validation hole, dB | seconds |")
    print("|---|---|---|---|---|---|---|")
    for folder in options.frames:
        frames = read(Path(folder), width, height)
        hole = centre_rectangle(height, width).numpy()
        _row(folder, "Telea", 0, [telea(frame, hole) for frame in frames], frames, hole, None, 0)
        for recipe in options.recipes:
            _fit(options, folder, recipe, frames, hole)
    return 0


def read(folder: Path, width: int, height: int) -> list[np.ndarray]:
    """Return the pictures of a folder, `(H, W, 3)` uint8 RGB each, averaged down to the size."""
    pictures = (cv2.imread(str(file)) for file in sorted(folder.iterdir()))
    small = (cv2.resize(p, (width, height), interpolation=cv2.INTER_AREA) for p in pictures)
    return [cv2.cvtColor(p, cv2.COLOR_BGR2RGB) for p in small]


def _fit(
    options: argparse.Namespace,
    folder: str,
    recipe: str,
    frames: list[np.ndarray],
    hole: np.ndarray,
) -> None:
    started = time.monotonic()
    pairs = ((frame, hole) for frame in frames)
    clip = load(pairs, len(frames), hole.shape, Tone("uint8", 255))
    judge = validation_hole(clip.hole, 0.03, options.seed)
    clip = clip.hiding(judge)
    config = dataclasses.replace(
        RECIPES[recipe], steps=options.steps, batch=options.batch, seed=options.seed
    )
    network = build(CAPACITIES[options.capacity], 3, options.seed)
    state = begin(network, config, torch.device(options.device))
    clip, judge = clip.to(state.device), judge.to(state.device)
    exam = examined(clip, judge)
    estimate = [report.validation_psnr for report in fit(network, clip, config, state, exam)][-1]
    made = (
        (picture * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        for _, picture in fill(network, clip, state.accelerator)
    )
    filled = [np.where(hole[..., None], m, f) for m, f in zip(made, frames, strict=True)]
    seconds = time.monotonic() - started
    _row(folder, recipe, options.steps, filled, frames, hole, estimate, seconds)


def _row(
    folder: str,
    method: str,
    steps: int,
    filled: list[np.ndarray],
    frames: list[np.ndarray],
    hole: np.ndarray,
    estimate: float | None,
    seconds: float,
) -> None:
    """Print a method's figures: means over the frames."""
    ours, truth = (
        torch.from_numpy(np.stack(x)).permute(0, 3, 1, 2) / 255 for x in (filled, frames)
    )
    where = torch.from_numpy(hole).expand(len(frames), 1, *hole.shape)
    whole, inside = (average(psnr(ours, truth, w)).value for w in (None, where))
    judged = "–" if estimate is None else f"{estimate:.2f}"
    name = Path(folder).parent.name
    print(
        f"| {name} | {method} | {steps or '–'} | {whole:.2f} | {inside:.2f} | {judged} "
        f"| {seconds:.0f} |",
        flush=True,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.quality", description=__doc__)
    parser.add_argument("frames", nargs="+", help="folders of pictures whose truth is themselves")
    parser.add_argument("--recipes", nargs="+", default=["paper", "fast"], choices=list(RECIPES))
    parser.add_argument("--capacity", default="small", choices=list(CAPACITIES))
    parser.add_argument("--size", default="160x96", help="working size WxH in pixels")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    return parser


if __name__ == "__main__":
    sys.exit(main())
