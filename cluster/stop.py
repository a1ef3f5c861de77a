"""Stopping a run: Ctrl-C and SIGTERM ask for it, the jobs save themselves."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator


class Stop:
    """Says whether to stop, and because of which signal; a second one ends the process at once."""

    def __init__(self) -> None:
        self.signal = 0

    def __call__(self) -> bool:
        return self.signal != 0

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Listen to the signals while this is open."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: object) -> None:
        if self.signal:
            os._exit(128 + number)
        self.signal = number
