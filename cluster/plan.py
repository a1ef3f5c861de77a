"""What is to be done: jobs, in an order that their needs allow. A plan is a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from cluster.backlog import ShotSpec
from cluster.config import Config, fit_config, propagate_config
from cluster.room import ONE_CORE, Need
from cluster.strict import ConfigError
from inpaint.learning import Schedule
from inpaint.progressive import Scale

Kind = Literal["ingest", "propagate", "inpaint", "measure", "export"]


@dataclass(frozen=True)
class Intent:
    """What is to become of a shot.

    Attributes:
        version: name of the result to write.
        scales: at which it is learnt, coarsest first.
        fitted: what the result depends on (`fitted_part`).
        masks: name of the mask version to make and to use; None where every frame has a mask.
    """

    shot: ShotSpec
    version: str
    scales: tuple[Scale, ...]
    fitted: Mapping[str, Any]
    masks: str | None = None


@dataclass(frozen=True)
class Job:
    """One piece of work on one shot. It reads stores and writes a store; repeated, it goes on.

    Attributes:
        kind: `ingest` brings the shot in, `propagate` makes masks from a few, `inpaint` fits one
            scale and fills, `measure` compares with the truth, `export` delivers.
        shot: what it works on.
        archive: absolute path or URL.
        version: of the result that it writes or delivers.
        config: the run's configuration.
        need: what it asks of a machine.
        after: key of the job that must be done before.
        scale: at which an inpaint job works.
        coarser: version of the scale before, None for the coarsest.
        part_of: the shot's result, where the version is that of a scale before the last.
        fitted: what the version depends on, as JSON values.
        masks: name of the mask version to write or to use, None for the shot's own.
    """

    kind: Kind
    shot: ShotSpec
    archive: str
    version: str
    config: Config
    need: Need = ONE_CORE
    after: str | None = None
    scale: Scale | None = None
    coarser: str | None = None
    part_of: str | None = None
    fitted: Mapping[str, Any] = field(default_factory=dict)
    masks: str | None = None

    @property
    def key(self) -> str:
        if self.kind == "ingest":
            return f"ingest {self.shot.name}"
        if self.kind == "propagate":
            return f"propagate {self.shot.name} {self.masks}"
        return f"{self.kind} {self.shot.name} {self.version}"


@dataclass(frozen=True)
class Note:
    """What a runner tells of a job: an event of `cluster.jobs`, or `failed` with its reason."""

    job: Job
    event: dict[str, Any]


def plan(
    intents: Sequence[Intent], archive: str, config: Config, need: Need, *, measure: bool = False
) -> list[Job]:
    """Return every job of a run, each shot's in the order in which they follow one another.

    Args:
        need: of what is fitted, where a shot says nothing of its own; the other jobs take one core.
        measure: compare the results with the truth, for a table.
    """
    jobs = []
    for intent in intents:
        chain = _chain(intent, archive, config, need)
        if measure:
            chain.append(Job("measure", intent.shot, archive, intent.version, config))
        if intent.shot.export is not None:
            chain.append(Job("export", intent.shot, archive, intent.version, config))
        jobs += _linked(chain)
    return jobs


def _chain(intent: Intent, archive: str, config: Config, need: Need) -> list[Job]:
    """The jobs up to the result: the shot, its masks, then scale by scale."""
    base = Job("ingest", intent.shot, archive, intent.version, config)
    need = need_of(intent.shot, config, need)
    fit = replace(base, kind="inpaint", need=need, fitted=intent.fitted, masks=intent.masks)
    jobs = [base]
    if intent.masks is not None:
        jobs.append(replace(base, kind="propagate", need=need, masks=intent.masks))
    coarser = None
    for scale in intent.scales[:-1]:
        name = scale_version(intent.version, scale)
        fitted = {**intent.fitted, "scale": scale.label}
        part = replace(fit, version=name, part_of=intent.version, fitted=fitted)
        jobs.append(replace(part, scale=scale, coarser=coarser))
        coarser = name
    return [*jobs, replace(fit, scale=intent.scales[-1], coarser=coarser)]


def need_of(shot: ShotSpec, config: Config, need: Need) -> Need:
    """Return what fitting a shot asks of a machine: its own wishes go before the run's."""
    gpus = need.gpus if shot.gpus is None else shot.gpus
    memory_bytes = need.memory_bytes if shot.memory_gb is None else int(shot.memory_gb * 2**30)
    return Need(
        gpus if config.method in ("internal", "vinet") else 0, shot.cpus or need.cpus, memory_bytes
    )


def scale_version(version: str, scale: Scale) -> str:
    """Name the result of a scale that is not the last."""
    return f"{version}.{scale.label}"


def _linked(chain: Sequence[Job]) -> list[Job]:
    """Make each job wait for the one before it."""
    before = [None, *(job.key for job in chain)]
    return [replace(job, after=key) for job, key in zip(chain, before, strict=False)]


def name_for(
    wanted: str, config: Mapping[str, Any], stored: Mapping[str, Mapping[str, Any]], letter: str
) -> str:
    """Choose the version to write: the one this configuration began, else a new one.

    Args:
        wanted: a name, or `auto`.
        config: what the version depends on, as JSON values.
        stored: the attributes of the versions there are, by name, oldest first.
        letter: with which new names begin.

    Raises:
        ConfigError: the version asked for was made from another configuration.
    """
    same = [name for name, attrs in stored.items() if attrs.get("config") == config]
    if wanted != "auto":
        found = stored.get(wanted)
        if found is not None and wanted not in same:
            raise ConfigError(
                f"version {wanted!r} was made with {_difference(found, config)}; "
                "choose another version"
            )
        return wanted
    if same:
        return same[-1]
    taken = [int(name[1:]) for name in stored if name[:1] == letter and name[1:].isdecimal()]
    return f"{letter}{max(taken, default=0) + 1:03d}"


def fitted_part(
    config: Config, scales: Sequence[Scale], masks: str | None = None
) -> dict[str, Any]:
    """Return what of a configuration the result depends on, as JSON values.

    What the recipe gives is among it, or one that is tuned would pass for what it was.
    """
    keys, learnt = {"method"}, dict[str, Any]()
    if config.method == "internal":
        keys |= {"recipe", "capacity", "validation_share", "seed", "precision"}
        learnt = {"fit": _learnt(fit_config(config))}
        keys |= {"progressive"} if len(scales) > 1 else set()
        keys |= {"init_sha256"} if config.init is not None else set()
        keys |= {"vinet_sha256"} if fit_config(config).prior == "vinet" else set()
    elif config.method == "vinet":
        keys |= {"capacity", "init_sha256", "validation_share", "seed", "precision"}
    values = config.model_dump(mode="json", include=keys) | learnt
    return values | {"scales": [scale.label for scale in scales], "masks": masks}


def propagated_part(config: Config) -> dict[str, Any]:
    """Return what of a configuration propagated masks depend on, as JSON values."""
    values = config.model_dump(mode="json", include={"propagate", "seed", "precision"})
    values["propagate"] |= _learnt(propagate_config(config))
    return values


def _learnt(schedule: Schedule) -> dict[str, Any]:
    """What a fit's result depends on, but for seed and precision, which stand by themselves."""
    idle = {"seed", "precision", "report_every"}
    if not schedule.patience:
        idle.add("validate_every")
    return {key: value for key, value in asdict(schedule).items() if key not in idle}


def _difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    stored = found.get("config") or {}
    key = next((key for key in wanted if stored.get(key) != wanted[key]), None)
    return "another configuration" if key is None else f"another {key} ({stored.get(key)})"
