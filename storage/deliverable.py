"""Whether a place can take what is to be delivered there, seen before any work is done for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from storage.companions import check_sound
from storage.encoders import codec_for
from storage.images import ImageSequence
from storage.movie_writer import check_samples
from storage.pictures import SUFFIXES
from storage.sources import InputError, Source, SourceInfo
from storage.stills import check_format, delivery_suffix
from storage.targets import Target
from storage.video import Movie


def check_result(source: Source, target: Target, codec: str | None) -> None:
    """Refuse a place that could not take the result of this source.

    Raises:
        InputError: see `check_form`; or the movie cannot hold the source's sound.
    """
    check_form(source.info, target, delivery_suffix(source.info), codec)
    if isinstance(source, Movie) and target.kind == "movie":
        check_sound(source.path, target.path)


def check_form(info: SourceInfo, target: Target, suffix: str, codec: str | None) -> None:
    """Refuse a format that cannot hold frames like `info`'s.

    Args:
        suffix: of the images in a folder.
        codec: of a movie; None for what its name stands for.

    Raises:
        InputError: it cannot hold their samples, or the codec.
    """
    if target.kind == "movie":
        codec_for(target.path, codec)
        if info.kind == "sequence":
            check_samples(info)
    else:
        file = target.path if target.kind == "pattern" else target.folder / f"####{suffix}"
        check_format(file, info.dtype, info.bit_depth, info.channels)


def check_apart(target: Target, names: Sequence[str], files: Iterable[Path]) -> None:
    """Refuse to write over what is read, were it to be overwritten.

    Args:
        names: of the files to write.
        files: of the source, the mask and the truth, see `files_of`. To a folder of images no
            others are delivered: it would hold two sequences.

    Raises:
        InputError: one of the files would be replaced, or joined.
    """
    written = {_identity(target.folder / name) for name in names}
    read = list(files)
    if target.kind != "movie":
        written.add(_identity(target.folder))
    if target.kind == "folder":
        read += {file.parent for file in read if file.suffix.lower() in SUFFIXES}
    if not written - {None}:
        return
    for place in read:
        if (found := _identity(place)) is not None and found in written:
            raise InputError(f"{target.path}: {place} is read from there; choose another place")


def files_of(source: Source) -> list[Path]:
    """Return the files that a movie or a sequence is read from, and the folder that it is."""
    assert isinstance(source, (Movie, ImageSequence))
    files = [] if isinstance(source, Movie) else source.files.values()
    place = Path(source.info.path)
    return [*map(Path, files), *([place] if place.exists() else [])]


def _identity(place: Path) -> tuple[int, int] | None:
    """What is the same for all names of one file; None where there is none."""
    try:
        state = place.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino
