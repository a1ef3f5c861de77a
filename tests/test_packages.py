"""Three packages, one direction: cluster → inpaint, cluster → storage, and nothing else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "inpaint": {"storage", "cluster", "ray", "zarr"},
    "storage": {"inpaint", "cluster", "ray", "torch", "accelerate"},
}
RAY_ALLOWED = {"actor.py", "crew.py", "gauges.py", "on_ray.py", "on_train.py", "on_tune.py"}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_the_lower_packages_know_nothing_of_the_others(package: str) -> None:
    crossings = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in (ROOT / package).rglob("*.py")
        for name in _imported(file)
        if name in FORBIDDEN[package]
    ]
    assert crossings == []


def test_only_one_module_talks_to_ray() -> None:
    users = {file.name for file in (ROOT / "cluster").rglob("*.py") if "ray" in _imported(file)}
    assert users == RAY_ALLOWED


def _imported(file: Path) -> Iterator[str]:
    """Yield the top-level packages that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]
