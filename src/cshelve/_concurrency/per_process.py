"""Objects that a forked child must not share with its parent, such as connections and locks."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["PerProcess"]

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Holds an object that each process creates for itself when it first needs it.

    A child that is forked while another thread holds a lock would wait for it forever, and two
    processes that write to one socket would garble each other's requests. The child keeps a
    reference to its parent's object, so that the child does not close it by garbage collection.

        lock = PerProcess(threading.Lock)
        with lock.get():
            ...
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[int, T] = {}

    def made(self) -> T | None:
        """Return the object of this process; None if it has not been created yet."""
        return self._made.get(os.getpid())

    def of_others(self) -> list[T]:
        """Return the objects that the parents of this process had created before the fork."""
        return [made for process, made in self._made.items() if process != os.getpid()]

    def drop(self) -> T | None:
        """Remove the object of this process, and return it or None; the next `get` creates one."""
        return self._made.pop(os.getpid(), None)

    def get(self) -> T:
        """Return the object of this process, which is created if it does not exist yet.

        Safe in many threads: all get the same object, and others created meanwhile are dropped.
        """
        process = os.getpid()
        try:
            return self._made[process]
        except KeyError:
            # No lock, since it would need to be per process as well; `setdefault` is atomic.
            return self._made.setdefault(process, self._make())
