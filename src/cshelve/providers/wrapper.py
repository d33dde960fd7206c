"""A provider that wraps another one: the base class of caches, counters and the like."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, NoReturn

from cshelve.exceptions import ConfigurationError
from cshelve.providers.base import Details, Entry, Item, Provider

if TYPE_CHECKING:
    from cshelve._concurrency.outcomes import Outcome
    from cshelve._config.sections import Sections

__all__ = ["Wrapper"]


class Wrapper(Provider):
    """Passes every operation on one name to the provider `inner`; override those to change.

    Operations on many names call those on one, as in `Provider`: an overridden `put` also handles
    each item of a `put_many`. A subclass may pass `get_many`, `put_many`, `delete_many` and `purge`
    on to `inner`, which is faster, if they need no change. `copy`, `upload` and `download` call
    `get` and `put`, and `presigned_url` refuses, since a link would go round `get`; a subclass that
    leaves values as they are may pass these on too.

        class Shouting(Wrapper):
            def get(self, name: str) -> Item:
                print(f"GET {name}")
                return super().get(name)

        db = cshelve.open_provider(Shouting(Filesystem("notes")))
    """

    def __init__(self, inner: Provider) -> None:
        super().__init__(concurrency=inner.concurrency)
        self.inner = inner
        # Not the store, but this class copies, by `get` and `put`.
        self.capabilities = inner.capabilities._replace(copies=False)
        self.stats = inner.stats
        self.is_shared = inner.is_shared
        self.like_shelve = inner.like_shelve
        self.read_only_error = inner.read_only_error
        self.can_be_reopened = False  # A configuration describes `inner`, but not the wrapper.

    @classmethod
    def from_config(cls, config: Sections) -> NoReturn:
        """Raise `ConfigurationError`: a wrapper needs a provider, not a configuration."""
        raise ConfigurationError(
            f"{config.source}: {cls.__name__} wraps a provider that you made; open it with "
            "cshelve.open_provider"
        )

    @property
    def location(self) -> str:
        return self.inner.location

    @property
    def content_type(self) -> str | None:
        return self.inner.content_type

    @content_type.setter
    def content_type(self, content_type: str | None) -> None:
        self.inner.content_type = content_type

    @property
    def expiry_of(self) -> Callable[[bytes], float | None] | None:
        return self.inner.expiry_of

    @expiry_of.setter
    def expiry_of(self, expiry_of: Callable[[bytes], float | None] | None) -> None:
        self.inner.expiry_of = expiry_of

    def exists(self) -> bool:
        return self.inner.exists()

    def create(self) -> None:
        self.inner.create()

    def sync(self) -> None:
        self.inner.sync()

    def close(self) -> None:
        self.inner.close()

    def shares_store(self, other: Provider) -> bool:
        while isinstance(other, Wrapper):
            other = other.inner
        return self.inner.shares_store(other)

    def get(self, name: str) -> Item:
        return self.inner.get(name)

    def inspect(self, name: str, head_bytes: int = 64) -> Details:
        return self.inner.inspect(name, head_bytes)

    def contains(self, name: str) -> bool:
        return self.inner.contains(name)

    def expires_at(self, name: str) -> float | None:
        return self.inner.expires_at(name)

    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        return self.inner.put(name, data, if_absent=if_absent, if_version=if_version)

    def delete(self, name: str, *, if_version: str | None = None) -> bool | None:
        return self.inner.delete(name, if_version=if_version)

    def entries(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[Entry]:
        return self.inner.entries(prefix, start_after=start_after, limit=limit)

    def names(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[str]:
        return self.inner.names(prefix, start_after=start_after, limit=limit)

    def guard_purge(self, deleting: Generator[Outcome]) -> Generator[Outcome]:
        return self.inner.guard_purge(deleting)
