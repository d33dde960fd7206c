"""The layer of a shelf with `writeback`: it keeps the values that callers hold and may change."""

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
from cshelve._values.values import Fetched, Values
from cshelve.codec.stage import Pieces
from cshelve.exceptions import DataProcessingSignatureError, Error, ReadOnlyError, ValueTypeError

if TYPE_CHECKING:
    import logging
    from hashlib import blake2b

__all__ = ["WritebackCache", "WritebackValues"]

# How many keys a message names.
NAMED = 5
# How many values are written together. Between two batches the lock is free, and the caller's code
# runs: it makes the next values, shows progress, and may use the shelf.
BATCH = 256


class CachedValue:
    """A value that callers hold, and what its serialized form was when the store had it last."""

    __slots__ = ("digest", "is_changed", "value")

    def __init__(self, value: Any, *, is_changed: bool = False) -> None:
        self.value = value
        self.digest: bytes | None = None
        """None until the store has it."""
        self.is_changed = is_changed
        """Whether it was found to differ; it stays so until it is written."""


class WritebackCache(MutableMapping[str, Any]):
    """The kept values by name, the oldest first. A shelf and its prefix views share one.

    Whether a value was changed shows in a digest of its serialized form, then and now; never in the
    stored bytes, as one value may have many pickles.
    """

    def __init__(
        self,
        *,
        is_on: bool = False,
        limit: int | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self.is_on = is_on
        """Whether values that are read or written are kept."""
        self.entries: dict[str, CachedValue] = {}
        """What is kept; there may be some after `writeback` was turned off."""
        self.limit = limit
        self._logger = logger
        self._new_digest: type[blake2b] | None = None
        self._readings: list[set[str]] = []
        self._locks = PerProcess(threading.RLock)

    @property
    def lock(self) -> AbstractContextManager[bool]:
        """The one lock of this process for what is kept, and for what the store then has.

        It is held while a value is read or written, so that cache and store agree on who was last.
        """
        return self._locks.get()

    @property
    def logger(self) -> logging.Logger:
        """The logger that says which values could not be written."""
        return logger_or_own(self._logger)

    def __getitem__(self, name: str) -> Any:
        return self.entries[name].value

    def __setitem__(self, name: str, value: Any) -> None:
        """Keep a value that the store does not have, so that the next `sync` writes it."""
        self._get_ready()
        self.entries[name] = CachedValue(value, is_changed=True)

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
        """Return whether something has to be dropped."""
        return self.limit is not None and len(self.entries) > self.limit

    def under(self, prefix: str) -> list[tuple[str, CachedValue]]:
        """Return what is kept of the names that begin with a prefix, the oldest first."""
        return [pair for pair in list(self.entries.items()) if pair[0].startswith(prefix)]

    def keep(self, name: str, entry: CachedValue, digest: bytes) -> None:
        """Keep a value whose serialized form, of which this is the digest, the store has."""
        entry.digest = digest
        entry.is_changed = False
        if self.entries.get(name) is not entry:
            self.entries.pop(name, None)  # So that the new one comes after all others.
            self.entries[name] = entry

    def drop(self, name: str, entry: CachedValue) -> None:
        """Drop an entry, unless another has taken its place meanwhile."""
        if self.entries.get(name) is entry:
            self.entries.pop(name, None)

    def begin_reading(self) -> set[str]:
        """Return a set that names are added to as they are written, until `end_reading`."""
        written: set[str] = set()
        self._readings.append(written)
        return written

    def end_reading(self, written: set[str]) -> None:
        """Add nothing more to the set."""
        self._readings = [each for each in self._readings if each is not written]

    def note_write(self, name: str) -> None:
        """Note that what was read of a name before is no longer what the store has."""
        for written in self._readings:
            written.add(name)

    def digest_of(self, payload: Pieces) -> bytes:
        """Return 16 bytes that tell a serialized form from any other."""
        digest = self._get_ready()(digest_size=16)
        for piece in payload:
            digest.update(piece)
        return digest.digest()

    def _get_ready(self) -> type[blake2b]:
        """Import what it takes to keep values, and to say so if some were never written.

        Most shelves keep none; and at the end of the interpreter, when a shelf that was not closed
        says so, nothing can be imported any more.
        """
        if self._new_digest is None:
            from hashlib import blake2b

            self._new_digest = blake2b
            self._logger = self.logger
        return self._new_digest


class _Write(NamedTuple):
    """A record to write, and what is or will be kept of its name."""

    name: str
    entry: CachedValue
    digest: bytes
    record: bytes


class WritebackValues(Values):
    """Values of which those that were read or written are kept, and written again if they change.

    A value that is kept costs no request to read, and every thread gets the same object. One lock
    guards cache and store; it is never held while the caller's generator or `progress` runs.
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
        name = self.name(key)
        with self._cache.lock:
            if (entry := self._cache.entries.get(name)) is not None:
                return entry.value
            value = super().read(key)
            self._keep(name, value, self._kept_form(key, value))
        self._shrink()
        return value

    def fetch_many(self, keys: Iterable[str], outcomes: Outcomes) -> Generator[Fetched]:
        """Read those keys that are not kept, and yield all of them in their order.

        Where many keys that are kept follow each other, no more of them are taken than would be in
        flight otherwise.
        """
        source = iter(keys)
        taken: deque[tuple[str, bool]] = deque()
        is_over = False

        def not_kept() -> Iterator[str]:
            nonlocal is_over
            in_a_row = 0
            for key in source:
                is_kept = isinstance(key, str) and self.name(key) in self._cache
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
            if (entry := self._cache.entries.get(name)) is not None:
                return entry.value
            if name in fetched.written_since:
                return self.read(fetched.key)  # What was fetched is older than that.
            value = super().load(fetched)
            self._keep(name, value, self._kept_form(fetched.key, value))
        self._shrink()
        return value

    def write(
        self, key: str, value: Any, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        self.refuse_if_read_only("write", key)
        payload = self.dumps(key, value)
        record = self.encode(key, payload)
        name = self.name(key)
        with self._cache.lock:
            version = self.store(key, record, if_absent=if_absent, if_version=if_version)
            self._cache.note_write(name)
            self._keep(name, value, payload)
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
            _Write(name, CachedValue(value), self._cache.digest_of(payload), record)
            for name, value, payload, record in self.records_of(pairs, outcomes)
        )
        with outcomes:
            self._write_batches(writes, outcomes, are_new=True)
        self._shrink()

    def clear(self, outcomes: Outcomes) -> None:
        entries = self._cache.under(self.prefix)
        super().clear(outcomes)
        for name, entry in entries:
            self._cache.drop(name, entry)

    def settle(self, key: str) -> None:
        """Write the kept value of a key if it was changed, and keep it no longer.

        Before an operation that goes by what the store has: it has to have what its caller sees.
        """
        name = self.name(key)
        entry = self._cache.entries.get(name)
        if entry is not None and not self.read_only:
            self._write_changed([(name, entry)], Outcomes("written"))
            self._cache.drop(name, entry)

    def sync(self, outcomes: Outcomes) -> None:
        """Write what was changed, and empty the cache.

        If a write fails, nothing is dropped, and what was not written counts as changed.
        """
        entries = self._cache.under(self.prefix)
        if entries:
            self._write_changed(entries, outcomes)
        for name, entry in entries:
            self._cache.drop(name, entry)

    def count_unwritten(self) -> int:
        """Return how many kept values were changed; sends nothing and raises nothing."""
        return sum(1 for _, entry in self._cache.under("") if self._seems_changed(entry))

    def _deleting(self, keys: Iterable[str], outcomes: Outcomes) -> Generator[Outcome]:
        return self._forgetting(super()._deleting(keys, outcomes))

    def _clearing(self, outcomes: Outcomes) -> Generator[Outcome]:
        return self._forgetting(super()._clearing(outcomes))

    def _forgetting(self, outcomes: Generator[Outcome]) -> Generator[Outcome]:
        with closing(outcomes):
            for outcome in outcomes:
                if outcome.failure is None:
                    # Whoever is reading it just now would keep what was deleted, and ends first.
                    with self._cache.lock:
                        self._forget(outcome.name)
                yield outcome

    def _write_changed(
        self, entries: Iterable[tuple[str, CachedValue]], outcomes: Outcomes
    ) -> None:
        """Write those of these entries that were changed."""
        if self.read_only:
            self._refuse_changes(entries)
            return
        taken = itertools.count()
        changed = (write for write in self._changed(entries, outcomes) if next(taken) >= 0)
        with outcomes:
            self._write_batches(changed, outcomes, are_new=False)
            if outcomes.is_over:
                deque(changed, maxlen=0)  # Nothing is sent: only how many are left is of interest.
                outcomes.set_total(next(taken))

    def _refuse_changes(self, entries: Iterable[tuple[str, CachedValue]]) -> None:
        changed = [name for name, entry in entries if self._seems_changed(entry)]
        if changed:
            keys = (repr(name.removeprefix(self.prefix)) for name in changed[:NAMED])
            raise ReadOnlyError(
                f"{self.location} was opened with flag 'r', and values in the writeback cache were "
                f"changed: {', '.join(keys)}"
            )

    def _changed(
        self, entries: Iterable[tuple[str, CachedValue]], outcomes: Outcomes
    ) -> Iterator[_Write]:
        """Yield a write for each entry that was changed and can be written."""
        for name, entry in entries:
            pair = name.removeprefix(self.prefix), entry.value
            for _, _, payload, record in self.records_of([pair], outcomes):
                digest = self._cache.digest_of(payload)
                if entry.is_changed or digest != entry.digest:
                    entry.is_changed = True
                    yield _Write(name, entry, digest, record)

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
        """Write a batch and keep what was stored. The lock is held."""
        if not are_new:  # Another value may have taken the place of one that was to be written.
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
                if rest:  # Nobody knows whether it was stored: this was interrupted.
                    self._cache.note_write(name)
                    if are_new:
                        self._cache.entries.pop(name, None)
        return list(self._by_key(each for each in stored))

    def _note_stored(self, write: _Write, *, are_new: bool) -> None:
        self._cache.note_write(write.name)
        if self._cache.is_on or not are_new:
            self._cache.keep(write.name, write.entry, write.digest)
        else:
            self._cache.entries.pop(write.name, None)

    def _keep(self, name: str, value: Any, payload: Pieces) -> None:
        if self._cache.is_on:
            self._cache.keep(name, CachedValue(value), self._cache.digest_of(payload))
        else:
            self._cache.entries.pop(name, None)

    def _forget(self, key: str) -> None:
        name = self.name(key)
        self._cache.note_write(name)
        self._cache.entries.pop(name, None)

    def _kept_form(self, key: str, value: Any) -> Pieces:
        """Return the form of a value that was read, which will show whether it was changed."""
        try:
            return self.serializer.dumps(value)
        except ValueTypeError as error:
            problem = DataProcessingSignatureError(
                "another serializer wrote the value, and this shelf's has nothing for it, so that "
                f"with writeback it could not be written again: {error}"
            )
            raise self.with_key(problem, key) from error

    def _seems_changed(self, entry: CachedValue) -> bool:
        if entry.is_changed:
            return True
        try:
            return self._cache.digest_of(self.serializer.dumps(entry.value)) != entry.digest
        except Exception as error:
            # Whatever the value's class raises when it is pickled, or the interpreter while it
            # shuts down: there is nobody to raise it to, and the value is not what was read.
            if is_from_signal_handler(error):
                raise
            return True

    def _shrink(self) -> None:
        """Drop the oldest unchanged values beyond the limit; write changed ones before that.

        Raises nothing, as its caller asked for something else, which is done: what could not be
        written stays in the cache, beyond the limit, and the next `sync` says why.
        """
        self._drop_unchanged()
        if not self._cache.is_over_limit() or self.read_only:
            return
        # All that were changed, so that there are unchanged ones to drop the next few times. Of
        # views, too: the names begin at the shelf's root.
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
        """Drop the oldest unchanged values beyond the limit, never the newest value of all."""
        if not self._cache.is_over_limit():
            return
        for name, entry in self._cache.under("")[:-1]:
            entry.is_changed = self._seems_changed(entry)
            if not entry.is_changed:
                self._cache.drop(name, entry)
                if not self._cache.is_over_limit():
                    return


def _kept_before(key: str | None, taken: deque[tuple[str, bool]]) -> Iterator[Fetched]:
    """Yield the kept keys that were taken before a key, which goes too; with None, all."""
    while taken:
        first, is_kept = taken.popleft()
        if is_kept:
            yield Fetched(first, None, is_cached=True)
        elif first == key:
            return
        # Else it is a key that no store can hold.
