"""The contract between a shelf and a store.

A provider keeps bytes under names. To write one, subclass `Provider`, implement the abstract
methods, and run `cshelve.testing.ProviderContract` on it; `in_memory.py` is the shortest example.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from cshelve._concurrency.outcomes import Outcome, finish
from cshelve.exceptions import ConfigurationError, DBDoesNotExistsError, ReadOnlyError
from cshelve.providers.bulk import delete_each, get_each, put_each
from cshelve.providers.stats import Stats

if TYPE_CHECKING:
    from datetime import datetime

    from cshelve._config.options import Option
    from cshelve._config.sections import Sections

__all__ = ["Capabilities", "Entry", "Item", "Outcome", "Provider", "Stats"]

DEFAULT_CONCURRENCY = 32
# More only makes a client slow to open: it prepares a place for each connection.
MOST_CONCURRENCY = 1000
FLAGS = {
    "r": "read an existing shelf",
    "w": "read and write an existing shelf",
    "c": "as w, and create it if need be",
    "n": "empty it first, and create it if need be",
}


class Item(NamedTuple):
    """What is stored under a name, and its version, which a conditional write asks for."""

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
    """The store itself decides a `put` with `if_absent` or `if_version`."""
    conditional_delete: bool
    """The store itself decides a `delete` with `if_version`."""
    delete_reports: bool
    """The one request of a `delete` tells whether the name was there."""


class Provider(ABC):
    """Bytes under names, in one place of one store. Every method may be called by many threads.

    A name is any text that UTF-8 can encode. A name that the store cannot hold is absent when it is
    read, and a `KeyNotStorableError` when it is written. Only `get` raises `KeyNotFoundError`, and
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
    read_only_error: type[ReadOnlyError] = ReadOnlyError
    """What a shelf that was opened with flag `r` raises for a write."""
    like_shelve: bool = False
    """Whether its shelves are those of `shelve` in every respect: they hold bare pickles, raise
    what unpickling raises, and write back when they are dropped."""
    content_type: str | None = None
    """The media type of all data, if it has one; a shelf sets it before the first request. Stores
    that tell readers the type of an object, such as S3, send it with each `put`."""

    def __init__(self, *, concurrency: int = DEFAULT_CONCURRENCY) -> None:
        self.concurrency = concurrency
        """How many requests may be in flight at once."""
        self.stats = Stats()

    @classmethod
    @abstractmethod
    def from_config(cls, config: Sections) -> Self:
        """Make a provider from a configuration, taking each option that is its own.

        Sends nothing. Raises `ConfigurationError` for an option that is missing or unusable.
        """

    @classmethod
    def check_flag(cls, flag: str) -> None:
        """Raise `ConfigurationError` for what is no flag of `open`."""
        if not isinstance(flag, str) or flag not in FLAGS:
            meanings = "; ".join(f"{letter}: {meaning}" for letter, meaning in FLAGS.items())
            raise ConfigurationError(f"flag: there is no flag {flag!r}. There are {meanings}.")

    @property
    @abstractmethod
    def location(self) -> str:
        """Where the shelf is, as a person would write it: for messages, never with a secret."""

    @abstractmethod
    def exists(self) -> bool:
        """Return whether the place where the shelf lives is there."""

    @abstractmethod
    def create(self) -> None:
        """Create the place; it is no error if it is there already.

        Raises `CanNotCreateDBError` where the store does not allow it.
        """

    def prepare(self, flag: str) -> None:
        """Do what a flag of `open` asks for before the first use, in as few requests as can be."""
        if flag == "n":
            try:
                finish(self.purge(), "deleted")
            except DBDoesNotExistsError:
                self.create()
        elif not self.exists():
            if flag != "c":
                raise DBDoesNotExistsError(
                    f"{self.location} does not exist; flag 'c' would create it (this is {flag!r})."
                )
            self.create()

    def sync(self) -> None:  # noqa: B027  # only some have anything to do
        """Write what the client holds back of what was put; most write at once."""

    @abstractmethod
    def close(self) -> None:
        """Close connections and files; a second call does nothing."""

    @abstractmethod
    def get(self, name: str) -> Item:
        """Return all that is stored under a name, with its version, or raise `KeyNotFoundError`."""

    @abstractmethod
    def contains(self, name: str) -> bool:
        """Return whether a name is there, without reading what is stored under it."""

    @abstractmethod
    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        """Store data under a name and return the new version.

        With `if_absent`, only if nothing is there; with `if_version`, only if what is there still
        has that version. The store decides that, not a look beforehand. Raises `ConflictError`
        where the condition does not hold, `OutcomeUnknownError` where the answer was lost and
        nobody can know, and `ConditionsNotSupportedError`, with nothing done, where the store
        cannot decide.
        """

    @abstractmethod
    def delete(self, name: str, *, if_version: str | None = None) -> bool | None:
        """Delete a name and return whether it was there; None where one request cannot tell.

        With `if_version`, only if what is there still has that version; else raises
        `ConflictError`, or what `put` raises. An absent name is False or a `ConflictError` then.
        """

    @abstractmethod
    def entries(self, prefix: str = "", *, limit: int | None = None) -> Iterator[Entry]:
        """List what is stored under names that begin with `prefix`, lazily, in the store's order.

        Names that are deleted while the listing runs may or may not be in it. Names that stay are
        in it once, whatever else is written or deleted meanwhile.
        """

    def names(self, prefix: str = "", *, limit: int | None = None) -> Iterator[str]:
        """List the names alone, as `entries` does."""
        for entry in self.entries(prefix, limit=limit):
            yield entry.name

    def get_many(self, names: Iterable[str]) -> Iterator[tuple[str, Item | None]]:
        """Yield each name with its item, in the order of the names; None where it is absent.

        Raises the first failure. Costs one `get` a name, at most `concurrency` of them at once;
        closing the iterator starts no more.
        """
        return get_each(self, names)

    def put_many(self, items: Iterable[tuple[str, bytes]]) -> Generator[Outcome]:
        """Store items while the outcomes are iterated over, going on past the failure of one.

        Of a name given twice the last value stays. After an outcome whose failure is `about_shelf`
        nothing more begins: else a server that is gone would be waited for once for each name. The
        outcomes of what is in flight are still yielded.
        """
        return put_each(self, items)

    def delete_many(self, names: Iterable[str]) -> Generator[Outcome]:
        """Delete names while the outcomes are iterated over; an absent name is no failure.

        Ends early as `put_many` does.
        """
        return delete_each(self, names)

    def purge(self) -> Generator[Outcome]:
        """Delete every name of the shelf, and nothing else, while the outcomes are iterated over.

        Ends early as `put_many` does.
        """
        return self.delete_many(self.names())
