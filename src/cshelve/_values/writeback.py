"""The layer for `writeback`, which caches values that callers may change."""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict, deque
from collections.abc import Generator, Iterable, Iterator, MutableMapping
from contextlib import AbstractContextManager, closing
from typing import TYPE_CHECKING, Any, NamedTuple

from cshelve._concurrency.outcomes import Outcome, Outcomes
from cshelve._concurrency.per_process import PerProcess
from cshelve._concurrency.signals import is_from_signal_handler
from cshelve._logs import logger_or_own
from cshelve._values.expiry import is_over
from cshelve._values.values import Fetched, Values
from cshelve.codec.record import NEVER
from cshelve.codec.stage import Pieces
from cshelve.exceptions import DataProcessingSignatureError, Error, ValueTypeError
from cshelve.providers.stats import Stats

if TYPE_CHECKING:
    import logging
    from hashlib import blake2b

__all__ = ["WritebackCache", "WritebackValues"]

# The number of keys that a message names.
NAMED = 5
# The number of values that are written under one lock. Between two batches, the lock is free, and
# the caller's code runs: it makes the next values, shows progress, and may use the shelf.
BATCH = 256


class CachedValue:
    """A value that callers may change, with the digest of the payload that the store has."""

    __slots__ = ("digest", "expires_at", "is_changed", "value")

    def __init__(
        self, value: Any, *, expires_at: float | None = NEVER, is_changed: bool = False
    ) -> None:
        self.value = value
        self.expires_at = expires_at
        """In seconds since 1970; None if the time begins when the value is written."""
        self.digest: bytes | None = None
        """The digest of the stored payload; None until the value is stored."""
        self.is_changed = is_changed
        """Whether a change was detected; it stays true until the value is written."""

    @property
    def has_expired(self) -> bool:
        """Whether the value reads as missing, and must not be written any more."""
        return self.expires_at is not None and self.expires_at != NEVER and is_over(self.expires_at)


class CacheCounts:
    """What the cache of the section `[cache]` has done, as attributes of `db.cache`.

    `db.cache` is the cache of `writeback`, as in `shelve`. These three are not about that one, but
    `db.cache` is where one looks for them. They are zero in a shelf without the section.
    """

    stats: Stats
    """The counters of the shelf."""

    @property
    def hits(self) -> int:
        """The number of values that came from the cache of `[cache]`."""
        return self.stats.cache_hits

    @property
    def misses(self) -> int:
        """The number of values that were not in `[cache]`, or not up to date."""
        return self.stats.cache_misses

    @property
    def bytes(self) -> int:
        """The number of bytes that came from `[cache]`, and so not from the store."""
        return self.stats.cache_bytes


class WritebackCache(CacheCounts, MutableMapping[str, Any]):
    """The cached values by name, the oldest first. A shelf and its prefix views share one.

    Changed values are detected by comparing the digests of two payloads: one from when the value
    was cached, and one from now. The stored bytes are not compared, since equal values may have
    different pickles.
    """

    def __init__(
        self,
        *,
        is_on: bool = False,
        limit: int | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self.is_on = is_on
        """Whether values that are read or written are cached."""
        self.entries: dict[str, CachedValue] = {}
        """The cached values by name; some may remain after `writeback` is turned off."""
        self.stats = Stats()
        self.limit = limit
        self._logger = logger
        self._new_digest: type[blake2b] | None = None
        self._readings: list[set[str]] = []
        self._locks = PerProcess(threading.RLock)

    @property
    def lock(self) -> AbstractContextManager[bool]:
        """This process's lock for the cache and the store together.

        It is held while a value is read or written, so that both have the same latest value.
        """
        return self._locks.get()

    @property
    def logger(self) -> logging.Logger:
        """The logger for values that could not be written."""
        return logger_or_own(self._logger)

    def __getitem__(self, name: str) -> Any:
        return self.entries[name].value

    def __setitem__(self, name: str, value: Any) -> None:
        """Cache a value that the store does not have, so that the next `sync` writes it."""
        self._get_ready()
        self.entries[name] = CachedValue(value, expires_at=None, is_changed=True)

    def __delitem__(self, name: str) -> None:
        del self.entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __iter__(self) -> Iterator[str]:
        return iter(list(self.entries))

    def __len__(self) -> int:
        return len(self.entries)

    def clear(self) -> None:
        self.entries.clear()

    def is_over_limit(self) -> bool:
        """Return whether the cache has more values than its limit."""
        return self.limit is not None and len(self.entries) > self.limit

    def entry(self, name: str) -> CachedValue | None:
        """Return the entry of a name, without an expired one, which is dropped."""
        entry = self.entries.get(name)
        if entry is None or not entry.has_expired:
            return entry
        self.drop(name, entry)
        return None

    def under(self, prefix: str) -> list[tuple[str, CachedValue]]:
        """Return the cached values whose names begin with a prefix, the oldest first."""
        return [pair for pair in list(self.entries.items()) if pair[0].startswith(prefix)]

    def keep(self, name: str, entry: CachedValue, digest: bytes) -> None:
        """Cache a value that the store has, with the digest of its payload."""
        entry.digest = digest
        entry.is_changed = False
        if self.entries.get(name) is not entry:
            self.entries.pop(name, None)  # So that the new one is the newest of all.
            self.entries[name] = entry

    def drop(self, name: str, entry: CachedValue) -> None:
        """Remove an entry, unless another has replaced it meanwhile."""
        if self.entries.get(name) is entry:
            self.entries.pop(name, None)

    def begin_reading(self) -> set[str]:
        """Return a set to which each name that is written is added, until `end_reading`."""
        written: set[str] = set()
        self._readings.append(written)
        return written

    def end_reading(self, written: set[str]) -> None:
        """Stop adding names to the set."""
        self._readings = [each for each in self._readings if each is not written]

    def note_write(self, name: str) -> None:
        """Record that a name was written, so that values read before are out of date."""
        for written in self._readings:
            written.add(name)

    def digest_of(self, payload: Pieces) -> bytes:
        """Return a 16-byte hash of a payload."""
        digest = self._get_ready()(digest_size=16)
        for piece in payload:
            digest.update(piece)
        return digest.digest()

    def _get_ready(self) -> type[blake2b]:
        """Return the hash function; import it, and create the logger, at the first call.

        Neither is imported with this module, since most shelves cache nothing. But both have to be
        imported before the interpreter ends: then nothing can be imported any more, and a shelf
        that was never closed has to log a warning.
        """
        if self._new_digest is None:
            from hashlib import blake2b

            self._new_digest = blake2b
            self._logger = self.logger
        return self._new_digest


class _Write(NamedTuple):
    """A record to write, and the cache entry of its value."""

    name: str
    entry: CachedValue
    digest: bytes
    record: bytes
    expires_at: float


class WritebackValues(Values):
    """Values that are cached when they are read or written, and written again if they change.

    Reading a cached value sends no request, and all threads get the same object. One lock guards
    the cache and the store. It is never held while the caller's generator or `progress` runs.
    """

    def __init__(self, values: Values, cache: WritebackCache) -> None:
        super().__init__(
            values.provider,
            values.serializer,
            values.codec,
            read_only=values.read_only,
            prefix=values.prefix,
        )
        self.unreadable = values.unreadable
        self._cache = cache

    def read(self, key: str) -> Any:
        return self._read(key, may_be_cached=True)

    def read_latest(self, key: str) -> Any:
        return self._read(key, may_be_cached=False)

    def _read(self, key: str, *, may_be_cached: bool) -> Any:
        name = self.name(key)
        with self._cache.lock:
            if (entry := self._cache.entry(name)) is not None:
                return entry.value
            decoded, _ = self.read_record(key, may_be_cached=may_be_cached)
            value = self.loads(key, decoded)
            self._keep(name, value, self._kept_form(key, value), decoded.expires_at)
        self._shrink()
        return value

    def fetch_many(self, keys: Iterable[str], outcomes: Outcomes) -> Generator[Fetched]:
        """Read the keys that are not cached, and yield all keys in their order.

        If many keys in a row are cached, only as many are taken in advance as could be in flight.
        """
        source = iter(keys)
        taken: deque[tuple[str, bool]] = deque()
        is_over = False

        def not_kept() -> Iterator[str]:
            nonlocal is_over
            in_a_row = 0
            for key in source:
                is_kept = isinstance(key, str) and self._cache.entry(self.name(key)) is not None
                taken.append((key, is_kept))
                in_a_row = in_a_row + 1 if is_kept else 0
                if not is_kept:
                    yield key
                elif in_a_row >= self.provider.concurrency:
                    return
            is_over = True

        written = self._cache.begin_reading()
        try:
            while taken or not is_over:
                with closing(super().fetch_many(not_kept(), outcomes)) as fetched:
                    for each in fetched:
                        yield from _kept_before(each.key, taken)
                        yield each._replace(written_since=written)
                yield from _kept_before(None, taken)
        finally:
            self._cache.end_reading(written)

    def load(self, fetched: Fetched) -> Any:
        if fetched.is_cached:
            return self.read(fetched.key)
        name = self.name(fetched.key)
        with self._cache.lock:
            if (entry := self._cache.entry(name)) is not None:
                return entry.value
            if name in fetched.written_since:
                return self.read(fetched.key)  # The item was fetched before that write.
            decoded = self.decode_fetched(fetched)
            value = self.loads(fetched.key, decoded)
            self._keep(name, value, self._kept_form(fetched.key, value), decoded.expires_at)
        self._shrink()
        return value

    def write(
        self,
        key: str,
        value: Any,
        *,
        if_absent: bool = False,
        if_version: str | None = None,
        expires_at: float | None = None,
    ) -> str:
        self.refuse_if_read_only("write", key)
        payload = self.dumps(key, value)
        if expires_at is None:
            expires_at = self.new_expiry()
        record = self.encode(key, payload, expires_at)
        name = self.name(key)
        with self._cache.lock:
            version = self.store(key, record, if_absent=if_absent, if_version=if_version)
            self._cache.note_write(name)
            self._keep(name, value, payload, expires_at)
        self._shrink()
        return version

    def delete(self, key: str) -> None:
        with self._cache.lock:
            super().delete(key)
            self._forget(key)

    def remove(self, key: str, *, if_version: str | None = None) -> bool:
        with self._cache.lock:
            removed = super().remove(key, if_version=if_version)
            self._forget(key)
        return removed

    def write_many(self, pairs: Iterable[tuple[Any, Any]], outcomes: Outcomes) -> None:
        writes = (
            _Write(name, CachedValue(value), self._cache.digest_of(payload), record, expires_at)
            for name, value, payload, record, expires_at in self.records_of(pairs, outcomes)
        )
        with outcomes:
            self._write_batches(writes, outcomes, are_new=True)
        self._shrink()

    def clear(self, outcomes: Outcomes, keys: Iterator[str] | None = None) -> None:
        entries = self._cache.under(self.prefix)
        super().clear(outcomes, keys)
        for name, entry in entries:
            self._cache.drop(name, entry)

    def settle(self, key: str) -> None:
        """Write the cached value of a key if it was changed, and remove it from the cache.

        Call this before an operation on the store's value, so that it includes the changes.
        """
        name = self.name(key)
        entry = self._cache.entry(name)
        if entry is not None and not self.read_only:
            self._write_changed([(name, entry)], Outcomes("written"))
            self._cache.drop(name, entry)

    def copy(self, source: str, target: str) -> str | None:
        with self._cache.lock:
            version = super().copy(source, target)
            self._forget(target)
        return version

    def forget(self, key: str) -> None:
        with self._cache.lock:
            self._forget(key)

    def sync(self, outcomes: Outcomes) -> None:
        """Write the cached values that were changed and have not expired, and empty the cache.

        If a write fails, the cache keeps its values, and those not written count as changed.
        """
        entries = self._cache.under(self.prefix)
        if entries:
            self._write_changed(entries, outcomes)
        for name, entry in entries:
            self._cache.drop(name, entry)

    def count_unwritten(self) -> int:
        """Return the number of changed values in the cache; send nothing and raise nothing."""
        return sum(1 for _, entry in self._cache.under("") if self._is_unwritten(entry))

    def _deleting(self, keys: Iterable[str], outcomes: Outcomes) -> Generator[Outcome]:
        return self._forgetting(super()._deleting(keys, outcomes))

    def _clearing(
        self, outcomes: Outcomes, keys: Iterator[str] | None = None
    ) -> Generator[Outcome]:
        return self._forgetting(super()._clearing(outcomes, keys))

    def _forgetting(self, outcomes: Generator[Outcome]) -> Generator[Outcome]:
        with closing(outcomes):
            for outcome in outcomes:
                if outcome.failure is None:
                    # Wait for threads that are reading the key, and would cache its value after
                    # the delete.
                    with self._cache.lock:
                        self._forget(outcome.name)
                yield outcome

    def _write_changed(
        self, entries: Iterable[tuple[str, CachedValue]], outcomes: Outcomes
    ) -> None:
        """Write the entries that were changed; raise an error if the shelf is read-only."""
        if self.read_only:
            self._refuse_changes(entries)
            return
        taken = itertools.count()
        changed = (write for write in self._changed(entries, outcomes) if next(taken) >= 0)
        with outcomes:
            self._write_batches(changed, outcomes, are_new=False)
            if outcomes.is_over:
                deque(changed, maxlen=0)  # Sends nothing: counts the remaining changed entries.
                outcomes.set_total(next(taken))

    def _refuse_changes(self, entries: Iterable[tuple[str, CachedValue]]) -> None:
        changed = [name for name, entry in entries if self._is_unwritten(entry)]
        if changed:
            keys = (repr(name.removeprefix(self.prefix)) for name in changed[:NAMED])
            raise self.provider.read_only_error(
                f"{self.location} was opened with flag 'r', and values in the writeback cache were "
                f"changed: {', '.join(keys)}"
            )

    def _changed(
        self, entries: Iterable[tuple[str, CachedValue]], outcomes: Outcomes
    ) -> Iterator[_Write]:
        """Yield a write for each entry that was changed and can be written.

        Nothing revives an expired value.
        """
        for name, entry in entries:
            if entry.has_expired:
                continue
            pair = name.removeprefix(self.prefix), entry.value
            encoded = self.records_of([pair], outcomes, entry.expires_at)
            for _, _, payload, record, expires_at in encoded:
                digest = self._cache.digest_of(payload)
                if entry.is_changed or digest != entry.digest:
                    entry.is_changed = True
                    yield _Write(name, entry, digest, record, expires_at)

    def _write_batches(
        self, writes: Iterable[_Write], outcomes: Outcomes, *, are_new: bool
    ) -> None:
        source = iter(writes)
        while batch := list(itertools.islice(source, BATCH)):
            with self._cache.lock:
                written = self._written(batch, are_new=are_new)
            for outcome in written:
                outcomes.add(outcome)
            if outcomes.is_over:
                return
            if are_new:
                self._drop_unchanged()

    def _written(self, batch: list[_Write], *, are_new: bool) -> list[Outcome]:
        """Write a batch, cache the stored values, and return the outcomes. The lock is held."""
        if not are_new:  # Another value may have replaced one of these in the cache.
            batch = [each for each in batch if self._cache.entries.get(each.name) is each.entry]
        in_flight: defaultdict[str, deque[_Write]] = defaultdict(deque)
        for write in batch:
            in_flight[write.name].append(write)
        stored: list[Outcome] = []
        try:
            items = ((each.name, each.record) for each in batch)
            with closing(self.provider.put_many(items)) as outcomes:
                for outcome in outcomes:
                    write = in_flight[outcome.name].popleft()
                    if outcome.failure is None:
                        self._note_stored(write, are_new=are_new)
                    stored.append(outcome)
        finally:
            for name, rest in in_flight.items():
                if rest:  # We were interrupted: these values may have been stored or not.
                    self._cache.note_write(name)
                    if are_new:
                        self._cache.entries.pop(name, None)
        return list(self._by_key(each for each in stored))

    def _note_stored(self, write: _Write, *, are_new: bool) -> None:
        self._cache.note_write(write.name)
        write.entry.expires_at = write.expires_at
        if self._cache.is_on or not are_new:
            self._cache.keep(write.name, write.entry, write.digest)
        else:
            self._cache.entries.pop(write.name, None)

    def _keep(self, name: str, value: Any, payload: Pieces, expires_at: float) -> None:
        if self._cache.is_on:
            entry = CachedValue(value, expires_at=expires_at)
            self._cache.keep(name, entry, self._cache.digest_of(payload))
        else:
            self._cache.entries.pop(name, None)

    def _forget(self, key: str) -> None:
        name = self.name(key)
        self._cache.note_write(name)
        self._cache.entries.pop(name, None)

    def _kept_form(self, key: str, value: Any) -> Pieces:
        """Return the payload of a value that was read, to detect changes later."""
        try:
            return self.serializer.dumps(value)
        except ValueTypeError as error:
            problem = DataProcessingSignatureError(
                "another serializer wrote the value, and this shelf's serializer cannot write it, "
                f"as writeback requires: {error}"
            )
            raise self.with_key(problem, key) from error

    def _is_unwritten(self, entry: CachedValue) -> bool:
        return not entry.has_expired and self._seems_changed(entry)

    def _seems_changed(self, entry: CachedValue) -> bool:
        if entry.is_changed:
            return True
        try:
            return self._cache.digest_of(self.serializer.dumps(entry.value)) != entry.digest
        except Exception as error:
            # Pickling may raise anything, and so may the interpreter while it shuts down. The value
            # was serializable when it was cached, so it counts as changed now.
            if is_from_signal_handler(error):
                raise
            return True

    def _shrink(self) -> None:
        """Remove the oldest values beyond the limit, and write them first if they were changed.

        Raises no `Error`, since the caller's operation has succeeded. A value that could not be
        written stays in the cache, beyond the limit, and the next `sync` raises the error.
        """
        self._drop_unchanged()
        if not self._cache.is_over_limit() or self.read_only:
            return
        # Write all changed values, not only as many as needed, so that the next few calls find
        # unchanged values to remove. Include all prefix views, so begin at the shelf's root.
        root = WritebackValues(self, self._cache)
        root.prefix = ""
        try:
            root._write_changed(self._cache.under("")[:-1], Outcomes("written"))
        except Error as error:
            self._cache.logger.warning(
                "%s: the writeback cache is over its limit: %s", self.location, error
            )
        self._drop_unchanged()

    def _drop_unchanged(self) -> None:
        """Remove the oldest unchanged values beyond the limit, but never the newest value."""
        if not self._cache.is_over_limit():
            return
        for name, entry in self._cache.under("")[:-1]:
            entry.is_changed = self._seems_changed(entry)
            if entry.has_expired or not entry.is_changed:
                self._cache.drop(name, entry)
                if not self._cache.is_over_limit():
                    return


def _kept_before(key: str | None, taken: deque[tuple[str, bool]]) -> Iterator[Fetched]:
    """Yield the cached keys that were taken before `key`, and remove all keys up to it.

    With None, yield all cached keys, and remove all keys.
    """
    while taken:
        first, is_kept = taken.popleft()
        if is_kept:
            yield Fetched(first, None, is_cached=True)
        elif first == key:
            return
        # Otherwise `first` is a key that no store can hold.
