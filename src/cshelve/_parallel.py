"""One bounded map over threads: results in order, back-pressure, and an end that leaves no thread.

Every operation on many keys goes through here, so that how many requests fly at once is decided
in one place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["map_in_order"]

T = TypeVar("T")
R = TypeVar("R")


def map_in_order(
    function: Callable[[T], R],
    items: Iterable[T],
    concurrency: int,
    *,
    apart: Callable[[T], object] | None = None,
) -> Generator[tuple[T, R]]:
    """Yield each item with the function's result for it, in the items' order.

    At most `concurrency` items are taken from the source ahead of the one that is yielded, so
    memory is bounded by what flies, however long the source is. The first exception is raised in
    its item's place. After it, and when the iterator is closed, nothing new starts and what flies
    is waited for. The source is consumed in the caller's thread only.

    Items for which `apart` gives equal answers never fly at the same time, so that of two writes
    of one key the later one stays.
    """
    if concurrency <= 1:
        for item in items:
            yield item, function(item)
        return
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="cshelve")
    flying: deque[tuple[T, Future[R]]] = deque()
    try:
        for item in items:
            while len(flying) >= concurrency or (
                apart is not None and any(apart(item) == apart(other) for other, _ in flying)
            ):
                first, future = flying.popleft()
                yield first, future.result()
            flying.append((item, pool.submit(function, item)))
        while flying:
            first, future = flying.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
