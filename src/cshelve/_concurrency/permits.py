"""Permits: how many requests of a shelf fly at once, whichever way they go."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from weakref import ref

__all__ = ["Holder", "Permits"]

# An iteration whose caller has not come back for so long counts for nothing.
PAUSE_SECONDS = 0.05


class Holder:
    """Somebody who may hold a permit. When he is gone, so is the permit."""

    __slots__ = ("__weakref__",)


class Permits:
    """So many permits, each in the name of whoever holds it. Safe in many threads.

    A permit that is taken is noted under its holder in one step, and to give one back that is not
    there does nothing: so whoever gives it back in a `finally` may be interrupted anywhere. If the
    interruption strikes the giving back itself, the permit is back when the holder is no more.
    (For the same reason there is no `threading.Condition` here: Ctrl-C within its methods, which
    are Python's, leaves its lock locked for ever.)

    A caller that is in the middle of an iteration over many keys may pause for as long as it likes,
    and use the shelf meanwhile. What it has asked for is answered then, and lies in the buffers of
    the sockets: so whoever finds no permit takes that of an iteration that has been paused for a
    moment, and the caller himself does so at once. Nobody can be locked out by a paused iteration.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._holders: dict[int, tuple[object, int]] = {}
        """Who holds a permit, and the iteration that it is for; both by their identity."""
        self._paused: dict[int, tuple[float, int]] = {}
        """Since when an iteration is paused, and by which thread."""
        self._deciding = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()

    @property
    def taken(self) -> int:
        """How many are taken now."""
        return len(self._holders)

    def acquire(self, holder: object, iteration: object = None) -> None:
        """Wait for a permit."""
        while not self.try_acquire(holder, iteration):
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
            try:
                # One may have been given back before we were seen to wait.
                if self.try_acquire(holder, iteration):
                    return
                turn.acquire(timeout=PAUSE_SECONDS)
            finally:
                with suppress(ValueError):  # Whoever woke us has taken it out.
                    self._waiting.remove(turn)

    def try_acquire(self, holder: object, iteration: object = None) -> bool:
        """Take a permit if there is one, and return whether there was."""
        with self._deciding:
            if len(self._holders) >= self.most and not self._withdrawn():
                return False
            name = id(holder)
            self._holders[name] = ref(holder, lambda _: self._give_back(name)), id(iteration)
            return True

    def release(self, holder: object) -> None:
        """Give a permit back, if the holder still has one."""
        self._give_back(id(holder))

    def pause(self, iteration: object) -> None:
        """Take note that the caller of an iteration does something else."""
        self._paused[id(iteration)] = time.monotonic(), threading.get_ident()

    def resume(self, iteration: object) -> None:
        """Take note that it has come back."""
        self._paused.pop(id(iteration), None)

    def _give_back(self, name: int) -> None:
        # Without a lock: this may be called while we hold it, when a holder is no more.
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
