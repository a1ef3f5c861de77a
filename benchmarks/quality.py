"""The recipes side by side, at equal compute, beside per-frame Telea and flow propagation.

    python -m benchmarks.quality CLIPS… [--protocols rectangle objects] [--recipes paper fast]
        [--steps 1500] [--batch 4] [--seeds 0 1 2] [--jobs 2] [--out FILE.json]

Steps and batch are those of `paper`. The others see as many frames of the clip, in batches of their
own size, which costs the same FLOPs.

A clip is a folder with `frames/` and `masks/`, whose non-zero colour is the object. Each is filled
at the working size under the holes of the paper's protocols (see `benchmarks.fillings`); `objects`
takes the masks of the clip named after it, for the last those of the first. With `--out` the same
command goes on where it was stopped. Needs torch, accelerate, numpy and opencv only.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path

from benchmarks.fillings import PEERS, Figures, Work, called, measure
from inpaint.network import CAPACITIES
from inpaint.recipes import RECIPES

COMPARED = {**RECIPES, "fast-early": dataclasses.replace(RECIPES["fast"], patience=2)}
"""The recipes, and `fast` with its early end."""

PROTOCOLS = ["rectangle", "objects"]

POINTS = 12
"""Of a fit's curve."""


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    wanted = works(options)
    found = kept(options.out, wanted)
    left = [work for work in wanted if work not in found]
    for work, figures in _measured(left, options.jobs):
        found[work] = figures
        if options.out is not None:
            _keep(options.out, work, figures)
        told = f"hole {_shown(figures.hole_psnr)} dB, {figures.seconds:.1f} s"
        print(f"{len(found)}/{len(wanted)} {work}: {told}", file=sys.stderr)
    print("\n".join(report(options, found)))
    return 0


def works(options: argparse.Namespace) -> list[Work]:
    """Return all that is asked for; what is to be compared stands side by side.

    Raises:
        SystemExit: it cannot be done.
    """
    _check(options)
    clips: list[str] = options.clips
    return [
        work
        for protocol in options.protocols
        for clip, after in zip(clips, [*clips[1:], clips[0]], strict=True)
        for work in _methods(options, clip, after if protocol == "objects" else None)
    ]


BEGINNING = '{"work": '  # of every line


def kept(file: Path | None, wanted: Sequence[Work]) -> dict[Work, Figures]:
    """Return what a file already holds of what is wanted; take off a line that was cut short.

    Raises:
        SystemExit: it holds something else.
    """
    if file is None or not file.exists():
        return {}
    by_key, found = {work.key: work for work in wanted}, dict[Work, Figures]()
    text = file.read_text(encoding="utf-8")
    whole, _, torn = text.rpartition("\n")
    cut = torn and (torn.startswith(BEGINNING) or BEGINNING.startswith(torn))
    for number, line in enumerate((whole if cut else text).splitlines(), 1):
        try:
            record = json.loads(line)
            key, figures = json.dumps(record["work"], sort_keys=True), Figures(**record["figures"])
        except (ValueError, KeyError, TypeError):
            raise SystemExit(f"{file}: line {number} is no result; remove it") from None
        if key in by_key:
            found[by_key[key]] = figures
    if cut:
        file.write_text(whole and f"{whole}\n", encoding="utf-8")
    return found


def report(options: argparse.Namespace, found: Mapping[Work, Figures]) -> list[str]:
    """Return the tables as lines of Markdown."""
    height, width = options.size
    seeds = ", ".join(map(str, options.seeds))
    lines = [
        f"{width}×{height}, `{options.capacity}`, at most {options.steps * options.batch:,} frames "
        f"seen, {options.device}; seeds {seeds}, ± half their range."
    ]
    clips, cells = [called(clip) for clip in options.clips], _cells(found)
    for protocol in options.protocols:
        lines += ["", f"`{protocol}`: hole PSNR in dB; the other figures are means over clips.", ""]
        lines += _table(cells, protocol, [*PEERS, *options.recipes], clips)
    if differences := _differences(cells, options.protocols, clips):
        lines += ["", "Hole PSNR, differences in dB.", "", *differences]
    return lines


def _check(options: argparse.Namespace) -> None:
    clips = options.clips
    objects = "objects" in options.protocols
    for folder in [Path(c, part) for c in clips for part in ("frames", *["masks"] * objects)]:
        if not folder.is_dir():
            raise SystemExit(f"{folder}: no such folder")
    if len({called(clip) for clip in clips}) < len(clips):
        raise SystemExit("the clips' folders must have different names")
    if objects and len(clips) == 1:
        raise SystemExit("objects takes another clip's masks: name two, or --protocols rectangle")
    if options.device != "cpu" and options.jobs > 1:
        raise SystemExit(f"--jobs {options.jobs} is for cpu; on {options.device} one at a time")


def _methods(options: argparse.Namespace, clip: str, donor: str | None) -> Iterator[Work]:
    """Yield the works of a clip under one protocol."""
    for peer in PEERS:
        yield Work(clip, donor, options.size, peer)
    for seed in options.seeds:
        for recipe in options.recipes:
            batch = options.batch if recipe == "paper" else COMPARED[recipe].batch
            steps = max(1, options.steps * options.batch // batch)
            config = dataclasses.replace(
                COMPARED[recipe],
                steps=steps,
                batch=batch,
                seed=seed,
                report_every=max(1, steps // POINTS),
            )
            yield Work(clip, donor, options.size, recipe, config, options.capacity, options.device)


def _measured(left: Sequence[Work], jobs: int) -> Iterator[tuple[Work, Figures]]:
    """Yield each work's figures as they come."""
    if jobs == 1:
        yield from ((work, measure(work)) for work in left)
        return
    pool = ProcessPoolExecutor(jobs, get_context("spawn"))
    try:
        running = {pool.submit(measure, work): work for work in left}
        yield from ((running[one], one.result()) for one in as_completed(running))
    finally:
        pool.shutdown(cancel_futures=True)


def _keep(file: Path, work: Work, figures: Figures) -> None:
    record = {"work": json.loads(work.key), "figures": asdict(figures)}
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(record, allow_nan=False) + "\n")


@dataclass(frozen=True)
class Column:
    """A figure of the tables: which, its heading with the unit, and how it is shown."""

    key: str
    heading: str
    digits: int = 2
    factor: float = 1


HOLE = Column("hole_psnr", "mean")
COLUMNS = (
    HOLE,
    Column("whole_psnr", "whole, dB"),
    Column("whole_ssim", "SSIM", 3),
    Column("hole_ssim", "hole SSIM", 3),
    Column("hole_warping", "hole warping, ×10⁻⁴", 1, 1e4),
    Column("sharpness", "sharpness"),
    Column("validation_psnr", "validation hole, dB"),
    Column("seen", "frames seen", 0),
    Column("seen_to_95", "to 95 %", 0),
    Column("seen_to_99", "to 99 %", 0),
    Column("seconds", "s a clip", 1),
)

Cells = Mapping[tuple[str, str, str], Sequence[Figures]]
"""By protocol, method and clip: each seed's figures."""


def _cells(found: Mapping[Work, Figures]) -> Cells:
    cells: dict[tuple[str, str, str], list[Figures]] = {}
    for work, figures in found.items():
        cells.setdefault((work.protocol, work.method, called(work.clip)), []).append(figures)
    return cells


def _table(
    cells: Cells, protocol: str, methods: Sequence[str], clips: Sequence[str]
) -> Iterator[str]:
    """Yield the table of a protocol, a row a method."""
    yield from _heading(["", *clips, *(column.heading for column in COLUMNS)])
    for method in methods:
        of_clips = [cells[protocol, method, clip] for clip in clips]
        holes = [_ranged(_values(seeds, HOLE)) for seeds in of_clips]
        yield _row([method, *holes, *(_overall(of_clips, column) for column in COLUMNS)])


def _differences(cells: Cells, protocols: Sequence[str], clips: Sequence[str]) -> list[str]:
    """Return the table of how far `fast` is ahead; empty where there is nothing to compare."""
    rows = []
    for protocol, other in product(protocols, ("paper", "flow propagation")):
        pairs = [
            [_mean(_values(cells.get((protocol, m, clip), ()), HOLE)) for m in ("fast", other)]
            for clip in clips
        ]
        ahead = [a - b for a, b in pairs if a is not None and b is not None]
        if ahead:
            told = (f"{value:+.2f}" for value in (*ahead, sum(ahead) / len(ahead), min(ahead)))
            rows.append(_row([f"`{protocol}`: fast − {other}", *told]))
    return [*_heading(["", *clips, "mean", "least"]), *rows] if rows else []


def _overall(of_clips: Sequence[Sequence[Figures]], column: Column) -> str:
    """Average over the clips: every clip counts alike."""
    means = (_mean(_values(seeds, column)) for seeds in of_clips)
    return _shown(_mean([mean for mean in means if mean is not None]), column.digits)


def _values(seeds: Sequence[Figures], column: Column) -> list[float]:
    values = (getattr(figures, column.key) for figures in seeds)
    return [value * column.factor for value in values if value is not None]


def _ranged(values: Sequence[float]) -> str:
    half = f" ± {(max(values) - min(values)) / 2:.2f}" if len(values) > 1 else ""
    return _shown(_mean(values)) + half


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _shown(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _heading(cells: Sequence[str]) -> list[str]:
    return [_row(cells), "|---" + "|---:" * (len(cells) - 1) + "|"]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("| -", "| −")


def _size(text: str) -> tuple[int, int]:
    width, height = map(int, text.split("x"))
    return height, width


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.quality", description=__doc__)
    parser.add_argument("clips", nargs="+", help="folders with frames/ and masks/")
    parser.add_argument("--protocols", nargs="+", default=PROTOCOLS, choices=PROTOCOLS)
    parser.add_argument("--recipes", nargs="+", default=["paper", "fast"], choices=list(COMPARED))
    parser.add_argument("--steps", type=int, default=1500, help="of paper")
    parser.add_argument("--batch", type=int, default=4, help="of paper, frames a step")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--size", type=_size, default="160x96", help="working size WxH in pixels")
    parser.add_argument("--capacity", default="small", choices=list(CAPACITIES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    parser.add_argument("--out", type=Path, help="what was measured, a line of JSON each")
    return parser


if __name__ == "__main__":
    sys.exit(main())
