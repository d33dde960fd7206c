"""The threads of operations on many keys, all of which are started here.

`map_in_order` returns results in order, bounds what is in flight, and leaves no thread at its end.
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

# The events that are set when the map that this thread works for ends, or a map around that. A
# context variable, since greenlets have contexts of their own too, even where the program patched
# `threading` after we were imported.
_ends: ContextVar[tuple[threading.Event, ...]] = ContextVar("ends", default=())


class StoppedError(Exception):
    """The map has ended, and nobody waits for the result. Raised in threads of a map only."""


def refuse_if_stopped() -> None:
    """Raise `StoppedError` if this thread works for a map that has ended, or one inside of it.

    Call this before each attempt of a request, so that the end of the map does not wait for more
    attempts.
    """
    if any(stopped.is_set() for stopped in _ends.get()):
        raise StoppedError


@contextmanager
def unstoppable() -> Iterator[None]:
    """Suspend `refuse_if_stopped` in this thread, to send requests that clean up after an end."""
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
    """Yield each item with the function's result for it, in the order of the items.

    At most `concurrency` calls are in flight, and no more items than that are taken from the source
    in advance, so that memory is bounded, however long the source is. Only the caller's thread
    iterates over the source.

    The first exception is raised in the place of its item. After that, on Ctrl-C, and when the
    iterator is closed, no new call starts, and those in flight are waited for until they return or
    would begin another attempt; a second Ctrl-C ends the waiting.

    Items for which `apart` returns equal values are never in flight at the same time, so that of
    two writes of one key the later one stays. After a result for which `is_last` is true, no new
    call starts either, but the results of those in flight are still yielded; the function has to
    return a result where it catches `StoppedError`.
    """
    if concurrency <= 1:
        for item in items:
            result = function(item)
            yield item, result
            if is_last(result):
                return
        return
    from concurrent.futures import CancelledError  # Slow to import, and needed for many keys only.

    workers: Workers[T, R] = Workers(function, concurrency, is_last)
    process = os.getpid()
    in_flight: deque[tuple[T, object, Future[R]]] = deque()

    def oldest_result() -> Iterator[tuple[T, R]]:
        _refuse_in_child_of(process)
        item, _, future = in_flight.popleft()
        try:
            result = future.result()
        except CancelledError:
            return  # The call never started.
        yield item, result

    try:
        for item in items:
            key = apart(item) if apart is not None else None
            while len(in_flight) >= concurrency or (
                apart is not None and any(key == other for _, other, _ in in_flight)
            ):
                yield from oldest_result()
            if workers.are_stopped:
                break
            _refuse_in_child_of(process)
            in_flight.append((item, key, workers.start(item)))
        while in_flight:
            yield from oldest_result()
    finally:
        workers.stop()


class Workers(Generic[T, R]):
    """Threads that call one function for items, until a result for which `is_last` is true.

    Not the standard library's executor: the interpreter waits for its threads at exit, so that a
    program could not be interrupted while a server does not respond.
    """

    def __init__(self, function: Callable[[T], R], most: int, is_last: Callable[[R], bool]) -> None:
        from concurrent.futures import Future  # Slow to import, as above.
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
        """Whether no new call will start."""
        return self._stopped.is_set()

    def start(self, item: T) -> Future[R]:
        """Call the function for an item in a thread, and return the future of its result.

        Starts a new thread as long as there are fewer than allowed. The future is cancelled if
        `stop` comes before the call.
        """
        future = self._new_future()
        if is_finalizing():
            # At the end of the interpreter no thread runs any more, and starting one would wait
            # for ever.
            self._call(item, future)
            return future
        self._tasks.put((item, future))
        if len(self._threads) < self._most:
            name = f"cshelve_{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            # Noted before it starts: Ctrl-C may interrupt `start` when the thread runs already.
            self._threads.append(thread)
            try:
                thread.start()
            except RuntimeError:
                # The system allows no more threads. The existing ones will call the function, or
                # we do.
                self._threads.remove(thread)
                if not self._threads:
                    self._tasks.get()
                    self._call(item, future)
        return future

    def stop(self) -> None:
        """Start no new call, and wait for those in flight until they return or would try again."""
        self._stopped.set()
        if os.getpid() != self._process or is_finalizing():
            return  # The threads belong to the parent, or do not run any more.
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            if thread.ident is not None:  # None if it never started.
                thread.join()

    def _work(self) -> None:
        _ends.set(self._ends)
        while (task := self._tasks.get()) is not None:
            self._call(*task)
            del task  # Else an idle thread would keep its last item, which may be large.

    def _call(self, item: T, future: Future[R]) -> None:
        if self._stopped.is_set():
            future.cancel()
            return
        try:
            result = self._function(item)
            if self._is_last(result):
                self._stopped.set()
            future.set_result(result)
        except BaseException as error:  # noqa: BLE001
            # Raised again where the result is awaited.
            future.set_exception(error)


def _refuse_in_child_of(process: int) -> None:
    if os.getpid() != process:
        raise StorageError(
            "this iteration began before a fork, and its requests are in flight in the parent "
            "process: begin another one here"
        )
