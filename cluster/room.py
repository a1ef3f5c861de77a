"""What machines have, what jobs ask of them, and which jobs there is room for. Arithmetic only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

LOOK_AHEAD = 8
"""Jobs at most for which an actor waits though there is no room: what an autoscaler sees."""

RESOURCES = ("gpus", "cpus", "memory_bytes")


@dataclass(frozen=True)
class Need:
    """What a job asks of a machine, or what machines have.

    GPUs (fractions share one), cores, bytes of memory.
    """

    gpus: float = 0
    cpus: int = 1
    memory_bytes: int = 0

    def __add__(self, other: Need) -> Need:
        return Need(
            round(self.gpus + other.gpus, 4),
            self.cpus + other.cpus,
            self.memory_bytes + other.memory_bytes,
        )

    def __sub__(self, other: Need) -> Need:
        return Need(
            round(self.gpus - other.gpus, 4),  # thirds of a GPU must not sum to less than three
            self.cpus - other.cpus,
            self.memory_bytes - other.memory_bytes,
        )

    def __str__(self) -> str:
        gpus, cores = f"{self.gpus:g} GPU", f"{self.cpus} core"
        parts = [gpus + "s" * (self.gpus != 1), cores + "s" * (self.cpus != 1)]
        parts += [f"{self.memory_bytes / 2**30:.1f} GB of memory"] if self.memory_bytes else []
        return ", ".join(parts)

    def asked(self) -> set[str]:
        """Name the resources that it asks for."""
        return {name for name in RESOURCES if getattr(self, name) > 0}

    def fits(self, machines: Iterable[Need]) -> bool:
        """Whether one of the machines has all of it."""
        return any(not self.lacking(machine) for machine in machines)

    def lacking(self, room: Need) -> set[str]:
        """Name the resources of which there is less room than it asks for."""
        left = room - self
        return {name for name in self.asked() if getattr(left, name) < 0}


ONE_CORE = Need()
NOTHING = Need(0, 0)


def described(machines: Iterable[Need]) -> str:
    """Say in words what machines have, those that are alike counted."""
    return "; ".join(f"{count} × {what}" for what, count in Counter(map(str, machines)).items())


class Asking(Protocol):
    @property
    def need(self) -> Need: ...


Asker = TypeVar("Asker", bound=Asking)


@dataclass(frozen=True)
class Placement(Generic[Asker]):
    """Which jobs go where there is room.

    Attributes:
        now: those there is room for.
        ahead: the next ones, all of one need.
        room: what is left.
    """

    now: list[Asker]
    ahead: list[Asker]
    room: Need


def place(
    jobs: Iterable[Asker], machines: Sequence[Need], taken: Iterable[Need]
) -> Placement[Asker]:
    """Give room to jobs in their order.

    No job takes what an earlier one waits for, else a large one would wait for ever. One that is
    larger than every machine waits for another machine, and holds up nothing.

    Args:
        taken: what the jobs at work hold.
    """
    room, short = sum(machines, NOTHING), set[str]()
    for need in taken:
        room -= need
    now: list[Asker] = []
    waiting: dict[Need, list[Asker]] = {}
    for job in jobs:
        need = job.need
        if need in waiting:  # room only shrinks
            waiting[need].append(job)
        elif not (lacking := need.lacking(room)) and not short & need.asked():
            now.append(job)
            room -= need
        else:
            waiting[need] = [job]
            short |= lacking if need.fits(machines) else set()
    ahead = next(iter(waiting.values()), [])
    return Placement(now, ahead[:LOOK_AHEAD], room)


def shots_at_once(machines: Iterable[Need], needs: Iterable[Need]) -> int:
    """Return how many shots to have begun: twice as many as there is room to fit at a time.

    So one is ready for every GPU that falls free, and few lie on the disk half done.

    Args:
        needs: the different ones of a plan.
    """
    total, known = sum(machines, NOTHING), list(needs)
    fits = [need for need in known if need.gpus] or known
    places = (
        total.gpus // need.gpus if need.gpus else total.cpus // max(1, need.cpus) for need in fits
    )
    return 2 * max([1, *(int(count) for count in places)])
