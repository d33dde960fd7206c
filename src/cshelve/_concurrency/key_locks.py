"""Turn-taking between the threads of a process: one at a time for each name."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cshelve._concurrency.per_process import PerProcess

__all__ = ["Turns"]


class _Turn:
    """A lock, and how many hold it or wait for it."""

    __slots__ = ("lock", "users")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.users = 0


class _State:
    def __init__(self) -> None:
        self.turns: dict[str, _Turn] = {}
        self.lock = threading.Lock()


class Turns:
    """A lock for each name, kept only as long as somebody wants it.

    A thread that has a turn may take it again. A forked child begins with no turn taken.
    """

    def __init__(self) -> None:
        self._states = PerProcess(_State)

    def acquire(self, name: str, timeout: float = -1) -> bool:
        """Wait for the turn of a name, so many seconds at most; tell whether it has come."""
        state = self._states.get()
        with state.lock:
            turn = state.turns.setdefault(name, _Turn())
            turn.users += 1
        came = False
        try:
            came = turn.lock.acquire(timeout=timeout) if timeout else turn.lock.acquire(False)
        finally:
            if not came:
                self._leave(state, name)
        return came

    def release(self, name: str) -> None:
        """Let the next one have the turn; the thread that acquired it does."""
        state = self._states.get()
        turn = state.turns.get(name)
        if turn is None:
            return  # Taken before a fork, in the parent.
        turn.lock.release()
        self._leave(state, name)

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Have the turn of a name for a block, however long it takes to come."""
        self.acquire(name)
        try:
            yield
        finally:
            self.release(name)

    def _leave(self, state: _State, name: str) -> None:
        with state.lock:
            turn = state.turns[name]
            turn.users -= 1
            if not turn.users:
                del state.turns[name]
