"""A wrapper that keeps the records it reads on this machine, as they lie in the store.

`revalidate` asks the store at each read whether the copy is up to date, `ttl` when a time has
passed, and `immutable` never. Whatever is about more than the data of a name (listings, expiry,
whether a name exists) goes to the store.

A thread that reads a name while another one writes it must not keep the old value after the write.
So each write is counted when it begins and when it has ended, and what was read is kept only if
nothing was written since the read began. Other processes are not counted: there, an entry is as old
as the request that read it, which is what `ttl` looks at.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from cshelve._concurrency.per_process import PerProcess
from cshelve.exceptions import KeyNotFoundError
from cshelve.providers.base import Item, Provider
from cshelve.providers.wrapper import Wrapper

if TYPE_CHECKING:
    from cshelve._concurrency.outcomes import Outcome
    from cshelve.providers.caching.entries import Entries, Entry
    from cshelve.providers.streams import Source, Target

__all__ = ["Cached"]

# Names share these counters of writes; two that do are only kept less often.
COUNTERS = 1024


class _Asked(NamedTuple):
    """A read that has begun."""

    name: str
    entry: Entry | None
    writes: int
    """What the counter of the name was."""
    at: float
    is_usable: bool
    """Whether the entry is used without asking the store."""


class Cached(Wrapper):
    """Reads through a cache, and writes to the store and then to the cache.

    An entry that is used without asking is at most `usable_seconds` old. A read sends one request
    at most: for a name without an entry, or to compare versions. Never raises an error of the
    cache. Safe in many threads, and in many processes that share the place of the entries.
    """

    def __init__(self, inner: Provider, entries: Entries[Any], usable_seconds: float) -> None:
        super().__init__(inner)
        # Values are left as they are, so the store may copy them by itself.
        self.capabilities = inner.capabilities
        self._entries = entries
        self._usable_seconds = usable_seconds
        self._writes = [0] * COUNTERS
        self._locks = PerProcess(threading.Lock)

    def prepare(self, flag: str) -> None:
        self.inner.prepare(flag)
        if flag.startswith("n"):
            self._entries.clear()

    def get(self, name: str) -> Item:
        asked = self._begin(name)
        if asked.is_usable and asked.entry is not None:
            return self._hit(asked.entry)
        version = None if asked.entry is None else asked.entry.item.version
        try:
            if version is None:
                item: Item | None = self.inner.get(name)
            else:
                item = self.inner.get_if_changed(name, version)
        except KeyNotFoundError:
            self._entries.drop(name)
            raise
        return self._answered(asked, item)

    def get_latest(self, name: str) -> Item:
        asked = self._begin(name, looks=False)
        try:
            item = self.inner.get_latest(name)
        except KeyNotFoundError:
            self._entries.drop(name)
            raise
        return self._answered(asked, item)

    def get_many(self, names: Iterable[str]) -> Generator[tuple[str, Item | None]]:
        source = iter(names)
        for name in source:
            asked = self._begin(name)
            if asked.is_usable and asked.entry is not None:
                yield name, self._hit(asked.entry)
            else:
                yield from self._get_some(asked, source)

    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        began = time.time()
        with self._writing(name) as write:
            version = self.inner.put(name, data, if_absent=if_absent, if_version=if_version)
        if write.was_alone:
            self._keep(name, Item(data, version), began, write.writes)
        return version

    def put_many(self, items: Iterable[tuple[str, bytes]]) -> Generator[Outcome]:
        """Store items; the cache drops their names, whose versions an outcome does not contain."""
        names = _Names(self)
        return names.until_ended(self.inner.put_many(names.of_pairs(items)))

    def delete(self, name: str, *, if_version: str | None = None) -> bool | None:
        with self._writing(name):
            return self.inner.delete(name, if_version=if_version)

    def delete_many(self, names: Iterable[str]) -> Generator[Outcome]:
        taken = _Names(self)
        return taken.until_ended(self.inner.delete_many(taken.of(names)))

    def purge(self) -> Generator[Outcome]:
        try:
            with closing(self.inner.purge()) as outcomes:
                yield from outcomes
        finally:
            with self._locks.get():
                self._writes = [each + 1 for each in self._writes]
            self._entries.clear()

    def upload(self, name: str, source: Source) -> str:
        """Pass a file on, which may be too large to hold; the cache drops the name."""
        with self._writing(name):
            return self.inner.upload(name, source)

    def download(self, name: str, target: Target) -> None:
        self.inner.download(name, target)

    def presigned_url(self, name: str, expires_seconds: float) -> str:
        return self.inner.presigned_url(name, expires_seconds)

    def copy(
        self,
        source: str,
        target: str,
        *,
        if_version: str | None = None,
        origin: Provider | None = None,
    ) -> None:
        while isinstance(origin, Cached):
            origin = origin.inner
        with self._writing(target):
            self.inner.copy(source, target, if_version=if_version, origin=origin)

    def _get_some(self, first: _Asked, source: Iterator[str]) -> Generator[tuple[str, Item | None]]:
        """Read the first name and those after it, until there are many that need no request."""
        asked_of: deque[_Asked] = deque()

        def to_ask() -> Iterator[tuple[str, str | None]]:
            asked, in_a_row = first, 0
            while True:
                asked_of.append(asked)
                in_a_row = in_a_row + 1 if asked.is_usable else 0
                if not asked.is_usable:
                    yield asked.name, asked.entry and asked.entry.item.version
                elif in_a_row >= self.concurrency:
                    return
                name = next(source, None)
                if name is None:
                    return
                asked = self._begin(name)

        with closing(self.inner.get_many_if_changed(to_ask())) as answers:
            for name, item in answers:
                yield from self._usable_before(asked_of)
                yield name, self._answer_of_many(asked_of.popleft(), item)
        yield from self._usable_before(asked_of)

    def _usable_before(self, asked_of: deque[_Asked]) -> Iterator[tuple[str, Item]]:
        while asked_of and asked_of[0].is_usable:
            asked = asked_of.popleft()
            assert asked.entry is not None
            yield asked.name, self._hit(asked.entry)

    def _answer_of_many(self, asked: _Asked, item: Item | None) -> Item | None:
        if item is None:
            self._entries.drop(asked.name)
            return None
        is_same = asked.entry is not None and asked.entry.item.version == item.version
        return self._answered(asked, None if is_same else item)

    def _begin(self, name: str, *, looks: bool = True) -> _Asked:
        """Begin a read; without `looks`, whatever the cache has is not used."""
        writes, now = self._writes[_counter_of(name)], time.time()
        entry = self._entries.read(name) if looks else None
        # A clock that was set back would make entries of the future last.
        is_usable = entry is not None and (
            self._usable_seconds == inf or 0 <= now - entry.asked_at < self._usable_seconds
        )
        return _Asked(name, entry, writes, now, is_usable)

    def _answered(self, asked: _Asked, item: Item | None) -> Item:
        """Return the item that the store has sent; with None, the entry is up to date."""
        if item is None:
            assert asked.entry is not None
            if self._usable_seconds:
                self._entries.renew(asked.name, asked.entry, asked.at)
            return self._hit(asked.entry)
        self.stats.count_cache(hit=False)
        self._keep(asked.name, item, asked.at, asked.writes)
        return item

    def _hit(self, entry: Entry) -> Item:
        self.stats.count_cache(hit=True, size_bytes=len(entry.item.data))
        return entry.item

    def _keep(self, name: str, item: Item, asked_at: float, writes: int) -> None:
        """Keep an item unless the name was written since its counter was at `writes`."""
        prepared = self._entries.prepare(name, item, asked_at)
        if prepared is None:
            self._entries.drop(name)
            return
        with self._locks.get():
            if self._writes[_counter_of(name)] == writes:
                self._entries.keep(prepared)
                return
        self._entries.discard(prepared)

    @contextmanager
    def _writing(self, name: str) -> Iterator[_Write]:
        """Drop a name before it is written, and after it, whatever happens."""
        write = _Write()
        before = self.note_write(name)
        try:
            yield write
        finally:
            write.writes = self.note_write(name)
            write.was_alone = write.writes == before + 1

    def note_write(self, name: str) -> int:
        """Drop a name that is about to be written, or was; return the number of such calls."""
        counter = _counter_of(name)
        with self._locks.get():
            self._writes[counter] += 1
            writes = self._writes[counter]
        self._entries.drop(name)
        return writes


class _Write:
    """A write that has ended."""

    writes = 0
    """What the counter of the name was when it had ended."""
    was_alone = False
    """Whether no other thread wrote the name meanwhile; otherwise nobody knows who was last."""


class _Names:
    """The names that an operation on many has taken: each is dropped then, and when it ended."""

    def __init__(self, cached: Cached) -> None:
        self._cached = cached
        self._in_flight: Counter[str] = Counter()

    def of(self, names: Iterable[str]) -> Iterator[str]:
        for name in names:
            self._take(name)
            yield name

    def of_pairs(self, items: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
        for item in items:
            self._take(item[0])
            yield item

    def until_ended(self, outcomes: Generator[Outcome]) -> Generator[Outcome]:
        """Yield outcomes; drop the name of each, and at the end those that have none."""
        try:
            with closing(outcomes):
                for outcome in outcomes:
                    self._cached.note_write(outcome.name)
                    self._in_flight[outcome.name] -= 1
                    if self._in_flight[outcome.name] <= 0:
                        del self._in_flight[outcome.name]
                    yield outcome
        finally:
            for name in self._in_flight:
                self._cached.note_write(name)

    def _take(self, name: str) -> None:
        self._in_flight[name] += 1
        self._cached.note_write(name)


def _counter_of(name: str) -> int:
    return hash(name) % COUNTERS
