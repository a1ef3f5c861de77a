"""VINet on clips that it has never seen, beside what else there is, with the seconds of each.

    python -m benchmarks.vinet CLIPS… [--learn CLIPS…] [--keep WEIGHTS.pt] [--donors CLIPS…]
        [--steps 6000] [--shares 0.1 0.6 0.3] [--window 96] [--fits 300 600]

A clip is a folder with `frames/` and, where something is not to be learnt from, `masks/`. CLIPS are
their own truth under the rectangle and under the masks of each donor but themselves (see
`benchmarks.fillings`). `--learn` names those learnt from first, in this process, by the stages of
`inpaint.vinet.lesson`; `--keep` keeps the weights, and begins with those of the file where it is
there, which may be `cluster.train`'s. `--fits` are steps of internal learning by the `fast` recipe,
four frames each. Needs torch, accelerate, numpy and opencv only.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from benchmarks.fillings import PEERS, Work, called, compared, known, read
from inpaint.clip import Clip, Whole
from inpaint.fill import fill as fill_by_fit
from inpaint.flow_propagation import finished
from inpaint.internal import examined as examined_clip
from inpaint.internal import fit
from inpaint.learning import begin, learn
from inpaint.network import CAPACITIES, build
from inpaint.precision import accelerator
from inpaint.prior import Carrying, along_flow, blended, weigh
from inpaint.recipes import RECIPES
from inpaint.vinet import network as vinet
from inpaint.vinet.fill import carried_by, fill
from inpaint.vinet.lesson import Ahead, Lesson, LessonConfig, Scene, drawn, examined
from inpaint.warmstart import pack, unpack
from inpaint.windows import Window

SIZE = 96, 160
CAPACITY = "small"
CPU = torch.device("cpu")

Ways = Iterator[tuple[str, Callable[[], np.ndarray]]]
"""What a way of filling is called, and what does it: gives frames `(T, H, W, 3)` uint8."""


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    network = _learnt(options)
    for clip, donor in product(options.clips, [None, *options.donors]):
        if donor != clip:
            _compare(options, network, clip, donor)
    return 0


def _compare(
    options: argparse.Namespace, network: vinet.VINet, clip: str, donor: str | None
) -> None:
    """Fill a clip in every way, and print the table."""
    frames, holes = read(Work(clip, donor, SIZE, ""))
    under = "the rectangle" if donor is None else f"the masks of {called(donor)}"
    print(f"\n{called(clip)} under {under}:\n")
    print("| filled by | hole PSNR, dB | hole SSIM | hole warping error, 10⁻⁴ | seconds |")
    print("|---|---|---|---|---|")
    for name, make in _ways(options, network, frames, holes):
        began = time.process_time()
        made = make()
        seconds = time.process_time() - began
        told = compared(np.where(holes[..., None], made, frames), frames, holes)
        figures = told["hole_psnr"], told["hole_ssim"], 1e4 * told["hole_warping"], seconds
        print(f"| {name} | " + " | ".join(_short(x) for x in figures) + " |", flush=True)


def _ways(
    options: argparse.Namespace, network: vinet.VINet, frames: np.ndarray, holes: np.ndarray
) -> Ways:
    for name, peer in PEERS.items():
        yield name, partial(peer, frames, holes)
    clip, judge = known(frames, holes, options.seed)
    exam = examined_clip(clip, judge)
    assert exam is not None
    chosen = accelerator("auto", CPU)

    def alone(recurrent: bool) -> np.ndarray:
        # It needs no validation hole.
        shown = dataclasses.replace(clip, unknown=clip.hole)
        return _stacked(fill(network, shown, chosen, recurrent=recurrent))

    def fitted(steps: int, carrying: Callable[[], Carrying] | None = None) -> np.ndarray:
        fast = dataclasses.replace(RECIPES["fast"], steps=steps, batch=4, seed=options.seed)
        own = build(CAPACITIES[CAPACITY], 3, options.seed)
        state = begin(own, fast, CPU)
        for _ in fit(own, clip, fast, state):
            pass
        carried = None if carrying is None else finished(carrying())
        prior = None if carried is None else weigh(own, exam, carried, state.accelerator)
        return _stacked(blended(fill_by_fit(own, clip, state.accelerator), clip, prior))

    yield "VINet, each frame by itself", partial(alone, recurrent=False)
    yield "VINet", partial(alone, recurrent=True)
    for steps in options.fits:
        told = f"internal, {steps} steps"
        yield told, partial(fitted, steps)
        yield f"{told}, prior: flow", partial(fitted, steps, lambda: along_flow(Whole(clip)))
        vinet = partial(carried_by, network, clip, chosen)
        yield f"{told}, prior: VINet", partial(fitted, steps, vinet)


def _stacked(filled: Iterator[tuple[int, Tensor]]) -> np.ndarray:
    pictures = torch.stack([picture for _, picture in filled])
    return pictures.mul(255).round().byte().permute(0, 2, 3, 1).numpy()


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _learnt(options: argparse.Namespace) -> vinet.VINet:
    """Begin with the weights that were kept, and go on from there."""
    network, kept = vinet.build(vinet.CAPACITIES[CAPACITY], 3, options.seed), options.keep
    begun = kept is not None and kept.exists()
    if begun:
        network.load_state_dict(unpack(kept.read_bytes())[0])
    elif not options.learn:
        raise SystemExit("nothing learnt: name clips by --learn, or weights by --keep")
    if options.learn:
        _learn(options, network)
        if kept is not None:
            names = {"clips": [called(folder) for folder in options.learn]}
            kept.write_bytes(pack(network.state_dict(), names))
    return network


def _learn(options: argparse.Namespace, network: vinet.VINet) -> None:
    config = LessonConfig(
        options.steps,
        batch=2,
        shares=options.shares,
        window_px=options.window,
        report_every=20,
        validate_every=100,
        seed=options.seed,
    )
    scenes, held = ([_scene(clip) for clip in some] for some in (options.learn, options.clips))
    samples = Ahead(lambda step: drawn(scenes, config, step, range(config.batch)), config.steps)
    lesson = Lesson(network, samples, config, examined(held, config))
    state = begin(network, config, CPU)
    reports = learn(
        config,
        state,
        lambda rate: state.descend(lesson.loss(state), rate),
        lambda: lesson.judge(state),
        config.validate_every,
    )
    for stand in reports:
        if stand.entry:
            score = stand.validation_psnr
            told = "" if score is None else f", on the others {score:.2f} dB"
            print(f"step {stand.step}: loss {stand.loss:.4f}{told}", file=sys.stderr)
    samples.close()


def _scene(folder: str) -> Scene:
    """A clip in memory, its own masks unknown."""
    masks = Path(folder, "masks").exists()
    frames, holes = read(Work(folder, folder if masks else None, SIZE, ""))
    hole = torch.from_numpy(holes if masks else np.zeros_like(holes))[:, None]
    clip = Clip(torch.from_numpy(frames).permute(0, 3, 1, 2), hole, hole)

    def cut(times: Sequence[int], window: Window) -> Clip:
        region = (list(times), slice(None), *window.slices)
        return Clip(clip.frames[region], hole[region], hole[region])

    return Scene(len(clip), SIZE, cut)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.vinet", description=__doc__)
    parser.add_argument("clips", nargs="+", help="those filled")
    parser.add_argument("--learn", nargs="*", default=[], help="clips learnt from first")
    parser.add_argument("--donors", nargs="*", default=[], help="clips whose masks are filled")
    parser.add_argument("--steps", type=int, default=6000, help="of learning from them")
    parser.add_argument("--shares", nargs=3, type=float, default=[0.1, 0.6, 0.3], help="of stages")
    parser.add_argument("--window", type=int, default=SIZE[0], help="pixels, learnt from")
    parser.add_argument("--fits", nargs="*", type=int, default=[300, 600], help="steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="the weights")
    return parser


if __name__ == "__main__":
    sys.exit(main())
