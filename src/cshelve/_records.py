"""The mapping from bytes to bytes that a `shelve.Shelf` keeps in its attribute `dict`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping
from typing import NoReturn

from cshelve.codec import Codec
from cshelve.codec.stage import Data
from cshelve.exceptions import (
    ConflictError,
    KeyNotFoundError,
    ReadOnlyError,
    RecordError,
)
from cshelve.providers.base import Provider

__all__ = ["ClosedRecords", "Records"]


class Records(MutableMapping[bytes, Data]):
    """Payloads under keys: what a provider holds under names, each in a record of the codec's.

    A key is a name in UTF-8. Each method costs the requests of the provider's method that it is
    made of. Safe in many threads.
    """

    def __init__(self, provider: Provider, codec: Codec, *, read_only: bool = False) -> None:
        self.provider = provider
        self.read_only = read_only
        self._codec = codec

    def __getitem__(self, key: bytes) -> Data:
        name = key.decode()
        return self.decode(name, self.provider.get(name).data)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, bytes) and self.provider.contains(key.decode())

    def __setitem__(self, key: bytes, payload: Data) -> None:
        self.refuse_if_read_only("write", key.decode())
        self.provider.put(key.decode(), self._codec.encode(bytes(payload)))

    def __delitem__(self, key: bytes) -> None:
        """Delete a key that is there: one request where the store tells, else one more to ask."""
        name = key.decode()
        self.refuse_if_read_only("delete", name)
        if not self.provider.capabilities.delete_reports and not self.provider.contains(name):
            raise KeyNotFoundError(name)
        if self.provider.delete(name) is False:
            raise KeyNotFoundError(name)

    def __iter__(self) -> Iterator[bytes]:
        for name in self.provider.names():
            yield name.encode()

    def __len__(self) -> int:
        return sum(1 for _ in self.provider.names())

    def __bool__(self) -> bool:
        """Ask for one name, not for all of them."""
        return any(True for _ in self.provider.names(limit=1))

    def get_many(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Read the records of many names, not decoded yet; absent ones are left out."""
        for name, item in self.provider.get_many(names):
            yield name, item.data

    def set_many(self, payloads: Iterable[tuple[str, bytes]]) -> None:
        """Write many payloads, or raise a `BulkError` that names those that were not."""

        def encoded() -> Iterator[tuple[str, bytes]]:
            for name, payload in payloads:
                self.refuse_if_read_only("write", name)
                yield name, self._codec.encode(payload)

        self.provider.put_many(encoded())

    def add(self, name: str, payload: bytes) -> bool:
        """Write a payload unless something is there already; tell whether it was written."""
        self.refuse_if_read_only("write", name)
        try:
            self.provider.put(name, self._codec.encode(payload), if_absent=True)
        except ConflictError:
            return False
        return True

    def remove(self, name: str) -> bool:
        """Delete what was there a moment ago, in one request; False if it is known to be gone."""
        self.refuse_if_read_only("delete", name)
        return self.provider.delete(name) is not False

    def clear(self) -> None:
        """Delete every key, in bulk and without reading a value."""
        self.refuse_if_read_only("clear")
        self.provider.purge()

    def decode(self, name: str, data: bytes) -> Data:
        """Give the payload of a record, or a `RecordError` that names the key."""
        try:
            return self._codec.decode(data)
        except RecordError as error:
            raise self.with_key(error, name) from error

    def with_key(self, error: RecordError, name: str) -> RecordError:
        """Say of an error of a record which key it lies under."""
        return type(error)(f"{name!r} in {self.provider.location}: {error}")

    def refuse_if_read_only(self, doing: str, name: str | None = None) -> None:
        """Raise `ReadOnlyError` if the shelf was opened for reading."""
        if self.read_only:
            what = "the shelf" if name is None else repr(name)
            raise ReadOnlyError(
                f"can't {doing} {what} in {self.provider.location}: it was opened with flag 'r'"
            )

    def close(self) -> None:
        """Let go of the provider's connections."""
        self.provider.close()


class ClosedRecords(dict[bytes, bytes]):
    """What a closed shelf has in place of its records, for those who look at `dict`."""

    def _closed(self, *_: object) -> NoReturn:
        raise ValueError("invalid operation on closed shelf")

    __getitem__ = __setitem__ = __delitem__ = __contains__ = __iter__ = __len__ = _closed
    keys = values = items = get = pop = popitem = clear = setdefault = _closed
    update = _closed  # type: ignore[assignment]  # overloaded there; here nothing is taken
