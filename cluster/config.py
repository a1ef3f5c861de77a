"""What a run is told: a file of `configs/` and `key=value` words become one frozen `Config`.

Reading is strict, see `cluster.strict`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from cluster.bounds import (
    Batch,
    Capacity,
    CooldownShare,
    Count,
    Cpus,
    Every,
    Gpus,
    HoleWeight,
    LearningRate,
    LossWeight,
    MemoryGb,
    RunnerKind,
    Seed,
    Share,
    ShiftedHoles,
    Steps,
    ValidationShare,
    WeightDecay,
)
from cluster.strict import (
    ConfigError,
    Name,
    Options,
    Range,
    Size,
    Text,
    fields_of,
    key_and_text,
    read_file,
    read_yaml,
    validated,
)
from inpaint import propagate
from inpaint.learning import Optimizer, RateSchedule
from inpaint.losses import AmbiguityForm
from inpaint.precision import Precision
from inpaint.propagate import PropagateConfig
from inpaint.recipes import RECIPES, FeatureKind, FitConfig, HoleKind, PriorKind
from inpaint.warps import WarpRanges
from storage.rates import frame_rate

_WARPS = WarpRanges()


class HoleOptions(Options):
    """How a painted mask becomes the hole.

    Attributes:
        threshold: fraction of full scale above which a value is hole; null: 0 for lossless images,
            0.5 for movies and JPEG.
        invert: the hole is where the value is at most the threshold.
        grow_px: the hole grows by this many pixels of the source on every side.
    """

    threshold: float | None = Field(None, ge=0, lt=1)
    invert: bool = False
    grow_px: int = Field(0, ge=0, le=512)


class WarpOptions(Options):
    """The `g` of the stabilisation loss; meanings: `inpaint.WarpRanges`."""

    shift_px: float = Field(_WARPS.shift_px, ge=0, le=64)
    rotation_deg: float = Field(_WARPS.rotation_deg, ge=0, le=45)
    zoom: float = Field(_WARPS.zoom, ge=0, lt=0.5)
    shear_deg: float = Field(_WARPS.shear_deg, ge=0, le=20)
    perspective: float = Field(_WARPS.perspective, ge=0, le=0.1)
    brightness: float = Field(_WARPS.brightness, ge=0, lt=0.5)
    blur_px: float = Field(_WARPS.blur_px, ge=0, le=8)


class FitOptions(Options):
    """What differs from the recipe, None where nothing does; meanings: `inpaint.FitConfig`."""

    steps: Steps | None = None
    batch: Batch | None = None
    optimizer: Optimizer | None = None
    learning_rate: LearningRate | None = None
    weight_decay: WeightDecay | None = None
    schedule: RateSchedule | None = None
    warmup_steps: Count | None = None
    cooldown_share: CooldownShare | None = None
    patience: Count | None = None
    least_gain_db: float | None = Field(None, ge=0)
    shifted_holes: ShiftedHoles | None = None
    hole_weight: HoleWeight | None = None
    holes: HoleKind | None = None
    ambiguity: LossWeight | None = None
    ambiguity_form: AmbiguityForm | None = None
    ambiguity_floor: float | None = Field(None, ge=0, le=10)
    features: FeatureKind | None = None
    features_path: Text | None = None
    stabilisation: LossWeight | None = None
    regularise_share: Share | None = None
    prior: PriorKind | None = None
    warps: WarpOptions | None = None
    report_every: Every | None = None
    validate_every: Every | None = None


class ProgressiveOptions(Options):
    """How a shot larger than its whole frames can be learnt at is refined.

    Attributes:
        scales: source pixels per pixel of each finer scale along a side, falling, such as [4, 1];
            empty: none, the whole frames' result is scaled up; `auto`: as few as keep a side from
            growing more than fourfold at once.
        steps: optimiser steps of each finer scale; null: half of those of the coarsest.
        window_px: side of the windows learnt from.
        uniform_share: of the windows, drawn anywhere; the others lie at the hole's boundary.
    """

    scales: Literal["auto"] | list[Annotated[int, Field(ge=1, le=64)]] = "auto"
    steps: Steps | None = None
    window_px: int = Field(256, ge=32, le=2048, multiple_of=4)
    uniform_share: Share = 0.25

    @field_validator("scales")
    @classmethod
    def _falling(cls, value: list[int] | str) -> list[int] | str:
        if isinstance(value, list) and value != sorted(set(value), reverse=True):
            raise ValueError("expected falling factors, such as [4, 1]")
        return value


class PropagateOptions(Options):
    """How masks are made from those of a few frames; meanings: `inpaint.PropagateConfig`.

    Attributes:
        capacity: of the network; null: base on a GPU, small without.
        grow_px: the masks made grow by this many pixels of the source on every side.
    """

    recipe: Literal["fast", "paper"] = "fast"
    capacity: Literal["small", "base", "paper"] | None = None
    steps: Steps | None = None
    batch: Batch | None = None
    learning_rate: LearningRate | None = None
    alpha: float | None = Field(None, gt=0, le=1)
    threshold: float | None = Field(None, gt=0, lt=1)
    grow_px: int = Field(4, ge=0, le=512)


class Resources(Options):
    """What one shot's fitting asks of a machine.

    Attributes:
        gpus: null: one where the cluster has any. A fraction shares a GPU between shots.
        cpus: cores, and threads of the arithmetic; at most what the largest machine has.
        memory_gb: working memory set aside for scheduling; 0 asks for none.
        tile_px: side of the largest picture that is filled at once.
    """

    gpus: Gpus | None = None
    cpus: Cpus = 2
    memory_gb: MemoryGb = 0
    tile_px: int = Field(1024, ge=256, le=16384, multiple_of=4)


class Delivery(Options):
    """How an export is written.

    Attributes:
        codec: `ffv1`, `h264`, `h265` or `prores`; null: as the file name's ending suggests.
        crf: constant rate factor of h264 and h265, 0 (lossless) to 51; null: 12.
        fps: frames per second, for a movie made of a sequence that states none, e.g. `23.976`.
        overwrite: replace a file that this version did not write, or that was changed since.
        grain: share of the plate's grain that the fill is given where it lacks it; 0 for none.
    """

    codec: Literal["ffv1", "h264", "h265", "prores"] | None = None
    crf: float | None = Field(None, ge=0, le=51)
    fps: Annotated[str, BeforeValidator(lambda value: str(value))] = "24"
    overwrite: bool = False
    grain: float = Field(0, ge=0, le=2)

    @field_validator("fps")
    @classmethod
    def _rate(cls, value: str) -> str:
        return str(frame_rate(value))


class Config(Options):
    """One run of `cluster.launch`. Every key is explained in `configs/internal.yaml`."""

    archive: Text = "runs/archive"
    # What to inpaint: one shot …
    source: Text | None = None
    mask: Text | None = None
    few_masks: bool = False
    range: Range | None = None
    truth: Text | None = None
    name: Name | None = None
    # … or many.
    shots: Text | None = None
    # What to write.
    export: Text | None = None
    version: Name = "auto"
    report: Text | None = None
    tensorboard: Text | None = None
    delivery: Delivery = Delivery()
    # How to learn.
    method: Literal["internal", "vinet", "telea", "flow"] = "internal"
    recipe: Literal["fast", "paper"] = "fast"
    capacity: Capacity = "auto"
    size: Size | None = None
    init: Text | None = None
    init_sha256: Text | None = None
    vinet: Text | None = None
    vinet_sha256: Text | None = None
    hole: HoleOptions = HoleOptions()
    fit: FitOptions = FitOptions()
    progressive: ProgressiveOptions = ProgressiveOptions()
    validation_share: ValidationShare = 0.05
    seed: Seed = 0
    precision: Precision = "auto"
    propagate: PropagateOptions = PropagateOptions()
    # How to run.
    runner: RunnerKind = "ray"
    resources: Resources = Resources()
    in_flight: int | None = Field(None, ge=1)
    max_attempts: int = Field(3, ge=1, le=100)
    checkpoint_every_s: float = Field(60, gt=0)

    @model_validator(mode="after")
    def _one_or_many(self) -> Config:
        if self.source and self.shots:
            raise ValueError("source names one shot and shots many: give one of the two")
        if self.shots and self.name:
            raise ValueError("name is for one shot; many are named by what * stands for")
        if self.precision == "fp16" and self.resources.gpus == 0:
            raise ValueError("precision fp16 needs a GPU; use bf16 or off")
        fit = fit_config(self)
        if fit.patience and fit.schedule == "cosine":
            raise ValueError("fit.patience: a cosine cannot end early; use trapezoid or constant")
        return self


def load_config(path: str | None, words: Sequence[str] = ()) -> Config:
    """Read a configuration file, then let `key=value` words replace its values.

    Args:
        path: a YAML file, or the name of one in `configs/`; None starts from the defaults.

    Raises:
        ConfigError: every fault, one a line.
    """
    values = {} if path is None else read_file(path)
    for word in words:
        key, text = key_and_text(word, "fit.steps=1500")
        _put(values, key, _value(key, text, word), word)
    return validated(Config, values)


def fit_config(config: Config) -> FitConfig:
    """Return the recipe with the configuration's own values in it."""
    changed = {key: value for key, value in config.fit.model_dump().items() if value is not None}
    if config.fit.warps is not None:
        changed["warps"] = WarpRanges(**config.fit.warps.model_dump())
    return dataclasses.replace(
        RECIPES[config.recipe], **changed, seed=config.seed, precision=config.precision
    )


def propagate_config(config: Config) -> PropagateConfig:
    """Return the recipe of mask propagation with the configuration's own values in it."""
    options = config.propagate
    own = options.model_dump(exclude={"recipe", "capacity", "grow_px"})
    changed = {key: value for key, value in own.items() if value is not None}
    recipe = propagate.RECIPES[options.recipe]
    return dataclasses.replace(recipe, **changed, seed=config.seed, precision=config.precision)


TEXTS = (str, *(kind | None for kind in (Text, Name, Range, Size)))


def _value(key: str, text: str, word: str) -> Any:
    """Read a word's value as YAML; where the key means text, take it as it was typed."""
    *groups, last = key.split(".")
    field = fields_of(groups, Config).get(last)
    plain = field is not None and field.annotation in TEXTS
    if plain and text not in ("", "~", "null") and text[:1] not in "'\"":
        return text
    return read_yaml(text, word)


def _put(values: dict[str, Any], key: str, value: Any, word: str) -> None:
    """Set `a.b.c` in nested dictionaries."""
    *groups, last = key.split(".")
    for group in groups:
        if values.get(group) is None:  # a group whose keys are all commented out
            values[group] = {}
        inner = values[group]
        if not isinstance(inner, dict):
            raise ConfigError(f"{word}: {group} has no keys of its own")
        values = inner
    values[last] = value
