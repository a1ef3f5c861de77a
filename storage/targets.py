"""Where an export goes: one movie file, or numbered images. A file appears whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from storage.encoders import DEFAULT_CODECS
from storage.pictures import LOSSY
from storage.sources import InputError

MOVIE_SUFFIXES = (*DEFAULT_CODECS, ".avi", ".webm", ".mxf", ".ts")  # the latter are not written
IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".exr", ".dpx")
_NUMBER = re.compile(r"%0?(\d*)d|(#+)")


@dataclass(frozen=True)
class Target:
    """A place for an export.

    Attributes:
        kind: a movie file, a folder of images, or images by a pattern in a folder.
        folder: the images' folder; a movie's folder.
        name: the movie's file name; the pattern's, e.g. `plate.%04d.png`; a folder has none.
    """

    kind: Literal["movie", "folder", "pattern"]
    folder: Path
    name: str = ""

    @classmethod
    def of(cls, text: str | os.PathLike[str]) -> Target:
        """Read a movie's file name, a folder, or a pattern with `%04d` or `####`.

        Raises:
            InputError: it is a URL, or a file of a kind that is not known or loses samples.
        """
        if "://" in os.fspath(text):
            raise InputError(f"{text}: an export goes to a local path")
        path = Path(text).expanduser().absolute()
        suffix = path.suffix.lower()
        if suffix in MOVIE_SUFFIXES:
            return cls("movie", path.parent, path.name)
        if suffix[1:] in LOSSY:
            better = path.stem if _NUMBER.search(path.name) else f"{path.stem}.%04d"
            raise InputError(f"{path}: JPEG changes pixels outside the hole; write {better}.png")
        if _NUMBER.search(path.name):
            _check_image_suffix(path)
            return cls("pattern", path.parent, path.name)
        if suffix in IMAGE_SUFFIXES:
            raise InputError(f"{path}: no number in the name; write {path.stem}.%04d{suffix}")
        return cls("folder", path)

    @property
    def path(self) -> Path:
        return self.folder / self.name

    def names(self, numbers: Iterable[int]) -> list[str]:
        """Return the files' names by the frames' numbers; a folder leaves them open."""
        if self.kind == "movie":
            return [self.name]
        return [self._numbered(int(number)) for number in numbers] if self.name else []

    def _numbered(self, number: int) -> str:
        return _NUMBER.sub(lambda found: f"{number:0{_digits(found)}d}", self.name, count=1)

    @property
    def partial(self) -> Path:
        """Hidden folder to write to: in the folder, or beside one that is not there yet."""
        hidden = "." + (self.name or self.folder.name).replace("%", "").replace("#", "")
        beside = self.kind == "folder" and not self.folder.exists()
        return (self.folder.parent if beside else self.folder) / f"{hidden}.partial"

    def existing(self, names: Sequence[str], ours: Sequence[str] = ()) -> bool:
        """Return whether writing these names here would replace or join anything but `ours`."""
        if self.kind == "folder":
            there = set(os.listdir(self.folder)) if self.folder.exists() else set()
        else:
            there = {name for name in names if (self.folder / name).exists()}
        return not there <= {self.partial.name, *ours}

    @contextmanager
    def being_written(self) -> Iterator[Path]:
        """Give a folder to write to, kept on leaving without an error; see `publish`."""
        partial = self.partial
        shutil.rmtree(partial, ignore_errors=True)  # what a killed export left
        partial.mkdir(parents=True)
        try:
            yield partial
            for file in partial.iterdir():
                with open(file, "rb") as written:
                    os.fsync(written.fileno())  # a file server may tell only now that it is full
        except BaseException as error:
            shutil.rmtree(partial, ignore_errors=True)
            if isinstance(error, OSError) and str(error.filename).startswith(str(partial)):
                raise OSError(error.errno, error.strerror, str(self.path)) from error
            raise

    def publish(self, partial: Path) -> None:
        """Move what was written into place; what a killed call left, another one moves."""
        if self.kind == "folder" and not self.folder.exists():
            os.replace(partial, self.folder)
            return
        for file in sorted(partial.iterdir()):
            os.replace(file, self.folder / file.name)
        partial.rmdir()


def fingerprint(names: Sequence[str], *folders: Path) -> str:
    """Digest of the files' names, sizes and modification times; empty where one is missing.

    Args:
        folders: where they lie; the first that has a file counts.
    """
    digest = hashlib.sha256()
    for name in names:
        file = next((at / name for at in folders if (at / name).is_file()), None)
        if file is None:
            return ""
        digest.update(f"{name} {stamp(file)}\n".encode())
    return digest.hexdigest()


def stamp(file: Path) -> str:
    """Size and modification time of a file; empty where there is none."""
    if not file.is_file():
        return ""
    stat = file.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _digits(found: re.Match[str]) -> int:
    return len(found[2]) if found[2] else int(found[1] or 0)


def _check_image_suffix(path: Path) -> None:
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        known = " ".join(IMAGE_SUFFIXES)
        raise InputError(f"{path}: unknown image format {path.suffix!r}; known are {known}")
