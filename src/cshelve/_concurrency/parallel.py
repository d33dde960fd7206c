"""One bounded map over threads: results in order, back-pressure, and an end that leaves no thread.

Every operation on many keys goes through here, so that how many requests fly at once is decided
in one place.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from sys import is_finalizing
from typing import TYPE_CHECKING, Generic, TypeVar

from cshelve.exceptions import StorageError

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = [
    "StoppedError",
    "Workers",
    "map_in_order",
    "refuse_if_stopped",
    "unstoppable",
]

T = TypeVar("T")
R = TypeVar("R")

# What is set when the map that this thread works for ends, and one round that. A thread has a
# context of its own, and so has a greenlet, also where the program patched `threading` after us.
_ends: ContextVar[tuple[threading.Event, ...]] = ContextVar("ends", default=())


class StoppedError(Exception):
    """Nobody waits for the result any more; never seen outside a thread of a map that ended."""


def refuse_if_stopped() -> None:
    """Raise `StoppedError` in a thread of a map that has ended, or of one inside such a map.

    For a provider to call before each attempt of a request, so that an end need not wait for all
    of them.
    """
    if any(stopped.is_set() for stopped in _ends.get()):
        raise StoppedError


@contextmanager
def unstoppable() -> Iterator[None]:
    """Let this thread send what has to be sent even when nobody waits any more: to tidy up."""
    ends = _ends.get()
    _ends.set(())
    try:
        yield
    finally:
        _ends.set(ends)


def map_in_order(
    function: Callable[[T], R],
    items: Iterable[T],
    concurrency: int,
    *,
    apart: Callable[[T], object] | None = None,
    is_last: Callable[[R], bool] = lambda _: False,
) -> Generator[tuple[T, R]]:
    """Yield each item with the function's result for it, in the items' order.

    At most `concurrency` items are taken from the source ahead of the one that is yielded, so
    memory is bounded by what flies, however long the source is. The first exception is raised in
    its item's place. After it, on Ctrl-C, and when the iterator is closed, nothing new starts, and
    what flies is waited for, up to its next attempt; a second Ctrl-C ends the waiting. The source
    is consumed in the caller's thread only.

    Items for which `apart` gives equal answers never fly at the same time, so that of two writes
    of one key the later one stays. After a result that `is_last`, nothing new starts either, and
    the results of what flies are still yielded; the function has to turn `StoppedError` into one.
    """
    if concurrency <= 1:
        for item in items:
            result = function(item)
            yield item, result
            if is_last(result):
                return
        return
    from concurrent.futures import CancelledError  # Slow to import, for those who want many keys.

    workers: Workers[T, R] = Workers(function, concurrency, is_last)
    process = os.getpid()
    flying: deque[tuple[T, object, Future[R]]] = deque()

    def landed() -> Iterator[tuple[T, R]]:
        _refuse_in_child_of(process)
        item, _, future = flying.popleft()
        try:
            result = future.result()
        except CancelledError:
            return  # It was never begun.
        yield item, result

    try:
        for item in items:
            key = apart(item) if apart is not None else None
            while len(flying) >= concurrency or (
                apart is not None and any(key == other for _, other, _ in flying)
            ):
                yield from landed()
            if workers.are_stopped:
                break
            _refuse_in_child_of(process)
            flying.append((item, key, workers.start(item)))
        while flying:
            yield from landed()
    finally:
        workers.stop()


class Workers(Generic[T, R]):
    """Threads that apply one function.

    The standard library's executor is none of these: its threads hold up the end of the
    interpreter, so that a program could not be interrupted while a server does not answer.
    """

    def __init__(self, function: Callable[[T], R], most: int, is_last: Callable[[R], bool]) -> None:
        from concurrent.futures import Future  # As above.
        from queue import SimpleQueue

        self._function = function
        self._new_future: type[Future[R]] = Future
        self._most = most
        self._is_last = is_last
        self._tasks: SimpleQueue[tuple[T, Future[R]] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._stopped = threading.Event()
        self._ends = (*_ends.get(), self._stopped)
        self._process = os.getpid()

    @property
    def are_stopped(self) -> bool:
        """Tell whether nothing more will be begun."""
        return self._stopped.is_set()

    def start(self, item: T) -> Future[R]:
        """Have the function applied to an item by a thread, a new one while there may be more.

        What is returned is cancelled if that was never begun.
        """
        future = self._new_future()
        if is_finalizing():
            # The interpreter ends: no thread ever runs again, and a new one is waited for for ever.
            self._do(item, future)
            return future
        self._tasks.put((item, future))
        if len(self._threads) < self._most:
            name = f"cshelve_{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            # Noted before it is started: Ctrl-C may strike inside `start`, with the thread running.
            self._threads.append(thread)
            try:
                thread.start()
            except RuntimeError:
                # There can be no more, in this container or so late in a program: those that
                # there are will do it, or we do.
                self._threads.remove(thread)
                if not self._threads:
                    self._tasks.get()
                    self._do(item, future)
        return future

    def stop(self) -> None:
        """Begin nothing more, and wait for what has begun, up to its next attempt."""
        self._stopped.set()
        if os.getpid() != self._process or is_finalizing():
            return  # The threads are the parent's, or do not run any more.
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            if thread.ident is not None:  # Else it never started.
                thread.join()

    def _work(self) -> None:
        _ends.set(self._ends)
        while (task := self._tasks.get()) is not None:
            self._do(*task)
            del task  # Else an idle thread would keep what it did last, which may be large.

    def _do(self, item: T, future: Future[R]) -> None:
        if self._stopped.is_set():
            future.cancel()
            return
        try:
            result = self._function(item)
            if self._is_last(result):
                self._stopped.set()
            future.set_result(result)
        except BaseException as error:  # noqa: BLE001
            # Whatever it is, it belongs to whoever waits for the result.
            future.set_exception(error)


def _refuse_in_child_of(process: int) -> None:
    if os.getpid() != process:
        raise StorageError(
            "this iteration began before a fork, and its requests fly in the parent process: "
            "begin another one here"
        )
