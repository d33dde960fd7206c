"""Run a function for many items in threads.

`map_in_order` yields results in order, limits the calls in flight, and leaves no thread behind. All
threads of cshelve are started here.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from sys import is_finalizing
from typing import TYPE_CHECKING, Generic, TypeVar

from cshelve.exceptions import StorageError

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = [
    "StoppedError",
    "Workers",
    "in_background",
    "map_in_order",
    "refuse_if_stopped",
    "unstoppable",
]

T = TypeVar("T")
R = TypeVar("R")

# The events that are set when the map that this thread works for ends, or when a map around that
# map ends. A context variable, since greenlets have contexts of their own, too, even if the program
# patched `threading` after it imported this module.
_ends: ContextVar[tuple[threading.Event, ...]] = ContextVar("ends", default=())


class StoppedError(Exception):
    """Raised in a thread whose map has ended, so that nobody waits for the result."""


def refuse_if_stopped() -> None:
    """Raise `StoppedError` if the map that this thread works for has ended, or an outer map has.

    Call this before each attempt of a request, so that the end of the map does not wait for more
    attempts.
    """
    if any(stopped.is_set() for stopped in _ends.get()):
        raise StoppedError


@contextmanager
def unstoppable() -> Iterator[None]:
    """Suspend `refuse_if_stopped` in this thread, for requests that clean up after a map's end."""
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

    At most `concurrency` calls are in flight, and no more items than that are taken in advance, so
    memory is bounded, however many items there are. Only the caller's thread iterates over the
    items.

    The first exception is raised in the place of its item. After that, on Ctrl-C, and when the
    iterator is closed, no new call starts, and the iterator waits until each call in flight returns
    or would begin another attempt. A second Ctrl-C ends the waiting.

    Items for which `apart` returns equal values are never in flight at the same time, so that the
    later of two writes of one key stays. After a result for which `is_last` is true, no new call
    starts either, but the results of calls in flight are still yielded. For this, the function has
    to catch `StoppedError` and return a result.
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


def in_background(function: Callable[[], object], name: str) -> threading.Thread | None:
    """Call a function in a thread of its own; None if no thread can start now."""
    if is_finalizing():
        return None  # Starting one would wait forever.
    thread = threading.Thread(target=function, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return None
    return thread


class Workers(Generic[T, R]):
    """Threads that call a function for items until a result for which `is_last` is true.

    The standard library's executor is not used, as the interpreter waits for its threads at exit:
    a program could not be interrupted while a server does not respond.
    """

    def __init__(self, function: Callable[[T], R], most: int, is_last: Callable[[R], bool]) -> None:
        from concurrent.futures import Future  # Slow to import, as above.
        from queue import SimpleQueue

        self._function = function
        self._new_future: type[Future[R]] = Future
        self._most = most
        self._is_last = is_last
        self._tasks: SimpleQueue[tuple[T, Future[R], Context] | None] = SimpleQueue()
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

        The call has the caller's context variables, so that a tracer finds the caller's span.
        Starts a new thread as long as there are fewer than allowed. The future is cancelled if
        `stop` is called before the function.
        """
        future = self._new_future()
        if is_finalizing():
            # At the end of the interpreter, no other thread runs, and starting one would wait
            # forever.
            self._call(item, future)
            return future
        self._tasks.put((item, future, copy_context()))
        if len(self._threads) < self._most:
            name = f"cshelve_{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            # Added before it starts: Ctrl-C may interrupt `start` when the thread runs already.
            self._threads.append(thread)
            try:
                thread.start()
            except RuntimeError:
                # The system allows no more threads. Existing ones will call the function; if there
                # are none, this thread does.
                self._threads.remove(thread)
                if not self._threads:
                    self._tasks.get()
                    self._call(item, future)
        return future

    def stop(self) -> None:
        """Start no new call, and wait until each call in flight returns or would try again."""
        self._stopped.set()
        if os.getpid() != self._process or is_finalizing():
            return  # The threads belong to the parent, or do not run any more.
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            if thread.ident is not None:  # None if it never started.
                thread.join()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            item, future, context = task
            context.run(self._call_in_thread, item, future)
            # Otherwise an idle thread would keep its last item, which may be large.
            del task, item, future, context

    def _call_in_thread(self, item: T, future: Future[R]) -> None:
        _ends.set(self._ends)
        self._call(item, future)

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
