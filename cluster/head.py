"""Seeing that a cluster's head is gone: Ray looks for it a minute, then ends the process with 1."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator

from cluster.address import check_reachable
from cluster.strict import ConfigError

GONE = 75
"""Exit status, that of a failure which passes (EX_TEMPFAIL of sysexits.h)."""

LOOK_EVERY_S = 3.0
RAY_WAITS = "RAY_gcs_rpc_server_reconnect_timeout_s"
"""The variable that says how long Ray looks for its head, in seconds."""

BEFORE_RAY_S = 15.0
"""By how much this comes before Ray's own end, which has neither our line nor our status."""


@contextlib.contextmanager
def watched(address: str | None, look_every_s: float = LOOK_EVERY_S) -> Iterator[None]:
    """End the process, with a line, where the head at this address is gone while this is open.

    Args:
        address: `host:port`; None where there is no head but our own.
    """
    over = threading.Event()
    if address is not None:
        watching = (address, look_every_s, _patience_s(), over)
        threading.Thread(target=_watch, args=watching, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _patience_s() -> float:
    """How long a head may be away, as whoever lets it come back has told Ray."""
    ray_s = float(os.environ.get(RAY_WAITS, "60"))
    return max(1.0, ray_s - BEFORE_RAY_S)


def _watch(address: str, look_every_s: float, patience_s: float, over: threading.Event) -> None:
    seen_s = time.monotonic()
    while not over.wait(look_every_s):
        try:
            check_reachable(address)
            seen_s = time.monotonic()
        except ConfigError:
            away_s = time.monotonic() - seen_s
            if away_s >= patience_s and not over.is_set():
                said = f"error: the cluster's head at {address} is gone for {away_s:.0f} s; "
                print(
                    said + "the same command goes on, on any cluster", file=sys.stderr, flush=True
                )
                os._exit(GONE)  # whatever asks Ray something hangs, so no job can be told to stop
