"""Providers to put between a shelf and its store: one counts, one fails, one is slow."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from cshelve._open import open_provider
from cshelve.providers.base import Entry, Item, Outcome, Provider
from cshelve.providers.bulk import delete_each, get_each, put_each
from cshelve.providers.wrapper import Wrapper

if TYPE_CHECKING:
    from collections.abc import Callable

    from cshelve._shelf.shelf import CloudShelf

__all__ = ["Call", "CountingProvider", "FailingProvider", "SlowProvider", "shelf_over"]

T = TypeVar("T")


def shelf_over(provider: Provider, flag: str = "c", *, writeback: bool = False) -> CloudShelf:
    """Open a shelf of pickles over a provider: a short form of `cshelve.open_provider`."""
    return open_provider(provider, flag, writeback=writeback)


@dataclass
class Call:
    """A call that reached the store: the provider's method, and the names it was about."""

    method: str
    names: list[str] = field(default_factory=list)
    """Of a bulk operation, the names taken from its source so far; of a listing, none."""


class CountingProvider(Wrapper):
    """Write down in `calls` what is asked of the inner provider; a bulk operation is one call."""

    def __init__(self, inner: Provider) -> None:
        super().__init__(inner)
        self.calls: list[Call] = []

    @property
    def counts(self) -> Counter[str]:
        """How many calls there were of each method."""
        return Counter(call.method for call in self.calls)

    def reset(self) -> None:
        """Forget the calls so far, say those of preparing a test."""
        self.calls.clear()

    def exists(self) -> bool:
        self._note("exists")
        return super().exists()

    def create(self) -> None:
        self._note("create")
        super().create()

    def close(self) -> None:
        self._note("close")
        super().close()

    def get(self, name: str) -> Item:
        self._note("get", name)
        return super().get(name)

    def contains(self, name: str) -> bool:
        self._note("contains", name)
        return super().contains(name)

    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        self._note("put", name)
        return super().put(name, data, if_absent=if_absent, if_version=if_version)

    def delete(self, name: str, *, if_version: str | None = None) -> bool | None:
        self._note("delete", name)
        return super().delete(name, if_version=if_version)

    def entries(self, prefix: str = "", *, limit: int | None = None) -> Iterator[Entry]:
        self._note("entries")
        return super().entries(prefix, limit=limit)

    def names(self, prefix: str = "", *, limit: int | None = None) -> Iterator[str]:
        self._note("names")
        return super().names(prefix, limit=limit)

    def get_many(self, names: Iterable[str]) -> Iterator[tuple[str, Item | None]]:
        return self.inner.get_many(_noted(self._note("get_many"), names, str))

    def put_many(self, items: Iterable[tuple[str, bytes]]) -> Generator[Outcome]:
        call = self._note("put_many")
        yield from self.inner.put_many(_noted(call, items, lambda item: item[0]))

    def delete_many(self, names: Iterable[str]) -> Generator[Outcome]:
        yield from self.inner.delete_many(_noted(self._note("delete_many"), names, str))

    def purge(self) -> Generator[Outcome]:
        self._note("purge")
        yield from self.inner.purge()

    def _note(self, method: str, *names: str) -> Call:
        call = Call(method, list(names))
        self.calls.append(call)
        return call


def _noted(call: Call, items: Iterable[T], name_of: Callable[[T], str]) -> Iterator[T]:
    for item in items:
        call.names.append(name_of(item))
        yield item


@dataclass
class _Plan:
    """One failure to come: which calls it is for, and which of them are still to be let through."""

    method: str
    error: Exception | type[Exception]
    name: str | None
    left: int | None
    to_let_through: int
    before: bool

    def strikes(self, method: str, name: str | None, before: bool) -> bool:
        if (method, before) != (self.method, self.before) or self.name not in (None, name):
            return False
        if self.left == 0:
            return False
        if self.to_let_through:
            self.to_let_through -= 1
            return False
        if self.left is not None:
            self.left -= 1
        return True


class FailingProvider(Wrapper):
    """Fail as planned with `fail`, and do what the inner provider does otherwise.

    Bulk operations are made of single ones here, so a plan for `put` also hits a `put_many`, and
    one for `names` or `delete` a `purge`.
    """

    def __init__(self, inner: Provider) -> None:
        super().__init__(inner)
        self._plans: list[_Plan] = []
        self._lock = threading.Lock()

    def fail(
        self,
        method: str,
        error: Exception | type[Exception],
        *,
        name: str | None = None,
        times: int | None = 1,
        after: int = 0,
        before: bool = True,
    ) -> None:
        """Raise this error in the next calls of a method: `times` of them, None for all.

        Only calls about `name` count, if it is given, and the first `after` of those go through.
        Without `before`, the inner provider acts first and only its answer is lost.
        """
        if not callable(getattr(Provider, method, None)):
            raise ValueError(f"a provider has no method {method!r}")
        with self._lock:
            self._plans.append(_Plan(method, error, name, times, after, before))

    def exists(self) -> bool:
        return self._around("exists", None, super().exists)

    def create(self) -> None:
        self._around("create", None, super().create)

    def close(self) -> None:
        self._around("close", None, super().close)

    def get(self, name: str) -> Item:
        return self._around("get", name, lambda: self.inner.get(name))

    def contains(self, name: str) -> bool:
        return self._around("contains", name, lambda: self.inner.contains(name))

    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        return self._around(
            "put",
            name,
            lambda: self.inner.put(name, data, if_absent=if_absent, if_version=if_version),
        )

    def delete(self, name: str, *, if_version: str | None = None) -> bool | None:
        return self._around("delete", name, lambda: self.inner.delete(name, if_version=if_version))

    def entries(self, prefix: str = "", *, limit: int | None = None) -> Iterator[Entry]:
        self._strike("entries", None, before=True)
        yield from super().entries(prefix, limit=limit)
        self._strike("entries", None, before=False)

    def names(self, prefix: str = "", *, limit: int | None = None) -> Iterator[str]:
        self._strike("names", None, before=True)
        yield from super().names(prefix, limit=limit)
        self._strike("names", None, before=False)

    def get_many(self, names: Iterable[str]) -> Iterator[tuple[str, Item | None]]:
        self._strike("get_many", None, before=True)
        yield from get_each(self, names)
        self._strike("get_many", None, before=False)

    def put_many(self, items: Iterable[tuple[str, bytes]]) -> Generator[Outcome]:
        yield from self._around_many("put_many", put_each(self, items))

    def delete_many(self, names: Iterable[str]) -> Generator[Outcome]:
        yield from self._around_many("delete_many", delete_each(self, names))

    def purge(self) -> Generator[Outcome]:
        yield from self._around_many("purge", delete_each(self, self.names()))

    def _around_many(self, method: str, outcomes: Generator[Outcome]) -> Generator[Outcome]:
        self._strike(method, None, before=True)
        yield from outcomes
        self._strike(method, None, before=False)

    def _around(self, method: str, name: str | None, act: Callable[[], T]) -> T:
        self._strike(method, name, before=True)
        result = act()
        self._strike(method, name, before=False)
        return result

    def _strike(self, method: str, name: str | None, *, before: bool) -> None:
        with self._lock:
            plan = next((p for p in self._plans if p.strikes(method, name, before)), None)
        if plan is not None:
            error = plan.error
            raise error if isinstance(error, Exception) else error(f"planned: {method} of {name!r}")


class SlowProvider(Wrapper):
    """Wait before each single operation, as for a far store; bulk operations wait in parallel.

    How many wait at once in a bulk operation is `concurrency`, which is the inner provider's unless
    given: 1 for those in memory and in a folder.
    """

    def __init__(self, inner: Provider, seconds: float, *, concurrency: int | None = None) -> None:
        super().__init__(inner)
        self.seconds = seconds
        if concurrency is not None:
            self.concurrency = concurrency

    def exists(self) -> bool:
        self._wait()
        return super().exists()

    def create(self) -> None:
        self._wait()
        super().create()

    def get(self, name: str) -> Item:
        self._wait()
        return super().get(name)

    def contains(self, name: str) -> bool:
        self._wait()
        return super().contains(name)

    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        self._wait()
        return super().put(name, data, if_absent=if_absent, if_version=if_version)

    def delete(self, name: str, *, if_version: str | None = None) -> bool | None:
        self._wait()
        return super().delete(name, if_version=if_version)

    def entries(self, prefix: str = "", *, limit: int | None = None) -> Iterator[Entry]:
        self._wait()
        yield from super().entries(prefix, limit=limit)

    def names(self, prefix: str = "", *, limit: int | None = None) -> Iterator[str]:
        self._wait()
        yield from super().names(prefix, limit=limit)

    def _wait(self) -> None:
        if self.seconds:
            time.sleep(self.seconds)
