"""One bounded map over threads: results in order, back-pressure, and an end that leaves no thread.

Every operation on many keys goes through here, so that how many requests fly at once is decided
in one place.
"""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from cshelve.exceptions import StorageError

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = [
    "Ahead",
    "Crew",
    "StoppedError",
    "Workers",
    "map_in_order",
    "of_crew",
    "refuse_if_stopped",
    "unstoppable",
]

T = TypeVar("T")
R = TypeVar("R")

# What another thread needs to send a request by boto3. Without it we would keep the interpreter's
# lock, and the other would get it when we have nothing more to do.
HEAD_START_SECONDS = 0.0005

_of_this_thread = threading.local()


class StoppedError(Exception):
    """Nobody waits for the result any more; never seen outside a thread of a map that ended."""


def refuse_if_stopped() -> None:
    """Raise `StoppedError` in a thread of a map that has ended, or of one inside such a map.

    For a provider to call before each attempt of a request, so that an end need not wait for all
    of them.
    """
    if any(stopped.is_set() for stopped in _ends_of_this_thread()):
        raise StoppedError


@contextmanager
def unstoppable() -> Iterator[None]:
    """Let this thread send what has to be sent even when nobody waits any more: to tidy up."""
    ends = _ends_of_this_thread()
    _of_this_thread.ends = ()
    try:
        yield
    finally:
        _of_this_thread.ends = ends


def _ends_of_this_thread() -> tuple[threading.Event, ...]:
    """Give what is set when the map that this thread works for ends, and one round that."""
    ends: tuple[threading.Event, ...] = getattr(_of_this_thread, "ends", ())
    return ends


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
    yield from of_crew(Workers(function, concurrency, is_last), items, concurrency, apart=apart)


class Crew(ABC, Generic[T, R]):
    """Those who do things to items, many at once, for a caller that wants the results in order."""

    @property
    @abstractmethod
    def are_stopped(self) -> bool:
        """Tell whether nothing more will be begun."""

    @abstractmethod
    def start(self, item: T) -> Callable[[], R]:
        """Begin with an item, and give what waits for its result.

        That raises `CancelledError` if it was never begun.
        """

    @abstractmethod
    def stop(self) -> None:
        """Begin nothing more, and wait for what has begun."""


def of_crew(
    crew: Crew[T, R],
    items: Iterable[T],
    concurrency: int,
    *,
    apart: Callable[[T], object] | None = None,
) -> Generator[tuple[T, R]]:
    """Have a crew do all items, and yield each with its result, as `map_in_order` promises."""
    from concurrent.futures import CancelledError  # Slow to import, for those who want many keys.

    process = os.getpid()

    def landed(item: T, wait: Callable[[], R]) -> Iterator[tuple[T, R]]:
        _refuse_in_child_of(process)
        try:
            result = wait()
        except CancelledError:
            return
        yield item, result

    flying: deque[tuple[T, Callable[[], R]]] = deque()
    try:
        for item in items:
            while len(flying) >= concurrency or (
                apart is not None and any(apart(item) == apart(other) for other, _ in flying)
            ):
                yield from landed(*flying.popleft())
            if crew.are_stopped:
                break
            _refuse_in_child_of(process)
            flying.append((item, crew.start(item)))
        while flying:
            yield from landed(*flying.popleft())
    finally:
        crew.stop()


class Workers(Crew[T, R]):
    """A crew of threads that apply one function.

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
        self._ends = (*_ends_of_this_thread(), self._stopped)
        self._process = os.getpid()

    @property
    def are_stopped(self) -> bool:
        """Tell whether nothing more will be begun."""
        return self._stopped.is_set()

    def start(self, item: T) -> Callable[[], R]:
        """Have the function applied to an item by a thread, a new one while there may be more."""
        future = self._new_future()
        self._tasks.put((item, future))
        if len(self._threads) < self._most:
            name = f"cshelve_{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # There can be no more, in this container or so late in a program: those that
                # there are will do it, or we do.
                if not self._threads:
                    self._tasks.get()
                    self._do(item, future)
            else:
                self._threads.append(thread)
        return future.result

    def begin_nothing_more(self) -> None:
        """Let what has begun end with the attempt that is under way."""
        self._stopped.set()

    def leave(self) -> None:
        """Begin nothing more, and wait for nothing."""
        self._stopped.set()
        if os.getpid() == self._process:  # Else the threads are the parent's.
            for _ in self._threads:
                self._tasks.put(None)

    def stop(self) -> None:
        """Begin nothing more, and wait for what has begun."""
        self.leave()
        if os.getpid() == self._process:
            for thread in self._threads:
                thread.join()

    def _work(self) -> None:
        _of_this_thread.ends = self._ends
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


class Ahead(Generic[T, R]):
    """Results of a function, of which another thread may begin one before it is wanted.

    A context manager; what was begun when it is left ends by itself, with its next attempt.
    """

    def __init__(self, function: Callable[[T], R]) -> None:
        self._function = function
        self._worker: Workers[T, R] = Workers(function, 1, lambda _: False)
        self._begun: tuple[T, Callable[[], R]] | None = None
        self._process = os.getpid()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.leave()

    def begin(self, item: T) -> None:
        """Begin with an item, unless that is for a parent process to do."""
        if os.getpid() == self._process:
            self._begun = item, self._worker.start(item)
            time.sleep(HEAD_START_SECONDS)

    def get(self, item: T) -> R:
        """Give the function's result for an item, waiting for it if that was begun."""
        begun, self._begun = self._begun, None
        if begun is not None and begun[0] == item and os.getpid() == self._process:
            return begun[1]()
        return self._function(item)


def _refuse_in_child_of(process: int) -> None:
    if os.getpid() != process:
        raise StorageError(
            "this iteration began before a fork, and its requests fly in the parent process: "
            "begin another one here"
        )
