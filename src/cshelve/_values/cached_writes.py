"""Writing many values of the writeback cache, or into it, while other threads use it too."""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import NamedTuple

from cshelve._concurrency.outcomes import Outcome, Tally
from cshelve._values.records import Records
from cshelve._values.writeback import Cached, WritebackCache

__all__ = ["CachedWrites", "Write"]


class Write(NamedTuple):
    """A record to write, and what is or will be kept of its key."""

    key: str
    entry: Cached
    digest: bytes
    """Of the value's serialized form."""
    record: bytes


# How many are written together. What their caller does, such as making the next values or showing
# progress, happens between two batches, when no turn is taken: it may use the shelf.
BATCH = 256


class CachedWrites:
    """Write records in parallel, each in the turn of its name, and keep what was stored.

    A turn is held from before the request until its outcome, so that store and cache agree on who
    was last. It is never waited for while others are held, which could be for ever: names whose
    turn another thread has are written one by one at the end of their batch.
    """

    def __init__(
        self, records: Records, cache: WritebackCache, tally: Tally, *, are_new: bool
    ) -> None:
        """Take where to write; what is not new is in the cache, or out of date."""
        self._records = records
        self._cache = cache
        self._tally = tally
        self._are_new = are_new
        self._flying: defaultdict[str, deque[Write]] = defaultdict(deque)

    def run(self, writes: Iterable[Write]) -> Iterator[None]:
        """Write a batch each time this is gone on with, and tally its outcomes."""
        source = iter(writes)
        while batch := list(itertools.islice(source, BATCH)):
            for outcome in self._written(batch):
                self._tally.add(outcome)
            if self._tally.is_over:
                return
            yield

    def _written(self, batch: list[Write]) -> list[Outcome]:
        """Write a batch, those at last whose turn has to be waited for."""
        free, late = self._by_whose_turn_is_free(batch)
        outcomes = self._sent(free)
        for write in late:
            if any(outcome.ends_all() for outcome in outcomes):
                break
            self._cache.turns.acquire(self._records.name(write.key))
            outcomes += self._sent([write])
        return outcomes

    def _by_whose_turn_is_free(self, batch: list[Write]) -> tuple[list[Write], list[Write]]:
        """Take the turns that nobody has; what comes behind a late one of its key stays behind."""
        free: list[Write] = []
        late: list[Write] = []
        late_keys = set()
        for write in batch:
            key = write.key
            if key in late_keys or not self._cache.turns.acquire(self._records.name(key), 0):
                late_keys.add(key)
                late.append(write)
            else:
                free.append(write)
        return free, late

    def _sent(self, writes: list[Write]) -> list[Outcome]:
        """Write what is not out of date; its turns are ours, and are given up one by one."""
        turns = [self._records.name(write.key) for write in writes]
        records = []
        for write in writes:
            if self._are_new or self._cache.entry(self._records.name(write.key)) is write.entry:
                self._flying[write.key].append(write)
                records.append((write.key, write.record))
        try:
            with closing(self._records.set_many(records)) as outcomes:
                return [self._landed(outcome) for outcome in outcomes]
        finally:
            for key, flying in self._flying.items():
                if flying:  # Nobody knows whether it was stored: this was interrupted.
                    self._stored(self._records.name(key), None)
            self._flying.clear()
            for name in turns:
                self._cache.turns.release(name)

    def _landed(self, outcome: Outcome) -> Outcome:
        """Keep what was stored."""
        write = self._flying[outcome.name].popleft()
        if outcome.failure is None:
            self._stored(self._records.name(outcome.name), write)
        return outcome

    def _stored(self, name: str, write: Write | None) -> None:
        self._cache.note_write(name)
        if write is not None and (self._cache.is_on or not self._are_new):
            self._cache.keep(name, write.entry, write.digest)
        elif self._are_new:
            self._cache.forget(name)
