"""Which frames stand for all of them."""

from __future__ import annotations

import numpy as np


def spread(count: int, most: int) -> list[int]:
    """Return at most `most` indices below `count`, evenly spread, first and last among them."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})
