"""Read and write values by key: serialize them, encode them with the codec, and store them."""

from __future__ import annotations

from collections.abc import Container, Generator, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from cshelve._concurrency.outcomes import Outcome, Outcomes
from cshelve._concurrency.signals import is_from_signal_handler
from cshelve._values import expiry
from cshelve._values.serializers import Serializer, agree, is_own, loads_by
from cshelve.codec import Codec, Decoded
from cshelve.codec.record import NEVER, Letters, expiry_of, protection_of
from cshelve.codec.stage import Pieces
from cshelve.exceptions import (
    ConfigurationError,
    ConflictError,
    Error,
    KeyNotFoundError,
    KeyNotStorableError,
    KeyTypeError,
    ReadOnlyError,
    RecordError,
    ValueTooLargeError,
    ValueTypeError,
)
from cshelve.providers.base import Item, Provider

__all__ = ["Fetched", "Values", "checked_key", "not_serialized"]

# How often a copy begins again because the source was changed.
COPY_ATTEMPTS = 5

T = TypeVar("T")
E = TypeVar("E", RecordError, ValueTooLargeError)


class Fetched(NamedTuple):
    """A key, and the item that was read for it, before decoding."""

    key: str
    item: Item | None
    """The item that was read; None if the key is missing, or if `is_cached` is true."""
    is_cached: bool = False
    """Whether the value is in the writeback cache, so that nothing was read."""
    written_since: Container[str] = ()
    """The names that this shelf has written since the read began."""


class Values:
    """Read and write values by key in a provider. The name of a key is `prefix` plus the key.

    Each method sends as many requests as the corresponding method of the provider. Safe in many
    threads.
    """

    database: Any = None
    """The attribute `dict` of a local shelf: the object that `dbm.open` returned."""
    unreadable: type[Exception] = RecordError
    """The class of the errors of `load` that concern only one value."""

    def __init__(
        self,
        provider: Provider,
        serializer: Serializer,
        codec: Codec,
        *,
        read_only: bool = False,
        prefix: str = "",
    ) -> None:
        self.provider = provider
        self.serializer = serializer
        self.codec = codec
        self.read_only = read_only
        self.prefix = prefix

    def under(self, prefix: str) -> Values:
        """Return an object for the keys that begin with a prefix; its keys omit the prefix."""
        return type(self)(
            self.provider,
            self.serializer,
            self.codec,
            read_only=self.read_only,
            prefix=self.prefix + prefix,
        )

    @property
    def location(self) -> str:
        """The location of the store, and the prefix, for messages."""
        location = self.provider.location
        return f"{location}, under {self.prefix!r}" if self.prefix else location

    def name(self, key: str) -> str:
        """Return the name of a key in the store."""
        return self.prefix + key

    def list_keys(
        self, *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[str]:
        """Yield the keys in the store's order, at most `limit` of them.

        With `start_after`, yield those after that key, in the order of their UTF-8 bytes.
        """
        after = None if start_after is None else self.prefix + start_after
        names = self.provider.names(self.prefix, start_after=after, limit=limit)
        if not self.prefix:
            return iter(names)
        return (name.removeprefix(self.prefix) for name in names)

    def contains(self, key: str) -> bool:
        """Return whether a key exists and has not expired, without reading its value."""
        name = self.name(key)
        if not self.codec.reads_records:
            return self.provider.contains(name)
        return self.is_there(self.provider.expires_at(name))

    def is_there(self, expires_at: float | None) -> bool:
        """Return whether a key with this expiry time exists for a reader; None if it is absent."""
        if expires_at is None or expires_at == NEVER or not self.codec.reads_records:
            return expires_at is not None
        return not expiry.is_over(expires_at)

    def read(self, key: str) -> Any:
        """Return the value of a key, or raise `KeyNotFoundError`."""
        return self.loads(key, self.read_record(key, may_be_cached=True)[0])

    def read_latest(self, key: str) -> Any:
        """Return what `read` does, but never from `[cache]`."""
        return self.loads(key, self.read_record(key)[0])

    def read_versioned(self, key: str) -> tuple[Any, str]:
        """Return the value of a key and its version; read the store even if the value is cached."""
        decoded, version = self.read_record(key)
        return self.loads(key, decoded), version

    def read_record(self, key: str, *, may_be_cached: bool = False) -> tuple[Decoded, str]:
        """Return the decoded record of a key, and its version.

        It is the latest one, unless `[cache]` may have it. Raises `KeyNotFoundError`, with the
        version if the value has expired.
        """
        decoded, version = self.read_stored(key, may_be_cached=may_be_cached)
        return _unexpired(key, decoded, version), version

    def read_stored(self, key: str, *, may_be_cached: bool = False) -> tuple[Decoded, str]:
        """Return what `read_record` does, even if it has expired."""
        provider = self.provider
        try:
            item = (provider.get if may_be_cached else provider.get_latest)(self.name(key))
        except KeyNotFoundError:
            raise KeyNotFoundError(key) from None  # The caller's key, without the prefix.
        return self.decode(key, item.data), item.version

    def look(self, key: str) -> tuple[float, str | None]:
        """Return the expiry time in the record of a key, unverified, and the version.

        Sends one request. Raises `KeyNotFoundError`.
        """
        details = self.provider.inspect(self.name(key))
        return self.expiry_in(details.head), details.version

    def expiry_in(self, head: bytes) -> float:
        """Return the expiry time in the first bytes of a record, unverified."""
        # In a shelf without records, what looks like the beginning of one is just a value.
        expires_at = expiry_of(head) if self.codec.reads_records else None
        return NEVER if expires_at is None else expires_at

    def expired_version(self, key: str) -> str | None:
        """Return the version of a key's record if it has expired, else None.

        Sends two requests, one if it has not expired, and none if nothing in this shelf can expire.
        """
        if not self.codec.reads_records:
            return None
        try:
            expires_at, _ = self.look(key)
            if expiry.is_over(expires_at):
                self.read_record(key)
        except KeyNotFoundError as error:
            return error.expired_version
        except RecordError:
            pass
        return None

    def fetch_many(self, keys: Iterable[str], outcomes: Outcomes) -> Generator[Fetched]:
        """Read many keys in parallel, and yield what was read, in their order; see `load`."""
        items = self.provider.get_many(self._names(keys, outcomes))
        try:
            for name, item in items:
                yield Fetched(name.removeprefix(self.prefix), item)
        finally:
            # Closed here: the traceback of an error would keep the iterator and its threads alive.
            getattr(items, "close", lambda: None)()

    def load(self, fetched: Fetched) -> Any:
        """Return the value of a key that was fetched, or raise `KeyNotFoundError`."""
        return self.loads(fetched.key, self.decode_fetched(fetched))

    def decode_fetched(self, fetched: Fetched) -> Decoded:
        """Return the decoded record of a key that was fetched, or raise `KeyNotFoundError`."""
        if fetched.item is None:
            raise KeyNotFoundError(fetched.key)
        data, version = fetched.item
        return _unexpired(fetched.key, self.decode(fetched.key, data), version)

    def new_expiry(self) -> float:
        """Return the expiry time of a value that is written now, as configured."""
        seconds = self.codec.expire_after_seconds
        return NEVER if seconds is None else expiry.after(seconds)

    def write(
        self,
        key: str,
        value: Any,
        *,
        if_absent: bool = False,
        if_version: str | None = None,
        expires_at: float | None = None,
    ) -> str:
        """Store a value if the condition holds, and return its version.

        Without `expires_at`, it expires as configured.
        """
        record = self.new_record(key, value, expires_at)
        return self.store(key, record, if_absent=if_absent, if_version=if_version)

    def new_record(self, key: str, value: Any, expires_at: float | None = None) -> bytes:
        """Return the record of a value that `write` stores."""
        self.refuse_if_read_only("write", key)
        if expires_at is None:
            expires_at = self.new_expiry()
        return self.encode(key, self.dumps(key, value), expires_at)

    def store(
        self, key: str, record: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        """Store a record that `encode` returned if the condition holds; return its version."""
        return self.provider.put(self.name(key), record, if_absent=if_absent, if_version=if_version)

    def copy(self, source: str, target: str) -> str | None:
        """Store the value of a key under another key too, and return the version of the source.

        The version may be None if the store does not support conditions. The store copies by
        itself, except for sealed and signed records, which are valid for their own key only. Raises
        `KeyNotFoundError`, and `ConflictError` if others write the source at each attempt.
        """
        self.refuse_if_read_only("write", target)
        try:
            for _ in range(COPY_ATTEMPTS - 1):
                with suppress(ConflictError):
                    return self._copy_once(source, target)
            return self._copy_once(source, target)
        except KeyNotFoundError:
            raise KeyNotFoundError(source) from None  # The caller's key, without the prefix.

    def recoded(self, key: str, data: bytes, other: Values, other_key: str) -> bytes:
        """Return the record that another shelf stores for the value of one of this shelf.

        The value is not deserialized unless the serializers differ. Its expiry time stays. Raises
        `KeyNotFoundError` if it has expired.
        """
        decoded = _unexpired(key, self.decode(key, data))
        other.refuse_expiry(decoded.expires_at)
        if agree(self.serializer, other.serializer) and is_own(
            self.serializer, decoded.letters.serializer
        ):
            payload: Pieces = (decoded.payload,)
        else:
            payload = other.dumps(other_key, self.loads(key, decoded))
        return other.encode(other_key, payload, decoded.expires_at)

    def store_many(self, records: Iterable[tuple[str, bytes]]) -> Generator[Outcome]:
        """Store the records of many keys while the outcomes are iterated over."""
        named = ((self.name(key), record) for key, record in records)
        return self._by_key(self.provider.put_many(named))

    def delete(self, key: str) -> None:
        """Delete a key, or raise `KeyNotFoundError`.

        Sends two requests, or one if no value can expire and the store reports whether the key
        existed.
        """
        self.refuse_if_read_only("delete", key)
        must_look = self.codec.reads_records or not self.provider.capabilities.delete_reports
        if must_look and not self.contains(key):
            raise KeyNotFoundError(key)
        if self.provider.delete(self.name(key)) is False:
            raise KeyNotFoundError(key)

    def remove(self, key: str, *, if_version: str | None = None) -> bool:
        """Delete a key by one request; return False if the store reports that it was missing.

        With `if_version`, raise `ConflictError` if the key has another version.
        """
        self.refuse_if_read_only("delete", key)
        return self.provider.delete(self.name(key), if_version=if_version) is not False

    def write_many(self, pairs: Iterable[tuple[Any, Any]], outcomes: Outcomes) -> None:
        """Store many values in parallel, and raise the error of their outcomes, if any."""
        records = ((name, record) for name, _, _, record, _ in self.records_of(pairs, outcomes))
        with outcomes:
            outcomes.add_all(self._by_key(self.provider.put_many(records)))

    def delete_many(self, keys: Iterable[str], outcomes: Outcomes) -> None:
        """Delete many keys, and raise the error of their outcomes; a missing key is no failure."""
        with outcomes:
            outcomes.add_all(self._deleting(keys, outcomes))

    def clear(self, outcomes: Outcomes, keys: Iterator[str] | None = None) -> None:
        """Delete all keys without reading values; `keys` are all keys, if a caller lists them."""
        with outcomes:
            outcomes.add_all(self._clearing(outcomes, keys))

    def settle(self, key: str) -> None:
        """Write the cached value of a key if it was changed; do nothing here, without a cache."""

    def forget(self, key: str) -> None:
        """Remove a key from the cache, as its value was stored by another way."""

    def sync(self, outcomes: Outcomes) -> None:
        """Write all cached values that were changed; do nothing here, without a cache."""

    def records_of(
        self,
        pairs: Iterable[tuple[Any, Any]],
        outcomes: Outcomes,
        expires_at: float | None = None,
    ) -> Iterator[tuple[str, Any, Pieces, bytes, float]]:
        """Yield the name, value, payload and record of each pair, and when it expires.

        Without `expires_at`, it expires as configured. If a record cannot be made, the failure is
        added to the outcomes. A key that is not a `str` raises `KeyTypeError` at once, since that
        is a mistake in the program.
        """
        for key, value in pairs:
            try:
                name = self.name(checked_key(key))
                self.refuse_if_read_only("write", key)
                payload = self.dumps(key, value)
                until = self.new_expiry() if expires_at is None else expires_at
                record = self.encode(key, payload, until)
            except (KeyTypeError, ReadOnlyError):
                raise
            except Exception as error:
                # The value's own pickling may raise anything; only this key fails.
                if is_from_signal_handler(error):
                    raise
                outcomes.add(Outcome(key, _of_one_key(key, error)))
            else:
                yield name, value, payload, record, until

    def dumps(self, key: str, value: Any) -> Pieces:
        """Return the payload of a value; add a note with the key to an error of its pickling."""
        try:
            return self.serializer.dumps(value)
        except Exception as error:
            error.add_note(f"cshelve: this was the value for the key {key!r}")
            raise

    def loads(self, key: str, decoded: Decoded) -> Any:
        """Return the value of a decoded record, or raise a `RecordError` that names the key."""
        try:
            return loads_by(self.serializer, decoded.letters.serializer, decoded.payload)
        except RecordError as error:
            # So that the traceback has one error and its cause, not two similar errors.
            raise self.with_key(error, key) from error.__cause__

    def encode(self, key: str, payload: Pieces, expires_at: float) -> bytes:
        """Return the record of a payload, or raise a `ValueTooLargeError` that names the key."""
        try:
            return self.codec.encode(self.name(key), payload, expires_at)
        except ValueTooLargeError as error:
            raise self.with_key(error, key) from error

    def decode(self, key: str, data: bytes) -> Decoded:
        """Return the decoded record, or raise a `RecordError` that names the key."""
        try:
            return self.codec.decode(self.name(key), data)
        except RecordError as error:
            raise self.with_key(error, key) from error

    def copied(self, key: str, value: Any) -> Any:
        """Return the copy of a value that one would read from the store."""
        return self.loads(key, self._as_decoded(self.dumps(key, value)))

    def payload_now(self, key: str, decoded: Decoded) -> Pieces | None:
        """Return the payload to store in place of a decoded record; None if it would not change.

        Raises a `RecordError` if the value can't be read, or a `ValueTypeError` if this shelf's
        serializer can't store it.
        """
        if is_own(self.serializer, decoded.letters.serializer):
            return (decoded.payload,) if self._would_change(key, decoded) else None
        value = self.loads(key, decoded)
        try:
            payload = self.dumps(key, value)
        except Exception as error:
            # The program's own serializer may raise anything; only this key fails.
            if is_from_signal_handler(error):
                raise
            raise not_serialized(key, error) from error
        if not self.serializer.is_exact and self.loads(key, self._as_decoded(payload)) != value:
            raise ValueTypeError(
                f"the value for the key {key!r} would change if it was stored as "
                f"{self.serializer.name} and read again"
            )
        return payload

    def with_key(self, error: E, key: str) -> E:
        """Return an error of the same type whose message names the key and the store."""
        return type(error)(f"{self.name(key)!r} in {self.provider.location}: {error}")

    def refuse_if_read_only(self, doing: str, key: str | None = None) -> None:
        """Raise `ReadOnlyError` if the shelf was opened with flag `r`."""
        if self.read_only:
            what = "the shelf" if key is None else repr(self.name(key))
            raise self.provider.read_only_error(
                f"can't {doing} {what} in {self.provider.location}: it was opened with flag 'r'"
            )

    def _copy_once(self, source: str, target: str) -> str | None:
        name = self.name(source)
        details = self.provider.inspect(name)
        is_bound = self.codec.versioned and bool(protection_of(details.head)[0])
        if self.codec.seal is None and not is_bound:
            if expiry.is_over(self.expiry_in(details.head)):
                raise KeyNotFoundError(source)
            self.provider.copy(name, self.name(target), if_version=details.version)
            return details.version
        item = self.provider.get_latest(name)
        self.store(target, self.recoded(source, item.data, self, target))
        return item.version

    def refuse_expiry(self, expires_at: float) -> None:
        """Raise `ConfigurationError` if values of this shelf cannot expire."""
        if expires_at != NEVER and (why := self.codec.why_none_expires):
            raise ConfigurationError(f"expire_after_seconds, for {self.location}: {why}")

    def _names(self, keys: Iterable[str], outcomes: Outcomes) -> Iterator[str]:
        """Yield the names of keys, and count those that no store can hold as missing."""
        for key in keys:
            try:
                yield self.name(checked_key(key))
            except KeyNotStorableError:
                outcomes.add_bytes(0, keys=1)

    def _deleting(self, keys: Iterable[str], outcomes: Outcomes) -> Generator[Outcome]:
        self.refuse_if_read_only("delete keys of")
        yield from self._by_key(self.provider.delete_many(self._names(keys, outcomes)))

    def _clearing(
        self, outcomes: Outcomes, keys: Iterator[str] | None = None
    ) -> Generator[Outcome]:
        self.refuse_if_read_only("clear")
        if self.prefix:
            yield from self._deleting(self.list_keys() if keys is None else keys, outcomes)
        elif keys is None:
            yield from self.provider.purge()
        else:
            yield from self.provider.guard_purge(self.provider.delete_many(keys))

    def _by_key(self, outcomes: Generator[Outcome]) -> Generator[Outcome]:
        """Return outcomes that have the caller's keys, without the prefix."""
        if not self.prefix:
            return outcomes
        return (each._replace(name=each.name.removeprefix(self.prefix)) for each in outcomes)

    def _would_change(self, key: str, decoded: Decoded) -> bool:
        try:
            return self.codec.would_change(decoded)
        except ValueTooLargeError as error:
            raise self.with_key(error, key) from error

    def _as_decoded(self, payload: Pieces) -> Decoded:
        return Decoded(b"".join(payload), Letters(serializer=self.serializer.letter), True)


def _unexpired(key: str, decoded: Decoded, version: str = "") -> Decoded:
    """Return a decoded record, or raise `KeyNotFoundError` if it has expired."""
    if decoded.expires_at != NEVER and expiry.is_over(decoded.expires_at):
        error = KeyNotFoundError(key)
        error.expired_version = version
        raise error
    return decoded


def checked_key(key: object) -> str:
    """Return a key as a plain `str`.

    Raises `KeyTypeError` if it is not a `str`, or `KeyNotStorableError` if UTF-8 cannot encode it.
    """
    if not isinstance(key, str):
        raise KeyTypeError(f"a shelf's keys are str, not {type(key).__name__}: {key!r:.100}")
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise KeyNotStorableError(f"the key {key!r} can't be encoded: {error}") from error
    # A subclass, such as an Enum, may override how it is added, compared or formatted.
    return key if type(key) is str else str.__str__(key)


def not_serialized(key: str, error: Exception) -> ValueTypeError:
    """Return the error for a value that cannot be serialized, without quoting the value."""
    # The message of an error that is not ours may contain the value.
    said = f": {error}" if isinstance(error, Error) else ""
    failure = ValueTypeError(
        f"the value for the key {key!r} can't be serialized: {type(error).__name__}{said}"
    )
    failure.__cause__ = error
    return failure


def _of_one_key(key: str, error: Exception) -> Error:
    is_ours = isinstance(error, KeyNotStorableError | ValueTooLargeError)
    return error if is_ours else not_serialized(key, error)  # type: ignore[return-value]  # ours
