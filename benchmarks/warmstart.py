"""What a warm start is worth: one clip fitted with it and without, after learning from others.

    python -m benchmarks.warmstart HELD_OUT CLIPS… [--steps 3000] [--fits 150 500 1500]
        [--keep WEIGHTS.pt] [--out FILE.json]

A clip is a folder with `frames/`, its own truth under the rectangle (see `benchmarks.fillings`).
The network learns from the known pixels of CLIPS, then HELD_OUT is fitted by the `fast` recipe,
four frames a step, at each number of steps. `--keep` keeps the weights, and begins with them where
they are there. Needs torch, accelerate, numpy and opencv only.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import torch

from benchmarks.fillings import Figures, Work, called, known, measure, read
from inpaint.clip import Clip
from inpaint.learning import begin, learn
from inpaint.network import CAPACITIES, build
from inpaint.recipes import RECIPES
from inpaint.warmstart import Warmstart, WarmstartConfig, canvas, pack, pool, unpack

SIZE = 96, 160
CAPACITY = "small"
POINTS_EVERY = 25
"""Steps between points of a fit's curve."""


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    weights, description = unpack(_kept(options))
    figures = {}
    for steps in options.fits:
        for name, start in (("cold", None), ("warm", weights)):
            figures[name, steps] = measure(_work(options, steps), start)
            told = figures[name, steps]
            print(f"{name} {steps}: hole {told.hole_psnr:.2f} dB, network {told.curve[-1][1]:.2f}")
    if options.out is not None:
        records = [
            {"start": name, "steps": steps, "of": description, "figures": asdict(told)}
            for (name, steps), told in figures.items()
        ]
        options.out.write_text(json.dumps(records))
    print("\n".join(report(options, figures)))
    return 0


def report(options: argparse.Namespace, figures: dict[tuple[str, int], Figures]) -> Sequence[str]:
    """Return the table as lines of Markdown.

    Each fit is a plan of its own, its rate falling in its last half. What is reached is held
    against the longest cold fit's own end.
    """
    goal = figures["cold", max(options.fits)].curve[-1][1]
    lines = [
        f"{called(options.held_out)}, seed {options.seed}: hole PSNR in dB of the network alone, "
        "and blended with the prior.",
        "",
        "| steps | cold | warm | cold, blended | warm, blended |",
        "|---|---|---|---|---|",
    ]
    for steps in options.fits:
        cold, warm = figures["cold", steps], figures["warm", steps]
        lines.append(
            f"| {steps} | {cold.curve[-1][1]:.2f} | {warm.curve[-1][1]:.2f} "
            f"| {cold.hole_psnr:.2f} | {warm.hole_psnr:.2f} |"
        )
    lines += ["", f"Frames seen to 90, 95 and 99 % of {goal:.2f} dB, in the longest fit:", ""]
    for name in ("cold", "warm"):
        curve = figures[name, max(options.fits)].curve
        reached = [_reached(share * goal, curve) for share in (0.9, 0.95, 0.99)]
        lines.append(f"- {name}: {', '.join(map(str, reached))}")
    return lines


def _reached(level: float, curve: Sequence[tuple[int, float]]) -> int | None:
    return next((seen for seen, value in curve if value >= level), None)


def _kept(options: argparse.Namespace) -> bytes:
    if options.keep is not None and options.keep.exists():
        return bytes(options.keep.read_bytes())
    content = _learnt(options)
    if options.keep is not None:
        options.keep.write_bytes(content)
    return content


def _learnt(options: argparse.Namespace) -> bytes:
    """Learn from the clips, on one thread."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    config = WarmstartConfig(steps=options.steps, batch=4, seed=options.seed, report_every=100)
    clips = [_clip(folder, config.seed) for folder in options.clips]

    def frame(shot: int, t: int) -> Clip:
        return clips[shot][t : t + 1]

    network, slots = build(CAPACITIES[CAPACITY], 3, config.seed), range(config.batch)
    footage = pool([len(clip) for clip in clips], frame, config, slots)
    state, started = begin(network, config, torch.device("cpu")), time.monotonic()
    lesson = Warmstart(network, footage, config, slots)
    for stand in learn(config, state, lambda rate: state.descend(lesson.loss(state), rate)):
        if stand.entry:
            print(f"step {stand.step}: loss {stand.loss:.4f}, {stand.steps_per_s:.1f} steps/s")
    footage.close()
    seconds = round(time.monotonic() - started)
    names = [called(folder) for folder in options.clips]
    return pack(network.state_dict(), {"clips": names, "steps": options.steps, "seconds": seconds})


def _clip(folder: str, seed: int) -> Clip:
    work = Work(folder, None, SIZE, "fast")
    return canvas(known(*read(work), seed)[0], SIZE)


def _work(options: argparse.Namespace, steps: int) -> Work:
    fast = dataclasses.replace(
        RECIPES["fast"], steps=steps, batch=4, seed=options.seed, report_every=POINTS_EVERY
    )
    return Work(options.held_out, None, SIZE, "fast", fast, CAPACITY, "cpu")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.warmstart", description=__doc__)
    parser.add_argument("held_out", help="the clip that is fitted")
    parser.add_argument("clips", nargs="+", help="those learnt from first")
    parser.add_argument("--steps", type=int, default=3000, help="of learning from them")
    parser.add_argument("--fits", nargs="+", type=int, default=[150, 500, 1500], help="steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="the weights")
    parser.add_argument("--out", type=Path, help="what was measured, as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
