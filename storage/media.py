"""Opening whatever a user names: a movie, a folder, a pattern, a glob or one image."""

from __future__ import annotations

import glob
import os
import re
from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from storage.images import ImageSequence
from storage.pictures import SUFFIXES
from storage.sources import InputError
from storage.video import Movie

COUNTER = re.compile(r"#+|%(?:0(\d+))?d")


def open_source(
    path: str, *, fps: Fraction | None = None, stream: int | None = None, gaps: bool = False
) -> Movie | ImageSequence:
    """Open a movie or an image sequence.

    Args:
        path: a movie file; a folder of numbered images; `plate.####.exr` or `plate.%04d.exr`; a
            glob; or one image file, which is a sequence of one frame.
        fps: frames per second of a sequence that states none; a movie keeps its own.
        stream: index of the video stream in a movie; where not given, the one a player would show.
        gaps: whether numbers may be missing from a sequence.

    Raises:
        InputError: nothing is there, it is not one gapless sequence, or it cannot be read.
    """
    name = os.path.basename(path)
    if os.path.isdir(path):
        files = [os.path.join(path, name) for name in _names(path)]
        return _sequence([file for file in files if _is_image(file)], path, fps, gaps)
    if os.path.isfile(path):
        if Path(path).suffix.lower() in SUFFIXES:
            return ImageSequence({_number(name) or 0: path}, path=os.path.abspath(path), fps=fps)
        return Movie(path, stream=stream)
    if COUNTER.search(name):
        return ImageSequence(_matching(path), path=os.path.abspath(path), fps=fps, gaps=gaps)
    if glob.has_magic(split_glob(path)[1]):
        found = [file for file in globbed(path) if os.path.isfile(file)]
        if len(found) == 1 and Path(found[0]).suffix.lower() not in SUFFIXES:
            return Movie(found[0], stream=stream)
        return _sequence([file for file in found if _is_image(file)], path, fps, gaps)
    raise InputError(f"{path}: no such file or folder")


def globbed(path: str) -> list[str]:
    """Return what a glob means, sorted; see `split_glob`."""
    folder, pattern = split_glob(path)
    found = glob.glob(pattern, root_dir=folder or None)
    return [os.path.join(folder, name) for name in sorted(found)]


def split_glob(path: str) -> tuple[str, str]:
    """Take a glob apart: the folder that is there as it is written, and the pattern below it.

    So `show [1]/*.mov` are the movies of a folder of that name, were there a `show 1` too.
    """
    folder, pattern = os.path.split(path)
    while folder and not os.path.isdir(folder):
        folder, name = os.path.split(folder)
        pattern = os.path.join(name, pattern)
    return folder, pattern


def _sequence(files: Iterable[str], path: str, fps: Fraction | None, gaps: bool) -> ImageSequence:
    series: defaultdict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    for file in sorted(files):
        head, number, tail = _split(os.path.basename(file))
        _add(series[head, tail], number or 0, file)
    if not series:
        raise InputError(f"{path}: no images there ({' '.join(sorted(SUFFIXES))})")
    if len(series) > 1:
        names = ", ".join(f"{head}####{tail}" for head, tail in list(series)[:4])
        raise InputError(
            f"{path} holds {len(series)} sequences ({names}{', …' if len(series) > 4 else ''}): "
            "name one by its pattern"
        )
    return ImageSequence(series.popitem()[1], path=os.path.abspath(path), fps=fps, gaps=gaps)


def _matching(pattern: str) -> dict[int, str]:
    """Files whose name is the pattern with a number in the place of `####` or `%04d`."""
    folder, name = os.path.split(pattern)
    if not os.path.isdir(folder or "."):
        raise InputError(f"{folder}: no such folder")
    *_, counter = COUNTER.finditer(name)
    digits = len(counter[0]) if counter[0].startswith("#") else int(counter[1] or 1)
    head, tail = re.escape(name[: counter.start()]), re.escape(name[counter.end() :])
    wanted = re.compile(rf"{head}(\d{{{digits},}}){tail}")
    found: dict[int, str] = {}
    for match in filter(None, map(wanted.fullmatch, _names(folder))):
        _add(found, int(match[1]), os.path.join(folder, match[0]))
    if not found:
        raise InputError(f"{pattern}: no file has such a name")
    return found


def _add(frames: dict[int, str], number: int, file: str) -> None:
    if number in frames:
        raise InputError(f"{file} and {frames[number]} have the same number: remove one")
    frames[number] = file


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder or "."))
    except PermissionError:
        raise InputError(f"{folder}: no permission to read it") from None


def _is_image(file: str) -> bool:
    name = os.path.basename(file)
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


def _split(name: str) -> tuple[str, int | None, str]:
    stem, suffix = os.path.splitext(name)
    match = re.fullmatch(r"(.*?)(\d+)(\D*)", stem)
    if not match:
        return stem, None, suffix.lower()
    return match[1], int(match[2]), match[3] + suffix.lower()


def _number(name: str) -> int | None:
    return _split(name)[1]
