"""Permits, which limit the requests of a shelf that are in flight, whichever engine sends them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from weakref import ref

from cshelve._concurrency.parallel import refuse_if_stopped

__all__ = ["PAUSE_SECONDS", "Permit", "Permits"]

# Other threads may withdraw the permits of an iteration that has been paused for this long.
PAUSE_SECONDS = 0.05


class Permits:
    """A semaphore that knows the holder of each permit. Safe in many threads.

    Acquiring a permit and recording its holder is one step, and releasing a permit that is not held
    does nothing. So code that releases a permit in a `finally` may be interrupted anywhere. If
    Ctrl-C interrupts the release itself, the permit is released when its holder is garbage
    collected. (`threading.Condition` is not used for the same reason: its methods are written in
    Python, and Ctrl-C in one of them would leave its lock locked forever.)

    The caller of an iteration over many keys may pause for any time, and use the shelf meanwhile.
    During the pause, the responses to the iteration's requests arrive in the buffers of the
    sockets. Therefore, if no permit is free, `acquire` withdraws one from an iteration that has
    been paused for `PAUSE_SECONDS`, or at once from one that the calling thread itself has paused.
    So a paused iteration never blocks other operations.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._holders: dict[int, tuple[object, int]] = {}
        """A weak reference to each holder and the `id` of its iteration, by the holder's `id`."""
        self._paused: dict[int, tuple[float, int]] = {}
        """The time and the thread of each pause, by the `id` of the paused iteration."""
        self._deciding = threading.Lock()
        self._waiting: deque[threading.Lock | _Notice] = deque()

    @property
    def taken(self) -> int:
        """The number of permits that are held now."""
        return len(self._holders)

    def acquire(self, holder: object, iteration: object = None) -> None:
        """Wait for a permit, and acquire it for a holder, which may belong to an iteration.

        Raises `StoppedError` if this thread's map has ended meanwhile (see `refuse_if_stopped`).
        """
        while not self.try_acquire(holder, iteration):
            wakeup = threading.Lock()
            wakeup.acquire()
            self._waiting.append(wakeup)
            try:
                # A permit may have been released before `wakeup` was in the queue.
                if self.try_acquire(holder, iteration):
                    return
                wakeup.acquire(timeout=PAUSE_SECONDS)
            finally:
                with suppress(ValueError):  # A release has removed it.
                    self._waiting.remove(wakeup)
            refuse_if_stopped()

    def try_acquire(self, holder: object, iteration: object = None) -> bool:
        """Acquire a permit if one is free or can be withdrawn; return whether it was acquired."""
        with self._deciding:
            if len(self._holders) >= self.most and not self._withdraw():
                return False
            identity = id(holder)
            self._holders[identity] = ref(holder, lambda _: self._free(identity)), id(iteration)
            return True

    def notify(self, call: Callable[[], object]) -> None:
        """Call a function once, from any thread, when a permit is released.

        For those who cannot wait in `acquire`. They have to try again after this, as a permit may
        have been released before, and after `PAUSE_SECONDS`, as one may be withdrawn by then.
        """
        self._waiting.append(_Notice(call))

    def release(self, holder: object) -> None:
        """Release the permit of a holder, if it still has one."""
        self._free(id(holder))

    def pause(self, iteration: object) -> None:
        """Record that the caller of an iteration runs its own code, so permits may be withdrawn."""
        self._paused[id(iteration)] = time.monotonic(), threading.get_ident()

    def resume(self, iteration: object) -> None:
        """Record that the caller continues the iteration."""
        self._paused.pop(id(iteration), None)

    def _free(self, identity: int) -> None:
        # Without the lock: a holder may be garbage collected while this thread holds the lock.
        if self._holders.pop(identity, None) is not None:
            with suppress(IndexError):  # Nobody waits.
                self._waiting.popleft().release()

    def _withdraw(self) -> bool:
        """Withdraw a permit from a paused iteration; return whether there was one."""
        if not self._paused:
            return False
        before, ours = time.monotonic() - PAUSE_SECONDS, threading.get_ident()
        paused = {
            iteration
            for iteration, (since, thread) in list(self._paused.items())
            if since < before or thread == ours
        }
        held = list(self._holders.items())
        found = next((holder for holder, (_, iteration) in held if iteration in paused), None)
        return found is not None and self._holders.pop(found, None) is not None


class _Notice:
    """Stands in the queue of those who wait, in the place of a lock."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.release = call


class Permit:
    """A context manager that holds one permit."""

    __slots__ = ("__weakref__", "_permits")

    def __init__(self, permits: Permits) -> None:
        self._permits = permits

    def __enter__(self) -> None:
        self._permits.acquire(self)

    def __exit__(self, *_: object) -> None:
        self._permits.release(self)
