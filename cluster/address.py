"""Which cluster a run joins: the one that `RAY_ADDRESS` names, or none, and then its own."""

from __future__ import annotations

import os
import socket

from cluster.strict import ConfigError

ANSWER_WITHIN_S = 10.0
"""How long a machine may take to accept a connection."""


def named() -> str | None:
    """Return the cluster that whoever started us named; None where we are to start our own.

    One that merely runs on this machine is never joined.
    """
    address = os.environ.get("RAY_ADDRESS", "")
    return None if address in ("", "local") else address


def check_reachable(address: str) -> None:
    """Refuse an address where nobody listens, for which Ray itself waits minutes.

    Raises:
        ConfigError: it is not `host:port`, or nothing answers there.
    """
    if address == "auto":
        return
    kind, separator, _ = address.partition("://")
    host, _, port = address.rpartition(":")
    if separator or not host or not port.isdigit():
        raise refused(address, _ADVICE.get(kind, "expected host:port, such as 10.0.0.1:6379"))
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise refused(
            address, f"nothing answers there ({reason}); start it, or unset RAY_ADDRESS"
        ) from None


def refused(address: str, why: str) -> ConfigError:
    return ConfigError(f"RAY_ADDRESS = {address}: {why}")


_ADVICE = {
    "http": "the job server's address belongs into RAY_API_SERVER_ADDRESS; unset this one",
    "https": "the job server's address belongs into RAY_API_SERVER_ADDRESS; unset this one",
    "ray": "a run does not go through Ray Client; submit it with `ray job submit`",
}
