"""Masks from one frame's mask: the recipes at equal budget, beside flow and a mask held still.

    python -m benchmarks.masks CLIPS… [--frames 2000] [--recipes paper fast]

A clip is a folder with `frames/` and `masks/`, whose non-zero colour is the object. The first frame
that shows it is given; the means are over the others that do. Masks are compared at the working
size, where a pixel that touches the object belongs to it. Needs torch, accelerate, numpy and
opencv only.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from inpaint.clip import Clip, load
from inpaint.learning import begin
from inpaint.metrics import average
from inpaint.propagate import RECIPES, PropagateConfig, fit, predict, region
from inpaint.segmentation import CAPACITIES, build
from inpaint.tone import Tone
from inpaint.trail import Trail


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    torch.set_num_threads(options.threads)
    width, height = map(int, options.size.split("x"))
    print("| clip | method | steps | J | recall | precision | frames | without object | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for folder in options.clips:
        clip, given, truth = read(Path(folder), (height, width))
        name = Path(folder).resolve().name
        _row(name, "held still", 0, clip.hole[given].expand_as(truth), truth, given, 0)
        started = time.monotonic()
        _row(name, "flow", 0, by_flow(clip, given), truth, given, time.monotonic() - started)
        for recipe in options.recipes:
            _learnt(options, name, recipe, clip, given, truth)
    return 0


def read(folder: Path, size: tuple[int, int]) -> tuple[Clip, int, Tensor]:
    """Return the clip with the first mask that shows the object, that frame, and all masks."""
    files = [sorted((folder / part).iterdir()) for part in ("frames", "masks")]
    clip = load(_pairs(*files), len(files[0]), size, Tone("uint8", 255))
    truth, hole = clip.hole, torch.zeros_like(clip.hole)
    given = int(truth.flatten(1).any(dim=1).int().argmax())
    hole[given] = truth[given]
    return Clip(clip.frames, hole, hole), given, truth


def by_flow(clip: Clip, given: int) -> Tensor:
    """Carry the given frame's mask along by the flow between neighbours, both ways."""
    found = clip.hole.clone()
    for chain in (range(given, len(clip)), range(given, -1, -1)):
        trail = Trail(clip.hole[given][None], 1)
        for t in chain[1:]:
            before, after = (clip.pictures(slice(at, at + 1)) for at in (t - chain.step, t))
            trail = trail.carried(before, after)
            found[t] = trail.mask[0]
    return found


def steps_for(frames: int, config: PropagateConfig) -> int:
    """Return the steps in which a recipe is shown as many pixels as that many frames have."""
    return max(1, round(frames / (config.batch * config.crop**2)))


def _pairs(frames: list[Path], masks: list[Path]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for frame, mask in zip(frames, masks, strict=True):
        picture, colour = (cv2.imread(str(file), cv2.IMREAD_COLOR) for file in (frame, mask))
        yield cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.any(colour, axis=2)


def _learnt(
    options: argparse.Namespace, name: str, recipe: str, clip: Clip, given: int, truth: Tensor
) -> None:
    started, config = time.monotonic(), RECIPES[recipe]
    config = dataclasses.replace(
        config,
        steps=steps_for(options.frames, config),
        seed=options.seed,
        precision=options.precision,
        learning_rate=options.learning_rate or config.learning_rate,
    )
    network = build(CAPACITIES[options.capacity], clip.frames.shape[1], options.seed)
    state = begin(network, config, torch.device(options.device))
    material = clip.to(state.device)
    for _ in fit(network, material, [given], config, state):
        pass
    masks = predict(network, material, [given], config, state.accelerator)
    found = torch.stack([mask.cpu() for _, mask in masks])
    seconds = time.monotonic() - started
    _row(name, recipe, config.steps, found, truth, given, seconds)


def _row(
    name: str, method: str, steps: int, found: Tensor, truth: Tensor, given: int, seconds: float
) -> None:
    """Print a method's figures: means over the frames that show the object and were not given."""
    others = torch.arange(len(truth)) != given
    score = region(found[others], truth[others])
    means = [average(values) for values in (score.jaccard, score.recall, score.precision)]
    figures = " | ".join("–" if m.value is None else f"{m.value:.3f}" for m in means)
    print(
        f"| {name} | {method} | {steps or '–'} | {figures} | {means[0].pictures} "
        f"| {means[0].skipped} | {seconds:.0f} |",
        flush=True,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.masks", description=__doc__)
    parser.add_argument("clips", nargs="+", help="folders with frames/ and masks/")
    parser.add_argument("--recipes", nargs="+", default=["paper", "fast"], choices=list(RECIPES))
    parser.add_argument("--capacity", default="small", choices=list(CAPACITIES))
    parser.add_argument("--size", default="288x160", help="working size WxH in pixels")
    parser.add_argument("--frames", type=int, default=2000, help="budget: whole frames' pixels")
    parser.add_argument("--learning-rate", type=float, help="instead of each recipe's own")
    parser.add_argument("--precision", default="auto", choices=["auto", "off", "bf16", "fp16"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    return parser


if __name__ == "__main__":
    sys.exit(main())
