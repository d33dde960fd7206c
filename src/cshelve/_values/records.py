"""The mapping from bytes to bytes that a `shelve.Shelf` keeps in its attribute `dict`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, MutableMapping
from typing import NoReturn, TypeVar

from cshelve._concurrency.outcomes import Outcome, Tally
from cshelve.codec import Codec, Decoded
from cshelve.codec.stage import Data, Pieces
from cshelve.exceptions import KeyNotFoundError, ReadOnlyError, RecordError, ValueTooLargeError
from cshelve.providers.base import Provider

__all__ = ["ClosedRecords", "Records"]

T = TypeVar("T")
E = TypeVar("E", RecordError, ValueTooLargeError)


class Records(MutableMapping[bytes, Data]):
    """Payloads under keys: what a provider holds under names, each in a record of the codec's.

    The name of a key is `prefix` and the key; only names that begin so are seen. As a mapping its
    keys are bytes, UTF-8, which is what `shelve.Shelf` wants; the methods below take text. Each
    costs the requests of the provider's method that it is made of. Safe in many threads.
    """

    def __init__(
        self, provider: Provider, codec: Codec, *, read_only: bool = False, prefix: str = ""
    ) -> None:
        self.provider = provider
        self.read_only = read_only
        self.prefix = prefix
        self._codec = codec

    def under(self, prefix: str) -> Records:
        """Give the records whose keys begin so, under the rest of their keys."""
        return Records(
            self.provider, self._codec, read_only=self.read_only, prefix=self.prefix + prefix
        )

    def name(self, key: str) -> str:
        """Give the name that the provider knows a key by."""
        return self.prefix + key

    @property
    def location(self) -> str:
        """Where the records are, for messages."""
        location = self.provider.location
        return f"{location}, under {self.prefix!r}" if self.prefix else location

    def __getitem__(self, key: bytes) -> Data:
        return self.read(key.decode())[0].payload

    def __contains__(self, key: object) -> bool:
        return isinstance(key, bytes) and self.contains(key.decode())

    def __setitem__(self, key: bytes, payload: Data) -> None:
        self.write(key.decode(), (payload,))

    def __delitem__(self, key: bytes) -> None:
        self.delete(key.decode())

    def __iter__(self) -> Iterator[bytes]:
        for key in self.names():
            yield key.encode()

    def __len__(self) -> int:
        return sum(1 for _ in self.provider.names(self.prefix))

    def __bool__(self) -> bool:
        """Ask for one name, not for all of them."""
        return any(True for _ in self.names(limit=1))

    def names(self, *, limit: int | None = None) -> Iterator[str]:
        """List the keys, in the store's order."""
        names = self.provider.names(self.prefix, limit=limit)
        if not self.prefix:
            return iter(names)
        return (name.removeprefix(self.prefix) for name in names)

    def contains(self, key: str) -> bool:
        """Tell whether a key is there, without reading it."""
        return self.provider.contains(self.name(key))

    def read(self, key: str) -> tuple[Decoded, str]:
        """Give what is under a key, decoded, and its version."""
        item = self._about(key, lambda: self.provider.get(self.name(key)))
        return self.decode(key, item.data), item.version

    def write(
        self, key: str, payload: Pieces, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        """Store a payload and give its version, or raise `ConflictError` for a condition."""
        self.refuse_if_read_only("write", key)
        record = self.encode(key, payload)
        return self.store(key, record, if_absent=if_absent, if_version=if_version)

    def store(
        self, key: str, record: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        """Store a record, which `encode` made, as `write` does."""
        return self.provider.put(self.name(key), record, if_absent=if_absent, if_version=if_version)

    def delete(self, key: str) -> None:
        """Delete a key that is there: one request where the store tells, else one more to ask."""
        self.refuse_if_read_only("delete", key)
        if not self.provider.capabilities.delete_reports and not self.contains(key):
            raise KeyNotFoundError(key)
        if self.provider.delete(self.name(key)) is False:
            raise KeyNotFoundError(key)

    def remove(self, key: str, *, if_version: str | None = None) -> bool:
        """Delete what was there a moment ago, in one request; False if it is known to be gone.

        With a version, `ConflictError` if what is there is another one.
        """
        self.refuse_if_read_only("delete", key)
        return self.provider.delete(self.name(key), if_version=if_version) is not False

    def get_many(self, keys: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Read the records of many keys, not decoded yet; absent ones are left out."""
        for name, item in self.provider.get_many(map(self.name, keys)):
            yield name.removeprefix(self.prefix), item.data

    def set_many(self, records: Iterable[tuple[str, bytes]]) -> Generator[Outcome]:
        """Write many records, which `encode` made, while the outcomes are gone through."""

        def named() -> Iterator[tuple[str, bytes]]:
            for key, record in records:
                self.refuse_if_read_only("write", key)
                yield self.name(key), record

        yield from self._by_key(self.provider.putting(named()))

    def delete_many(self, keys: Iterable[str]) -> Generator[Outcome]:
        """Delete many keys while the outcomes are gone through; absent ones are no failure."""
        self.refuse_if_read_only("delete keys of")
        yield from self._by_key(self.provider.deleting(map(self.name, keys)))

    def clear(self) -> None:
        """Delete every key, without reading a value."""
        with Tally("deleted") as tally:
            tally.take(self.clearing())

    def clearing(self) -> Generator[Outcome]:
        """Delete every key while the outcomes are gone through."""
        self.refuse_if_read_only("clear")
        if self.prefix:
            yield from self.delete_many(self.names())
        else:
            yield from self._by_key(self.provider.purging())

    def encode(self, key: str, payload: Pieces) -> bytes:
        """Make the record of a payload, or a `ValueTooLargeError` that names the key."""
        try:
            return self._codec.encode(self.name(key), payload)
        except ValueTooLargeError as error:
            raise self.with_key(error, key) from error

    def decode(self, key: str, data: bytes) -> Decoded:
        """Give what a record holds, or a `RecordError` that names the key."""
        try:
            return self._codec.decode(self.name(key), data)
        except RecordError as error:
            raise self.with_key(error, key) from error

    def would_change(self, key: str, decoded: Decoded) -> bool:
        """Tell whether what was decoded would be encoded otherwise now."""
        try:
            return self._codec.would_change(decoded)
        except ValueTooLargeError as error:
            raise self.with_key(error, key) from error

    def with_key(self, error: E, key: str) -> E:
        """Say of an error of a record or a value which key it lies under."""
        return type(error)(f"{self.name(key)!r} in {self.provider.location}: {error}")

    def refuse_if_read_only(self, doing: str, key: str | None = None) -> None:
        """Raise `ReadOnlyError` if the shelf was opened for reading."""
        if self.read_only:
            what = "the shelf" if key is None else repr(self.name(key))
            raise ReadOnlyError(
                f"can't {doing} {what} in {self.provider.location}: it was opened with flag 'r'"
            )

    def close(self) -> None:
        """Let go of the provider's connections."""
        self.provider.close()

    def _about(self, key: str, act: Callable[[], T]) -> T:
        """Act, and name an absent key as our caller does."""
        try:
            return act()
        except KeyNotFoundError:
            raise KeyNotFoundError(key) from None

    def _by_key(self, outcomes: Iterable[Outcome]) -> Generator[Outcome]:
        if not self.prefix:
            yield from outcomes
            return
        for outcome in outcomes:
            yield outcome._replace(name=outcome.name.removeprefix(self.prefix))


class ClosedRecords(dict[bytes, bytes]):
    """What a closed shelf has in place of its records, for those who look at `dict`."""

    def _closed(self, *_: object) -> NoReturn:
        raise ValueError("invalid operation on closed shelf")

    __getitem__ = __setitem__ = __delitem__ = __contains__ = __iter__ = __len__ = _closed
    keys = values = items = get = pop = popitem = clear = setdefault = _closed
    update = _closed  # type: ignore[assignment]  # overloaded there; here nothing is taken
