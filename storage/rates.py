"""Frame rates as people write them, and as they are."""

from __future__ import annotations

import argparse
from fractions import Fraction

NTSC = [Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120)]
"""Rates that are written rounded: 23.976 or 23.98 for 24000/1001."""


def frame_rate(text: str) -> Fraction:
    """Read frames per second: `25`, `24000/1001`, or an NTSC rate rounded to two places or more.

    Raises:
        ValueError: it is none, or none from above 0 to 1000.
    """
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise ValueError("expected frames per second as 25, 23.976 or 24000/1001, at most 1000")
    places = len(text.partition(".")[2].rstrip("0 "))
    return next((ntsc for ntsc in NTSC if places > 1 and round(ntsc, places) == rate), rate)


def rate_argument(text: str) -> Fraction:
    """`frame_rate` as the type of an `argparse` argument."""
    try:
        return frame_rate(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
