"""Python objects under keys: records, the serializer, and the writeback cache between them."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import Any

from cshelve._concurrency.outcomes import Outcome, Tally
from cshelve._concurrency.signals import is_from_signal_handler
from cshelve._values.cached_writes import CachedWrites, Write
from cshelve._values.records import Records
from cshelve._values.serializers import Serializer, is_own, loads_by
from cshelve._values.writeback import Cached, Watch, WritebackCache
from cshelve.codec import Decoded
from cshelve.codec.record import Letters
from cshelve.codec.stage import Pieces
from cshelve.exceptions import (
    DataProcessingSignatureError,
    Error,
    ReadOnlyError,
    RecordError,
    ValueTooLargeError,
    ValueTypeError,
)

__all__ = ["Objects"]

# How many keys a message names.
NAMED = 5


class Objects:
    """Values under keys. Each method costs what the method of `Records` of that name does.

    With the cache on, a value that was read is kept and given again without a request, and every
    thread gets the same object. Safe in many threads.
    """

    def __init__(
        self,
        records: Records,
        serializer: Serializer,
        cache: WritebackCache,
        *,
        root: Objects | None = None,
    ) -> None:
        self.records = records
        self.cache = cache
        self._serializer = serializer
        self._root = root or self

    def under(self, prefix: str) -> Objects:
        """Give the values whose keys begin so, under the rest of their keys; the cache is one."""
        records = self.records.under(prefix)
        return Objects(records, self._serializer, self.cache, root=self._root)

    def read(self, key: str) -> Any:
        """Give the value of a key: from the cache, or one request."""
        if not self.cache.is_in_use:
            return self.loads(key, self.records.read(key)[0])
        name = self.records.name(key)
        with self.cache.turns.of(name):
            if (entry := self.cache.entry(name)) is not None:
                return entry.value
            value = self.loads(key, self.records.read(key)[0])
            self._keep(name, value, self._kept_form(key, value))
        self.shrink()
        return value

    def load(self, key: str, record: bytes, watch: Watch) -> Any:
        """Give the value of a record that was read; or a newer one, if we wrote it meanwhile."""
        if not self.cache.is_in_use:
            return self.loads(key, self.records.decode(key, record))
        name = self.records.name(key)
        with self.cache.turns.of(name):
            if (entry := self.cache.entry(name)) is not None:
                return entry.value
            is_newer_there = name in watch.written
            if not is_newer_there:
                value = self.loads(key, self.records.decode(key, record))
                self._keep(name, value, self._kept_form(key, value))
        if is_newer_there:
            return self.read(key)
        self.shrink()
        return value

    def read_versioned(self, key: str) -> tuple[Any, str]:
        """Give the value that the store has, and its version; the cache is not asked."""
        payload, version = self.records.read(key)
        return self.loads(key, payload), version

    def write(
        self, key: str, value: Any, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        """Store a value, if a condition holds, and give its version."""
        payload = self.dumps(key, value)
        if not self.cache.is_in_use:
            return self.records.write(key, payload, if_absent=if_absent, if_version=if_version)
        name = self.records.name(key)
        with self.cache.turns.of(name):
            version = self.records.write(key, payload, if_absent=if_absent, if_version=if_version)
            self.cache.note_write(name)
            self._keep(name, value, payload)
        self.shrink()
        return version

    def delete(self, key: str) -> None:
        """Delete a key that is there."""
        name = self.records.name(key)
        with self.cache.turns.of(name):
            self.records.delete(key)
            self._forget(name)

    def remove(self, key: str, *, if_version: str | None = None) -> bool:
        """Delete what was there a moment ago; False if it is known to be gone."""
        name = self.records.name(key)
        with self.cache.turns.of(name):
            removed = self.records.remove(key, if_version=if_version)
            self._forget(name)
        return removed

    def write_many(self, pairs: Iterable[tuple[str, Any]], tally: Tally) -> None:
        """Store many values; raises what the tally makes of their outcomes."""
        if not self.cache.is_in_use:
            with tally:
                dumped = ((key, payload) for key, _, payload in self._dumped(pairs, tally))
                tally.take(self.records.set_many(self._encoded(dumped, tally)))
            return
        writes = self._writes(
            ((k, Cached(value), payload) for k, value, payload in self._dumped(pairs, tally)), tally
        )
        with tally:
            for _ in CachedWrites(self.records, self.cache, tally, are_new=True).run(writes):
                self._drop_unchanged()
        self.shrink()

    def delete_many(self, keys: Iterable[str], tally: Tally) -> None:
        """Delete many keys; absent ones are no failure."""
        self._forget_deleted(self.records.delete_many(keys), tally)

    def clear(self, tally: Tally) -> None:
        """Delete every key, without reading a value."""
        entries = self.cache.entries(self.records.prefix)
        self._forget_deleted(self.records.clearing(), tally)
        for name, entry in entries:
            self.cache.drop(name, entry)

    def sync(self, tally: Tally) -> None:
        """Write what was changed in the cache, and empty it.

        If a write fails, nothing is dropped, and what was not written counts as changed.
        """
        entries = self.cache.entries(self.records.prefix)
        if not entries:
            return
        self._write_changed(entries, tally)
        for name, entry in entries:
            self.cache.drop(name, entry)

    def settle(self, key: str) -> None:
        """Write a value that was changed in the cache, and keep it no longer.

        Before an operation that goes by what the store has: it has to have what its caller sees.
        """
        name = self.records.name(key)
        entry = self.cache.entry(name)
        if entry is not None and not self.records.read_only:
            self._write_changed([(name, entry)], Tally("written"))
            self.cache.drop(name, entry)

    def count_unwritten(self) -> int:
        """Tell how many values in the cache were changed; sends nothing and raises nothing."""
        return sum(1 for _, entry in self.cache.entries() if self._seems_changed(entry))

    def loads(self, key: str, decoded: Decoded) -> Any:
        """Make a value of what a record held, or raise a `RecordError` that names the key."""
        try:
            return loads_by(self._serializer, decoded.letters.serializer, decoded.payload)
        except RecordError as error:
            raise self.records.with_key(error, key) from error

    def payload_now(self, key: str, decoded: Decoded) -> Pieces | None:
        """Give the payload to encode if what was decoded would be stored otherwise now, else None.

        Raises a `RecordError` or a `ValueTypeError` where another serializer can't have it.
        """
        if is_own(self._serializer, decoded.letters.serializer):
            return (decoded.payload,) if self.records.would_change(key, decoded) else None
        value = self.loads(key, decoded)
        try:
            payload = self.dumps(key, value)
        except Exception as error:
            # Whatever the program's own serializer raises: it is the failure of this key alone.
            if is_from_signal_handler(error):
                raise
            raise _not_serialized(key, error) from error
        if not self._serializer.is_exact and self.loads(key, self._as_decoded(payload)) != value:
            raise ValueTypeError(
                f"{key!r} would come back from {self._serializer.name} as something else than it is"
            )
        return payload

    def dumps(self, key: str, value: Any) -> Pieces:
        """Make the payload of a value; what its pickling raises is raised, with the key noted."""
        try:
            return self._serializer.dumps(value)
        except Exception as error:
            error.add_note(f"cshelve: this was the value for the key {key!r}")
            raise

    def copied(self, key: str, value: Any) -> Any:
        """Give a value as it would come back from the store."""
        return self.loads(key, self._as_decoded(self.dumps(key, value)))

    def _as_decoded(self, payload: Pieces) -> Decoded:
        return Decoded(b"".join(payload), Letters(serializer=self._serializer.letter), True)

    def _forget_deleted(self, outcomes: Generator[Outcome], tally: Tally) -> None:
        with tally, closing(outcomes):
            for outcome in outcomes:
                if outcome.failure is None and self.cache.is_in_use:
                    name = self.records.name(outcome.name)
                    # Who is reading it just now would keep what was deleted: let him end first.
                    with self.cache.turns.of(name):
                        self._forget(name)
                tally.add(outcome)

    def _write_changed(self, entries: Iterable[tuple[str, Cached]], tally: Tally) -> None:
        """Write those of these entries that were changed."""
        if self.records.read_only:
            prefix = self.records.prefix
            keys = [n.removeprefix(prefix) for n, entry in entries if self._seems_changed(entry)]
            if keys:
                raise ReadOnlyError(
                    f"{self.records.location} was opened with flag 'r', and values in the "
                    f"writeback cache were changed: {', '.join(map(repr, keys[:NAMED]))}"
                )
        changed = self._writes(self._changed(entries, tally), tally)
        count = itertools.count()
        counted = (write for write in changed if next(count) >= 0)
        with tally:
            for _ in CachedWrites(self.records, self.cache, tally, are_new=False).run(counted):
                pass
            if tally.is_over:
                deque(counted, maxlen=0)  # Nothing is sent: only how many are left is of interest.
                tally.know_total(next(count))

    def _dumped(
        self, pairs: Iterable[tuple[str, Any]], tally: Tally
    ) -> Iterator[tuple[str, Any, Pieces]]:
        """Give key, value and payload of those pairs that have one; the others have failed."""
        for key, value in pairs:
            try:
                payload = self.dumps(key, value)
            except Exception as error:
                # Whatever the value's own pickling raises: it is the failure of this key alone.
                if is_from_signal_handler(error):
                    raise
                tally.add(Outcome(key, _not_serialized(key, error)))
            else:
                yield key, value, payload

    def _encoded(
        self, payloads: Iterable[tuple[str, Pieces]], tally: Tally
    ) -> Iterator[tuple[str, bytes]]:
        """Give key and record of those payloads that fit into one; the others have failed."""
        for key, payload in payloads:
            try:
                record = self.records.encode(key, payload)
            except ValueTooLargeError as error:
                tally.add(Outcome(key, error))
            else:
                yield key, record

    def _writes(
        self, changes: Iterable[tuple[str, Cached, Pieces]], tally: Tally
    ) -> Iterator[Write]:
        """Give what is to be written and then kept."""
        for key, entry, payload in changes:
            for _, record in self._encoded([(key, payload)], tally):
                yield Write(key, entry, self.cache.digest_of(payload), record)

    def _changed(
        self, entries: Iterable[tuple[str, Cached]], tally: Tally
    ) -> Iterator[tuple[str, Cached, Pieces]]:
        """Give key, entry and new payload of those entries that were changed."""
        prefix = self.records.prefix
        kept = ((name.removeprefix(prefix), entry) for name, entry in entries)
        for key, entry in kept:
            for _, _, payload in self._dumped([(key, entry.value)], tally):
                if entry.is_changed or self.cache.digest_of(payload) != entry.digest:
                    entry.is_changed = True
                    yield key, entry, payload

    def _seems_changed(self, entry: Cached) -> bool:
        if entry.is_changed:
            return True
        try:
            return self.cache.digest_of(self._serializer.dumps(entry.value)) != entry.digest
        except Exception as error:
            # Whatever the value's class raises when it is pickled, or the interpreter while it
            # shuts down: there is nobody to raise it to, and the value is not what was read.
            if is_from_signal_handler(error):
                raise
            return True

    def _kept_form(self, key: str, value: Any) -> Pieces:
        """Give the form of a value that was read by which it will show whether it was changed."""
        try:
            return self._serializer.dumps(value)
        except ValueTypeError as error:
            problem = DataProcessingSignatureError(
                "another serializer wrote the value, and this shelf's has nothing for it, so that "
                f"with writeback it could not be written again: {error}"
            )
            raise self.records.with_key(problem, key) from error

    def _forget(self, name: str) -> None:
        self.cache.note_write(name)
        self.cache.forget(name)

    def _keep(self, name: str, value: Any, payload: Pieces) -> None:
        if self.cache.is_on:
            self.cache.keep(name, Cached(value), self.cache.digest_of(payload))
        else:
            self.cache.forget(name)

    def shrink(self) -> None:
        """Drop the oldest unchanged values beyond the limit; write changed ones before that.

        Raises nothing, as its caller asked for something else, which is done: what could not be
        written stays in the cache, beyond the limit, and the next `sync` says why.
        """
        self._drop_unchanged()
        if not self.cache.is_over_limit() or self.records.read_only:
            return
        # All that were changed, so that there are unchanged ones to drop the next few times.
        try:
            self._root._write_changed(self.cache.entries()[:-1], Tally("written"))
        except Error as error:
            self.cache.logger.warning(
                "%s: the writeback cache is over its limit: %s", self.records.location, error
            )
        self._drop_unchanged()

    def _drop_unchanged(self) -> None:
        """Drop the oldest unchanged values beyond the limit, never the newest value of all."""
        if not self.cache.is_over_limit():
            return
        for name, entry in self.cache.entries()[:-1]:
            entry.is_changed = self._seems_changed(entry)
            if not entry.is_changed:
                self.cache.drop(name, entry)
                if not self.cache.is_over_limit():
                    return


def _not_serialized(key: str, error: Exception) -> ValueTypeError:
    # What others say may be the value itself, which belongs into no message of ours.
    said = f": {error}" if isinstance(error, Error) else ""
    failure = ValueTypeError(
        f"the value for the key {key!r} can't be serialized: {type(error).__name__}{said}"
    )
    failure.__cause__ = error
    return failure
