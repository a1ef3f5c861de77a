"""The JSON that an archive keeps beside its arrays, in one object named `cleanplate` per group."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from fractions import Fraction
from typing import Any

import zarr

from storage.sources import InputError, SourceInfo
from storage.urls import Files, PlaceError, open_store, plain_errors, remove_tree

NAMESPACE = "cleanplate"


def read_attributes(url: str) -> dict[str, Any] | None:
    """Return what is stored for the group at `url` now; None where there is no group of ours.

    Raises:
        InputError: its description cannot be read.
    """
    with plain_errors(url):
        try:
            data = Files(url).read("zarr.json")  # a tenth of the time that it takes through Zarr
        except NotADirectoryError:
            return None
    try:
        described = None if data is None else json.loads(data)
    except ValueError as error:
        raise InputError(f"{url}: its description, zarr.json, is damaged ({error})") from error
    if not isinstance(described, dict) or described.get("node_type") != "group":
        return None
    found = described.get("attributes", {}).get(NAMESPACE)
    return found if isinstance(found, dict) else None


def is_stored(url: str) -> bool:
    """Return whether a group of ours is at `url`, were its description damaged."""
    try:
        return read_attributes(url) is not None
    except InputError:
        return True


def write_attributes(url: str, attributes: dict[str, Any] | None) -> None:
    """Replace the group's object in one step, making the group if needed; None takes it away."""
    ours: dict[str, Any] = {} if attributes is None else {NAMESPACE: attributes}
    try:
        with plain_errors(url):
            store = open_store(url, read_only=False)
            group = zarr.open_group(store, mode="a", zarr_format=3, attributes=ours)
            if attributes is None:
                group.attrs.pop(NAMESPACE, None)
            elif group.attrs.get(NAMESPACE) != attributes:  # it was there before
                group.attrs[NAMESPACE] = attributes
    except FileNotFoundError as error:  # locally, folders are made as needed
        raise PlaceError(f"{url}: no such bucket; make it first") from error


def remove_group(url: str) -> None:
    """Remove a shot or a version: first its attributes, so that it is never half there."""
    write_attributes(url, None)
    remove_tree(url)


def check_name(name: str) -> None:
    """Refuse a name that cannot be a folder on every system.

    Raises:
        InputError: it is empty, too long, starts with a dot, or has other characters than letters,
            digits, blanks and `. _ - + @`, or is the name `files`.
    """
    if (
        not re.fullmatch(r"[\w+@-][\w .+@-]{0,127}", name)
        or name.endswith((" ", "."))
        or name == "files"
    ):
        raise InputError(
            f"{name!r} cannot be a name: use letters, digits, blanks and . _ - + @, at most 128"
        )


def info_to_json(info: SourceInfo) -> dict[str, Any]:
    """Return the info as JSON values; a fraction becomes a pair of integers."""
    return {key: _plain(value) for key, value in asdict(info).items()}


def info_from_json(stored: dict[str, Any]) -> SourceInfo:
    """Invert `info_to_json`; a key that this version does not know is left out."""
    known = {key: value for key, value in stored.items() if key in SourceInfo.__dataclass_fields__}
    for key in ("fps", "time_base"):
        if known.get(key) is not None:
            known[key] = Fraction(*known[key])
    if "channel_names" in known:
        known["channel_names"] = tuple(known["channel_names"])
    return SourceInfo(**known)


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return [value.numerator, value.denominator]
    return list(value) if isinstance(value, tuple) else value
