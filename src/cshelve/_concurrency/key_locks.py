"""A lock for each key, between the threads of a process."""

from __future__ import annotations

import threading

from cshelve._concurrency.per_process import PerProcess

__all__ = ["KeyLocks"]


class _KeyLock:
    """A lock, and the number of threads that hold it or wait for it."""

    __slots__ = ("lock", "users")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.users = 0


class _Locks:
    def __init__(self) -> None:
        self.of: dict[str, _KeyLock] = {}
        self.guard = threading.Lock()


class KeyLocks:
    """A lock for each key, which exists only while a thread holds it or waits for it.

    A thread that holds a lock may acquire it again. In a forked child, no lock is held.
    """

    def __init__(self) -> None:
        self._locks = PerProcess(_Locks)

    def acquire(self, key: str, timeout_seconds: float) -> bool:
        """Wait for the lock of a key; return whether it was acquired in time."""
        locks = self._locks.get()
        with locks.guard:
            key_lock = locks.of.setdefault(key, _KeyLock())
            key_lock.users += 1
        acquired = False
        try:
            acquired = key_lock.lock.acquire(timeout=timeout_seconds)
        finally:
            if not acquired:
                self._leave(locks, key)
        return acquired

    def release(self, key: str) -> None:
        """Release the lock of a key; only the thread that acquired the lock may call this."""
        locks = self._locks.get()
        key_lock = locks.of.get(key)
        if key_lock is None:
            return  # Acquired before a fork, in the parent.
        key_lock.lock.release()
        self._leave(locks, key)

    def _leave(self, locks: _Locks, key: str) -> None:
        with locks.guard:
            key_lock = locks.of[key]
            key_lock.users -= 1
            if not key_lock.users:
                del locks.of[key]
