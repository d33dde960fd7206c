"""The contract between a shelf and a store, and what follows from it for every store.

A provider keeps bytes under names. To write one, subclass `Provider`, implement the abstract
methods, and run `cshelve.testing.ProviderContract` on it; `in_memory.py` is the shortest one.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from cshelve._concurrency.outcomes import Outcome, Tally, failure_of
from cshelve._concurrency.parallel import map_in_order
from cshelve._concurrency.per_process import PerProcess
from cshelve.exceptions import KeyNotFoundError

if TYPE_CHECKING:
    from datetime import datetime

    from cshelve._config.options import Option
    from cshelve._config.sections import Sections

__all__ = ["Capabilities", "Entry", "Item", "Outcome", "Provider", "Stats"]

DEFAULT_CONCURRENCY = 32


class Item(NamedTuple):
    """What lies under a name, and the token by which a later write can tell it is still that."""

    data: bytes
    version: str


class Entry(NamedTuple):
    """A line of a listing."""

    name: str
    size: int
    modified: datetime


class Capabilities(NamedTuple):
    """What differs between stores; all true is the best case."""

    conditional_put: bool
    """`put` with `if_absent` or `if_version` is decided by the store itself."""
    conditional_delete: bool
    """`delete` with `if_version` is decided by the store itself."""
    delete_reports: bool
    """`delete` tells in its one request whether the name was there."""


class Stats:
    """How many requests of which kind were sent, and how many bytes of values went each way.

    Every attempt counts, those that the client library repeats by itself included. Safe in many
    threads.
    """

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.bytes_sent = 0
        self.bytes_received = 0
        self._locks = PerProcess(threading.Lock)

    def __repr__(self) -> str:
        sizes = f"bytes_sent={self.bytes_sent}, bytes_received={self.bytes_received}"
        return f"Stats(requests={self.requests}, {sizes})"

    def count(self, operation: str, *, sent: int = 0, received: int = 0) -> None:
        """Add one request of this kind."""
        with self._locks.get():
            self.requests[operation] += 1
            self.bytes_sent += sent
            self.bytes_received += received

    def add_bytes(self, *, sent: int = 0, received: int = 0) -> None:
        """Add bytes of values to a request that was counted already."""
        with self._locks.get():
            self.bytes_sent += sent
            self.bytes_received += received


class Provider(ABC):
    """Bytes under names, in one place of one store. Every method may be called by many threads.

    A name is any text that UTF-8 can encode; one that the store cannot hold is absent when it is
    read and `KeyNotStorableError` when it is written. `KeyNotFoundError` leaves `get` alone, and
    only for a name that the store says is absent: a refusal, a throttle, a time-out and an absent
    store have types of their own (`AuthError`, `StorageError`, `DBDoesNotExistsError`), chained to
    the client's error. A `put` is atomic: a reader sees the old value or the new one.
    """

    options: ClassVar[tuple[Option[Any], ...]] = ()
    """What `from_config` takes; any other option of a configuration is refused."""
    capabilities: Capabilities
    can_be_reopened: bool = True
    """Whether the same configuration, in another process, leads to the same values."""
    is_shared: bool = True
    """Whether anybody else may have written what is read."""

    def __init__(self, *, concurrency: int = DEFAULT_CONCURRENCY) -> None:
        self.concurrency = concurrency
        self.stats = Stats()

    @classmethod
    @abstractmethod
    def from_config(cls, config: Sections) -> Self:
        """Return a provider that a configuration describes; `config.take` reads `options`.

        Sends nothing. Raises `ConfigurationError` for an option that is absent or unusable.
        """

    @property
    @abstractmethod
    def location(self) -> str:
        """Where the shelf is, as a person would write it: for messages, never with a secret."""

    @abstractmethod
    def exists(self) -> bool:
        """Tell whether the place where the shelf lives is there."""

    @abstractmethod
    def create(self) -> None:
        """Create the place, and be content if it is there already.

        Raises `CanNotCreateDBError` where the store does not allow it.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of connections and files; a second call does nothing."""

    @abstractmethod
    def get(self, name: str) -> Item:
        """Read the whole of what lies under a name, with its version, or `KeyNotFoundError`."""

    @abstractmethod
    def contains(self, name: str) -> bool:
        """Tell whether a name is there, without reading what lies under it."""

    @abstractmethod
    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        """Store data under a name and return the new version.

        With `if_absent`, only if nothing is there; with `if_version`, only if what is there is
        still that version; decided by the store, not by looking first. Raises `ConflictError`
        where the condition does not hold, `OutcomeUnknownError` where the answer was lost and
        nobody can know, and `ConditionsNotSupportedError`, with nothing done, where the store
        cannot decide.
        """

    @abstractmethod
    def delete(self, name: str, *, if_version: str | None = None) -> bool | None:
        """Delete a name and tell whether it was there; None where one request cannot tell.

        With `if_version`, only if what is there is still that version, else `ConflictError`, or
        what `put` raises; an absent name is False or a `ConflictError` then.
        """

    @abstractmethod
    def entries(self, prefix: str = "", *, limit: int | None = None) -> Iterator[Entry]:
        """List what is there under names that begin with `prefix`, lazily, in the store's order.

        Names that are deleted while the listing runs may or may not be in it; names that stay are
        in it once, whatever else is written or deleted meanwhile.
        """

    def names(self, prefix: str = "", *, limit: int | None = None) -> Iterator[str]:
        """List the names alone, with the promises of `entries`."""
        for entry in self.entries(prefix, limit=limit):
            yield entry.name

    def get_many(self, names: Iterable[str]) -> Iterator[tuple[str, Item]]:
        """Read many names, in their order, leaving out those that are absent.

        Stops at the first failure and raises it. Costs one `get` a name; at most `concurrency`
        fly at once, and closing the iterator starts no more.
        """

        def read(name: str) -> Item | None:
            try:
                return self.get(name)
            except KeyNotFoundError:
                return None

        for name, item in map_in_order(read, names, self.concurrency):
            if item is not None:
                yield name, item

    def put_many(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Store many, going on past the failure of one; of a name given twice the last stays.

        Raises `BulkError` naming those that failed, or an error that is `about_shelf`, after which
        nothing more is begun.
        """
        with Tally("written") as tally:
            tally.take(self.putting(items))

    def delete_many(self, names: Iterable[str]) -> None:
        """Delete many, going on past the failure of one; absent names are no failure.

        Raises as `put_many` does.
        """
        with Tally("deleted") as tally:
            tally.take(self.deleting(names))

    def purge(self) -> None:
        """Delete every name of the shelf, and nothing beside it. Raises as `put_many` does."""
        with Tally("deleted") as tally:
            tally.take(self.purging())

    def putting(self, items: Iterable[tuple[str, bytes]]) -> Generator[Outcome]:
        """Store many while the outcomes are gone through; a provider overrides this, or nothing.

        After an outcome that is `about_shelf` nothing more is begun: else a server that is gone
        would be waited for once for each name. The outcomes of what flies are still given.
        """
        written = map_in_order(
            lambda item: self._outcome_of_put(*item, self.put),
            items,
            self.concurrency,
            apart=lambda item: item[0],
            is_last=Outcome.ends_all,
        )
        yield from (outcome for _, outcome in written)

    def deleting(self, names: Iterable[str]) -> Generator[Outcome]:
        """Delete many while the outcomes are gone through, as `putting` stores."""

        def remove(name: str) -> Outcome:
            place = f"{name!r} in {self.location}"
            return Outcome(name, failure_of(place, lambda: self.delete(name)))

        deleted = map_in_order(remove, names, self.concurrency, is_last=Outcome.ends_all)
        yield from (outcome for _, outcome in deleted)

    def purging(self) -> Generator[Outcome]:
        """Delete every name of the shelf while the outcomes are gone through."""
        yield from self.deleting(self.names())

    def _outcome_of_put(
        self, name: str, data: bytes, put: Callable[[str, bytes], object]
    ) -> Outcome:
        failure = failure_of(f"{name!r} in {self.location}", lambda: put(name, data))
        return Outcome(name, failure, 0 if failure else len(data))
