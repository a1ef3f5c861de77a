"""`cleanplate COMMAND …`: one name for every main.

Commands:
    inpaint CLIP --mask MASK -o TARGET   the whole trip for one clip
    launch [CONFIG] [key=value …]        the main job; alone, the demonstration
    evaluate CONFIG data=… [key=value …] figures against the truth, on sequences as DAVIS has them
    retarget ARCHIVE SHOT … -o TARGET    another size; objects keep their aspect
    sweep CONFIG archive=… [key=value …] which settings suit an archive's shots, by Ray Tune
    train [CONFIG] archive=… [key=value] one network from all shots, to start their fits (`init=…`)
    status ARCHIVE [--watch]             what is done
    report ARCHIVE [-o PAGE]             the page to look at
    ingest, export, ls, verify, rm …     the archive, as `python -m storage`
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

STORAGE = ("ingest", "export", "ls", "verify", "rm")


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    command, rest = (words[0], words[1:]) if words else ("--help", [])
    if command in STORAGE:
        from storage.__main__ import main as storage_main

        return storage_main(words)
    if command == "inpaint":
        return _inpaint(rest)
    if command == "launch":
        from cluster.launch import main as launch_main

        return launch_main(rest)
    if command == "evaluate":
        from cluster.evaluate import main as evaluate_main

        return evaluate_main(rest)
    if command == "retarget":
        from cluster.retarget import main as retarget_main

        return retarget_main(rest)
    if command == "sweep":
        from cluster.sweep import main as sweep_main

        return sweep_main(rest)
    if command == "train":
        from cluster.train import main as train_main

        return train_main(rest)
    if command in ("status", "report"):
        from cluster import report, status

        return {"status": status.main, "report": report.main}[command](rest)
    print(__doc__)
    if command not in ("-h", "--help"):
        print(f"error: {command!r} is not a command", file=sys.stderr)
    return 0 if command in ("-h", "--help") else 2


def _inpaint(words: Sequence[str]) -> int:
    """Launch for one clip: the archive lies beside the target and is named after it."""
    from cluster.launch import main as launch_main

    parser = argparse.ArgumentParser(
        "cleanplate inpaint", description="Remove what the mask covers from one clip."
    )
    parser.add_argument("clip", help="movie, folder of numbered images, or plate.####.exr")
    parser.add_argument("--mask", required=True, help="the same, one image, or `alpha`")
    parser.add_argument("-o", "--output", required=True, help="movie, folder or plate.%%04d.png")
    parser.add_argument("settings", nargs="*", help="key=value of configs/internal.yaml")
    known = parser.parse_intermixed_args(words)
    stem = os.path.splitext(known.output.rstrip("/"))[0].replace("%", "")
    places = [f"source={known.clip}", f"mask={known.mask}", f"export={known.output}"]
    return launch_main([*places, f"archive={stem}.cleanplate/archive", *known.settings])


if __name__ == "__main__":
    sys.exit(main())
