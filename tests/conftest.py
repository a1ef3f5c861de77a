"""What tests of several packages share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def clips() -> Path:
    """The folder of real clips: `CLEANPLATE_CLIPS`, or `../shared/clips` beside the repository."""
    beside = Path(__file__).parents[2] / "shared" / "clips"
    folder = Path(os.environ.get("CLEANPLATE_CLIPS", beside))
    if not folder.is_dir():
        pytest.skip("real clips are absent: set CLEANPLATE_CLIPS to their folder")
    return folder
