"""Threads of ours that call functions for the coroutines of one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

from cshelve._concurrency.parallel import Workers

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["Batches", "Threads"]

T = TypeVar("T")
R = TypeVar("R")

# What one call takes from an iterator at most, so that an event loop does not wait long for it.
MOST_OF_BATCH = 1000
BATCH_SECONDS = 0.05


class Threads:
    """At most so many threads. They are not those of the event loop's default executor.

    That one is shared with the whole program, which may have filled it with calls that wait for us.
    """

    def __init__(self, most: int) -> None:
        self._workers: Workers[Callable[[], None], None] = Workers(
            lambda call: call(), most, lambda _: False
        )
        self._busy: set[Future[None]] = set()
        self._is_closed = False

    async def run(
        self,
        call: Callable[[], R],
        *,
        is_read: bool = False,
        stop: Callable[[], None] | None = None,
    ) -> R:
        """Call a function in a thread, and return its result.

        If the caller is cancelled before a thread has begun the call, the function is not called.
        If it has begun, a read is abandoned, and anything else is waited for, so that it does not
        happen later. `stop` is called before, to let it end soon. A second cancellation ends the
        waiting.
        """
        turn = _Turn(call, asyncio.get_running_loop())
        future = self._workers.start(turn.take)
        self._busy.add(future)
        future.add_done_callback(self._busy.discard)
        try:
            return await turn.result
        except asyncio.CancelledError:
            turn.is_cancelled = True
            if stop is not None:
                stop()
            if turn.has_begun and not is_read:
                await _end_of(future)
            raise

    def start(self, call: Callable[[], object]) -> None:
        """Call a function in a thread, and ignore its result; do nothing after `close`."""
        if not self._is_closed:
            self._workers.start(partial(_ignored, call))

    async def close(self) -> None:
        """Wait for the calls in progress, and end the threads."""
        for future in list(self._busy):
            await _end_of(future)
        self._is_closed = True
        self._workers.stop()


class _Turn(Generic[R]):
    """One call of a function, which a thread takes when one is free."""

    def __init__(self, call: Callable[[], R], loop: asyncio.AbstractEventLoop) -> None:
        self._call = call
        self._loop = loop
        self.result: asyncio.Future[R] = loop.create_future()
        self.has_begun = False
        self.is_cancelled = False

    def take(self) -> None:
        if self.is_cancelled:
            return
        self.has_begun = True
        try:
            end = partial(self._succeed, self._call())
        except BaseException as error:  # noqa: BLE001  # raised again where the result is awaited
            end = partial(self._fail, error)
        with suppress(RuntimeError):  # The event loop is closed.
            self._loop.call_soon_threadsafe(end)

    def _succeed(self, result: R) -> None:
        if not self.result.done():
            self.result.set_result(result)

    def _fail(self, error: BaseException) -> None:
        if not self.result.done():
            self.result.set_exception(error)


class Batches(Generic[T]):
    """Takes what an iterator yields in batches, each by one call in a thread.

    A thread is needed only while a batch is taken. So an iteration whose caller is slow, or waits
    for other calls, holds no thread.
    """

    def __init__(self, iterator: Iterator[T], threads: Threads) -> None:
        self._iterator = iterator
        self._threads = threads
        self._error: BaseException | None = None
        self._is_over = False
        self._is_taking = False
        self._lock = Lock()

    async def take(self) -> list[T]:
        """Return the next items; none at the end. Raises the iterator's error in its place."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if self._is_over:
            return []
        batch = await self._threads.run(self._taken, is_read=True)
        return batch or await self.take()

    def close(self) -> None:
        """Stop reading, and close the iterator in a thread."""
        with self._lock:
            self._is_over = True
            if self._is_taking:
                return  # The thread that takes a batch now will do it.
        self._threads.start(self._close)

    def _taken(self) -> list[T]:
        taken: list[T] = []
        until = monotonic() + BATCH_SECONDS
        with self._lock:
            self._is_taking = not self._is_over
        try:
            while not self._is_over and len(taken) < MOST_OF_BATCH and monotonic() < until:
                taken.append(next(self._iterator))
        except StopIteration:
            self._is_over = True
        except BaseException as error:  # noqa: BLE001  # raised after the items before it
            self._error, self._is_over = error, True
        with self._lock:
            self._is_taking = False
        if self._is_over:
            self._close()
        return taken

    def _close(self) -> None:
        close = getattr(self._iterator, "close", None)
        if close is not None:
            close()


def _ignored(call: Callable[[], object]) -> None:
    call()


async def _end_of(future: Future[None]) -> None:
    """Wait until a call has ended, however it ends."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def tell(_: object) -> None:
        with suppress(RuntimeError):  # The event loop is closed.
            loop.call_soon_threadsafe(ended.set)

    future.add_done_callback(tell)
    await ended.wait()
