"""What is to be done: jobs, in an order that their needs allow. A plan is a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from cluster.backlog import ShotSpec
from cluster.config import Config, ConfigError

Kind = Literal["ingest", "inpaint", "export"]


@dataclass(frozen=True)
class Need:
    """What a job asks of a machine: GPUs (fractions share one), cores, bytes of memory."""

    gpus: float = 0
    cpus: int = 1
    memory_bytes: int = 0


@dataclass(frozen=True)
class Job:
    """One piece of work on one shot. It reads stores and writes a store; repeated, it goes on.

    Attributes:
        kind: `ingest` brings the shot in, `inpaint` fits and fills, `export` delivers.
        shot: what it works on.
        archive: absolute path or URL.
        version: of the result that it writes or delivers.
        config: the run's configuration.
        need: what it asks of a machine.
        after: key of the job that must be done before.
    """

    kind: Kind
    shot: ShotSpec
    archive: str
    version: str
    config: Config
    need: Need = Need()
    after: str | None = None

    @property
    def key(self) -> str:
        return f"{self.kind} {self.shot.name}"


@dataclass(frozen=True)
class Note:
    """What a runner tells of a job: an event of `cluster.jobs`, or `failed` with its reason."""

    job: Job
    event: dict[str, Any]


def plan(
    shots: Sequence[ShotSpec], versions: Mapping[str, str], archive: str, config: Config, need: Need
) -> list[Job]:
    """Return every job of a run: ingest, inpaint and, where asked for, export of each shot.

    Args:
        versions: name of the result to write, by shot.
        need: of an inpaint job; the others take one core.
    """
    jobs = []
    for shot in shots:
        version = versions[shot.name]
        ingest = Job("ingest", shot, archive, version, config)
        inpaint = Job("inpaint", shot, archive, version, config, need, after=ingest.key)
        jobs += [ingest, inpaint]
        if shot.export is not None:
            jobs.append(Job("export", shot, archive, version, config, after=inpaint.key))
    return jobs


@dataclass
class Agenda:
    """What of a plan is left: the jobs that wait, those that are done, the shots that failed.

    Both runners follow it; it starts nothing itself.
    """

    waiting: list[Job]
    done: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)

    def ready(self) -> Job | None:
        """Take the first job whose need is met and count the attempt, None where none is."""
        for job in self.waiting:
            if job.after is None or job.after in self.done:
                self.waiting.remove(job)
                self.attempts[job.key] = self.attempts.get(job.key, 0) + 1
                return job
        return None

    def finish(self, job: Job) -> None:
        self.done.add(job.key)

    def again(self, job: Job) -> None:
        """Put a job back, to be taken next."""
        self.waiting.insert(0, job)

    def fail(self, job: Job, reason: str) -> None:
        """Give up a shot: its later jobs are dropped, the other shots go on."""
        self.failed[job.shot.name] = reason
        self.waiting = [other for other in self.waiting if other.shot.name != job.shot.name]


def version_for(
    config: Config, fitted: Mapping[str, Any], versions: Mapping[str, Mapping[str, Any]]
) -> str:
    """Choose the version to write: the one this configuration began, else a new one.

    Args:
        fitted: what the result depends on, as JSON values (`fitted_part`).
        versions: the attributes of the shot's versions, by name.

    Raises:
        ConfigError: the version asked for was made from another configuration.
    """
    same = [name for name, attrs in versions.items() if attrs.get("config") == fitted]
    if config.version != "auto":
        found = versions.get(config.version)
        if found is not None and config.version not in same:
            raise ConfigError(
                f"version {config.version!r} was made with {_difference(found, fitted)}; "
                "choose another version"
            )
        return config.version
    if same:
        return same[-1]
    taken = [int(name[1:]) for name in versions if name[:1] == "v" and name[1:].isdecimal()]
    return f"v{max(taken, default=0) + 1:03d}"


def fitted_part(config: Config, capacity: str) -> dict[str, Any]:
    """Return what of a configuration the result depends on, as JSON values."""
    keys = {"method", "recipe", "size", "fit", "validation_share", "seed", "precision"}
    values = config.model_dump(mode="json", include=keys) | {"capacity": capacity}
    for reporting in ("report_every", "validate_every"):
        del values["fit"][reporting]
    return values


def _difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    stored = found.get("config") or {}
    key = next((key for key in wanted if stored.get(key) != wanted[key]), None)
    return "another configuration" if key is None else f"another {key} ({stored.get(key)})"
