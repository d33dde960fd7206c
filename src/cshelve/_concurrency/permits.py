"""Permits: they limit how many requests of a shelf are in flight at once, whoever sends them."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from weakref import ref

from cshelve._concurrency.parallel import refuse_if_stopped

__all__ = ["Permit", "Permits"]

# Others may take the permits of an iteration that its caller has paused for so long.
PAUSE_SECONDS = 0.05


class Permits:
    """A number of permits, each of which has a holder, any object. Safe in many threads.

    A permit is noted under its holder in one step, and to release one that is not there does
    nothing: so whoever releases it in a `finally` may be interrupted anywhere. If the interruption
    strikes the release itself, the permit returns when its holder is garbage. (For the same reason
    there is no `threading.Condition` here: Ctrl-C within its methods, which are Python's, leaves
    its lock locked for ever.)

    A caller in the middle of an iteration over many keys may pause for as long as it likes, and use
    the shelf meanwhile. Its requests have been answered by then, into the buffers of the sockets:
    so whoever finds no permit takes one of an iteration that has been paused for a moment, and the
    same thread takes it at once. A paused iteration locks nobody out.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._holders: dict[int, tuple[object, int]] = {}
        """The holders, and the iteration that each belongs to; both by their identity."""
        self._paused: dict[int, tuple[float, int]] = {}
        """Since when an iteration is paused, and by which thread."""
        self._deciding = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()

    @property
    def taken(self) -> int:
        """How many are taken now."""
        return len(self._holders)

    def acquire(self, holder: object, iteration: object = None) -> None:
        """Wait for a permit; raise `StoppedError` if meanwhile nobody waits for the result."""
        while not self.try_acquire(holder, iteration):
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
            try:
                # One may have been released before we were seen to wait.
                if self.try_acquire(holder, iteration):
                    return
                turn.acquire(timeout=PAUSE_SECONDS)
            finally:
                with suppress(ValueError):  # Whoever woke us has taken it out.
                    self._waiting.remove(turn)
            refuse_if_stopped()

    def try_acquire(self, holder: object, iteration: object = None) -> bool:
        """Take a permit if there is one, and return whether there was."""
        with self._deciding:
            if len(self._holders) >= self.most and not self._withdrawn():
                return False
            name = id(holder)
            self._holders[name] = ref(holder, lambda _: self._give_back(name)), id(iteration)
            return True

    def release(self, holder: object) -> None:
        """Release the permit of a holder, if it still has one."""
        self._give_back(id(holder))

    def pause(self, iteration: object) -> None:
        """Note that the caller of an iteration does something else."""
        self._paused[id(iteration)] = time.monotonic(), threading.get_ident()

    def resume(self, iteration: object) -> None:
        """Note that the caller has come back."""
        self._paused.pop(id(iteration), None)

    def _give_back(self, name: int) -> None:
        # Without a lock: garbage collection may call this while we hold it.
        if self._holders.pop(name, None) is not None:
            with suppress(IndexError):  # Nobody waits.
                self._waiting.popleft().release()

    def _withdrawn(self) -> bool:
        """Withdraw a permit from an iteration that is paused."""
        if not self._paused:
            return False
        before, ours = time.monotonic() - PAUSE_SECONDS, threading.get_ident()
        paused = {
            iteration
            for iteration, (since, thread) in list(self._paused.items())
            if since < before or thread == ours
        }
        held = list(self._holders.items())
        found = next((name for name, (_, iteration) in held if iteration in paused), None)
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
