"""The shelf for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, overload

from cshelve._aio.progress import Stoppable
from cshelve._aio.reading import Given, Keys, Pairs, Seconds
from cshelve._aio.requests import AsyncAtomic, Requests
from cshelve._aio.threads import Batches, Threads
from cshelve._concurrency.outcomes import Outcomes, ProgressOption, length_of
from cshelve._shelf.atomic import REQUIRED
from cshelve._shelf.read_many import Loading, checked_on_error
from cshelve._shelf.shelf import Deletion, checked_version, many, to_read
from cshelve._values.expiry import expires_in
from cshelve._values.values import checked_key
from cshelve.exceptions import ConflictError, KeyNotFoundError

if TYPE_CHECKING:
    import logging

    from typing_extensions import TypeVar

    from cshelve._shelf.looking import Info
    from cshelve._shelf.read_many import OnError
    from cshelve._shelf.shelf import CloudShelf
    from cshelve._values.values import Values
    from cshelve.exceptions import RecordError
    from cshelve.providers.base import Stats

    V = TypeVar("V", default=Any)
else:
    from typing import TypeVar  # It supports defaults only from Python 3.13 on.

    V = TypeVar("V")

__all__ = ["AsyncShelf"]

T = TypeVar("T")


class AsyncShelf(Generic[V]):
    """A shelf whose methods are awaited; `cshelve.aopen` opens it.

    Each method does what the method of `cshelve.Shelf` with its name does, by the same requests,
    and raises the same errors. Only one event loop may use it, with any number of tasks.

    Cancelling a task cancels its request. A write that was cancelled has been done as a whole or
    not at all; if its request had been sent completely, the server may still carry it out a moment
    later.
    """

    def __init__(
        self,
        shelf: CloudShelf[V],
        requests: Requests,
        atomic: AsyncAtomic,
        parent: AsyncShelf[V] | None = None,
    ) -> None:
        self._shelf = shelf
        self._requests = requests
        self._atomic = atomic
        self._parent = parent
        self._closing: asyncio.Future[None] | None = None

    @classmethod
    def over(cls, shelf: CloudShelf[V]) -> AsyncShelf[V]:
        """Return a shelf for the running event loop that closes an open shelf with itself."""
        provider = shelf.provider
        requests = Requests(provider.on_event_loop(), Threads(provider.concurrency))
        return cls(shelf, requests, AsyncAtomic(shelf._atomic, requests))

    def __repr__(self) -> str:
        return repr(self._shelf).replace("CloudShelf", "AsyncShelf")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def stats(self) -> Stats:
        """The requests and bytes of the shelf since it was opened; prefix views share them."""
        return self._shelf.stats

    @overload
    async def get(self, key: str) -> V: ...
    @overload
    async def get(self, key: str, default: None) -> V | None: ...
    @overload
    async def get(self, key: str, default: V) -> V: ...
    @overload
    async def get(self, key: str, default: T) -> V | T: ...
    async def get(self, key: str, default: Any = REQUIRED) -> Any:
        """Return the value of a key, by one request.

        If the key is missing, return the default, or raise `KeyNotFoundError`, a `KeyError`,
        without one.
        """
        values = self._values
        try:
            return await self._requests.on(values.read, to_read(key))
        except KeyNotFoundError:
            if default is REQUIRED:
                raise
            return default

    async def set(self, key: str, value: V, *, expire_after_seconds: float | None = None) -> None:
        """Store a value atomically, by one request.

        With `expire_after_seconds`, it expires after this time, and otherwise as configured.
        """
        values, expires_at = self._values, None
        if expire_after_seconds is not None:
            expires_at = expires_in(expire_after_seconds)
            values.refuse_expiry(expires_at)
        await self._requests.on(values.write, checked_key(key), value, expires_at=expires_at)

    async def delete(self, key: str, version: str | None = None) -> None:
        """Delete a key, or raise `KeyNotFoundError`; this sends two requests.

        With a version, which `get_versioned` returned, delete the key only if it still has this
        version, by one request. Otherwise raise `ConflictError`.
        """
        values = self._values
        if version is None:
            await self._requests.on(values.delete, to_read(key))
            return
        key, version = checked_key(key), checked_version(version)
        if not await self._requests.on(values.remove, key, if_version=version):
            raise ConflictError(f"{key!r} in {values.location} was deleted since it was read")

    async def contains(self, key: str) -> bool:
        """Return whether a key exists and has not expired, by one request without the value."""
        values = self._values
        try:
            return await self._requests.on(values.contains, to_read(key))
        except KeyNotFoundError:
            return False

    @overload
    async def pop(self, key: str) -> V: ...
    @overload
    async def pop(self, key: str, default: V) -> V: ...
    @overload
    async def pop(self, key: str, default: T) -> V | T: ...
    async def pop(self, key: str, default: Any = REQUIRED) -> Any:
        """Delete a key and return its value; if several callers do this, only one gets the value.

        If the key is missing, return the default, or raise `KeyNotFoundError` without one. If the
        task is cancelled, the value may be deleted, although nobody got it.
        """
        try:
            return await self._atomic.pop(self._values, to_read(key))
        except KeyNotFoundError:
            if default is REQUIRED:
                raise
            return default

    @overload
    async def setdefault(
        self: AsyncShelf[T | None], key: str, default: None = None
    ) -> T | None: ...
    @overload
    async def setdefault(self, key: str, default: V) -> V: ...
    async def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of a key; if the key is missing, store the default and return it."""
        return await self._atomic.setdefault(self._values, checked_key(key), default)

    @overload
    async def modify(
        self, key: str, function: Callable[[V], Awaitable[V | Deletion] | V | Deletion]
    ) -> V: ...
    @overload
    async def modify(
        self,
        key: str,
        function: Callable[[V | T], Awaitable[V | Deletion] | V | Deletion],
        default: T,
    ) -> V: ...
    async def modify(
        self, key: str, function: Callable[[Any], Any], default: Any = REQUIRED
    ) -> Any:
        """Replace a value by the result of a function, atomically, and return the new value.

        The function may be a coroutine function. It runs on the event loop, and again if another
        writer was faster. The tasks that modify the same key take turns.

            await db.modify("visits", lambda count: count + 1, default=0)
        """
        return await self._atomic.modify(self._values, checked_key(key), function, default)

    async def get_versioned(self, key: str) -> tuple[V, str]:
        """Return the value of a key and its version, for `replace` and `delete`, by one request."""
        values = self._values
        return await self._requests.on(values.read_versioned, to_read(key))

    async def replace(self, key: str, value: V, version: str | None) -> str:
        """Store a value if the key still has this version, and return the new version.

        If `version` is None, store it only if the key is missing. Raises `ConflictError` if another
        writer was faster.
        """
        values, key = self._values, checked_key(key)
        if version is None:
            return await self._atomic.put_new(values, key, value)
        version = checked_version(version)
        return await self._requests.on(values.write, key, value, if_version=version)

    async def info(self, key: str) -> Info:
        """Return what is known of a key without reading its value, or raise `KeyNotFoundError`."""
        return await self._called(partial(self._shelf.info, key), is_read=True)

    def keys(self, *, start_after: str | None = None) -> AsyncIterator[str]:
        """Return an iterator over the keys, after another one if `start_after` is given."""
        self._refuse_if_closed()
        after = None if start_after is None else checked_key(start_after)
        return Keys(self._listing(after), self._refuse_if_closed)

    def __aiter__(self) -> AsyncIterator[str]:
        return self.keys()

    @overload
    def items(
        self, *, on_error: Literal["raise", "skip"] = "raise"
    ) -> AsyncIterator[tuple[str, V]]: ...
    @overload
    def items(self, *, on_error: OnError) -> AsyncIterator[tuple[str, V | RecordError]]: ...
    def items(self, *, on_error: OnError = "raise") -> AsyncIterator[tuple[str, Any]]:
        """Return an iterator over the pairs; it lists the keys, and reads many at the same time.

        async for name, user in db.items():
            print(name, user)
        """
        return self._pairs(None, None, on_error)

    @overload
    def values(self, *, on_error: Literal["raise", "skip"] = "raise") -> AsyncIterator[V]: ...
    @overload
    def values(self, *, on_error: OnError) -> AsyncIterator[V | RecordError]: ...
    def values(self, *, on_error: OnError = "raise") -> AsyncIterator[Any]:
        """Return an iterator over the values, which works as that of `items` does."""
        return Seconds(self._pairs(None, None, on_error))

    @overload
    def get_many(
        self,
        keys: Iterable[str],
        *,
        progress: ProgressOption = None,
        on_error: Literal["raise", "skip"] = "raise",
    ) -> AsyncIterator[tuple[str, V]]: ...
    @overload
    def get_many(
        self, keys: Iterable[str], *, progress: ProgressOption = None, on_error: OnError
    ) -> AsyncIterator[tuple[str, V | RecordError]]: ...
    def get_many(
        self,
        keys: Iterable[str],
        *,
        progress: ProgressOption = None,
        on_error: OnError = "raise",
    ) -> AsyncIterator[tuple[str, Any]]:
        """Read many keys at the same time; return an iterator over pairs in the order of the keys.

        Missing keys are left out.

            async for name, user in db.get_many(["ada", "grace"]):
                print(name, user)
        """
        return self._pairs(many(keys, "keys"), progress, on_error)

    async def set_many(
        self,
        items: Mapping[str, V] | Iterable[tuple[str, V]],
        *,
        progress: ProgressOption = None,
    ) -> None:
        """Store many pairs, each atomically and by one request, many at the same time.

        A thread takes them from `items`, and calls `progress`. If the task is cancelled, no more
        requests begin, and those in flight end first.
        """
        await self._stoppable("written", progress, partial(self._shelf.set_many, items))

    async def delete_many(self, keys: Iterable[str], *, progress: ProgressOption = None) -> None:
        """Delete many keys; missing keys are no failure. Cancelling is as with `set_many`."""
        await self._stoppable("deleted", progress, partial(self._shelf.delete_many, keys))

    async def clear(self, *, progress: ProgressOption = None) -> None:
        """Delete all keys without reading values. Cancelling is as with `set_many`."""
        await self._stoppable("deleted", progress, self._shelf.clear)

    async def sync(self) -> None:
        """Write what the store's client has buffered; most clients buffer nothing."""
        await self._called(self._shelf.sync)

    def prefix(self, prefix: str) -> AsyncShelf[V]:
        """Return a shelf that is a view of the keys with a prefix; its keys omit the prefix.

        Closing the view does not close this shelf; closing this shelf also closes the view.
        """
        return AsyncShelf(self._shelf.prefix(prefix), self._requests, self._atomic, self)

    async def close(self) -> None:
        """Wait for what is in flight, and close the connections; a second call does nothing."""
        if self._parent is not None:
            self._shelf.close()
            return
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        # Even if the task that closes is cancelled, nothing is left open.
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        provider = self._shelf.provider
        try:
            await self._requests.end()
            await self._requests.threads.run(self._shelf.close)
        finally:
            provider.close()
            await self._requests.threads.close()

    @property
    def _values(self) -> Values:
        self._refuse_if_closed()
        return self._shelf._values

    def _refuse_if_closed(self) -> None:
        root = self
        while root._parent is not None:
            root = root._parent
        if root._closing is not None:
            raise ValueError("invalid operation on closed shelf")
        self._shelf._refuse_if_closed()

    def _listing(self, after: str | None = None) -> Batches[str]:
        values = self._values
        return Batches(iter(values.list_keys(start_after=after)), self._requests.threads)

    def _pairs(
        self, keys: Iterable[str] | None, progress: ProgressOption, on_error: OnError
    ) -> Pairs:
        values = self._values

        def logger() -> logging.Logger:
            return self._shelf.cache.logger

        total = None if keys is None else length_of(keys)
        outcomes = Outcomes("read", total=total, progress=progress)
        source = self._listing() if keys is None else Given(keys, values.provider.concurrency)
        loading = Loading(values, logger, checked_on_error(on_error))
        return Pairs(loading, self._requests, source, outcomes, self._refuse_if_closed)

    async def _called(self, call: Callable[[], T], *, is_read: bool = False) -> T:
        """Call a method of the shelf in a thread."""
        self._refuse_if_closed()
        return await self._requests.threads.run(call, is_read=is_read)

    async def _stoppable(
        self, done: str, progress: ProgressOption, operation: Callable[..., None]
    ) -> None:
        self._refuse_if_closed()
        stoppable = Stoppable(progress, done)
        run = partial(stoppable.run, operation)
        await self._requests.threads.run(run, stop=stoppable.stop)
