"""Looking at every shot before anything starts: bad input is refused here, with its reason."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Any

from cluster.backlog import ShotSpec
from cluster.config import Config
from cluster.failures import classify
from cluster.jobs import open_shot
from cluster.plan import Intent, Job, fitted_part, name_for, need_of, propagated_part
from cluster.room import Need, described
from cluster.strict import ConfigError, working_area
from inpaint.clip import working_size
from inpaint.network import CAPACITIES
from inpaint.progressive import Scale, scales
from inpaint.vinet.network import CAPACITIES as VINET
from storage import Archive, InputError, Source
from storage.deliverable import check_apart, check_result, files_of
from storage.media import open_source
from storage.origin import Origin
from storage.sources import frame_range
from storage.targets import Target
from storage.urls import plain_errors

Refused = dict[str, str]
"""Why shots cannot be done, one line each, by name."""


Sizes = dict[str, tuple[int, int]]
"""Height and width of the shots' frames, by name."""


def check_sources(
    config: Config, shots: Sequence[ShotSpec], archive: Archive
) -> tuple[list[ShotSpec], Sizes, Refused]:
    """Return the shots whose source, mask and truth are there and fit, and why others do not."""
    good, sizes, refused = [], {}, {}
    for shot in shots:
        try:
            sizes[shot.name] = _check_source(Job("ingest", shot, archive.url, "", config))
            good.append(shot)
        except (InputError, OSError) as error:
            refused[shot.name] = classify(error).reason
    return good, sizes, refused


def check_needs(
    config: Config, shots: Sequence[ShotSpec], need: Need, machines: Sequence[Need]
) -> tuple[list[ShotSpec], Refused]:
    """Return the shots that some machine is large enough for, and why others are refused.

    Args:
        need: of a shot that says nothing of its own.
    """
    good, refused = [], {}
    there = f"there are: {described(machines)}"
    for shot in shots:
        wanted = need_of(shot, config, need)
        if not wanted.fits(machines):
            refused[shot.name] = f"asks for {wanted}: no machine has that; " + there
        elif config.precision == "fp16" and shot.gpus == 0:
            refused[shot.name] = "gpus = 0: precision fp16 needs a GPU; use bf16 or off"
        else:
            good.append(shot)
    return good, refused


def prepare(
    config: Config, shots: Sequence[ShotSpec], sizes: Sizes, archive: Archive
) -> tuple[list[Intent], Refused]:
    """Return what is to become of each shot, and those whose result has no place to go to.

    Args:
        config: its capacity decided.
    """
    good, refused = [], {}
    for shot in shots:
        try:
            intent = _intent(config, shot, sizes[shot.name], archive)
            _check_target(shot, intent.version, archive, config.delivery.overwrite)
            good.append(intent)
        except (InputError, ConfigError, OSError) as error:
            refused[shot.name] = classify(error).reason
    return good, refused


def _check_source(job: Job) -> tuple[int, int]:
    source, mask, truth = open_shot(job)
    Origin(source, mask, truth, job.shot.first, job.shot.last).check()
    if job.shot.export is not None:
        target = Target.of(job.shot.export)
        check_result(source, target, job.config.delivery.codec)
        read = [source, mask.painted, *([] if truth is None else [truth])]
        files = [file for one in read for file in files_of(one)]
        check_apart(target, _names(target, job.shot, source), files)
    return source.info.height, source.info.width


def _names(target: Target, shot: ShotSpec, source: Source | None = None) -> list[str]:
    """The files to write, as far as they are known; only for a pattern frames are counted."""
    if target.kind != "pattern":
        return target.names(())
    source = source or open_source(shot.source)
    info, count = source.info, source.count()
    first, last = frame_range(info.path, info.first_number, count, shot.first, shot.last)
    return target.names(range(first, last + 1))


def _intent(config: Config, shot: ShotSpec, size: tuple[int, int], archive: Archive) -> Intent:
    stored = archive.shot(shot.name) if shot.name in archive else None
    masks = None
    if shot.few:
        made = {} if stored is None else {n: stored.mask_version(n).attrs for n in stored.masks()}
        masks = name_for("auto", propagated_part(config), made, "m")
    scales = planned_scales(config, size)
    fitted = fitted_part(config, scales, masks)
    versions = {} if stored is None else {n: stored.version(n).attrs for n in stored.versions()}
    version = name_for(config.version, fitted, versions, "v")
    return Intent(shot, version, tuple(scales), fitted, masks)


def planned_scales(config: Config, size: tuple[int, int]) -> list[Scale]:
    """Return the scales at which a shot of this height and width is learnt, coarsest first."""
    assert config.capacity != "auto"
    capacities = VINET if config.method == "vinet" else CAPACITIES
    whole = working_size(*size, capacities[config.capacity].working_px)
    if config.size is not None:
        wanted = working_area(config.size)
        whole = min(wanted[0], size[0]), min(wanted[1], size[1])
    if config.method == "telea" or (config.method == "flow" and config.size is None):
        return [Scale(*size)]
    if config.method in ("flow", "vinet"):
        return [Scale(*whole)]
    factors = config.progressive.scales
    return scales(size, whole, None if factors == "auto" else factors)


def _check_target(shot: ShotSpec, version: str, archive: Archive, overwrite: bool) -> None:
    """Refuse before the work an export that would be refused after it."""
    if shot.export is None:
        return
    attrs: dict[str, Any] = {}
    if shot.name in archive and version in archive.shot(shot.name).versions():
        attrs = archive.shot(shot.name).version(version).attrs
    target = Target.of(shot.export)
    ours = overwrite or str(target.path) in attrs.get("exports", {})
    with plain_errors(str(target.path)):
        if not ours and target.existing(_names(target, shot)):
            raise InputError(
                f"{target.path}: exists; choose another export, or delivery.overwrite=true"
            )
    make_folder(str(target.partial.parent))


def make_folder(folder: str) -> None:
    """Make a folder to write to later, so that a run does not fail at its end.

    Raises:
        InputError: it cannot be made or written to.
    """
    try:
        with plain_errors(folder):
            os.makedirs(folder, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, "not writable", folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}); choose another") from None
