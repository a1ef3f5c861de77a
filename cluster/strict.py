"""Reading YAML and words strictly.

An unknown key, a wrong type or an impossible value stops the run with one line that names it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from storage.attributes import check_name

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


class ConfigError(ValueError):
    """The configuration cannot be used; one line for each thing that is wrong with it."""


class Options(BaseModel):
    """Values read from YAML, strictly."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=True, allow_inf_nan=False
    )


Model = TypeVar("Model", bound=Options)


def validated(model: type[Model], values: Any) -> Model:
    """Return the values as a model.

    Raises:
        ConfigError: every fault, one a line.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(f, model) for f in error.errors())) from None


@contextmanager
def under(key: str) -> Iterator[None]:
    """Begin every line of a fault with the key under which it was found."""
    try:
        yield
    except ConfigError as error:
        lines = str(error).splitlines()
        raise ConfigError("\n".join(f"{key}: {line}" for line in lines)) from None


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


def read_values(path: str | None, words: Sequence[str], example: str) -> dict[str, Any]:
    """Read a configuration file, then let words `a.b=value` replace its values, read as YAML.

    Args:
        path: a file as `read_file` takes it; None starts from nothing.
        example: of a word, for the message.

    Raises:
        ConfigError: one of them cannot be read.
    """
    values = {} if path is None else read_file(path)
    for word in words:
        key, text = key_and_text(word, example)
        values = merged(values, nested(key.split("."), read_yaml(text, word)))
    return values


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of both; where both have a mapping, merged in turn; else the second's."""
    result = dict(base)
    for key, value in over.items():
        inner = result.get(key)
        if isinstance(inner, dict) and isinstance(value, dict):
            value = merged(inner, value)
        result[key] = value
    return result


def nested(path: Sequence[str], value: Any) -> dict[str, Any]:
    """`a.b.c` as nested dictionaries."""
    first, *rest = path
    return {first: nested(rest, value) if rest else value}


def read_yaml(text: str, where: str) -> Any:
    """Read YAML with the numbers of YAML 1.2; `2e-4` is one, `no` and `10:30` are text.

    Raises:
        ConfigError: it is no YAML, or a key stands twice.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: {' '.join(str(error).split())}") from None


def key_and_text(word: str, example: str) -> tuple[str, str]:
    """Take a word `key=value` apart.

    Raises:
        ConfigError: it is none; the example shows one.
    """
    key, equals, text = word.partition("=")
    if not equals or not key:
        raise ConfigError(f"{word!r}: expected key=value, such as {example}")
    return key, text


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


def _as_size(value: str) -> str:
    working_area(value)
    return value


Text = Annotated[str, BeforeValidator(_as_text)]
Range = Annotated[Text, AfterValidator(_as_range)]
Size = Annotated[Text, AfterValidator(_as_size)]
Name = Annotated[Text, AfterValidator(_as_name)]


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


def _explain(fault: Any, model: type[Options]) -> str:
    """Say one fault in one line: key, value, what was expected."""
    path = [str(part) for part in fault["loc"]]
    key = ".".join(path)
    if fault["type"] == "extra_forbidden":
        known = list(fields_of(path[:-1], model))
        close = difflib.get_close_matches(path[-1], known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "known are: " + ", ".join(known)
        return f"{key}: is not a known key; {hint}"
    if fault["type"] == "missing":
        return f"{key}: missing"
    said = re.sub(r"^Value error, ", "", fault["msg"])
    said = re.sub(r"^Input should be", "expected", said)
    said = re.sub(r"a valid dictionary or instance of \w+", "keys of its own", said)
    return f"{key} = {fault['input']!r}: {said}" if key else said


def fields_of(groups: Sequence[str], model: Any) -> dict[str, Any]:
    """Return the fields of a group of keys such as `fit`, empty where there is no such group."""
    for group in groups:
        field = model.model_fields.get(group)
        model = None if field is None else field.annotation
        if not isinstance(model, type) or not issubclass(model, BaseModel):
            return {}
    return dict(model.model_fields)
