"""Entries in the memory of this process."""

from __future__ import annotations

import threading
from collections import OrderedDict

from cshelve._concurrency.per_process import PerProcess
from cshelve.providers.base import Item
from cshelve.providers.caching.entries import Entries, Entry

__all__ = ["InMemoryEntries"]

# What an entry takes besides its data and its name, in CPython.
OVERHEAD_BYTES = 400


class InMemoryEntries(Entries["tuple[str, Entry]"]):
    """Entries in memory; the least recently used ones make room. A forked child begins anew."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held = PerProcess(_Held)

    def read(self, name: str) -> Entry | None:
        held = self._held.get()
        with held.lock:
            entry = held.entries.get(name)
            if entry is not None:
                held.entries.move_to_end(name)
            return entry

    def prepare(self, name: str, item: Item, asked_at: float) -> tuple[str, Entry] | None:
        if _size(name, item) > self._max_bytes:
            return None
        return name, Entry(item, asked_at)

    def keep(self, prepared: tuple[str, Entry]) -> None:
        name, entry = prepared
        held = self._held.get()
        with held.lock:
            held.remove(name)
            held.entries[name] = entry
            held.size_bytes += _size(name, entry.item)
            while held.size_bytes > self._max_bytes:
                held.remove(next(iter(held.entries)))

    def discard(self, prepared: tuple[str, Entry]) -> None:
        pass

    def renew(self, name: str, entry: Entry, asked_at: float) -> None:
        held = self._held.get()
        with held.lock:
            if held.entries.get(name) is entry:
                held.entries[name] = entry._replace(asked_at=asked_at)

    def drop(self, name: str) -> None:
        held = self._held.get()
        with held.lock:
            held.remove(name)

    def clear(self) -> None:
        self._held.drop()


class _Held:
    """The entries of one process, the least recently used first."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.entries: OrderedDict[str, Entry] = OrderedDict()
        self.size_bytes = 0

    def remove(self, name: str) -> None:
        """Remove an entry, if there is one. The lock is held."""
        entry = self.entries.pop(name, None)
        if entry is not None:
            self.size_bytes -= _size(name, entry.item)


def _size(name: str, item: Item) -> int:
    return len(item.data) + len(name) + OVERHEAD_BYTES
