"""A store that counts, and caches in front of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.providers.base import Provider
from cshelve.providers.caching import provider as caching
from cshelve.providers.caching.entries import Entries
from cshelve.providers.caching.folder import OURS, FolderEntries
from cshelve.providers.caching.memory import InMemoryEntries
from cshelve.providers.caching.provider import Cached
from cshelve.providers.in_memory import InMemory
from cshelve.testing import CountingProvider

MODES: dict[str, dict[str, Any]] = {
    "revalidate": {"mode": "revalidate"},
    "ttl": {"mode": "ttl", "ttl_seconds": 60},
    "immutable": {"mode": "immutable"},
}
USABLE_SECONDS = {"revalidate": 0.0, "ttl": 60.0, "immutable": inf}


class Clock:
    """The time by which entries become old, as a test sets it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 1_700_000_000.0
        patch.setattr(caching, "time", self)

    def time(self) -> float:
        return self.now


class Caches:
    """A store, and caches in front of it that share a place."""

    def __init__(self, folder: Path | None, mode: str) -> None:
        self.folder = folder
        self.usable_seconds = USABLE_SECONDS[mode]
        self.store = CountingProvider(InMemory(exists=True))
        self.memory = InMemoryEntries(1 << 20)

    def entries(self) -> Entries[Any]:
        if self.folder is None:
            return self.memory
        return FolderEntries(str(self.folder), "test", 1 << 20, logging.getLogger("cshelve"))

    def provider(self, around: Callable[[Provider], Provider] = lambda store: store) -> Cached:
        return Cached(around(self.store), self.entries(), self.usable_seconds)

    @contextmanager
    def shelf(self) -> Iterator[cshelve.CloudShelf[Any]]:
        with cshelve.open_provider(self.provider()) as shelf:
            self.store.reset()
            yield shelf

    @property
    def asked(self) -> list[str]:
        """The calls that have reached the store since the last time."""
        methods = [call.method for call in self.store.calls]
        self.store.reset()
        return methods


def entry_files(folder: Path) -> list[Path]:
    """Return the files of entries in the folder of a cache."""
    found = (folder / OURS).rglob("*")
    return sorted(p for p in found if p.is_file() and len(p.name) == 30)
