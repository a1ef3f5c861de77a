"""Work done on a few threads, its results in the order of the items."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int,
    *,
    ahead: int = 0,
    wait: bool = True,
) -> Iterator[Result]:
    """Yield what `work` makes of each item, while the next ones are worked on.

    Left early, by an error or because it is closed, it begins with no further item.

    Args:
        threads: how many work; so many items are taken whose results are not yielded yet, and
        ahead: so many more, for threads whose item was done before an earlier one.
        wait: where it is left early, wait for what is begun. What may be left to the garbage
            collector must not: that may hold the very lock of `threading` that a thread needs to
            end, and all stands still.
    """
    pool = ThreadPoolExecutor(threads)
    taken: deque[Future[Result]] = deque()
    try:
        for item in items:
            if len(taken) == threads + ahead:
                yield taken.popleft().result()  # in no variable: an error would refer to itself
            taken.append(pool.submit(work, item))
        while taken:
            yield taken.popleft().result()
    finally:
        pool.shutdown(wait=wait, cancel_futures=True)
