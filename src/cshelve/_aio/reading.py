"""Asynchronous iterators over keys and pairs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from cshelve._values.values import Fetched, checked_key
from cshelve.exceptions import KeyNotStorableError

if TYPE_CHECKING:
    from cshelve._aio.requests import Requests
    from cshelve._aio.threads import Batches
    from cshelve._concurrency.outcomes import Outcomes
    from cshelve._shelf.read_many import Loading
    from cshelve.providers.base import Item

__all__ = ["Each", "Given", "Keys", "Pairs", "Seconds"]

T = TypeVar("T")


class Each(AsyncIterator[T]):
    """An asynchronous iterator that can be closed, as an asynchronous generator can."""

    async def __anext__(self) -> T:
        raise NotImplementedError

    async def aclose(self) -> None:
        """End the iteration: cancel the requests in flight, and send no more."""


class Source(Protocol):
    """Where the keys of an iteration come from."""

    async def take(self) -> list[str]: ...
    def close(self) -> None: ...


class Given:
    """Keys that the caller has given."""

    def __init__(self, keys: Iterable[str], most: int) -> None:
        self._keys = iter(keys)
        self._most = most

    async def take(self) -> list[str]:
        return list(islice(self._keys, self._most))

    def close(self) -> None:
        pass


class Keys(Each[str]):
    """The keys that a listing yields."""

    def __init__(self, batches: Batches[str], refuse_if_closed: Callable[[], None]) -> None:
        self._batches = batches
        self._refuse_if_closed = refuse_if_closed
        self._taken: deque[str] = deque()

    async def __anext__(self) -> str:
        self._refuse_if_closed()
        if not self._taken:
            self._taken.extend(await self._batches.take())
        if not self._taken:
            raise StopAsyncIteration
        return self._taken.popleft()

    async def aclose(self) -> None:
        self._taken.clear()
        self._batches.close()

    def __del__(self) -> None:
        self._batches.close()


class Pairs(Each["tuple[str, Any]"]):
    """The pairs of keys, in order, without absent keys; many are read at the same time.

    It can continue after raising a `RecordError`. Any other failure ends the iteration.
    """

    def __init__(
        self,
        loading: Loading,
        requests: Requests,
        source: Source,
        outcomes: Outcomes,
        refuse_if_closed: Callable[[], None],
    ) -> None:
        self._loading = loading
        self._requests = requests
        self._source = source
        self._outcomes = outcomes
        self._refuse_if_closed = refuse_if_closed
        self._most = loading.values.provider.concurrency
        self._taken: deque[str] = deque()
        self._in_flight: deque[tuple[str, asyncio.Task[Item | None]]] = deque()
        self._next_keys: asyncio.Task[list[str]] | None = None
        self._is_over = False

    async def __anext__(self) -> tuple[str, Any]:
        while True:
            fetched = await self._next()
            try:
                pair = self._loading.pair(fetched)
            except BaseException as error:
                if not isinstance(error, self._loading.values.unreadable):
                    await self.aclose()
                raise
            if pair is not None:
                return pair

    async def aclose(self) -> None:
        self._stop()
        if tasks := self._tasks():
            await asyncio.wait(tasks)
        self._in_flight.clear()
        self._next_keys = None

    def __del__(self) -> None:
        # A loop that was left by `break` ends here, if its event loop still runs.
        with suppress(RuntimeError):
            self._stop()

    def _stop(self) -> None:
        self._is_over = True
        self._outcomes.close()
        self._taken.clear()
        self._source.close()
        for task in self._tasks():
            task.cancel()
            task.add_done_callback(_forget)

    def _tasks(self) -> list[asyncio.Task[Any]]:
        listing = [] if self._next_keys is None else [self._next_keys]
        return [*listing, *(task for _, task in self._in_flight)]

    async def _next(self) -> Fetched:
        try:
            self._refuse_if_closed()
            await self._fill()
            if not self._in_flight:
                raise StopAsyncIteration
            key, task = self._in_flight.popleft()
            fetched = Fetched(key, await task)
            size_bytes = 0 if fetched.item is None else len(fetched.item.data)
            self._outcomes.add_bytes(size_bytes, keys=1)
        except BaseException:
            await self.aclose()
            raise
        return fetched

    async def _fill(self) -> None:
        """Begin as many requests as may be in flight."""
        while len(self._in_flight) < self._most:
            if not self._taken and not await self._take_keys():
                return
            key = self._taken.popleft()
            try:
                fetching = self._requests.fetch(self._loading.values, checked_key(key))
            except KeyNotStorableError:
                self._outcomes.add_bytes(0, keys=1)
            else:
                self._in_flight.append((key, asyncio.ensure_future(fetching)))

    async def _take_keys(self) -> bool:
        """Read more keys, if they are there or nothing is in flight; return whether there are any.

        The next page of a listing is requested before it is needed.
        """
        if self._is_over:
            return False
        keys = await self._given_or_listed()
        if keys is None:
            return False
        self._taken.extend(keys)
        self._is_over = not keys
        return bool(keys)

    async def _given_or_listed(self) -> list[str] | None:
        if isinstance(self._source, Given):
            return await self._source.take()
        if self._next_keys is None:
            self._next_keys = asyncio.ensure_future(self._source.take())
        if self._in_flight and not self._next_keys.done():
            return None
        keys = await self._next_keys
        self._next_keys = asyncio.ensure_future(self._source.take()) if keys else None
        return keys


def _forget(task: asyncio.Task[Any]) -> None:
    """Look at the failure of a task that nobody awaits, so that asyncio does not log it."""
    if not task.cancelled():
        task.exception()


class Seconds(Each[Any]):
    """The second item of each pair."""

    def __init__(self, pairs: Pairs) -> None:
        self._pairs = pairs

    async def __anext__(self) -> Any:
        return (await self._pairs.__anext__())[1]

    async def aclose(self) -> None:
        await self._pairs.aclose()
