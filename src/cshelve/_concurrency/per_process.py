"""What a forked child must not share with its parent: connections, and locks that others hold."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["PerProcess"]

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Something that every process makes for itself, when it first asks for it.

    A child that is forked while another thread holds a lock would wait for it for ever, and two
    processes that write to one socket garble each other's requests. What the parent made stays
    referenced in the child, so that nothing of it is closed there.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[int, T] = {}

    def made(self) -> T | None:
        """Give this process's own if it has asked for it before."""
        return self._made.get(os.getpid())

    def of_others(self) -> list[T]:
        """Return what the parents of this process had made when it was forked."""
        return [made for process, made in self._made.items() if process != os.getpid()]

    def drop(self) -> T | None:
        """Forget this process's own and give it, if it was made; the next to ask makes another."""
        return self._made.pop(os.getpid(), None)

    def get(self) -> T:
        """Give this process's own, made now if need be. Safe in many threads; all get the same."""
        process = os.getpid()
        try:
            return self._made[process]
        except KeyError:
            # Not under a lock, which would have to be one of these; setdefault is atomic.
            return self._made.setdefault(process, self._make())
