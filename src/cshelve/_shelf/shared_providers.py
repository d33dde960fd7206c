"""Providers that the unpickled shelves of a process share, so that each is built once.

A task on a cluster unpickles its shelf, uses it and drops it. Building a client for each task would
take longer than the requests of many tasks, and a connection for each would be opened anew.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cshelve._concurrency.per_process import PerProcess
from cshelve.exceptions import Error

if TYPE_CHECKING:
    from cshelve.providers.base import Provider

__all__ = ["SHARED", "Lease", "SharedProviders", "is_plain", "surroundings"]

# As many providers stay open although no shelf uses them.
MOST_IDLE = 4
PLAIN = (str, int, float, bytes, bool, type(None))


class _Shared:
    """A provider, and the number of shelves that use it."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.is_prepared = False
        self.users = 0


class Lease:
    """The use of a shared provider by one shelf, until it is released."""

    def __init__(self, shared: _Shared, released: Callable[[], None]) -> None:
        self._shared = shared
        self._released: list[Callable[[], None]] = [released]

    @property
    def provider(self) -> Provider:
        return self._shared.provider

    def prepare(self, flag: str) -> None:
        """Check that the place of the provider exists, unless another shelf has done so."""
        if not self._shared.is_prepared:
            self._shared.provider.prepare(flag)
            self._shared.is_prepared = True

    def release(self) -> None:
        """End the use; a second call does nothing."""
        with suppress(IndexError):
            self._released.pop()()


class SharedProviders:
    """The providers of one process by their configurations. Safe in many threads.

    A provider that no shelf uses stays open for the next one, but only a few of them do; the others
    are closed, the one that has been idle for the longest time first.
    """

    def __init__(self, most_idle: int = MOST_IDLE) -> None:
        self._most_idle = most_idle
        self._shared: OrderedDict[Hashable, _Shared] = OrderedDict()
        self._lock = threading.RLock()  # Garbage collection may release a shelf at any place.
        atexit.register(self.close)

    def lease(self, key: Hashable, make: Callable[[], Provider]) -> Lease:
        """Return a lease of the provider with a configuration; it is made if there is none."""
        with self._lock:
            shared = self._shared.get(key)
            if shared is None:
                shared = self._shared[key] = _Shared(make())
            shared.users += 1
        return Lease(shared, lambda: self._release(key))

    def close(self) -> None:
        """Close all providers that no shelf uses; the others are closed when they are released."""
        self._most_idle = 0
        self._close_idle()

    def _release(self, key: Hashable) -> None:
        with self._lock:
            self._shared[key].users -= 1
            self._shared.move_to_end(key)
        self._close_idle()

    def _close_idle(self) -> None:
        with self._lock:
            idle = [key for key, shared in self._shared.items() if not shared.users]
            excess = idle[: max(0, len(idle) - self._most_idle)]
            closed = [self._shared.pop(key).provider for key in excess]
        for provider in closed:
            # Nothing is lost: providers that buffer writes are not shared.
            with suppress(Error):
                provider.close()


SHARED = PerProcess(SharedProviders)
"""Those of this process: a forked child starts without any."""


def is_plain(value: Any) -> bool:
    """Return whether a value is data, whose text tells all of it, and not an object or function."""
    if isinstance(value, dict):
        return all(is_plain(each) for pair in value.items() for each in pair)
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return type(value) in PLAIN


def surroundings() -> Hashable:
    """Return what a configuration may refer to: the environment, and the working folder."""
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        folder = ""  # It was deleted.
    return folder, frozenset(os.environ.items())
