"""A thread with an event loop, in which the coroutines of a shelf run.

asyncssh needs a running event loop; the callers of a shelf are ordinary threads.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from cshelve.exceptions import StorageError

__all__ = ["EventLoop"]

T = TypeVar("T")


class EventLoop:
    """An event loop in a daemon thread of its own. `run` is safe in many threads."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._started: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None

    def run(self, act: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run the coroutine that `act` returns, and return its result or raise its error.

        The loop calls `act`: an interruption may strike at any moment, and Python warns of a
        coroutine that never runs.

        If the calling thread is interrupted, by Ctrl-C for example, the coroutine is cancelled, and
        this waits until it has ended. A second interruption ends the waiting.
        """
        if sys.is_finalizing():
            raise StorageError("the program is ending: no more requests can be sent")
        loop = self._loop()
        call = _Call(act)
        try:
            loop.call_soon_threadsafe(call.begin)
            call.wait()
        except BaseException as error:
            if loop.is_closed():
                raise StorageError("the shelf was closed meanwhile") from error
            loop.call_soon_threadsafe(call.cancel)
            call.wait()
            raise
        return call.result()

    @property
    def is_started(self) -> bool:
        """Whether there is a thread."""
        return self._started is not None

    def stop(self) -> None:
        """End the thread, if there is one, and wait for that. The next `run` starts another one."""
        with self._starting:
            started, self._started = self._started, None
        if started is not None and not sys.is_finalizing():
            loop, thread = started
            loop.call_soon_threadsafe(loop.stop)
            if threading.current_thread() is not thread:
                thread.join()

    def _loop(self) -> asyncio.AbstractEventLoop:
        started = self._started
        if started is None:
            with self._starting:
                if self._started is None:
                    loop = asyncio.new_event_loop()
                    thread = threading.Thread(target=_serve, args=(loop,), name="sftp", daemon=True)
                    thread.start()
                    self._started = loop, thread
                started = self._started
        return started[0]


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


class _Call(Generic[T]):
    """A coroutine that another thread waits for."""

    def __init__(self, act: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._act = act
        self._task: asyncio.Task[T] | None = None
        self._is_cancelled = False
        self._is_over = False
        # A lock instead of an event: one call of it, written in C, does all.
        self._ended = threading.Lock()
        self._ended.acquire()

    def begin(self) -> None:
        """Start the coroutine; the loop calls this."""
        if self._is_cancelled:
            return
        self._task = asyncio.get_running_loop().create_task(self._act())
        self._task.add_done_callback(lambda _: self._end())

    def cancel(self) -> None:
        """Cancel the coroutine, started or not; the loop calls this."""
        self._is_cancelled = True
        if self._task is not None:
            self._task.cancel()
        elif not self._is_over:
            self._end()

    def wait(self) -> None:
        # An interrupted call may have acquired the lock already.
        if not self._is_over:
            self._ended.acquire()

    def _end(self) -> None:
        self._is_over = True
        self._ended.release()

    def result(self) -> T:
        assert self._task is not None
        task, self._task = self._task, None
        try:
            return task.result()
        except asyncio.CancelledError:
            raise StorageError("the shelf was closed during the request") from None
        finally:
            del task
