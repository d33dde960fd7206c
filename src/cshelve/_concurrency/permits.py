"""Permits, which bound how many requests of a shelf are in flight, whichever engine sends them."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from weakref import ref

from cshelve._concurrency.parallel import refuse_if_stopped

__all__ = ["Permit", "Permits"]

# Other threads may withdraw the permits of an iteration that has been paused for this long.
PAUSE_SECONDS = 0.05


class Permits:
    """A semaphore that knows the holder of each permit. Safe in many threads.

    A permit is acquired and noted under its holder in one step, and releasing a permit that is not
    held does nothing: so code that releases it in a `finally` may be interrupted anywhere. If
    Ctrl-C interrupts the release itself, the permit is released when its holder is collected.
    (This is also why there is no `threading.Condition` here: its methods are written in Python, and
    Ctrl-C in one of them leaves its lock locked for ever.)

    The caller of an iteration over many keys may pause for any time, and use the shelf in between.
    The responses to the iteration's requests arrive in the buffers of the sockets during the pause.
    Therefore, if no permit is free, `acquire` withdraws one from an iteration that has been paused
    for `PAUSE_SECONDS`, or at once from one that the calling thread itself has paused. A paused
    iteration never blocks other operations.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._holders: dict[int, tuple[object, int]] = {}
        """By the `id` of each holder: a weak reference to it, and the `id` of its iteration."""
        self._paused: dict[int, tuple[float, int]] = {}
        """By the `id` of each paused iteration: when, and by which thread, it was paused."""
        self._deciding = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()

    @property
    def taken(self) -> int:
        """How many permits are held now."""
        return len(self._holders)

    def acquire(self, holder: object, iteration: object = None) -> None:
        """Wait for a permit, and acquire it for a holder, which may be part of an iteration.

        Raises `StoppedError` if nobody waits for the result any more when the wait is over.
        """
        while not self.try_acquire(holder, iteration):
            wakeup = threading.Lock()
            wakeup.acquire()
            self._waiting.append(wakeup)
            try:
                # One may have been released before `wakeup` was in the queue.
                if self.try_acquire(holder, iteration):
                    return
                wakeup.acquire(timeout=PAUSE_SECONDS)
            finally:
                with suppress(ValueError):  # A release has removed it.
                    self._waiting.remove(wakeup)
            refuse_if_stopped()

    def try_acquire(self, holder: object, iteration: object = None) -> bool:
        """Acquire a permit if one is free or can be withdrawn, and return whether it was."""
        with self._deciding:
            if len(self._holders) >= self.most and not self._withdraw():
                return False
            identity = id(holder)
            self._holders[identity] = ref(holder, lambda _: self._free(identity)), id(iteration)
            return True

    def release(self, holder: object) -> None:
        """Release the permit of a holder, if it still has one."""
        self._free(id(holder))

    def pause(self, iteration: object) -> None:
        """Note that the caller of an iteration runs code of its own."""
        self._paused[id(iteration)] = time.monotonic(), threading.get_ident()

    def resume(self, iteration: object) -> None:
        """Note that the caller continues the iteration."""
        self._paused.pop(id(iteration), None)

    def _free(self, identity: int) -> None:
        # Without the lock: this is called when a holder is collected, maybe while we hold it.
        if self._holders.pop(identity, None) is not None:
            with suppress(IndexError):  # Nobody waits.
                self._waiting.popleft().release()

    def _withdraw(self) -> bool:
        """Withdraw a permit from a paused iteration, and return whether there was one."""
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


class Permit:
    """A context that holds one permit."""

    __slots__ = ("__weakref__", "_permits")

    def __init__(self, permits: Permits) -> None:
        self._permits = permits

    def __enter__(self) -> None:
        self._permits.acquire(self)

    def __exit__(self, *_: object) -> None:
        self._permits.release(self)
