"""Another size for a finished shot: `cleanplate retarget ARCHIVE SHOT --width … -o TARGET`.

The background, from which the objects were inpainted away, is stretched; the objects are laid over
it at their own aspect, with a soft edge. `--scale 2` makes both twice as large: by a resampler,
or one or both of them by an upscaler of your own. Exit status: 0, or 2 where nothing can be made.
"""

from __future__ import annotations

import argparse
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import cv2
import numpy as np

from cluster.regrain import regrain
from cluster.running import exit_status
from inpaint.overlay import Overlay, Upscaler
from inpaint.retarget import lay_out
from storage import Archive, InputError, Version
from storage.delivery import Retouch
from storage.export import remake
from storage.masks import open_mask
from storage.media import open_source
from storage.rates import rate_argument

SIDES_PX = (16, 16384)
USUAL_FPS = Fraction(24)
"""Of a sequence that states no rate; it only says how far the object's path is smoothed."""

Masks = Callable[[], Iterator[np.ndarray]]
"""Gives the objects' masks `(H, W)` bool, one a frame, as often as it is called."""


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    return exit_status(lambda: _retarget(options))


def retargeted(
    version: Version,
    masks: Masks,
    size: tuple[int, int],
    *,
    edge_px: float = 2.0,
    background: Upscaler | None = None,
    object: Upscaler | None = None,
    retouch: Retouch | None = None,
) -> Iterator[np.ndarray]:
    """Yield the frames of a finished version in another size, `(H, W, C)` of its dtype.

    The masks are gone through twice, the frames once; one frame is in memory at a time.

    Args:
        size: height and width.
        edge_px, background, object: see `Overlay`.
        retouch: of the result, before it is stretched.

    Raises:
        InputError: no mask shows an object.
    """
    shot = version.shot
    source = shot.info.height, shot.info.width
    layout = lay_out(masks(), source, size, float(shot.info.fps or USUAL_FPS))
    if not any(placement.offsets for placement in layout.placements):
        raise InputError(f"{shot.url}: no object in any frame; name its masks with --mask")
    overlay = Overlay(layout, edge_px, background, object)
    for t, mask in enumerate(masks()):
        result = version.result(t) if retouch is None else retouch.result(version, t)
        yield overlay.frame(t, np.asarray(shot.frames[t]), result, mask)


def _retarget(options: argparse.Namespace) -> int:
    shot = Archive.open(options.archive).shot(options.shot)
    version = shot.newest() if options.version is None else shot.version(options.version)
    size = _size(options, version)
    upscaler = None if options.upscaler is None else _upscaler(options.upscaler)
    pictures = retargeted(
        version,
        _masks(options, version),
        size,
        edge_px=options.edge,
        background=upscaler if options.which != "object" else None,
        object=upscaler if options.which != "background" else None,
        retouch=regrain(version, options.grain, seed=0),
    )
    how = {name: getattr(options, name) for name in ("codec", "crf", "fps", "source", "overwrite")}
    count = 0
    for count in remake(shot, version.name, options.output, pictures, size, **how):
        if sys.stderr.isatty():
            print(f"\r{count}/{len(shot)} frames", end="", file=sys.stderr, flush=True)
    print(f"{options.output}: {version.name}, {count} frames of {size[1]}×{size[0]} written")
    return 0


def _size(options: argparse.Namespace, version: Version) -> tuple[int, int]:
    """The height and width asked for."""
    info = version.shot.info
    if (options.scale is None) == (options.width is None and options.height is None):
        raise InputError("give the new size: --width, --height or both; or --scale, a whole number")
    if options.scale is None and options.upscaler is not None:
        raise InputError(f"--upscaler {options.upscaler}: needs --scale, by how much it enlarges")
    if options.which != "both" and options.upscaler is None:
        raise InputError(f"--which {options.which}: says what --upscaler enlarges; name one")
    factor = options.scale or 1
    size = (options.height or info.height) * factor, (options.width or info.width) * factor
    least, most = SIDES_PX
    if not all(least <= side <= most for side in size):
        raise InputError(f"{size[1]}×{size[0]}: sides are {least} to {most} pixels; choose others")
    return size


def _masks(options: argparse.Namespace, version: Version) -> Masks:
    """The objects' masks: those painted where they are named, else the hole, less its growth."""
    shot = version.shot
    if options.mask is None:
        box = np.ones((2 * options.shrink + 1,) * 2, np.uint8)

        def shrunk() -> Iterator[np.ndarray]:
            for t in range(len(shot)):
                yield cv2.erode(np.asarray(version.hole[t], np.uint8), box).astype(bool)

        return shrunk
    painted = open_mask(
        options.mask,
        open_source(options.source or shot.info.path),
        threshold=options.threshold,
        invert=options.invert,
    )
    first, last = int(shot.numbers[0]), int(shot.numbers[-1])
    painted.check(first, last)

    def inside() -> Iterator[np.ndarray]:
        for t, (_, mask) in enumerate(painted.frames(first, last)):
            yield mask & np.asarray(version.hole[t])  # what was not removed is there already

    return inside


def _upscaler(name: str) -> Upscaler:
    """The function `module:function`, found from the working folder too, and held to its word."""
    sys.path.append(os.getcwd())
    try:
        upscale = pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"--upscaler {name}: {error}; name it as module:function") from None
    if not callable(upscale):
        raise InputError(f"--upscaler {name}: is no function; name it as module:function")

    def checked(picture: np.ndarray, scale: int) -> np.ndarray:
        made = np.asarray(upscale(picture, scale), np.float32)
        wanted = (picture.shape[0] * scale, picture.shape[1] * scale, picture.shape[2])
        if made.shape != wanted:
            raise InputError(f"--upscaler {name}: made {made.shape} of {picture.shape} × {scale}")
        return made

    return checked


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "cleanplate retarget",
        description="Give a finished shot another size; its objects keep their aspect.",
    )
    parser.add_argument("archive", help="folder or URL of the archive")
    parser.add_argument("shot", help="name of the shot")
    parser.add_argument("-o", "--output", required=True, help="movie, folder or plate.%%04d.png")
    parser.add_argument("--version", help="whose background; by default the newest")
    parser.add_argument("--width", type=int, metavar="PX", help="by default the source's")
    parser.add_argument("--height", type=int, metavar="PX", help="by default the source's")
    parser.add_argument("--scale", type=_factor, help="both sides, by a whole number from 2 on")
    parser.add_argument("--mask", help="the object as it was painted; by default the whole hole")
    parser.add_argument("--threshold", type=float, help="object above this part of full scale")
    parser.add_argument("--invert", action="store_true", help="object where the mask is dark")
    parser.add_argument(
        "--shrink", type=_pixels, default=0, metavar="PX", help="undo the hole's growth; no --mask"
    )
    parser.add_argument(
        "--edge", type=_pixels, default=2, metavar="PX", help="width of the soft edge; 2"
    )
    parser.add_argument("--upscaler", metavar="MODULE:FUNCTION", help="enlarges by --scale")
    parser.add_argument("--which", choices=("object", "background", "both"), default="both")
    parser.add_argument(
        "--grain", type=_share, default=0.0, help="of the plate's, in the background's fill; 0"
    )
    parser.add_argument("--codec", help="of a movie, e.g. ffv1, h264")
    parser.add_argument("--crf", type=float, help="quality of a movie; smaller is better")
    parser.add_argument("--fps", type=rate_argument, help="of a movie made of a sequence")
    parser.add_argument("--source", help="where the source lies now, if it moved")
    parser.add_argument("--overwrite", action="store_true")
    return parser


def _factor(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 2 on")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1
    if not 0 <= share <= 2:
        raise argparse.ArgumentTypeError(f"{text!r} is no share from 0 to 2")
    return share


def _pixels(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of pixels; write 0, 1, 2 …")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
