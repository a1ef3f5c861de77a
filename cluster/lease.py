"""Who may write to a place, an archive or a folder: one driver at a time, which holds its lease.

    <archive>/files/lease/00000007.json     the highest number is the lease, until it is `ended`
    <folder>/lease/00000007.json

To take it is to make the next number, which a store grants once; from then on that file has one
writer. So a takeover needs no lock, and a driver that slept through it finds the higher number.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from storage import Archive, Files, InputError
from storage.urls import join

BEAT_S = 10.0
"""Between two signs of life."""

QUIET_S = 2.5 * BEAT_S
"""Without a sign of life, by this machine's clock, after which a driver may be dead."""

SILENT_S = 60.0
"""Without a sign of life after which its lease may be taken over."""


class Place(Protocol):
    """What a lease is for: an archive, or a folder."""

    @property
    def url(self) -> str: ...

    @property
    def files(self) -> Files: ...


@dataclass(frozen=True)
class Folder:
    """A folder that one driver at a time writes to; made where it is missing."""

    url: str

    @property
    def files(self) -> Files:
        return Files(self.url)


@dataclass(frozen=True)
class Lease:
    """That a driver writes to a place.

    Attributes:
        token: drawn for this lease alone.
        user, host, pid: of the driver.
        machine: tells whether a process can be looked up from here; empty where none can.
        started: when that process did, in its machine's own count.
        job: under which it was submitted to Ray.
        since, seen: seconds since 1970; `seen` is its last sign of life.
        ended: it is over.
    """

    token: str
    user: str
    host: str
    pid: int
    machine: str
    started: str
    job: str
    since: float
    seen: float
    ended: bool = False

    def __str__(self) -> str:
        job = f", job {self.job}" if self.job else ""
        return f"{self.user} on {self.host} (process {self.pid}{job})"


Standing = Literal["free", "held", "silent"]


def standing(lease: Lease | None, now: float, machine: str, started: str) -> Standing:
    """Say whether a lease still stands in the way.

    Args:
        now: seconds since 1970.
        machine: this one.
        started: when the process that has the lease's number here did; empty where there is none.
    """
    if lease is None or lease.ended:
        return "free"
    if machine and lease.machine == machine and lease.started != started:
        return "free"  # its process is gone
    return "held" if abs(now - lease.seen) < QUIET_S else "silent"


@contextlib.contextmanager
def held(place: Place, *, beat_s: float = BEAT_S) -> Iterator[None]:
    """Hold the place's lease while this is open; a lease lost ends the run as SIGTERM does.

    Raises:
        InputError: another driver holds it.
    """
    files = Files(join(place.files.url, "lease"))
    number, lease = _taken(files, place.url, beat_s)
    over = threading.Event()
    asked = files, place.url, number, lease, over, beat_s
    keeper = threading.Thread(target=_keep, args=asked, daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join(beat_s)  # a store that hangs does not keep the run from ending


def driver(archive: Archive) -> Lease | None:
    """Return the lease of the driver at work, as far as can be seen from here; None without one.

    Raises:
        InputError: what stands in its place is no lease.
    """
    _, found = latest(Files(join(archive.files.url, "lease")))
    started = "" if found is None else _started(found.pid)
    return found if standing(found, time.time(), _machine(), started) == "held" else None


def _taken(files: Files, place: str, beat_s: float) -> tuple[int, Lease]:
    """Take the lease: the number it got, and what stands in it."""
    while True:
        number, found = latest(files)
        lease, now = _mine(), time.time()
        stands = standing(found, now, lease.machine, _started(found.pid) if found else "")
        if found is not None and stands == "silent":  # or its clock is not ours: look for its beat
            watch_s = max(1.5 * beat_s, SILENT_S - abs(now - found.seen))
            print(f"{place}: no sign of life from {found}; looking for {watch_s:.0f} s", flush=True)
            time.sleep(watch_s)
            stands = "free" if latest(files) == (number, found) else "held"
        if found is not None and stands == "held":
            raise InputError(_in_use(place, found, now))
        if files.create(_name(number + 1), _dump(lease)):
            if latest(files)[0] != number + 1:  # what was looked at had been followed and removed
                files.remove(_name(number + 1))
                continue
            if found is not None and not found.ended:
                print(f"{place}: taken over from {found}, which gave no sign of life", flush=True)
            for older in files.names():
                if 0 < _number(older) <= number:
                    files.remove(older)
            return number + 1, lease


def _keep(
    files: Files, place: str, number: int, lease: Lease, over: threading.Event, beat_s: float
) -> None:
    """Give a sign of life every so often; at the end, say that it is over."""
    while not over.wait(beat_s):
        # A store that does not answer is not ours to report: the jobs run into it too.
        with contextlib.suppress(Exception):
            at, found = latest(files)
            if found is None or (at, found.token) != (number, lease.token):
                print(f"{place}: taken over by {found or 'nobody'}; this run stops", flush=True)
                os.kill(os.getpid(), signal.SIGTERM)
                return
            files.write(_name(number), _dump(replace(lease, seen=time.time())))
    with contextlib.suppress(Exception):
        files.write(_name(number), _dump(replace(lease, seen=time.time(), ended=True)))


def latest(files: Files) -> tuple[int, Lease | None]:
    """Return the highest number and its lease; 0 and None where there was never one.

    Raises:
        InputError: it is no lease.
    """
    while number := max(map(_number, files.names()), default=0):
        name = _name(number)
        data = files.read(name)
        if data is None:  # a later one was taken since
            continue
        try:
            return number, Lease(**json.loads(data))
        except (ValueError, TypeError):
            raise InputError(
                f"{join(files.url, name)}: is no lease that this version can read; remove it if "
                "nothing else writes there"
            ) from None
    return 0, None


def _mine() -> Lease:
    pid, now = os.getpid(), time.time()
    submitted = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR") or "{}")
    return Lease(
        token=secrets.token_hex(8),
        user=_user(),
        host=socket.gethostname(),
        pid=pid,
        machine=_machine(),
        started=_started(pid),
        job=submitted.get("metadata", {}).get("job_submission_id", ""),
        since=now,
        seen=now,
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


def _machine() -> str:
    """Name the running system and, since containers share it, the processes seen from here."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Return when a process started, in ticks since boot (proc(5), field 22); empty if gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _in_use(place: str, lease: Lease, now: float) -> str:
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(lease.since))
    return (
        f"{place}: in use by {lease} since {since}, last sign of life "
        f"{max(0.0, now - lease.seen):.0f} s ago; wait for its end or stop it; one that is dead "
        f"is taken over after {SILENT_S:.0f} s of silence"
    )


def _name(number: int) -> str:
    return f"{number:08d}.json"


def _number(name: str) -> int:
    stem = name.removesuffix(".json")
    return int(stem) if stem.isdecimal() else 0


def _dump(lease: Lease) -> bytes:
    return json.dumps(asdict(lease), indent=1).encode()
