"""Many keys, a store that is worked on in parallel, and ways to write."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import cshelve
from cshelve.providers.base import Item
from cshelve.providers.in_memory import InMemory
from tests.rigs import provider_of

T = TypeVar("T")

GET, PUT, LIST, DELETES = "GetObject", "PutObject", "ListObjectsV2", "DeleteObjects"
NOBODY_CAN_HOLD = "\ud800"
CONCURRENCY = 4
MANY = 60

WAYS_TO_WRITE: dict[str, Callable[[cshelve.CloudShelf, Any], None]] = {
    "set_many": lambda db, pairs: db.set_many(pairs),
    "update": lambda db, pairs: db.update(pairs),
}


class FarMemory(InMemory):
    """Memory that is worked on in parallel, as a far store is, and counts what is begun and done.

    An operation is begun when its provider's method is called, and done before that returns.
    """

    def __init__(self, concurrency: int = CONCURRENCY) -> None:
        super().__init__(exists=True)
        self.concurrency = concurrency
        self.begun = 0
        self.done = 0
        self._lock = threading.Lock()

    def get(self, name: str) -> Item:
        return self._counted(lambda: InMemory.get(self, name))

    def put(self, name: str, data: bytes, **condition: Any) -> str:
        return self._counted(lambda: InMemory.put(self, name, data, **condition))

    def delete(self, name: str, **condition: Any) -> bool:
        return self._counted(lambda: InMemory.delete(self, name, **condition))

    def _counted(self, act: Callable[[], T]) -> T:
        with self._lock:
            self.begun += 1
        try:
            return act()
        finally:
            with self._lock:
                self.done += 1


def numbered(many: int = MANY) -> dict[str, int]:
    return {f"k{number:03}": number for number in range(many)}


def spoil(db: cshelve.CloudShelf, key: str) -> None:
    """Put under a key what is no record, as somebody's upload would be."""
    provider_of(db).put(key, b"hello")


def all_of(pairs: Iterator[tuple[str, Any]]) -> tuple[list[tuple[str, Any]], list[Exception]]:
    """Go through pairs and past every error."""
    found: list[tuple[str, Any]] = []
    errors: list[Exception] = []
    while True:
        try:
            found.append(next(pairs))
        except StopIteration:
            return found, errors
        except Exception as error:  # noqa: BLE001  # which ones there are is what is looked at
            errors.append(error)


class Gone(cshelve.StorageError):
    """What every other key would fail with too."""

    about_shelf = True
