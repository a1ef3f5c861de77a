"""The archive from the shell: `python -m storage ingest|export|ls|verify|rm`.

Exit status: 0 done, 1 damage found, 2 the input or the command line cannot be used.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from storage.archive import Archive
from storage.export import export
from storage.ingest import ingest
from storage.masks import open_mask
from storage.media import open_source
from storage.rates import rate_argument
from storage.shots import Shot
from storage.sources import InputError
from storage.verify import verify


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        status = options.run(options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe, `head` for one, has seen enough
        sys.stderr.close()
        return 0
    return int(status)


def _ingest(options: argparse.Namespace) -> int:
    source = open_source(options.source, fps=options.fps, stream=options.stream)
    mask = None
    if options.mask is not None:
        mask = open_mask(
            options.mask,
            source,
            threshold=options.threshold,
            invert=options.invert,
            grow_px=options.grow,
            few=options.few,
        )
    truth = None if options.truth is None else open_source(options.truth)
    first, last = options.range
    archive = Archive.open(options.archive, "a")
    steps = ingest(archive, options.shot, source, mask, first=first, last=last, truth=truth)
    _follow(steps, f"{options.shot}: stored")
    return 0


def _export(options: argparse.Namespace) -> int:
    shot = Archive.open(options.archive, "a").shot(options.shot)
    version = options.version
    if version is None and options.masks is None and not options.original:
        version = _newest(shot, options.what)
    steps = export(
        shot,
        version,
        options.target,
        what=options.what or ("result" if options.masks is None else "mask"),
        masks=options.masks,
        codec=options.codec,
        crf=options.crf,
        fps=options.fps,
        source=options.source,
        overwrite=options.overwrite,
    )
    _follow(steps, f"{options.target}: {'' if version is None else f'{version} '}written")
    return 0


def _ls(options: argparse.Namespace) -> int:
    archive = Archive.open(options.archive)
    for name in archive.shots() if options.shot is None else [options.shot]:
        shot = archive.shot(name)
        print(_line(shot))
        for masks in map(shot.mask_version, shot.masks()):
            print(f"  masks {masks.name}: {int(masks.done.sum())} of {len(shot)} frames")
        for version in map(shot.version, shot.versions()):
            state = version.attrs.get("status", "")
            print(f"  {version.name}: {int(version.done.sum())} of {len(shot)} frames {state}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    count = 0
    for damage in verify(Archive.open(options.archive), options.shot):
        print(damage, flush=True)
        count += 1
    print("no damage found" if count == 0 else f"{count} damaged", flush=True)
    return 1 if count else 0


def _rm(options: argparse.Namespace) -> int:
    archive = Archive.open(options.archive, "a")
    if options.version is not None:
        archive.shot(options.shot).remove_version(options.version)
    elif options.masks is not None:
        archive.shot(options.shot).remove_mask_version(options.masks)
    else:
        archive.remove_shot(options.shot)
    return 0


def _newest(shot: Shot, what: str | None) -> str | None:
    """The newest result's name; for the mask, none where there is none yet."""
    try:
        return shot.newest().name
    except InputError as error:
        if what == "mask":
            return None
        raise InputError(f"{error}; --original exports the frames as they came") from None


def _line(shot: Shot) -> str:
    info = shot.info
    rate = "" if info.fps is None else f", {float(info.fps):g} fps"
    state = "" if shot.complete else ", not complete: run its ingest to the end"
    size = f"{info.width}×{info.height}×{info.channels} {info.dtype}"
    return f"{shot.name}: {len(shot)} frames {size}{rate}{_given(shot)}{state}"


def _given(shot: Shot) -> str:
    if not shot.given or not shot.complete:
        return ""
    if len(shot.given) == 1:
        return f", mask for frame {shot.numbers[shot.given[0]]} only"
    return f", masks for {len(shot.given)} frames only"


def _follow(steps: Iterator[int], text: str) -> None:
    """Run through the steps; count on a terminal, one line at the end elsewhere."""
    count = 0
    for count in steps:
        if sys.stderr.isatty():
            print(f"\r{text} {count}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(f"{text} {count} frames")


def _range(text: str) -> tuple[int | None, int | None]:
    first, dash, last = text.partition("-")
    try:
        begin = int(first) if first else None
        return begin, (int(last) if last else None) if dash else begin
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no range; write 10-42, 10- or -42") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m storage", description="Shots at rest.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    add = commands.add_parser("ingest", help="store a movie or sequence and its mask as a shot")
    _archive_and_shot(add)
    add.add_argument("source", help="movie, folder, pattern or image")
    add.add_argument("--mask", help="folder, pattern, movie, one image, or `alpha`")
    add.add_argument("--threshold", type=float, help="hole above this part of full scale, 0 to 1")
    add.add_argument("--invert", action="store_true", help="hole where the mask is dark")
    add.add_argument("--grow", type=int, default=0, metavar="PX", help="widen the hole")
    add.add_argument("--few", action="store_true", help="masks of some frames, by frame number")
    add.add_argument("--range", type=_range, default=(None, None), metavar="FIRST-LAST")
    add.add_argument("--fps", type=rate_argument, help="of a sequence, e.g. 24000/1001")
    add.add_argument("--stream", type=int, help="index of the video stream in a movie")
    add.add_argument("--truth", help="the true frames, where they are known")
    add.set_defaults(run=_ingest)

    out = commands.add_parser("export", help="write a result as a movie or sequence")
    _archive_and_shot(out)
    out.add_argument("target", help="movie file, folder, or pattern like plate.%%04d.png")
    which = out.add_mutually_exclusive_group()
    which.add_argument("--version", help="by default the newest")
    which.add_argument("--original", action="store_true", help="the frames as they came")
    which.add_argument("--masks", metavar="NAME", help="the mask of this mask version")
    out.add_argument(
        "--what",
        choices=("result", "fill", "confidence", "mask"),
        help="by default the result; the mask is white in the hole, black outside",
    )
    out.add_argument("--codec", help="of a movie, e.g. ffv1, h264")
    out.add_argument("--crf", type=float, help="quality of a movie; smaller is better")
    out.add_argument("--fps", type=rate_argument, help="of a movie made of a sequence")
    out.add_argument("--source", help="where the source lies now, if it moved")
    out.add_argument("--overwrite", action="store_true")
    out.set_defaults(run=_export)

    show = commands.add_parser("ls", help="list shots and versions")
    show.add_argument("archive")
    show.add_argument("shot", nargs="?")
    show.set_defaults(run=_ls)

    check = commands.add_parser("verify", help="read everything and name what is damaged")
    check.add_argument("archive")
    check.add_argument("shot", nargs="?")
    check.set_defaults(run=_verify)

    remove = commands.add_parser("rm", help="remove a shot, or one version of its result or masks")
    _archive_and_shot(remove)
    part = remove.add_mutually_exclusive_group()
    part.add_argument("--version")
    part.add_argument("--masks", metavar="NAME", help="a mask version, used by no result")
    remove.set_defaults(run=_rm)
    return parser


def _archive_and_shot(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("archive", help="folder or URL of the archive")
    parser.add_argument("shot", help="name of the shot")


if __name__ == "__main__":
    sys.exit(main())
