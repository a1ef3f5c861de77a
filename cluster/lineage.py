"""Which versions belong together: a result, the scales before it, the masks that it fills."""

from __future__ import annotations

from dataclasses import dataclass
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
    """

    shot: Shot
    result: str | None = None
    masks: MaskVersion | None = None
    fits: tuple[Version, ...] = ()

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
    versions = {name: shot.version(name) for name in shot.versions()}
    attrs = {name: version.attrs for name, version in versions.items()}
    whole = {name: found.get("part_of") or name for name, found in attrs.items()}
    coming = _coming(shot, attrs)
    if result is None and versions and coming is None:
        result = whole[next(reversed(versions))]
    parts = [name for name in versions if whole[name] == result]
    if not parts:
        return Lineage(shot, masks=coming)
    fits = tuple(versions[name] for name in sorted(parts, key=lambda name: name == result))
    return Lineage(shot, result, fits[-1].mask, fits)


def _coming(shot: Shot, results: dict[str, dict[str, Any]]) -> MaskVersion | None:
    """Return the newest mask version if it is for a result still to come."""
    names = shot.masks()
    if not names:
        return None
    masks, newest = shot.mask_version(names[-1]), max(map(_created, results.values()), default="")
    used = {attrs.get("mask") for attrs in results.values()}
    return masks if masks.name not in used and _created(masks.attrs) > newest else None


def _created(attrs: dict[str, Any]) -> str:
    return str(attrs.get("created", ""))
