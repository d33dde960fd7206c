"""`in-memory`: a dict and a lock. This is the shortest provider, and the one to read first."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from cshelve._concurrency.per_process import PerProcess
from cshelve._config.options import Option, boolean, text
from cshelve.exceptions import ConflictError, DBDoesNotExistsError, KeyNotFoundError
from cshelve.providers.base import Capabilities, Details, Entry, Item, Provider

if TYPE_CHECKING:
    from cshelve._config.sections import Sections

__all__ = ["InMemory"]

PERSIST_KEY = Option(
    "persist-key", text, None, "Shelves of a process that have the same name share their values."
)
EXISTS = Option("exists", boolean, False, "Whether the shelf exists already.")


class _Held(NamedTuple):
    """A value in memory; the version of each write is unique."""

    data: bytes
    version: int
    modified: datetime


class _Store:
    """The values that shelves with the same `persist_key` share, and the lock that guards them."""

    def __init__(self) -> None:
        self.values: dict[str, _Held] = {}
        self.locks = PerProcess(threading.Lock)
        self.versions = itertools.count(1)
        self.exists = False


# Global, so that a named shelf keeps its values when it is closed and opened again.
_named: dict[str, _Store] = {}
_named_locks = PerProcess(threading.Lock)


class InMemory(Provider):
    """Stores values in the memory of this process; they are lost when it ends.

    All operations, including conditional ones, are atomic and safe in many threads.

    Providers with the same `persist_key` share their values, which remain when a provider is
    closed. `exists` creates the shelf at once, so that flags `r` and `w` can open it.

        db = cshelve.open_provider(InMemory())
    """

    options: ClassVar[tuple[Option[Any], ...]] = (PERSIST_KEY, EXISTS)
    capabilities = Capabilities(conditional_put=True, conditional_delete=True, delete_reports=True)
    is_shared = False

    def __init__(self, *, persist_key: str | None = None, exists: bool = False) -> None:
        # Parallel threads would only wait for the one lock.
        super().__init__(concurrency=1)
        self._persist_key = persist_key
        if persist_key is None:
            self._store = _Store()
        else:
            with _named_locks.get():
                self._store = _named.setdefault(persist_key, _Store())
        # Only within this process: pickles of a shelf can pass between its threads.
        self.can_be_reopened = persist_key is not None
        if exists:
            self._store.exists = True

    @classmethod
    def from_config(cls, config: Sections) -> Self:
        """Return a provider with the options `persist-key` and `exists` of `[default]`."""
        return cls(persist_key=config.take(PERSIST_KEY), exists=config.take(EXISTS))

    @property
    def location(self) -> str:
        return "memory" if self._persist_key is None else f"memory, {self._persist_key!r}"

    def exists(self) -> bool:
        return self._store.exists

    def create(self) -> None:
        self._store.exists = True

    def close(self) -> None:
        """Do nothing: a named shelf keeps its values, and others end with this object."""

    def get(self, name: str) -> Item:
        with self._store.locks.get():
            held = self._held(name)
            if held is not None:
                self.stats.count("get", received=len(held.data))
                return Item(held.data, str(held.version))
        self.stats.count("get")
        raise KeyNotFoundError(name)

    def who_asks(self) -> str:
        # Another process has other values under the same name.
        return f"memory {os.getpid()} {id(self._store)} {time.monotonic_ns()}"

    def inspect(self, name: str, head_bytes: int = 64) -> Details:
        self.stats.count("inspect")
        with self._store.locks.get():
            held = self._held(name)
        if held is None:
            raise KeyNotFoundError(name)
        size_bytes, head = len(held.data), held.data[:head_bytes]
        return Details(name, size_bytes, held.modified, str(held.version), head)

    def contains(self, name: str) -> bool:
        self.stats.count("contains")
        with self._store.locks.get():
            return self._held(name) is not None

    def expires_at(self, name: str) -> float | None:
        self.stats.count("contains")
        with self._store.locks.get():
            held = self._held(name)
        return None if held is None else self.expiry_in(held.data)

    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        self.stats.count("put", sent=len(data))
        with self._store.locks.get():
            held = self._held(name)
            if if_absent and held is not None:
                raise ConflictError(f"{name!r} is already in {self.location}")
            if if_version is not None:
                self._refuse_changed(name, held, if_version)
            version = next(self._store.versions)
            self._values()[name] = _Held(bytes(data), version, datetime.now(UTC))
            return str(version)

    def delete(self, name: str, *, if_version: str | None = None) -> bool:
        self.stats.count("delete")
        with self._store.locks.get():
            held = self._held(name)
            if held is None:
                return False
            if if_version is not None:
                self._refuse_changed(name, held, if_version)
            del self._values()[name]
            return True

    def shares_store(self, other: Provider) -> bool:
        return isinstance(other, InMemory) and other._store is self._store

    def entries(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[Entry]:
        self.stats.count("entries")
        with self._store.locks.get():
            # A snapshot, so that the shelf may be changed during the iteration.
            values = self._values()
            names: Iterable[str] = (name for name in values if name.startswith(prefix))
            if start_after is not None:
                names = sorted(name for name in names if name > start_after)
            found = [(name, values[name]) for name in itertools.islice(names, limit)]
        for name, held in found:
            yield Entry(name, len(held.data), held.modified, str(held.version))

    def _held(self, name: str) -> _Held | None:
        return self._values().get(name)

    def _values(self) -> dict[str, _Held]:
        if not self._store.exists:
            raise DBDoesNotExistsError(
                f"The shelf in {self.location} does not exist: open it with flag 'c' to create it"
            )
        return self._store.values

    def _refuse_changed(self, name: str, held: _Held | None, if_version: str) -> None:
        if held is None or str(held.version) != if_version:
            raise ConflictError(f"{name!r} in {self.location} was changed since it was read")
