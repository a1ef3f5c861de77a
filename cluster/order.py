"""What is to be trained, and on which shots and machines. Decides; starts nothing."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cluster.backlog import output
from cluster.config import Config
from cluster.prepare import planned_scales
from cluster.room import Need, described
from cluster.strict import ConfigError, validated
from cluster.train_config import TrainConfig, Training, VINetTraining
from inpaint.progressive import Scale
from inpaint.warmstart import WarmstartConfig
from storage import Archive, InputError, Shot


@dataclass(frozen=True)
class Lot:
    """A shot to learn from: its frames, their size, and the mask version whose hole it has."""

    name: str
    frames: int
    height: int
    width: int
    masks: str | None
    fingerprint: str


@dataclass(frozen=True)
class Order:
    """A training, wholly described.

    Attributes:
        config: its capacity decided where the training runs.
        archive: absolute path or URL.
        lots: the shots it learns from.
        channels: of their frames.
    """

    config: Training
    archive: str
    lots: tuple[Lot, ...]
    channels: int

    def scale(self, lot: Lot) -> Scale:
        """The coarsest scale at which `launch` would learn the shot."""
        values = {"capacity": self.config.capacity, "size": self.config.size}
        values |= {"method": "vinet"} if isinstance(self.config, VINetTraining) else {}
        return planned_scales(validated(Config, values), (lot.height, lot.width))[0]

    @property
    def learnt(self) -> tuple[Lot, ...]:
        """The shots that are learnt from; at the others it is measured."""
        return tuple(lot for lot in self.lots if lot.name not in _held_out(self.config))

    @property
    def fit(self) -> WarmstartConfig:
        config = self.config
        assert isinstance(config, TrainConfig)
        return WarmstartConfig(
            **config.fit.model_dump(), seed=config.seed, precision=config.precision
        )

    @property
    def description(self) -> dict[str, Any]:
        """What the weights depend on, as JSON values."""
        keys = {"method", "capacity", "fit", "validation_share", "seed", "precision"}
        values = self.config.model_dump(mode="json", include=keys)
        for reporting in ("report_every", "validate_every"):
            values["fit"].pop(reporting)
        shots = {
            lot.name: {
                "scale": self.scale(lot).label,
                "frames": lot.frames,
                "masks": lot.masks,
                "fingerprint": lot.fingerprint,
            }
            for lot in self.learnt
        }
        return values | {"channels": self.channels, "shots": shots}

    @property
    def name(self) -> str:
        """A name that no other training has."""
        text = json.dumps(self.description, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def out(self) -> str:
        """Where the weights go, an absolute path or a URL."""
        beside = os.path.dirname(self.archive) if "://" not in self.archive else ""
        name = "vinet.pt" if isinstance(self.config, VINetTraining) else "warmstart.pt"
        return output(self.config.out or os.path.join(beside, name))


@dataclass(frozen=True)
class Crew:
    """The workers of a training: how many, and what each asks of a machine."""

    workers: int
    each: Need


def fitted(order: Order, machines: Sequence[Need]) -> tuple[Order, Crew]:
    """Decide what was left to the machines: workers, GPUs, capacity.

    Raises:
        ConfigError: they have not what is asked for, or the batch cannot be shared.
    """
    config, wanted = order.config, order.config.resources
    gpus = int(any(has.gpus >= 1 for has in machines)) if wanted.gpus is None else wanted.gpus
    each, batch, asked = Need(gpus, wanted.cpus), config.fit.batch, config.workers
    places = sum(_places(each, machine) for machine in machines)
    if asked is not None and batch % asked:
        raise ConfigError(f"workers = {asked}: fit.batch = {batch} cannot be shared among them")
    if places < (asked or 1):
        raise ConfigError(
            f"workers = {asked or 1}: there is room for {places} of {each}; there are: "
            f"{described(machines)}"
        )
    if config.precision == "fp16" and not gpus:
        raise ConfigError("precision = fp16: needs a GPU; use bf16 or off")
    most = places if gpus else 1
    workers = asked or max(n for n in range(1, most + 1) if batch % n == 0)
    if config.capacity == "auto":
        config = config.model_copy(update={"capacity": "base" if gpus else "small"})
    return replace(order, config=config), Crew(workers, each)


def _places(each: Need, machine: Need) -> int:
    """How many such workers a machine has room for."""
    cores = machine.cpus // each.cpus
    return min(cores, int(machine.gpus // each.gpus)) if each.gpus else cores


def survey(config: Training) -> tuple[Order, dict[str, str]]:
    """Return the training of a configuration, and why shots of the archive are left out of it.

    Raises:
        InputError: there is no archive, no such shot, or none that can be learnt from.
    """
    archive = Archive.open(output(config.archive))
    shots = {name: archive.shot(name) for name in config.shots or archive.shots()}
    whole = {name: shot for name, shot in shots.items() if shot.complete}
    channels = [shot.frames.shape[-1] for shot in whole.values()]
    usual = Counter(channels).most_common(1)[0][0] if channels else 0
    lots, left_out = [], {}
    for name, shot in shots.items():
        if why := _unfit(shot, usual, config):
            left_out[name] = why
        else:
            lots.append(_lot(name, shot))
    order = Order(config, archive.url, tuple(lots), usual)
    if absent := set(_held_out(config)) - {lot.name for lot in lots}:
        raise InputError(f"held_out = {sorted(absent)}: {archive.url} has no such shot to measure")
    if not order.learnt:
        told = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise InputError(f"{archive.url}: no shot to learn from{': ' if told else ''}{told}")
    return order, left_out


def _held_out(config: Training) -> Sequence[str]:
    return (config.held_out if isinstance(config, VINetTraining) else None) or []


def _unfit(shot: Shot, channels: int, config: Training) -> str:
    """Say why nothing can be learnt from a shot; empty where it can."""
    if not shot.complete:
        return "is not complete; run its ingest to the end"
    if shot.frames.shape[-1] != channels:
        return f"has {shot.frames.shape[-1]} channels, most have {channels}"
    if shot.given is not None and _masks(shot) is None:
        return "has masks for a few frames only; launch makes the others"
    if isinstance(config, VINetTraining) and len(shot) < config.fit.frames:
        return f"has {len(shot)} frames, fewer than fit.frames"
    return ""


def _lot(name: str, shot: Shot) -> Lot:
    height, width = shot.frames.shape[1:3]
    masks = None if shot.given is None else _masks(shot)
    return Lot(name, len(shot), height, width, masks, shot.attrs["fingerprint"])


def _masks(shot: Shot) -> str | None:
    """The newest mask version that has every frame."""
    made = [name for name in shot.masks() if shot.mask_version(name).complete]
    return made[-1] if made else None
