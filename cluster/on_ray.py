"""The plan on a Ray cluster: actors that go from job to job, and end with the first that fails.

What they do streams back as small dicts; `cluster.crew` looks after them.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping

from cluster import address

# A private Ray is closed to others on the machine by a token that lives in this process only. Ray
# reads these once, when it is imported.
if address.named() is None and "ray" not in sys.modules:
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    if os.environ["RAY_AUTH_MODE"] == "token":
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
else:
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "10")  # seconds until an address is given up
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray

from cluster.actor import Work, do
from cluster.agenda import Agenda
from cluster.crew import Crew
from cluster.plan import Note
from cluster.room import Need

TOKEN_ADVICE = "if a token closes it, that belongs into RAY_AUTH_TOKEN or ~/.ray/auth_token"

STOP_S = 12.0
"""How long jobs may take to save themselves once asked to stop."""


def connect() -> None:
    """Join the cluster that `RAY_ADDRESS` names, as a submitted job does; else start our own.

    Raises:
        ConfigError: nothing answers there, or it does not let us in.
    """
    quiet = {"log_to_driver": False, "logging_level": "error"}
    cluster = address.named()
    if cluster is None:
        ray.init(address="local", include_dashboard=False, **quiet)
        return
    address.check_reachable(cluster)
    try:
        ray.init(**quiet)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.AuthenticationError) as error:
        why = " ".join(str(error).split()).split(". ")[0]
        raise address.refused(cluster, f"{why}; {TOKEN_ADVICE}") from None


def disconnect() -> None:
    """Leave the cluster; a private one ends."""
    ray.shutdown()


def machines() -> list[Need]:
    """Return what each machine has."""
    return [_has(node["Resources"]) for node in ray.nodes() if node["Alive"]]


def run_on_ray(agenda: Agenda, stop: Callable[[], bool], work: Work = do) -> Iterator[Note]:
    """Do the agenda's jobs, as many at once as the cluster holds; yield what they tell.

    Args:
        work: what does a job.
    """
    crew = Crew(agenda, work, machines)
    asked_at: float | None = None
    try:
        while True:
            if stop() and asked_at is None:
                asked_at = time.monotonic()
                crew.stop()
            if asked_at is None:
                yield from crew.fill()
            if not crew or (asked_at and time.monotonic() - asked_at > STOP_S):
                return
            yield from crew.heard()
    finally:
        crew.dismiss()


def _has(resources: Mapping[str, float]) -> Need:
    return Need(
        resources.get("GPU", 0), int(resources.get("CPU", 0)), int(resources.get("memory", 0))
    )
