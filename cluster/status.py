"""What is done: `python -m cluster.status ARCHIVE [--watch]` prints a line for each shot.

Exit status: 0, or 2 where the archive cannot be read. `cluster/watch.py` is what `--watch` does.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from cluster.seen import Seen, look, table, told
from cluster.watch import watch
from storage import Archive, InputError

LOG_COLUMNS = 10_000
"""Where no terminal tells its width, nothing is cut."""


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    try:
        archive = Archive.open(options.archive)
        if options.watch:
            return watch(archive, Console(highlight=False), options.every)
        seen = look(archive)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps([_plain(summary) for summary in seen.shots], indent=2, ensure_ascii=False))
    else:
        _print_table(seen)
    return 0


def _print_table(seen: Seen) -> None:
    """A table of all shots, then a line for each that has something to say."""
    terminal = Console(highlight=False)
    console = terminal if terminal.is_terminal else Console(highlight=False, width=LOG_COLUMNS)
    if seen.shots:
        console.print(table(seen.shots))
    for summary in seen.shots:
        if summary.message:
            console.print(Text(f"{summary.shot}: {summary.message}"))
    for line in told(seen):
        console.print(Text(line))


def _plain(value: Any) -> Any:
    """Return JSON values; what JSON cannot hold, an infinite PSNR, becomes text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and math.isinf(value):
        return "inf"
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cluster.status", description="What of an archive is done."
    )
    parser.add_argument("archive", help="folder or URL")
    parser.add_argument("--json", action="store_true", help="every value, for programs")
    parser.add_argument(
        "--watch", action="store_true", help="look again and again, to the run's end"
    )
    parser.add_argument("--every", type=float, default=None, help="between two looks, in seconds")
    return parser


if __name__ == "__main__":
    sys.exit(main())
