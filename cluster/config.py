"""What a run is told: the configuration, its reader, and the errors it answers with.

A file of `configs/` and `key=value` words become one frozen `Config`. Loading is strict: an unknown
key, a wrong type or an impossible value stops the run with one line that names it.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from inpaint import propagate
from inpaint.propagate import PropagateConfig
from inpaint.recipes import RECIPES, FitConfig
from inpaint.warps import WarpRanges
from storage.attributes import check_name

_WARPS = WarpRanges()
CONFIGS = Path(__file__).resolve().parents[1] / "configs"


class ConfigError(ValueError):
    """The configuration cannot be used; one line for each thing that is wrong with it."""


def _as_text(value: Any) -> Any:
    """YAML reads `60` as a number where a name may be meant; of `1.10` it would keep `1.1`."""
    if value == "":
        raise ValueError("is empty")
    if type(value) is float:
        raise ValueError("is read as a number; put it in quotes")
    return str(value) if type(value) is int else value


def _as_name(value: str) -> str:
    check_name(value)
    return value


def _as_range(value: str) -> str:
    frame_range(value)
    return value


Text = Annotated[str, BeforeValidator(_as_text)]
Range = Annotated[Text, AfterValidator(_as_range)]
Name = Annotated[Text, AfterValidator(_as_name)]

Model = TypeVar("Model", bound="Options")


class Options(BaseModel):
    """Values read from YAML, strictly."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=True, allow_inf_nan=False
    )


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

    steps: int | None = Field(None, ge=1, le=10_000_000)
    batch: int | None = Field(None, ge=1, le=1024)
    learning_rate: float | None = Field(None, gt=0, lt=1)
    schedule: Literal["constant", "cosine"] | None = None
    warmup_steps: int | None = Field(None, ge=0)
    shifted_holes: int | None = Field(None, ge=1, le=32)
    hole_weight: float | None = Field(None, ge=0, le=1000)
    holes: Literal["shifted", "free_form"] | None = None
    ambiguity: float | None = Field(None, ge=0, le=100)
    ambiguity_form: Literal["contextual", "minimum"] | None = None
    ambiguity_floor: float | None = Field(None, ge=0, le=10)
    features: Literal["internal", "vgg19"] | None = None
    features_path: Text | None = None
    stabilisation: float | None = Field(None, ge=0, le=100)
    regularise_share: float | None = Field(None, ge=0, le=1)
    warps: WarpOptions | None = None
    report_every: int | None = Field(None, ge=1)
    validate_every: int | None = Field(None, ge=1)


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
    steps: int | None = Field(None, ge=1, le=10_000_000)
    window_px: int = Field(256, ge=32, le=2048, multiple_of=4)
    uniform_share: float = Field(0.25, ge=0, le=1)

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
    steps: int | None = Field(None, ge=1, le=10_000_000)
    batch: int | None = Field(None, ge=1, le=1024)
    learning_rate: float | None = Field(None, gt=0, lt=1)
    alpha: float | None = Field(None, gt=0, le=1)
    threshold: float | None = Field(None, gt=0, lt=1)
    grow_px: int = Field(4, ge=0, le=512)


class Resources(Options):
    """What one shot's fitting asks of a machine.

    Attributes:
        gpus: null: one where the cluster has any. A fraction shares a GPU between shots.
        cpus: cores, and threads of the arithmetic; at most what the largest machine has.
        memory_gb: working memory set aside for scheduling; 0 asks for none.
    """

    gpus: float | None = Field(None, ge=0, le=16)
    cpus: int = Field(2, ge=1, le=256)
    memory_gb: float = Field(0, ge=0)

    @field_validator("gpus")
    @classmethod
    def _whole_above_one(cls, value: float | None) -> float | None:
        if value is not None and value > 1 and value != int(value):
            raise ValueError("above 1 only a whole number of GPUs can be had")
        return value


class Delivery(Options):
    """How an export is written.

    Attributes:
        codec: `ffv1`, `h264`, `h265` or `prores`; null: as the file name's ending suggests.
        crf: constant rate factor of h264 and h265, 0 (lossless) to 51; null: 12.
        fps: frames per second, for a movie made of a sequence that states none, e.g. `24000/1001`.
        overwrite: replace a file that this version did not write.
    """

    codec: Literal["ffv1", "h264", "h265", "prores"] | None = None
    crf: float | None = Field(None, ge=0, le=51)
    fps: Annotated[str, BeforeValidator(lambda value: str(value))] = "24"
    overwrite: bool = False

    @field_validator("fps")
    @classmethod
    def _rate(cls, value: str) -> str:
        try:
            rate = Fraction(value)
        except (ValueError, ZeroDivisionError) as error:
            raise ValueError("frames per second as 25, 23.976 or 24000/1001") from error
        if not 0 < rate <= 1000:
            raise ValueError("frames per second between 0 and 1000")
        return value


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
    method: Literal["internal", "telea", "flow"] = "internal"
    recipe: Literal["fast", "paper"] = "fast"
    capacity: Literal["auto", "small", "base", "large"] = "auto"
    size: Text | None = None
    hole: HoleOptions = HoleOptions()
    fit: FitOptions = FitOptions()
    progressive: ProgressiveOptions = ProgressiveOptions()
    validation_share: float = Field(0.03, ge=0, le=0.2)
    seed: int = Field(0, ge=0, lt=2**63)
    precision: Literal["auto", "off", "bf16", "fp16"] = "auto"
    propagate: PropagateOptions = PropagateOptions()
    # How to run.
    runner: Literal["ray", "serial"] = "ray"
    resources: Resources = Resources()
    max_attempts: int = Field(3, ge=1, le=100)
    checkpoint_every_s: float = Field(60, gt=0)

    @field_validator("size")
    @classmethod
    def _size(cls, value: str | None) -> str | None:
        if value is not None:
            working_area(value)
        return value

    @model_validator(mode="after")
    def _one_or_many(self) -> Config:
        if self.source and self.shots:
            raise ValueError("source names one shot and shots many: give one of the two")
        if self.shots and self.name:
            raise ValueError("name is for one shot; many are named by what * stands for")
        if self.precision == "fp16" and self.resources.gpus == 0:
            raise ValueError("precision fp16 needs a GPU; use bf16 or off")
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
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise ConfigError(f"{word!r}: expected key=value, such as fit.steps=1500")
        _put(values, key, _value(key, text, word), word)
    return validated(Config, values)


def validated(model: type[Model], values: Any) -> Model:
    """Return the values as a model.

    Raises:
        ConfigError: every fault, one a line.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(f, model) for f in error.errors())) from None


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


def frame_range(text: str) -> tuple[int, int]:
    """Read `first-last`, both included, or one frame number."""
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text.strip())
    if found is None:
        raise ValueError("expected first-last, such as 1001-1048")
    first = int(found[1])
    last = first if found[2] is None else int(found[2])
    if last < first:
        raise ValueError("the first frame lies after the last")
    return first, last


def working_area(text: str) -> tuple[int, int]:
    """Read a size `WxH`; return height and width."""
    found = re.fullmatch(r"(\d+)x(\d+)", text.strip())
    if found is None or not (16 <= int(found[1]) <= 16384 and 16 <= int(found[2]) <= 16384):
        raise ValueError("expected WIDTHxHEIGHT in pixels, each 16 to 16384, such as 432x240")
    return int(found[2]), int(found[1])


def read_file(path: str) -> dict[str, Any]:
    """Read a configuration file, named by its path or, one of `configs/`, by its name.

    Raises:
        ConfigError: it cannot be read, or holds no keys and values.
    """
    file = Path(path)
    if re.fullmatch(r"[\w-]+", path) and not file.is_file():
        file = CONFIGS / f"{path}.yaml"
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    values = read_yaml(text, path)
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected keys and values, such as `capacity: small`")
    return values


def read_yaml(text: str, where: str) -> Any:
    """Read YAML with the numbers of YAML 1.2; `2e-4` is one, `no` and `10:30` are text.

    Raises:
        ConfigError: it is no YAML, or a key stands twice.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: {' '.join(str(error).split())}") from None


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2's scalars, refusing a key that stands twice."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (PyYAML's own attribute)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((key for i, key in enumerate(keys) if key in keys[:i]), None)
        if twice is not None:
            mark = node.start_mark
            raise yaml.constructor.ConstructorError(None, None, f"{twice!r} stands twice", mark)
        return super().construct_mapping(node, deep)


for _tag, _pattern, _starts in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"[-+]?(?:0|[1-9]\d*)", "-+0123456789"),
    ("float", r"[-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][-+]?\d+)?", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), list(_starts)
    )


def _value(key: str, text: str, word: str) -> Any:
    """Read a word's value as YAML; where the key means text, take it as it was typed."""
    *groups, last = key.split(".")
    field = _fields_of(groups, Config).get(last)
    plain = field is not None and field.annotation in (str, Text | None, Name | None, Range | None)
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


def _explain(fault: Any, model: type[Options]) -> str:
    """Say one fault in one line: key, value, what was expected."""
    path = [str(part) for part in fault["loc"]]
    key = ".".join(path)
    if fault["type"] == "extra_forbidden":
        known = list(_fields_of(path[:-1], model))
        close = difflib.get_close_matches(path[-1], known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "known are: " + ", ".join(known)
        return f"{key}: is not a known key; {hint}"
    if fault["type"] == "missing":
        return f"{key}: missing"
    said = re.sub(r"^Value error, ", "", fault["msg"])
    said = re.sub(r"^Input should be", "expected", said)
    said = re.sub(r"a valid dictionary or instance of \w+", "keys of its own", said)
    return f"{key} = {fault['input']!r}: {said}" if key else said


def _fields_of(groups: Sequence[str], model: Any) -> dict[str, Any]:
    """Return the fields of a group of keys such as `fit`, empty where there is no such group."""
    for group in groups:
        field = model.model_fields.get(group)
        model = None if field is None else field.annotation
        if not isinstance(model, type) or not issubclass(model, BaseModel):
            return {}
    return dict(model.model_fields)
