"""Threads for the items that the direct engine cannot process."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

from cshelve._concurrency.parallel import Workers

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["Threads"]

T = TypeVar("T")
R = TypeVar("R")


class Threads(Generic[T, R]):
    """Process items in threads, and wake up a selector after each item.

    Sockets and threads are created when the first item is started.
    """

    def __init__(
        self, selector: selectors.BaseSelector, most: int, is_last: Callable[[R], bool]
    ) -> None:
        self.busy: dict[Future[R], object] = {}
        """The owner of each item that is in progress, or finished but not yet collected."""
        self._selector = selector
        self._most = most
        self._is_last = is_last
        self._workers: Workers[tuple[Callable[[T], R], T], R] | None = None
        self._ours: socket.socket | None = None
        self._theirs: socket.socket | None = None

    def start(self, owner: object, act: Callable[[T], R], item: T) -> None:
        """Call `act` for an item in a thread, or in the caller's if no thread can be started."""
        if self._workers is None:
            self._ours, self._theirs = socket.socketpair()
            self._ours.setblocking(False)
            self._theirs.setblocking(False)
            self._selector.register(self._ours, selectors.EVENT_READ, None)
            self._workers = Workers(lambda task: task[0](task[1]), self._most, self._is_last)
        future = self._workers.start((act, item))
        self.busy[future] = owner
        future.add_done_callback(self._wake_up)

    def collect(self) -> list[tuple[object, Future[R]]]:
        """Return the owner and the future of each item that has finished since the last call.

        Call this when the selector wakes up.
        """
        if self._ours is not None:
            with suppress(BlockingIOError):
                self._ours.recv(4096)
        done = [future for future in self.busy if future.done()]
        return [(self.busy.pop(future), future) for future in done]

    def stop(self) -> None:
        """Start no more items, and wait for the current attempt of each item in progress."""
        if self._workers is not None:
            self._workers.stop()

    def close(self) -> None:
        """Close the sockets that wake up the selector."""
        for end in (self._ours, self._theirs):
            if end is not None:
                end.close()

    def _wake_up(self, _: object) -> None:
        # If the socket is full, the selector wakes up anyway. If it is closed, nothing waits.
        if self._theirs is not None:
            with suppress(OSError):
                self._theirs.send(b"\0")
