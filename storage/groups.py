"""What the groups of a shot have in common: attributes and plain files, a name, marks of frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal

import numpy as np
import zarr

from storage.arrays import open_array
from storage.attributes import check_name, read_attributes, remove_group, write_attributes
from storage.sources import InputError
from storage.urls import Files, folders, join, remove_tree

Mode = Literal["r", "a"]


class Group:
    """Arrays under one URL, with attributes and plain files beside them.

    Attributes:
        name, url: the URL is enough to open the group in another process.
        mode: "r" to read, "a" to write too.
    """

    def __init__(self, url: str, mode: Mode = "r") -> None:
        self.url, self.mode = url, mode
        self.name = url.rsplit("/", 1)[-1]

    @property
    def attrs(self) -> dict[str, Any]:
        """What is stored about it, as it is now."""
        return read_attributes(self.url) or {}

    def update(self, **attributes: Any) -> None:
        """Store these attributes (JSON values) beside the others."""
        write_attributes(self.url, self.attrs | attributes)

    @property
    def files(self) -> Files:
        return Files(join(self.url, "files"))


class Marked(Group):
    """A group that one writer fills frame by frame, in any order."""

    @property
    def done(self) -> np.ndarray:
        """`(T,)` bool: the frames that are written, as it is now."""
        return np.asarray(open_array(self.url, "done", self.mode)[:]).astype(bool)

    @property
    def complete(self) -> bool:
        return bool(self.done.all())

    def mark(self, t: int) -> None:
        """Say that frame `t` is written; to be called after its data."""
        self._marks[t] = 1

    @cached_property
    def _marks(self) -> zarr.Array:
        return open_array(self.url, "done", self.mode)


@dataclass(frozen=True)
class Shelf:
    """Groups of one kind side by side under a shot; nothing on it is overwritten.

    Attributes:
        url: of the shot.
        folder: of the groups, in the shot.
        kind: what a user calls one of them.
    """

    url: str
    folder: str
    kind: str

    def names(self) -> list[str]:
        """Return the names of the groups, oldest first."""
        return list(self.read())

    def read(self) -> dict[str, dict[str, Any]]:
        """Return the attributes of every group by its name, oldest first, each read once."""
        names = folders(join(self.url, self.folder))
        stored = {name: read_attributes(self.place(name)) for name in names}
        found = [(name, attrs) for name, attrs in stored.items() if attrs is not None]
        return dict(sorted(found, key=lambda one: (one[1].get("created", ""), one[0])))

    def find(self, name: str) -> str:
        """Return the group's URL.

        Raises:
            InputError: there is none of that name; the message lists those there are.
        """
        if read_attributes(self.place(name)) is None:
            known = ", ".join(self.names()) or "none yet"
            raise InputError(f"{self.url}: no {self.kind} {name!r}; there are: {known}")
        return self.place(name)

    def create(self, name: str, attrs: dict[str, Any], arrays: Callable[[str], None]) -> str:
        """Make a group, its arrays by the function, and return its URL.

        Raises:
            InputError: the name is taken or unusable.
        """
        check_name(name)
        url = self.place(name)
        if read_attributes(url) is not None:
            raise InputError(
                f"{self.url}: {self.kind} {name!r} exists; choose another name or remove it"
            )
        remove_tree(url)  # what a broken attempt left
        write_attributes(join(self.url, self.folder), None)
        arrays(url)
        created = datetime.now(UTC).isoformat(timespec="microseconds")
        write_attributes(url, {"created": created, **attrs})
        return url

    def remove(self, name: str) -> None:
        """Remove a group and the files beside it."""
        remove_group(self.find(name))

    def place(self, name: str) -> str:
        """Return the URL that a group of this name has, or would have."""
        return join(self.url, self.folder, name)
