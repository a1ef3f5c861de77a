"""`init`: the weights that a shot's coarsest fit begins with, instead of drawn ones, or VINet's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from cluster.backlog import absolute
from cluster.config import Config, fit_config
from cluster.plan import Job
from cluster.strict import ConfigError
from inpaint.checkpoint import DamagedCheckpoint
from inpaint.network import Network
from inpaint.vinet.network import VINet
from inpaint.warmstart import unpack
from storage import Files, InputError

Key = Literal["init", "vinet"]
"""Of the configuration: where weights are named."""


def with_init(config: Config) -> Config:
    """Return the configuration with the content of its warm start named, so that it is part of it.

    Args:
        config: its capacity decided.

    Raises:
        ConfigError: there is no such file, it is no warm start, another one than named, or of
            another method or capacity.
    """
    if config.method == "vinet" and config.init is None:
        raise ConfigError(f"method = vinet: give init=, {_MADE_BY}")
    if fit_config(config).prior == "vinet" and config.vinet is None:
        raise ConfigError(f"fit.prior = vinet: give vinet=, {_MADE_BY}")
    return _named(_named(config, "init", config.method), "vinet", "vinet")


_MADE_BY = "weights that `python -m cluster.train configs/vinet.yaml archive=…` makes"


def _named(config: Config, key: Key, method: str) -> Config:
    """Name the content of the weights that a key gives, once they are found to fit."""
    place, wanted = getattr(config, key), getattr(config, f"{key}_sha256")
    if place is None:
        return config
    place = absolute(place)
    given = Start.read(place, key)
    if wanted not in (None, given.sha256):
        raise ConfigError(f"{key} = {place}: its SHA-256 is {given.sha256}, not {key}_sha256")
    found = given.description.get("method", "internal")
    if found != method and method in ("internal", "vinet"):
        raise ConfigError(f"{key} = {place}: weights for method {found}, not {method}")
    capacity = given.description["capacity"]
    if key == "init" and capacity != config.capacity:
        raise ConfigError(
            f"init = {place}: trained with capacity {capacity}, this run has {config.capacity}; "
            f"give capacity={capacity}, or train another"
        )
    return config.model_copy(update={key: place, f"{key}_sha256": given.sha256})


def start(network: Network | VINet, job: Job) -> str | None:
    """Give a network the weights of the job's warm start; return what a person should know of it.

    Raises:
        ConfigError, InputError: they are not those that the run began with, or for frames of
            another kind.
    """
    given = found(job.config, "init", network.channels, job.shot.name)
    network.load_state_dict(given.weights)
    return given.doubt(job)


def found(config: Config, key: Key, channels: int, shot: str) -> Start:
    """Return the weights that the run began with.

    Raises:
        ConfigError, InputError: as `start` does.
    """
    place = getattr(config, key)
    given = Start.read(place, key)
    if given.sha256 != getattr(config, f"{key}_sha256"):
        raise InputError(f"{place}: has changed since the run began; start it again")
    if given.description["channels"] != channels:
        raise InputError(
            f"{place}: trained on frames of {given.description['channels']} channels, shot "
            f"{shot!r} has {channels}"
        )
    return given


@dataclass(frozen=True)
class Start:
    """A warm start: its weights, what they are of, and the SHA-256 of the file."""

    weights: dict[str, Tensor]
    description: dict[str, Any]
    sha256: str

    @classmethod
    def read(cls, place: str, key: Key = "init") -> Start:
        """Read the file at a path or URL.

        Raises:
            ConfigError: there is none, or it is no warm start.
        """
        folder, _, name = place.rpartition("/")
        content = Files(folder).read(name)
        if content is None:
            raise ConfigError(f"{key} = {place}: no such file; `python -m cluster.train` makes one")
        try:
            weights, description = unpack(content)
        except DamagedCheckpoint as error:
            raise ConfigError(f"{key} = {place}: is no warm start ({error})") from None
        return cls(weights, description, hashlib.sha256(content).hexdigest())

    def doubt(self, job: Job) -> str | None:
        """Say where it has learnt from pixels that the job hides to estimate its error."""
        learnt = self.description["shots"].get(job.shot.name)
        if learnt is None or job.scale is None:
            return None
        if self.description.get("method") == "vinet":
            return "init has learnt from this shot: the estimate at the validation hole is too high"
        own = {key: getattr(job.config, key) for key in ("seed", "validation_share")}
        hid = {key: self.description[key] for key in own}
        if own == hid and (learnt["scale"], learnt["masks"]) == (job.scale.label, job.masks):
            return None
        return (
            "init has learnt from this shot with another seed, size, mask or validation_share: the "
            "estimate at the validation hole is too high"
        )
