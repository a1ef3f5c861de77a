"""Bytes in and out: movies, image sequences and the archive between them. No torch, no ray.

Read in this order: `sources` (what a source is), `archive`, `shots` and `mask_versions` (what is
stored), `ingest` with `origin` (source and mask into a shot), `export` with `delivery`,
`deliverable` and `targets` (shot and version into a movie or a sequence), `verify`; `media` opens
files through `video`, `images` and `masks`. Below lie `groups`, `blocks`, `boundary`, `arrays`,
`attributes`, `chunks`, `codecs`, `in_order`, `rates`, `urls`.
"""

from storage.archive import Archive
from storage.mask_versions import MaskVersion
from storage.shots import Shot, Version
from storage.sources import Frame, InputError, Source, SourceInfo
from storage.urls import Files, PlaceError

__all__ = [
    "Archive",
    "Files",
    "Frame",
    "InputError",
    "MaskVersion",
    "PlaceError",
    "Shot",
    "Source",
    "SourceInfo",
    "Version",
]
