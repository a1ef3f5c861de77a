"""Which versions belong together: a result, the scales before it, the masks that it fills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import zarr

from storage import Shot, Version
from storage.mask_versions import MaskVersion


@dataclass(frozen=True)
class Lineage:
    """What there is of one result of a shot, any of it perhaps still to come.

    Attributes:
        result: its name; None where neither it nor a scale before it is begun.
        masks: the mask version it is for; None where every frame has a mask of its own.
        fits: one version a scale, coarsest first, the result last.
        attrs: of each of these and of the shot by its URL, read once; empty where there is none.
    """

    shot: Shot
    result: str | None = None
    masks: MaskVersion | None = None
    fits: tuple[Version, ...] = ()
    attrs: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def last(self) -> Version | None:
        """The scale in work, or the result."""
        return self.fits[-1] if self.fits else None

    @property
    def begun(self) -> bool:
        """Whether the result itself is begun, all coarser scales being done."""
        return self.last is not None and self.last.name == self.result

    @property
    def shown(self) -> Version | None:
        """The version to look at: the finest that is whole, the last where none is."""
        whole = [version for version in self.fits if version.complete]
        return whole[-1] if whole else self.last

    @property
    def hole(self) -> zarr.Array | None:
        """What is to be filled, `(T, H, W)` bool; None while some frame has no mask yet."""
        if self.last is not None:
            return self.last.hole
        if self.masks is not None and self.masks.complete:
            return self.masks.hole
        return self.shot.hole if self.shot.given is None else None


def lineage(shot: Shot, result: str | None = None) -> Lineage:
    """Find what belongs to a result; where none is named, to what was begun last."""
    described = shot.attrs
    if not described:
        return Lineage(shot, attrs={shot.url: {}})
    results = shot.read_versions()
    few = described.get("given") is not None or any(attrs.get("mask") for _, attrs in results)
    masks = shot.read_masks() if few else []
    whole = {version.name: attrs.get("part_of") or version.name for version, attrs in results}
    coming = _coming(masks, [attrs for _, attrs in results])
    if result is None and results and coming is None:
        result = whole[results[-1][0].name]
    parts = [(version, attrs) for version, attrs in results if whole[version.name] == result]
    read = {shot.url: described} | {group.url: attrs for group, attrs in [*parts, *masks]}
    if not parts:
        return Lineage(shot, masks=coming, attrs=read)
    fits = tuple(sorted((version for version, _ in parts), key=lambda one: one.name == result))
    used = read[fits[-1].url].get("mask")
    return Lineage(shot, result, None if used is None else shot.mask_version(used), fits, read)


def _coming(
    masks: Sequence[tuple[MaskVersion, dict[str, Any]]], results: Sequence[dict[str, Any]]
) -> MaskVersion | None:
    """Return the newest mask version if it is for a result still to come."""
    if not masks:
        return None
    newest, attrs = masks[-1]
    used = {attrs.get("mask") for attrs in results}
    later = _created(attrs) > max(map(_created, results), default="")
    return newest if newest.name not in used and later else None


def _created(attrs: dict[str, Any]) -> str:
    return str(attrs.get("created", ""))
