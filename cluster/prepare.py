"""Looking at every shot before anything starts: bad input is refused here, with its reason."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Any

from cluster.backlog import ShotSpec
from cluster.config import Config, ConfigError
from cluster.failures import classify
from cluster.jobs import open_shot
from cluster.plan import Job, Need, fitted_part, plan, version_for
from storage import Archive, InputError
from storage.origin import Origin
from storage.targets import Target
from storage.urls import plain_errors

Refused = dict[str, str]
"""Why shots cannot be done, one line each, by name."""


def check_sources(
    config: Config, shots: Sequence[ShotSpec], archive: Archive
) -> tuple[list[ShotSpec], Refused]:
    """Return the shots whose source, mask and truth are there and fit, and why others do not."""
    good, refused = [], {}
    for shot in shots:
        try:
            _check_source(Job("ingest", shot, archive.url, "", config))
            good.append(shot)
        except (InputError, OSError) as error:
            refused[shot.name] = classify(error).reason
    return good, refused


def prepare(
    config: Config, shots: Sequence[ShotSpec], archive: Archive, need: Need
) -> tuple[list[Job], Refused]:
    """Return the plan, and the shots whose result has no place to go to.

    Args:
        config: its capacity decided.
        need: of an inpaint job.
    """
    assert config.capacity != "auto"
    versions, good, refused = {}, [], {}
    fitted = fitted_part(config, config.capacity)
    for shot in shots:
        stored = _stored(archive, shot)
        try:
            version = version_for(config, fitted, stored)
            _check_target(shot, stored.get(version, {}), config.delivery.overwrite)
            versions[shot.name] = version
            good.append(shot)
        except (InputError, ConfigError, OSError) as error:
            refused[shot.name] = classify(error).reason
    return plan(good, versions, archive.url, config, need), refused


def _check_source(job: Job) -> None:
    source, mask, truth = open_shot(job)
    Origin(source, mask, truth, job.shot.first, job.shot.last).check()


def _check_target(shot: ShotSpec, attrs: dict[str, Any], overwrite: bool) -> None:
    """Refuse before the work an export that would be refused after it."""
    if shot.export is None:
        return
    target = Target.of(shot.export)
    ours = overwrite or str(target.path) in attrs.get("exports", {})
    if target.kind != "pattern" and not ours and target.existing([target.name]):
        raise InputError(
            f"{target.path}: exists; choose another export, or delivery.overwrite=true"
        )
    make_folder(str(target.folder.parent if target.kind == "folder" else target.folder))


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


def _stored(archive: Archive, shot: ShotSpec) -> dict[str, dict[str, Any]]:
    """Return the attributes of the shot's versions, by name."""
    if shot.name not in archive:
        return {}
    stored = archive.shot(shot.name)
    return {name: stored.version(name).attrs for name in stored.versions()}
