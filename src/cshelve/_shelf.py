"""The shelf: text keys and Python objects, with the behaviour of `shelve.Shelf`.

What the standard library's class does dearly over a network is overridden here; what it does well
is inherited.
"""

from __future__ import annotations

import logging
import shelve
import warnings
from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from hashlib import blake2b
from typing import Any

from cshelve._records import ClosedRecords, Records
from cshelve._serializers import Serializer
from cshelve._views import Items, Values
from cshelve.exceptions import (
    BulkError,
    ConflictError,
    KeyNotFoundError,
    KeyNotStorableError,
    KeyTypeError,
    ReadOnlyError,
    RecordError,
)

__all__ = ["CloudShelf"]

_REQUIRED: Any = object()
# Two are what a lost race takes; more happen only if others delete the key as fast as we look.
SETDEFAULT_ATTEMPTS = 10


class CloudShelf(shelve.Shelf[Any]):
    """A `shelve.Shelf` whose values lie in a store, each in an object under its key.

    Values are pickled copies, as in `shelve`: changing one that was read changes nothing in the
    store, unless the shelf was opened with `writeback`. Only an absent key is a `KeyError`; what
    goes wrong otherwise is a `cshelve.Error`, and after `close` a plain `ValueError`.
    """

    cache: dict[str, Any]
    writeback: bool

    def __init__(
        self,
        records: Records,
        serializer: Serializer,
        *,
        writeback: bool = False,
        logger: logging.Logger | None = None,
    ) -> None:
        super().__init__(records, writeback=writeback)  # type: ignore[arg-type]  # payloads may be views
        self._open_records: Records | None = records
        self._serializer = serializer
        self._logger = logger or logging.getLogger("cshelve")
        self._repr = f"<cshelve.CloudShelf in {records.provider.location}>"
        # What the serialized form of each cached value was when it came from the store.
        self._digests: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return self._repr

    def __getitem__(self, key: str) -> Any:
        """Read a value. One request, or none if it is in the writeback cache."""
        name = self._name(key, absent_if_not_storable=True)
        records = self._records
        if name in self.cache:
            return self.cache[name]
        payload = records[name.encode()]
        return self._cached(name, self._loaded(name, payload))

    def __setitem__(self, key: str, value: Any) -> None:
        """Store a value, atomically. One request."""
        name = self._name(key)
        payload = self._dumped(name, value)
        self._records[name.encode()] = payload
        self._remember(name, value, payload)

    def __delitem__(self, key: str) -> None:
        """Delete a key that is there. One request, or two where the store does not tell."""
        name = self._name(key, absent_if_not_storable=True)
        del self._records[name.encode()]
        self._forget(name)

    def __contains__(self, key: object) -> bool:
        """Ask whether a key is there, without reading its value. One request."""
        try:
            return self._name(key, absent_if_not_storable=True).encode() in self._records
        except KeyNotFoundError:
            return False

    def __iter__(self) -> Iterator[str]:
        """Go through the keys, a page of them at a time; the shelf may be changed meanwhile."""
        for name in self._records.provider.names():
            self._refuse_if_closed()
            yield name

    def __len__(self) -> int:
        return len(self._records)

    def __bool__(self) -> bool:
        """Tell whether there is any key. One request, however many there are."""
        return bool(self._records)

    def __eq__(self, other: object) -> bool:
        """Compare with any mapping, up to the first difference."""
        if not isinstance(other, Mapping):
            return NotImplemented
        expected = dict(other.items())
        for key, value in self.items():
            if key not in expected:
                return False
            wanted = expected.pop(key)
            if wanted is not value and wanted != value:
                return False
        return not expected

    __hash__ = None  # type: ignore[assignment]  # as every mutable mapping

    def get(self, key: str, default: Any = None) -> Any:
        """Read a value, or give the default if the key is absent. One request."""
        try:
            return self[key]
        except KeyNotFoundError:
            return default

    def items(self) -> ItemsView[str, Any]:
        """View the pairs; going through them costs the listing and one request a key."""
        return Items(self)

    def values(self) -> ValuesView[Any]:
        """View the values; going through them costs the listing and one request a key."""
        return Values(self)

    def pop(self, key: str, default: Any = _REQUIRED) -> Any:
        """Read a value and delete its key. Two requests; one if the key is absent."""
        try:
            value = self[key]
        except KeyNotFoundError:
            if default is _REQUIRED:
                raise
            return default
        removed = self._records.remove(key)
        self._forget(key)
        if not removed and default is _REQUIRED:
            raise KeyNotFoundError(key)  # Another caller was faster, and has it.
        return value if removed else default

    def popitem(self) -> tuple[str, Any]:
        """Take any pair out of the shelf. Three requests."""
        for name in self._some_names():
            try:
                return name, self.pop(name)
            except KeyNotFoundError:
                continue  # Somebody else took it between the listing and the reading.
        raise KeyNotFoundError("the shelf is empty")

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Read a value, or store the default if the key is absent: one request, or two.

        The store decides who was first: if another writer is faster, its value is read.
        """
        name = self._name(key)
        payload = None
        for _ in range(SETDEFAULT_ATTEMPTS):
            try:
                return self[name]
            except KeyNotFoundError:
                payload = payload or self._dumped(name, default)
            if self._records.add(name, payload):
                self._remember(name, default, payload)
                return default
        raise ConflictError(
            f"{name!r} in {self._records.provider.location}: the store says that it is not there "
            f"and that it is, {SETDEFAULT_ATTEMPTS} times in turn"
        )

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Store many pairs, from what `dict.update` takes, in parallel. One request a key."""
        given: dict[str, tuple[Any, bytes]] = {}

        def payloads() -> Iterator[tuple[str, bytes]]:
            for key, value in _pairs(other, more):
                name = self._name(key)
                payload = self._dumped(name, value)
                if self.writeback:
                    given[name] = value, _digest(payload)
                yield name, payload

        for name in self._set_many(self._records, payloads(), given):
            self.cache[name], self._digests[name] = given[name]

    def clear(self) -> None:
        """Delete every key, without reading a value. The listing, and one request for 1,000."""
        self._records.clear()
        self.cache.clear()
        self._digests.clear()

    def sync(self) -> None:
        """Write every value in the writeback cache that was changed since it was read.

        Empties the cache. If it fails, what was not written stays in the cache, and the next
        `sync` writes it.
        """
        if self._open_records is None or not self.cache:
            return
        records = self._records
        if records.read_only:
            self._refuse_changes(records)
        else:
            digests: dict[str, bytes] = {}
            for name in self._set_many(records, self._changed(digests), digests):
                self._digests[name] = digests[name]
        self.cache.clear()
        self._digests.clear()

    def close(self) -> None:
        """Write what `sync` writes and let go of the store.

        If the writing fails the shelf stays open, and a second `close` tries again.
        """
        if self._open_records is None:
            return
        self.sync()
        self._open_records.close()
        self._open_records = None
        self.dict = ClosedRecords()

    def __del__(self) -> None:
        # The standard library writes the cache here. Over a network that could hang or fail where
        # nobody can see it, so we say what was lost instead.
        if getattr(self, "_open_records", None) is None or not self.cache:
            return
        unwritten = sum(1 for _ in filter(self._is_changed, self.cache))
        if unwritten:
            values = "1 changed value is" if unwritten == 1 else f"{unwritten} changed values are"
            message = f"{self!r} was never closed: {values} not written"
            self._logger.warning(message)
            warnings.warn(message, ResourceWarning, source=self, stacklevel=2)

    def _is_changed(self, name: str) -> bool:
        try:
            return _digest(self._serializer.dumps(self.cache[name])) != self._digests.get(name)
        except Exception:  # noqa: BLE001
            # Whatever the value's class raises when it is pickled, or the interpreter while it
            # shuts down: there is nobody to raise it to, and the value is not what was read.
            return True

    @property
    def _records(self) -> Records:
        if self._open_records is None:
            raise ValueError("invalid operation on closed shelf")
        return self._open_records

    def _refuse_if_closed(self) -> None:
        _ = self._records

    def _name(self, key: object, *, absent_if_not_storable: bool = False) -> str:
        """Check that a key is a text that can be a name; no store holds any other."""
        if not isinstance(key, str):
            raise KeyTypeError(f"a shelf's keys are str, not {type(key).__name__}: {key!r:.100}")
        try:
            key.encode()
        except UnicodeEncodeError as error:
            if absent_if_not_storable:
                raise KeyNotFoundError(key) from error
            raise KeyNotStorableError(f"the key {key!r} can't be encoded: {error}") from error
        return key

    def _some_names(self) -> Iterator[str]:
        """Name one key, by a listing of one; should it vanish, go on with the whole listing."""
        yield from self._records.provider.names(limit=1)
        yield from self._records.provider.names()

    def _dumped(self, name: str, value: Any) -> bytes:
        """Make the payload of a value; what its pickling raises is raised, with the key noted."""
        try:
            return self._serializer.dumps(value)
        except Exception as error:
            error.add_note(f"cshelve: this was the value for the key {name!r}")
            raise

    def _loaded(self, name: str, payload: Any) -> Any:
        try:
            return self._serializer.loads(payload)
        except RecordError as error:
            raise self._records.with_key(error, name) from error

    def _cached(self, name: str, value: Any) -> Any:
        """Keep a value that was read, with writeback, and note what it looked like."""
        if self.writeback:
            self._remember(name, value, self._serializer.dumps(value))
        return value

    def _remember(self, name: str, value: Any, payload: bytes) -> None:
        if self.writeback:
            self.cache[name] = value
            self._digests[name] = _digest(payload)

    def _forget(self, name: str) -> None:
        self.cache.pop(name, None)
        self._digests.pop(name, None)

    def _changed(self, digests: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
        """Give the cached values that are not what the store has, noting their digests."""
        for name, value in list(self.cache.items()):
            payload = self._dumped(name, value)
            digest = _digest(payload)
            if digest != self._digests.get(name):
                digests[name] = digest
                yield name, payload

    def _refuse_changes(self, records: Records) -> None:
        changed = [name for name, _ in self._changed({})]
        if changed:
            raise ReadOnlyError(
                f"{records.provider.location} was opened with flag 'r', and values in the "
                f"writeback cache were changed: {', '.join(map(repr, changed[:5]))}"
            )

    def _set_many(
        self, records: Records, payloads: Iterator[tuple[str, bytes]], written: Iterable[str]
    ) -> Iterator[str]:
        """Write many, then give the names that were written, and in the end what failed."""
        try:
            records.set_many(payloads)
        except BulkError as error:
            yield from (name for name in written if name not in error.failures)
            raise
        yield from written


def _pairs(other: Any, more: Mapping[str, Any]) -> Iterable[tuple[Any, Any]]:
    """Go through what `dict.update` takes."""
    if isinstance(other, Mapping):
        yield from other.items()
    elif hasattr(other, "keys"):
        for key in other.keys():  # noqa: SIM118  # it is no mapping, only has this method
            yield key, other[key]
    else:
        for key, value in other:
            yield key, value
    yield from more.items()


def _digest(payload: bytes) -> bytes:
    return blake2b(payload, digest_size=16).digest()
