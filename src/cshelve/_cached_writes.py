"""Writing many values of the writeback cache, or into it, while other threads use it too."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

from cshelve._records import Records
from cshelve._tally import Outcome, Tally
from cshelve._writeback import Cached, WritebackCache, digest_of

__all__ = ["CachedWrites"]

# A key, what is or will be kept of it, and the payload to write.
Write = tuple[str, Cached, bytes]


class CachedWrites:
    """Write payloads in parallel, each in the turn of its name, and keep what was stored.

    A turn is held from before the request until its outcome, so that store and cache agree on who
    was last. It is never waited for while others are held, which could be for ever: names whose
    turn another thread has are written one by one in the end.
    """

    def __init__(
        self,
        records: Records,
        cache: WritebackCache,
        tally: Tally,
        make_room: Callable[[], None],
    ) -> None:
        self._records = records
        self._cache = cache
        self._tally = tally
        self._make_room = make_room
        self._are_new = False
        self._flying: defaultdict[str, deque[tuple[Cached, bytes]]] = defaultdict(deque)
        self._late: list[Write] = []

    def run(self, writes: Iterable[Write], *, are_new: bool = False) -> None:
        """Write these and tally their outcomes.

        Those that are not new are in the cache, unless somebody put a newer one in its place.
        """
        self._are_new = are_new
        self._write(self._whose_turn_is_free(writes))
        for late in self._late:
            if self._tally.is_over:
                return
            with self._cache.turns.of(self._records.name(late[0])):
                self._write(self._whose_turn_we_have([late]))

    def _write(self, payloads: Iterator[tuple[str, bytes]]) -> None:
        try:
            with closing(self._records.set_many(payloads)) as outcomes:
                for outcome in outcomes:
                    self._landed(outcome)
        finally:
            for key, flying in self._flying.items():
                for _ in flying:
                    self._cache.turns.release(self._records.name(key))
            self._flying.clear()

    def _whose_turn_is_free(self, writes: Iterable[Write]) -> Iterator[tuple[str, bytes]]:
        late = set()
        for write in writes:
            key = write[0]
            # What comes behind a late one of the same key has to stay behind it.
            if key in late or not self._cache.turns.acquire(self._records.name(key), timeout=0):
                late.add(key)
                self._late.append(write)
            else:
                yield from self._taken(write)

    def _whose_turn_we_have(self, writes: Iterable[Write]) -> Iterator[tuple[str, bytes]]:
        for write in writes:
            self._cache.turns.acquire(self._records.name(write[0]))
            yield from self._taken(write)

    def _taken(self, write: Write) -> Iterator[tuple[str, bytes]]:
        """Give a payload to be written, unless its value is out of date; its turn is ours."""
        key, entry, payload = write
        name = self._records.name(key)
        if self._are_new or self._cache.entry(name) is entry:
            self._flying[key].append((entry, payload))
            yield key, payload
        else:
            self._cache.turns.release(name)

    def _landed(self, outcome: Outcome) -> None:
        key = outcome.name
        name = self._records.name(key)
        flying = self._flying[key]
        entry, payload = flying.popleft()
        if not flying:
            del self._flying[key]
        if outcome.failure is None:
            self._cache.note_write(name)
            self._cache.keep(name, entry, digest_of(payload))
            self._make_room()
        self._cache.turns.release(name)
        self._tally.add(outcome)
