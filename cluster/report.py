"""The page to look at: `python -m cluster.report ARCHIVE [-o report.html]`.

One file that opens from disk without a network: shots worst first, each with a before/after slider,
an x–t slice, its figures and curves. `cluster/report.html` is the page, `summary` what is known of
a shot, `previews` its pictures, `charts` its curves.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import math
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cluster.charts import Chart, loss_chart, validation_chart
from cluster.previews import Previews, previews
from cluster.status import decibels, duration, percent
from cluster.summary import RUNNING, Summary, summarise, worst_first
from storage import Archive, InputError, Version
from storage.urls import Files, is_local, join, resolve

INLINE_BYTES = 20_000_000
"""Pictures that take more than this in the page are put into a folder beside it."""

UNREADABLE = "Its pictures cannot be read; `python -m storage verify` names the damage."


@dataclass(frozen=True)
class Card:
    """One shot on the page.

    Attributes:
        note: why there are no pictures, where that is not plain.
        config: the version's, as YAML.
    """

    summary: Summary
    previews: Previews
    loss: Chart | None
    validation: Chart | None
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
    cards = [
        _card(archive, summary) for summary in worst_first(summarise(archive, shots, versions))
    ]
    pictures = list(_pictures(cards))
    url: Callable[[bytes], str] = _inside
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
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(decibels=decibels, duration=duration, percent=percent, url=url)
    return environment.get_template("report.html").render(
        name="/".join(archive.url.split("/")[-2:]),
        place=archive.url,
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        cards=cards,
        totals=_totals([card.summary for card in cards]),
        scale=_scale([card.summary for card in cards]),
        running=RUNNING,
        lazy=lazy,
    )


def _card(archive: Archive, summary: Summary) -> Card:
    shown, note, curve = Previews([]), "", list[dict[str, Any]]()
    peer = summary.quality.validation_peer_psnr
    if summary.shot in archive and summary.frames:
        shot = archive.shot(summary.shot)
        version = None if summary.version is None else shot.version(summary.version)
        curve = _curve(version)
        try:
            if shot.complete:
                shown = previews(shot, version)
        except (ValueError, RuntimeError, OSError):
            note = UNREADABLE
    steps = [report["step"] for report in curve]
    return Card(
        summary=summary,
        previews=shown,
        loss=loss_chart(steps, [report.get("loss") for report in curve]),
        validation=validation_chart(steps, [r.get("validation_psnr") for r in curve], peer),
        note=note,
        config=yaml.safe_dump(dict(summary.config), sort_keys=False, allow_unicode=True),
    )


def _curve(version: Version | None) -> list[dict[str, Any]]:
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


def _scale(summaries: list[Summary]) -> Scale | None:
    """Return an axis of whole dB that holds every result and its peer, None without any."""
    qualities = [summary.quality for summary in summaries]
    values = [v for q in qualities for v in (q.validation_psnr, q.validation_peer_psnr)]
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return Scale(math.floor(min(finite) - 1), math.ceil(max(finite) + 1)) if finite else None


def _pictures(cards: Iterable[Card]) -> Iterable[bytes]:
    for card in cards:
        shown = card.previews
        for preview in [*shown.frames, *([shown.slice] if shown.slice else [])]:
            yield preview.before
            if preview.after is not None:
                yield preview.after


def _inside(picture: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(picture).decode()


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
