"""What a run is to make, kept in the archive, so that `status` knows what is still to come."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from storage import Archive

RUN = "run.json"


@dataclass(frozen=True)
class Run:
    """The last run of an archive.

    Attributes:
        begun: when; None where it is not known.
        versions: shot name to the name of the result that it gets.
    """

    begun: datetime | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


def keep_run(archive: Archive, versions: Mapping[str, str]) -> None:
    """Say that a run begins now."""
    begun = datetime.now(UTC).isoformat(timespec="seconds")
    archive.files.write(RUN, json.dumps({"begun": begun, "versions": dict(versions)}).encode())


def read_run(archive: Archive) -> Run:
    """Return the last run; an empty one where none was kept, or none that can be read."""
    try:
        stored = json.loads(archive.files.read(RUN) or b"{}")
        begun, versions = stored.get("begun"), stored.get("versions", {})
        return Run(
            begun and datetime.fromisoformat(begun), {str(k): str(versions[k]) for k in versions}
        )
    except (ValueError, TypeError, AttributeError):
        return Run()
