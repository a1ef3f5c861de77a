"""What the pages share: strict templates, and pictures that stand in them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template


def template(name: str, **filters: Callable[..., Any]) -> Template:
    """Return a template of this folder; an unknown name in it is an error, and HTML is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(filters)
    return environment.get_template(name)


def inside(picture: bytes) -> str:
    """Return a WebP picture as a URL that holds it."""
    return "data:image/webp;base64," + base64.b64encode(picture).decode()
