"""Reading many keys: lazy, in parallel, in order, and able to go on behind a bad record."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from cshelve._objects import Objects
from cshelve._tally import Tally
from cshelve.exceptions import KeyNotFoundError

__all__ = ["Pairs"]


class Pairs(Iterator[tuple[str, Any]]):
    """The pairs of these keys, in their order, without those that are absent. For one thread.

    What is in the writeback cache is given from there, without a request. A class and no generator,
    so that after a `RecordError` it goes on with the next key.
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
        # Keys taken from the source and not yet dealt with, and whether their record is asked for.
        self._taken: deque[tuple[str, bool]] = deque()
        self._records = objects.records.get_many(self._not_cached(keys))
        self._record: tuple[str, bytes] | None = None

    def __next__(self) -> tuple[str, Any]:
        self._refuse_if_closed()
        while True:
            if self._record is None and not (self._taken and not self._taken[0][1]):
                self._record = self._next_record()
            if not self._taken:
                raise StopIteration
            key, is_asked_for = self._taken.popleft()
            try:
                if not is_asked_for:
                    return key, self._read(key)
                if self._record is not None and self._record[0] == key:
                    return key, self._loaded(*self._record)
            except KeyNotFoundError:
                pass  # It was deleted since it was taken.
            self._tally.moved(0, keys=1)

    def _not_cached(self, keys: Iterable[str]) -> Iterator[str]:
        """Go through the keys, noting all of them, and give those that have to be asked for."""
        cache = self._objects.cache
        for key in keys:
            is_asked_for = self._objects.records.name(key) not in cache
            self._taken.append((key, is_asked_for))
            if is_asked_for:
                yield key

    def _next_record(self) -> tuple[str, bytes] | None:
        """Wait for the next record that there is; those before it in the order are absent."""
        try:
            return next(self._records, None)
        except BaseException:
            self._taken.clear()  # This is the end.
            raise

    def _read(self, key: str) -> Any:
        value = self._objects.read(key)
        self._tally.moved(0, keys=1)
        return value

    def _loaded(self, key: str, record: bytes) -> Any:
        self._record = None
        self._tally.moved(len(record), keys=1)
        return self._objects.load(key, record, self._written)
