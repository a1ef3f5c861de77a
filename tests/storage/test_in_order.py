from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest

from storage.in_order import in_order

PATIENCE_S = 10.0


def counted(begun: list[int]) -> Iterator[int]:
    for item in range(100):
        begun.append(item)
        yield item


@pytest.mark.parametrize(("threads", "ahead"), [(1, 0), (3, 0), (2, 2)])
def test_results_come_in_the_items_order_and_few_are_taken_ahead(threads, ahead):
    taken: list[int] = []
    results = in_order(lambda item: item * item, counted(taken), threads, ahead=ahead)
    for asked, result in enumerate(results, 1):
        assert result == (asked - 1) ** 2
        assert len(taken) <= asked + threads + ahead
    assert asked == 100


def test_so_many_threads_work():
    barrier = threading.Barrier(3, timeout=PATIENCE_S)
    assert len(list(in_order(lambda _: barrier.wait(), range(6), 3))) == 6


def test_threads_go_on_while_the_first_item_takes_its_time():
    others_done = threading.Semaphore(0)

    def work(item: int) -> bool:
        if item:
            others_done.release()
            return True
        return all(others_done.acquire(timeout=PATIENCE_S) for _ in range(3))

    assert all(in_order(work, range(4), 2, ahead=2))


def test_after_an_error_nothing_further_is_begun():
    done: list[int] = []

    def work(item: int) -> None:
        if item == 2:
            raise ValueError("no third")
        done.append(item)

    with pytest.raises(ValueError, match="no third"):
        list(in_order(work, range(100), 1))
    assert done == [0, 1]


@pytest.mark.parametrize("wait", [True, False])
def test_closed_early_it_waits_for_what_is_begun_or_does_not(wait):
    begun, let_go = threading.Event(), threading.Event()

    def work(item: int) -> None:
        if item:
            begun.set()
            let_go.wait(PATIENCE_S)

    results = in_order(work, range(100), 2, wait=wait)
    next(results)
    assert begun.wait(PATIENCE_S)
    closing = threading.Thread(target=results.close)
    closing.start()
    closing.join(0.2 if wait else PATIENCE_S)
    assert closing.is_alive() is wait
    let_go.set()
    closing.join(PATIENCE_S)
    assert not closing.is_alive()


def test_an_error_leaves_nothing_to_the_garbage_collector():
    """Its traceback holds what else was being read, whose threads a collector would wait for."""

    def fail(_: int) -> None:
        raise ValueError("torn")

    def read() -> weakref.ref[Iterator[int]]:
        other = in_order(abs, range(9), 2)
        next(other)
        try:
            for _ in zip(other, in_order(fail, range(9), 2), strict=True):
                pass
        except ValueError:
            return weakref.ref(other)
        raise AssertionError("it did not fail")

    gc.disable()
    try:
        assert read()() is None
    finally:
        gc.enable()
