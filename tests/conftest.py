"""What tests of several packages share."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

# The tests' own Ray is closed by a token, which is not left on disk; Ray reads it when imported.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


@pytest.fixture(scope="session")
def clips() -> Path:
    """The folder of real clips: `CLEANPLATE_CLIPS`, or `../shared/clips` beside the repository."""
    beside = Path(__file__).parents[2] / "shared" / "clips"
    folder = Path(os.environ.get("CLEANPLATE_CLIPS", beside))
    if not folder.is_dir():
        pytest.skip("real clips are absent: set CLEANPLATE_CLIPS to their folder")
    return folder
