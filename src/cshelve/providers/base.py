"""The interface between a shelf and a store.

A provider stores bytes under names. To write one, subclass `Provider`, implement the abstract
methods, and run `cshelve.testing.ProviderContract` on it; `in_memory.py` is the shortest example.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from cshelve._concurrency.outcomes import Outcome, finish
from cshelve._concurrency.parallel import map_in_order
from cshelve.exceptions import (
    ConfigurationError,
    ConflictError,
    DBDoesNotExistsError,
    KeyNotFoundError,
    ReadOnlyError,
    UnsupportedOperationError,
)
from cshelve.providers.bulk import delete_each, get_each, put_each
from cshelve.providers.stats import Stats

if TYPE_CHECKING:
    from datetime import datetime

    from cshelve._config.options import Option
    from cshelve._config.sections import Sections
    from cshelve.providers.on_event_loop import OnEventLoop
    from cshelve.providers.streams import Source, Target

__all__ = ["Capabilities", "Details", "Entry", "Item", "Outcome", "Provider", "Stats"]

DEFAULT_CONCURRENCY = 32
# More would only make a client slow to open, as it allocates a slot for each connection.
MOST_CONCURRENCY = 1000
FLAGS = {
    "r": "read an existing shelf",
    "w": "read and write an existing shelf",
    "c": "as w, and create it if need be",
    "n": "empty it first, and create it if need be",
}


class Item(NamedTuple):
    """The data stored under a name, and its version, which conditional writes refer to."""

    data: bytes
    version: str


class Entry(NamedTuple):
    """A name in a listing, with the size of its data and the time of the last write."""

    name: str
    size_bytes: int
    modified: datetime
    """When it was written; it has a time zone."""
    version: str | None
    """The version that `get` returns; None if the listing does not contain it."""


class Details(NamedTuple):
    """The properties of a name, and the beginning of its data."""

    name: str
    size_bytes: int
    modified: datetime
    """When it was written; it has a time zone."""
    version: str | None
    """The version that `get` returns. A store that supports no `if_version` may leave it None, if
    only reading all of the data would show it."""
    head: bytes
    """The first bytes of the data, at most as many as were asked for."""
    content_type: str | None = None
    """The media type that the store keeps with the data, if it keeps one."""
    metadata: Mapping[str, str] = {}
    """Other properties that the store keeps with the data, by name."""


class Capabilities(NamedTuple):
    """Differences between stores; in the best case all are true."""

    conditional_put: bool
    """Whether the store supports a `put` with `if_version`, and with `if_absent`, atomically."""
    conditional_delete: bool
    """Whether the store supports a `delete` with `if_version`, atomically."""
    delete_reports: bool
    """Whether `delete` reports whether the name existed, without another request."""
    copies: bool = False
    """Whether the store copies by itself, so that `copy` does not transfer the data."""
    if_absent_only: bool = False
    """Whether a store without `conditional_put` supports a `put` with `if_absent`, atomically."""
    lists_from_key: bool = False
    """Whether a listing with `start_after` costs as many requests as the names that it yields."""

    @property
    def conditional_create(self) -> bool:
        """Whether the store supports a `put` with `if_absent`, atomically."""
        return self.conditional_put or self.if_absent_only


class Provider(ABC):
    """Stores bytes under names in one place of a store. All methods are safe in many threads.

    A name is any text that UTF-8 can encode. If the store cannot hold a name, reading treats it as
    absent, and writing raises `KeyNotStorableError`. Only `get` raises `KeyNotFoundError`, and only
    if the store says that the name is absent. A refusal, throttling, a time-out or a missing store
    raises `AuthError`, `StorageError` or `DBDoesNotExistsError`, chained to the client's error. A
    `put` is atomic: a reader sees the old value or the new one.
    """

    options: ClassVar[tuple[Option[Any], ...]] = ()
    """The options that `from_config` reads; a configuration with any other option is refused."""
    capabilities: Capabilities
    can_be_reopened: bool = True
    """Whether another process with the same configuration reads the same values."""
    is_shared: bool = True
    """Whether others may have written the values that a shelf reads."""
    read_only_error: type[ReadOnlyError] = ReadOnlyError
    """The class of the error for a write to a shelf that was opened with flag `r`."""
    like_shelve: bool = False
    """Whether shelves behave like `shelve` in every respect: they contain bare pickles, raise the
    errors of unpickling, and write back when they are garbage-collected."""
    content_type: str | None = None
    """The media type of all data, if known; a shelf sets it before the first request. Providers
    whose store keeps the type of an object, such as S3, send it with each `put`."""
    expiry_of: Callable[[bytes], float | None] | None = None
    """Returns when data expires, by its beginning, in seconds since 1970; None if never. A shelf
    whose values may expire sets it before the first request."""

    def __init__(self, *, concurrency: int = DEFAULT_CONCURRENCY) -> None:
        self.concurrency = concurrency
        """The number of requests that may be in flight at the same time."""
        self.stats = Stats()

    @classmethod
    @abstractmethod
    def from_config(cls, config: Sections) -> Self:
        """Return a provider with the options in a configuration, without sending anything.

        Raises `ConfigurationError` for an option that is missing or wrong.
        """

    @classmethod
    def check_flag(cls, flag: str) -> None:
        """Raise `ConfigurationError` if `flag` is not one of `open`'s flags."""
        if not isinstance(flag, str) or flag not in FLAGS:
            meanings = "; ".join(f"{letter}: {meaning}" for letter, meaning in FLAGS.items())
            raise ConfigurationError(f"flag: there is no flag {flag!r}. There are {meanings}.")

    @property
    @abstractmethod
    def location(self) -> str:
        """The place of the shelf, as shown in messages; it never contains a secret."""

    @abstractmethod
    def exists(self) -> bool:
        """Return whether the place of the shelf, such as its bucket or folder, exists."""

    @abstractmethod
    def create(self) -> None:
        """Create the place of the shelf; do nothing if it exists already.

        Raises `CanNotCreateDBError` if the store does not allow that.
        """

    def prepare(self, flag: str) -> None:
        """Check, create or empty the place of the shelf, as a flag of `open` demands.

        This needs as few requests as possible. Raises `DBDoesNotExistsError` if the place does not
        exist, and the flag does not create it.
        """
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

    def expires_at(self, name: str) -> float | None:
        """Return when a name expires, in seconds since 1970: `math.inf` if never, None if absent.

        Uses `expiry_of`. Sends one request, which need not read all of the data; the default does.
        """
        try:
            return self.expiry_in(self.get(name).data)
        except KeyNotFoundError:
            return None

    def expiry_in(self, data: bytes) -> float:
        """Return when data expires, of which the beginning suffices; `math.inf` if never."""
        found = None if self.expiry_of is None else self.expiry_of(data)
        return math.inf if found is None else found

    def sync(self) -> None:  # noqa: B027  # only some have anything to do
        """Write what the client has buffered; most clients buffer nothing."""

    @abstractmethod
    def close(self) -> None:
        """Close connections and files; a second call does nothing."""

    @abstractmethod
    def get(self, name: str) -> Item:
        """Return the data of a name and its version; raise `KeyNotFoundError` if it is absent."""

    def get_latest(self, name: str) -> Item:
        """Return what `get` does, but always ask the store, even if a cache is in between.

        The shelf reads by this whatever decides about a write.
        """
        return self.get(name)

    def get_if_changed(self, name: str, version: str) -> Item | None:
        """Return the item of a name, or None if it still has this version; a cache asks so.

        Raises `KeyNotFoundError`. The default reads all of the data and saves nothing. Override it
        if the store can compare the versions itself.
        """
        item = self.get(name)
        return None if item.version == version else item

    def get_many_if_changed(
        self, versions: Iterable[tuple[str, str | None]]
    ) -> Generator[tuple[str, Item | None]]:
        """Yield each name with its item, in order, as `get_many` does, for a cache.

        Each name comes with the version that the cache has, or None if it has none. An item that
        still has this version may come without its data.
        """

        def read(asked: tuple[str, str | None]) -> Item | None:
            name, version = asked
            try:
                if version is None:
                    return self.get(name)
                return self.get_if_changed(name, version) or Item(b"", version)
            except KeyNotFoundError:
                return None

        for (name, _), item in map_in_order(read, versions, self.concurrency):
            yield name, item

    def who_asks(self) -> str | None:
        """Return a text that names the place and whoever reads it, without any secret; or None.

        A cache shows what it has read only to those with the same text. Two users with different
        permissions must have different texts, and no request may be necessary to know it. By
        default it is not known, and the cache takes the whole configuration for it.
        """
        return None

    def inspect(self, name: str, head_bytes: int = 64) -> Details:
        """Return the size, time and version of a name, and the beginning of its data.

        Raises `KeyNotFoundError`. The default reads all of the data and lists the name. Override it
        if the store can do this by one request that does not read the rest.
        """
        item = self.get(name)
        entry = next((entry for entry in self.entries(name) if entry.name == name), None)
        if entry is None:
            raise KeyNotFoundError(name)
        return Details(name, len(item.data), entry.modified, item.version, item.data[:head_bytes])

    @abstractmethod
    def contains(self, name: str) -> bool:
        """Return whether a name exists, without reading its data."""

    @abstractmethod
    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        """Store data under a name, and return the new version.

        With `if_absent`, store it only if the name is absent; with `if_version`, only if the name
        still has that version. The store decides that atomically, not a look beforehand. Raises
        `ConflictError` if the condition does not hold, `OutcomeUnknownError` if the response was
        lost and the outcome cannot be determined, and `ConditionsNotSupportedError`, with nothing
        stored, if the store does not support the condition.
        """

    @abstractmethod
    def delete(self, name: str, *, if_version: str | None = None) -> bool | None:
        """Delete a name, and return whether it existed; None if the store does not report that.

        With `if_version`, delete the name only if it still has that version. Otherwise raise
        `ConflictError`; an absent name may return False instead. Raises the other errors of `put`.
        """

    @abstractmethod
    def entries(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[Entry]:
        """Yield the entry of each name that begins with `prefix`, lazily, in the store's order.

        With `start_after`, which need not exist, yield only the entries of names after it, in the
        order of their UTF-8 bytes, whatever the store's order is.

        Names that are deleted during the listing may or may not be in it. Names that stay are in it
        exactly once, whatever else is written or deleted meanwhile.
        """

    def names(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[str]:
        """Yield only the names of `entries`."""
        for entry in self.entries(prefix, start_after=start_after, limit=limit):
            yield entry.name

    def upload(self, name: str, source: Source) -> str:
        """Store the contents of a file, as `put` does, and return the new version.

        The default holds all of the data in memory. Raises the errors of reading the file, and
        `UnsupportedOperationError` if the store needs the length and the source does not know it.
        """
        data = b"".join(source.pieces())
        version = self.put(name, data)
        source.moved(len(data))
        return version

    def download(self, name: str, target: Target) -> None:
        """Write the data of a name to a file, all of one version, or raise `KeyNotFoundError`.

        The default holds all of the data in memory. Raises the errors of writing the file. After
        these, or if the store fails in the middle, a part of the data has been written.
        """
        data = self.get(name).data
        target.begun(len(data))
        target.write(data)

    def shares_store(self, other: Provider) -> bool:
        """Return whether another provider uses the same store, so that this one can copy from it.

        If so, equal locations mean the same place.
        """
        return type(other) is type(self)

    def copy(
        self,
        source: str,
        target: str,
        *,
        if_version: str | None = None,
        origin: Provider | None = None,
    ) -> None:
        """Store the data of `source` under `target` too, as atomically as `put` does.

        The source is in `origin`, a provider that shares the store; by default, in this one. Raises
        `KeyNotFoundError`, and `ConflictError` if the source no longer has the version
        `if_version`. The default reads and writes; a store that copies by itself also copies the
        other properties that it keeps with the data.
        """
        item = (origin or self).get(source)
        if if_version is not None and item.version != if_version:
            raise ConflictError(f"{source!r} in {self.location} was changed since it was read")
        self.put(target, item.data)

    def presigned_url(self, name: str, expires_seconds: float) -> str:
        """Return a link with which anyone can read the data of a name until the link expires.

        Sends nothing, and does not check whether the name exists. Raises
        `UnsupportedOperationError` if the store has no such links.
        """
        raise UnsupportedOperationError(f"{self.location}: this store has no links to its values")

    def get_many(self, names: Iterable[str]) -> Iterator[tuple[str, Item | None]]:
        """Yield each name with its item, in the order of the names; None for an absent name.

        Raises the first failure. Calls `get` for each name, at most `concurrency` calls at a time.
        After the iterator is closed, no more calls start.
        """
        return get_each(self, names)

    def put_many(self, items: Iterable[tuple[str, bytes]]) -> Generator[Outcome]:
        """Store items while the caller iterates over the outcomes; continue after a failure.

        If a name occurs twice, the last value stays. After a failure that is `about_shelf`, no more
        requests begin (otherwise, each name would wait for a server that is down), but the outcomes
        of requests in flight are still yielded.
        """
        return put_each(self, items)

    def delete_many(self, names: Iterable[str]) -> Generator[Outcome]:
        """Delete names while the caller iterates over the outcomes; an absent name is no failure.

        Ends early in the same cases as `put_many`.
        """
        return delete_each(self, names)

    def on_event_loop(self) -> OnEventLoop | None:
        """Return an object that sends requests natively for coroutines of the running event loop.

        None, the default, lets shelves for asyncio call the methods of this class in threads.
        """
        return None

    def purge(self) -> Generator[Outcome]:
        """Delete all names of the shelf, and nothing else, while the caller iterates over outcomes.

        Ends early in the same cases as `put_many`.
        """
        return self.guard_purge(self.delete_many(self.names()))

    def guard_purge(self, deleting: Generator[Outcome]) -> Generator[Outcome]:
        """Yield the outcomes of `purge`, which begins when they are asked for; refuse or log it.

        Wrappers pass this on to the provider inside, however they delete.
        """
        return deleting
