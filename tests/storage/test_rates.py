import argparse
from fractions import Fraction

import pytest

from storage.rates import frame_rate, rate_argument


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        *(("25", 25), ("24.0", 24), ("24.00", 24), ("12.5", Fraction(25, 2))),
        *(("24000/1001", Fraction(24000, 1001)), ("2997/125", Fraction(2997, 125))),
        *((text, Fraction(24000, 1001)) for text in ("23.98", "23.976", "23.9760", "23.976024")),
        *((text, Fraction(30000, 1001)) for text in ("29.97", " 29.970 ", "29.97003")),
        *((text, Fraction(48000, 1001)) for text in ("47.95", "47.952")),
        *(("59.94", Fraction(60000, 1001)), ("119.88", Fraction(120000, 1001))),
        *(("23.9", Fraction(239, 10)), ("29.9", Fraction(299, 10)), ("23.95", Fraction(479, 20))),
    ],
)
def test_a_rounded_ntsc_rate_is_the_exact_one_and_any_other_is_itself(text, rate):
    assert frame_rate(text) == rate


@pytest.mark.parametrize("text", ["", "x", "0", "-25", "1/0", "nan", "1001"])
def test_what_is_no_rate_is_refused_saying_how_one_is_written(text):
    with pytest.raises(ValueError, match=r"as 25, 23\.976 or 24000/1001, at most 1000"):
        frame_rate(text)
    with pytest.raises(argparse.ArgumentTypeError, match="expected frames per second"):
        rate_argument(text)
