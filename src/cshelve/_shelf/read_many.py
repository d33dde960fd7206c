"""Reading many keys: lazy, in parallel, in order, and able to go on behind a bad record."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from cshelve._concurrency.outcomes import Tally
from cshelve._values.values import Objects
from cshelve.exceptions import KeyNotFoundError, RecordError

__all__ = ["Pairs"]


class Pairs(Iterator[tuple[str, Any]]):
    """The pairs of these keys, in their order, without those that are absent. For one thread.

    What is in the writeback cache is given from there, without a request. A class and no generator,
    so that after a `RecordError` it goes on with the next key; any other failure is the end. Closed
    or dropped, it begins nothing more and leaves no thread.
    """

    def __init__(
        self,
        objects: Objects,
        keys: Iterable[str],
        tally: Tally,
        refuse_if_closed: Callable[[], None],
    ) -> None:
        self._objects = objects
        self._tally = tally
        self._refuse_if_closed = refuse_if_closed
        self._written = objects.cache.watch()
        # A thing of its own: if the reading referred to us, the cycle would outlive a `break`.
        self._source = _Source(objects, keys)
        self._records: Iterator[tuple[str, bytes]] = iter(())
        self._record: tuple[str, bytes] | None = None

    def __next__(self) -> tuple[str, Any]:
        while True:
            try:
                self._refuse_if_closed()
                key, record, is_there = self._next_key()
                self._tally.moved(len(record or b""), keys=1)
            except BaseException:
                self.close()
                raise
            if not is_there:
                continue
            try:
                return key, self._value(key, record)
            except KeyNotFoundError:
                continue  # It was deleted since it was taken.
            except RecordError:
                raise
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Begin nothing more, and wait for what flies."""
        self._source.end()
        self._record = None
        # A generator, where there is one: the contract of a provider says Iterator.
        getattr(self._records, "close", lambda: None)()
        self._records = iter(())

    def _next_key(self) -> tuple[str, bytes | None, bool]:
        """Give the next key, its record unless it is cached, and whether it is there at all."""
        source = self._source
        if self._record is None and not source.begins_with_a_cached_one():
            self._record = self._next_record()
        if not source.taken:
            raise StopIteration
        key, is_cached = source.taken.popleft()
        if is_cached or self._record is None or self._record[0] != key:
            return key, None, is_cached
        (_, record), self._record = self._record, None
        return key, record, True

    def _next_record(self) -> tuple[str, bytes] | None:
        """Wait for the next record that there is; keys before it in the order are absent.

        None if none is left, or if first there are many keys that are cached.
        """
        record = next(self._records, None)
        while record is None and not self._source.taken and not self._source.is_over:
            self._records = self._objects.records.get_many(self._source.not_cached())
            record = next(self._records, None)
        return record

    def _value(self, key: str, record: bytes | None) -> Any:
        if record is None:
            return self._objects.read(key)
        return self._objects.load(key, record, self._written)


class _Source:
    """The keys to read: which were taken and not yet dealt with, and which have to be asked for."""

    def __init__(self, objects: Objects, keys: Iterable[str]) -> None:
        self.taken: deque[tuple[str, bool]] = deque()
        """Keys in their order, and whether they are cached."""
        self.is_over = False
        self._keys = iter(keys)
        self._cache = objects.cache
        self._name = objects.records.name
        self._most_ahead = objects.records.provider.concurrency

    def begins_with_a_cached_one(self) -> bool:
        """Tell whether the next key needs no record."""
        return bool(self.taken) and self.taken[0][1]

    def not_cached(self) -> Iterator[str]:
        """Give the keys that have to be asked for, up to where many others follow each other."""
        cached = 0
        for key in self._keys:
            is_cached = self._name(key) in self._cache
            self.taken.append((key, is_cached))
            if not is_cached:
                cached = 0
                yield key
            elif (cached := cached + 1) >= self._most_ahead:
                return
        self.is_over = True

    def end(self) -> None:
        """Let nothing more be taken."""
        self.is_over = True
        self._keys = iter(())
        self.taken.clear()
