"""The page to look at: `python -m cluster.report ARCHIVE [-o report.html]`.

One file that opens from disk without a network: shots worst first, each with a before/after slider,
an x–t slice, its figures and curves, and the masks that were made from a few. `cluster/report.html`
is the page, `lineage` which versions belong together, `summary` what is known of a shot, `previews`
its pictures, `charts` its curves.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
import shlex
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from cluster.charts import Chart, area_chart, loss_chart, validation_chart
from cluster.inventory import summarise
from cluster.lineage import Lineage, lineage
from cluster.pages import inside, template
from cluster.previews import Previews, previews
from cluster.seen import decibels, duration, percent
from cluster.summary import RUNNING, Summary, worst_first
from storage import Archive, InputError, Version
from storage.mask_versions import MaskVersion
from storage.urls import Files, is_local, join, resolve

INLINE_BYTES = 20_000_000
"""Pictures that take more than this in the page are put into a folder beside it."""

GROUPS = ("failed", "done", "running", "waiting", "copied")
"""What the page's buttons tell apart."""

RUNS = 8
"""Most runs of frame numbers that are listed."""

UNREADABLE = "Its pictures cannot be read; `python -m storage verify` names the damage."


@dataclass(frozen=True)
class Card:
    """One shot on the page.

    Attributes:
        areas: of the masks that were made from a few.
        export_masks: the command that delivers them.
        note: why there are no pictures or only coarse ones, where that is not plain.
        config: the version's, as YAML.
    """

    summary: Summary
    previews: Previews
    loss: Chart | None
    validation: Chart | None
    areas: Chart | None
    export_masks: str
    note: str
    config: str


@dataclass(frozen=True)
class Totals:
    """The strip at the top of the page."""

    shots: int
    done: int
    running: int
    failed: int
    median_db: float | None
    compute_s: float


@dataclass(frozen=True)
class Scale:
    """The common dB axis of the list of shots."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Return where a value lies, in percent of the axis."""
        return round(100 * (min(value, self.high) - self.low) / (self.high - self.low), 2)


def write_report(
    archive: Archive,
    target: str,
    *,
    shots: Sequence[str] | None = None,
    versions: Mapping[str, str] | None = None,
) -> None:
    """Write the page in one step; one that is there is replaced.

    Args:
        target: path or URL of the HTML file. Where the pictures are too many for one file, they
            lie beside it, in `<name>_files`.
        shots, versions: what to show, see `summarise`.

    Raises:
        InputError: the target cannot be written.
    """
    place = resolve(target)
    if is_local(place) and Path(place).is_dir():
        raise InputError(f"{place}: is a folder; name an HTML file")
    folder, _, name = place.rpartition("/")
    wanted = versions or {}
    ordered = worst_first(summarise(archive, shots, wanted))
    with ThreadPoolExecutor() as cores:  # most of the time is spent in the codecs
        cards = list(cores.map(lambda s: _card(archive, s, wanted.get(s.shot)), ordered))
    pictures = list(_pictures(cards))
    url: Callable[[bytes], str] = inside
    beside = ""
    if sum(map(len, pictures)) * 4 / 3 > INLINE_BYTES:
        beside = f"{name.rsplit('.', 1)[0]}_files"
        url = _stored(Files(join(folder, beside)), beside, pictures)
    page = _page(archive, cards, url, lazy=bool(beside))
    Files(folder).write(name, page.encode())
    if beside:
        _tidy(Files(join(folder, beside)), pictures)


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    try:
        write_report(Archive.open(options.archive), options.output)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{options.output}: written")
    return 0


def _page(archive: Archive, cards: list[Card], url: Callable[[bytes], str], *, lazy: bool) -> str:
    """Render the page; `url` says where a picture is found, `lazy` to load it when it is seen."""
    layout = template(
        "report.html",
        url=url,
        decibels=decibels,
        duration=duration,
        percent=percent,
        runs=_runs,
        group=_group,
        number=_number,
    )
    return layout.render(
        name="/".join(archive.url.split("/")[-2:]),
        place=archive.url,
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        cards=cards,
        totals=_totals([card.summary for card in cards]),
        scale=_scale([card.summary for card in cards]),
        groups=_groups([card.summary for card in cards]),
        running=RUNNING,
        lazy=lazy,
    )


def _card(archive: Archive, summary: Summary, wanted: str | None) -> Card:
    shown, note, curve = Previews([]), "", list[dict[str, Any]]()
    peer = summary.quality.validation_peer_psnr
    if summary.shot in archive and summary.frames:
        found = lineage(archive.shot(summary.shot), wanted)
        curve, note = _curve(found.last or found.masks), _coarse(found)
        try:
            if found.shot.complete:
                shown = previews(found)
        except (ValueError, RuntimeError, OSError):
            note = UNREADABLE
    steps, review = [report["step"] for report in curve], shown.review
    return Card(
        summary=summary,
        previews=shown,
        loss=loss_chart(steps, [report.get("loss") for report in curve]),
        validation=validation_chart(steps, [r.get("validation_psnr") for r in curve], peer),
        areas=None if review is None else area_chart(review.shares, review.given),
        export_masks="" if review is None else _export_masks(archive, summary.shot, review.name),
        note=note,
        config=yaml.safe_dump(dict(summary.config), sort_keys=False, allow_unicode=True),
    )


def _coarse(found: Lineage) -> str:
    """Say that a coarser scale stands in for a result that is still to come."""
    if found.shown is None or found.shown.name == found.result or not found.shown.done.any():
        return ""
    scale = str(found.shown.attrs.get("config", {}).get("scale", "a coarser scale"))
    return f"Filled at {scale.replace('x', '×')} so far; finer scales are to come."


def _export_masks(archive: Archive, shot: str, masks: str) -> str:
    words = ["export", archive.url, shot, f"{shot}-masks/", "--masks", masks]
    return shlex.join(["python", "-m", "storage", *words])


def _runs(numbers: Sequence[int]) -> str:
    """Say which numbers in short: `3, 7–12`; of very many the first."""
    breaks = [0, *(i for i in range(1, len(numbers)) if numbers[i] != numbers[i - 1] + 1)]
    pairs = zip(breaks, [*breaks[1:], len(numbers)], strict=True)
    spans = [(numbers[begin], numbers[end - 1]) for begin, end in pairs if numbers]
    shown = [f"{first}" if first == last else f"{first}–{last}" for first, last in spans]
    return ", ".join(shown[:RUNS]) + (", …" if len(shown) > RUNS else "")


def _curve(version: Version | MaskVersion | None) -> list[dict[str, Any]]:
    """Return the reports of the fitting, oldest first; none where there are none."""
    data = None if version is None else version.files.read("curve.json")
    try:
        stored = json.loads(data or b"[]")
    except ValueError:
        return []
    return [report for report in stored if isinstance(report, dict) and report.get("step", 0) > 0]


def _totals(summaries: list[Summary]) -> Totals:
    known = [s.quality.validation_psnr for s in summaries if s.quality.validation_psnr is not None]
    states = [summary.state for summary in summaries]
    return Totals(
        shots=len(states),
        done=sum(state in ("done", "copied") for state in states),
        running=sum(state in RUNNING for state in states),
        failed=states.count("failed"),
        median_db=statistics.median(known) if known else None,
        compute_s=sum(summary.total_s or 0 for summary in summaries),
    )


def _group(state: str) -> str:
    """Return the button that shows shots of this state."""
    if state in RUNNING:
        return "running"
    return state if state in GROUPS else "waiting"


def _groups(summaries: Sequence[Summary]) -> list[tuple[str, int]]:
    """Count the shots of each group that has some."""
    counts = Counter(_group(summary.state) for summary in summaries)
    return [(group, counts[group]) for group in GROUPS if counts[group]]


def _number(value: float | None) -> str:
    """Return a number for the page's script, empty where it is not known."""
    if value is None:
        return ""
    return f"{value:.4g}" if math.isfinite(value) else "Infinity"


def _scale(summaries: list[Summary]) -> Scale | None:
    """Return an axis of whole dB that holds every result and its peer, None without any."""
    qualities = [summary.quality for summary in summaries]
    values = [v for q in qualities for v in (q.validation_psnr, q.validation_peer_psnr)]
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return Scale(math.floor(min(finite) - 1), math.ceil(max(finite) + 1)) if finite else None


def _pictures(cards: Iterable[Card]) -> Iterable[bytes]:
    return (picture for card in cards for picture in card.previews.pictures)


def _stored(files: Files, folder: str, pictures: Iterable[bytes]) -> Callable[[bytes], str]:
    """Put the pictures into the folder, named by content, so that an older page stays whole."""
    for picture in pictures:
        files.write(_file_name(picture), picture)
    return lambda picture: quote(f"{folder}/{_file_name(picture)}")


def _tidy(files: Files, pictures: Iterable[bytes]) -> None:
    """Remove the pictures of earlier pages."""
    used = {_file_name(picture) for picture in pictures}
    for name in files.names():
        if re.fullmatch(r"[0-9a-f]{20}\.webp", name) and name not in used:
            files.remove(name)


def _file_name(picture: bytes) -> str:
    return hashlib.sha256(picture).hexdigest()[:20] + ".webp"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cluster.report", description="A page that shows what an archive holds."
    )
    parser.add_argument("archive", help="folder or URL")
    parser.add_argument("-o", "--output", default="report.html", help="HTML file to write")
    return parser


if __name__ == "__main__":
    sys.exit(main())
