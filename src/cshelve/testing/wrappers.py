"""Wrappers of a provider, for tests: one counts calls, one fails, one is slow."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from cshelve._open import open_provider
from cshelve.providers.base import Details, Entry, Item, Outcome, Provider
from cshelve.providers.bulk import delete_each, get_each, put_each
from cshelve.providers.wrapper import Wrapper

if TYPE_CHECKING:
    from collections.abc import Callable

    from cshelve._shelf.shelf import CloudShelf
    from cshelve.providers.streams import Source, Target

__all__ = ["Call", "CountingProvider", "FailingProvider", "SlowProvider", "shelf_over"]

T = TypeVar("T")


def shelf_over(provider: Provider, flag: str = "c", *, writeback: bool = False) -> CloudShelf:
    """Open a shelf of pickles over a provider, and return it; see `cshelve.open_provider`.

    Closing the shelf closes the provider. Raises the same errors as `cshelve.open`.

        with shelf_over(InMemory()) as db:
            db["greeting"] = "hello"
    """
    return open_provider(provider, flag, writeback=writeback)


@dataclass
class Call:
    """A call of a provider's method, and the names that were passed to it."""

    method: str
    names: list[str] = field(default_factory=list)
    """The names. For an operation on many, those it has taken so far; empty for a listing."""


class CountingProvider(Wrapper):
    """Records each call of the inner provider in `calls`; an operation on many names is one call.

    Safe in many threads.

        store = CountingProvider(InMemory())
        with shelf_over(store) as db:
            store.reset()
            db.update({"a": 1, "b": 2})
        assert store.calls[0] == Call("put_many", ["a", "b"])
    """

    def __init__(self, inner: Provider) -> None:
        super().__init__(inner)
        self.calls: list[Call] = []

    @property
    def counts(self) -> Counter[str]:
        """The number of calls of each method, by its name."""
        return Counter(call.method for call in self.calls)

    def reset(self) -> None:
        """Clear `calls`, for example after the preparation of a test."""
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

    def get_latest(self, name: str) -> Item:
        self._note("get", name)
        return self.inner.get_latest(name)

    def get_if_changed(self, name: str, version: str) -> Item | None:
        self._note("get_if_changed", name)
        return self.inner.get_if_changed(name, version)

    def get_many_if_changed(
        self, versions: Iterable[tuple[str, str | None]]
    ) -> Generator[tuple[str, Item | None]]:
        call = self._note("get_many_if_changed")
        return self.inner.get_many_if_changed(_noted(call, versions, lambda asked: asked[0]))

    def inspect(self, name: str, head_bytes: int = 64) -> Details:
        self._note("inspect", name)
        return super().inspect(name, head_bytes)

    def contains(self, name: str) -> bool:
        self._note("contains", name)
        return super().contains(name)

    def expires_at(self, name: str) -> float | None:
        self._note("expires_at", name)
        return super().expires_at(name)

    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        self._note("put", name)
        return super().put(name, data, if_absent=if_absent, if_version=if_version)

    def delete(self, name: str, *, if_version: str | None = None) -> bool | None:
        self._note("delete", name)
        return super().delete(name, if_version=if_version)

    def entries(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[Entry]:
        self._note("entries")
        return super().entries(prefix, start_after=start_after, limit=limit)

    def names(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[str]:
        self._note("names")
        return super().names(prefix, start_after=start_after, limit=limit)

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
    """A planned failure: the calls that it applies to, and how many of them succeed first."""

    method: str
    error: Exception | type[Exception]
    name: str | None
    left: int | None
    to_succeed: int
    before: bool

    def applies(self, method: str, name: str | None, before: bool) -> bool:
        """Return whether this call fails, and count it."""
        if (method, before) != (self.method, self.before) or self.name not in (None, name):
            return False
        if self.left == 0:
            return False
        if self.to_succeed:
            self.to_succeed -= 1
            return False
        if self.left is not None:
            self.left -= 1
        return True


# The methods that `FailingProvider` has errors for.
FAILING = frozenset(
    {"exists", "create", "sync", "close", "get", "inspect", "contains", "expires_at", "put"}
    | {"delete", "entries", "names", "upload", "download", "copy"}
    | {"get_many", "put_many", "delete_many", "purge"}
)


class FailingProvider(Wrapper):
    """Raises the errors planned with `fail`, and passes all other calls to the inner provider.

    Operations on many names call those on one name, so a plan for `put` also applies to `put_many`,
    `upload` and `copy`, and a plan for `names` or `delete` to `purge`. Safe in many threads.

        store = FailingProvider(InMemory())
        store.fail("put", cshelve.StorageError("disk full"), name="b")
        with shelf_over(store) as db:
            db.update({"a": 1, "b": 2})  # raises a BulkError for "b"
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
        """Raise an error in the next `times` calls of a method, or in all calls if `times` is None.

        With `name`, only calls for that name count; for `copy`, the source. The first
        `after` calls are passed on. With `before=False`, the inner provider is called first and
        only its result is lost, as if the connection broke after a write. Raises `ValueError` for a
        method that providers do not have, or that does not use the store.
        """
        if not callable(getattr(Provider, method, None)):
            raise ValueError(f"providers have no method {method!r}")
        if method not in FAILING:
            raise ValueError(f"{method!r} does not use the store, so it cannot fail")
        with self._lock:
            self._plans.append(_Plan(method, error, name, times, after, before))

    def exists(self) -> bool:
        return self._around("exists", None, super().exists)

    def create(self) -> None:
        self._around("create", None, super().create)

    def sync(self) -> None:
        self._around("sync", None, super().sync)

    def close(self) -> None:
        self._around("close", None, super().close)

    def get(self, name: str) -> Item:
        return self._around("get", name, lambda: self.inner.get(name))

    def inspect(self, name: str, head_bytes: int = 64) -> Details:
        return self._around("inspect", name, lambda: self.inner.inspect(name, head_bytes))

    def contains(self, name: str) -> bool:
        return self._around("contains", name, lambda: self.inner.contains(name))

    def expires_at(self, name: str) -> float | None:
        return self._around("expires_at", name, lambda: self.inner.expires_at(name))

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

    def entries(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[Entry]:
        self._raise_planned("entries", None, before=True)
        yield from super().entries(prefix, start_after=start_after, limit=limit)
        self._raise_planned("entries", None, before=False)

    def names(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[str]:
        self._raise_planned("names", None, before=True)
        yield from super().names(prefix, start_after=start_after, limit=limit)
        self._raise_planned("names", None, before=False)

    def upload(self, name: str, source: Source) -> str:
        return self._around("upload", name, partial(super().upload, name, source))

    def download(self, name: str, target: Target) -> None:
        self._around("download", name, partial(super().download, name, target))

    def copy(
        self,
        source: str,
        target: str,
        *,
        if_version: str | None = None,
        origin: Provider | None = None,
    ) -> None:
        act = partial(super().copy, source, target, if_version=if_version, origin=origin)
        self._around("copy", source, act)

    def get_many(self, names: Iterable[str]) -> Iterator[tuple[str, Item | None]]:
        self._raise_planned("get_many", None, before=True)
        yield from get_each(self, names)
        self._raise_planned("get_many", None, before=False)

    def put_many(self, items: Iterable[tuple[str, bytes]]) -> Generator[Outcome]:
        yield from self._around_many("put_many", put_each(self, items))

    def delete_many(self, names: Iterable[str]) -> Generator[Outcome]:
        yield from self._around_many("delete_many", delete_each(self, names))

    def purge(self) -> Generator[Outcome]:
        deleting = self.guard_purge(delete_each(self, self.names()))
        yield from self._around_many("purge", deleting)

    def _around_many(self, method: str, outcomes: Generator[Outcome]) -> Generator[Outcome]:
        self._raise_planned(method, None, before=True)
        yield from outcomes
        self._raise_planned(method, None, before=False)

    def _around(self, method: str, name: str | None, act: Callable[[], T]) -> T:
        self._raise_planned(method, name, before=True)
        result = act()
        self._raise_planned(method, name, before=False)
        return result

    def _raise_planned(self, method: str, name: str | None, *, before: bool) -> None:
        with self._lock:
            plan = next((p for p in self._plans if p.applies(method, name, before)), None)
        if plan is not None:
            error = plan.error
            raise error if isinstance(error, Exception) else error(f"planned: {method} of {name!r}")


class SlowProvider(Wrapper):
    """Waits `seconds` before each operation on one name and each listing, like a distant store.

    In operations on many names, at most `concurrency` calls wait in parallel. The default is the
    inner provider's `concurrency`, which is 1 in memory and in a folder.

        store = SlowProvider(InMemory(), 0.1, concurrency=8)
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

    def inspect(self, name: str, head_bytes: int = 64) -> Details:
        self._wait()
        return super().inspect(name, head_bytes)

    def contains(self, name: str) -> bool:
        self._wait()
        return super().contains(name)

    def expires_at(self, name: str) -> float | None:
        self._wait()
        return super().expires_at(name)

    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        self._wait()
        return super().put(name, data, if_absent=if_absent, if_version=if_version)

    def delete(self, name: str, *, if_version: str | None = None) -> bool | None:
        self._wait()
        return super().delete(name, if_version=if_version)

    def entries(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[Entry]:
        self._wait()
        yield from super().entries(prefix, start_after=start_after, limit=limit)

    def names(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[str]:
        self._wait()
        yield from super().names(prefix, start_after=start_after, limit=limit)

    def _wait(self) -> None:
        if self.seconds:
            time.sleep(self.seconds)
