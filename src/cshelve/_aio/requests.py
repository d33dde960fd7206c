"""Call the methods of `Values` that send requests: natively, or in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from cshelve._shelf.atomic import Atomic
from cshelve._values.values import Fetched, Values
from cshelve.exceptions import KeyNotFoundError

if TYPE_CHECKING:
    from cshelve._aio.threads import Threads
    from cshelve.codec import Decoded
    from cshelve.providers.base import Item
    from cshelve.providers.on_event_loop import OnEventLoop

__all__ = ["AsyncAtomic", "Requests"]

P = ParamSpec("P")
R = TypeVar("R")


class Requests:
    """Calls the methods of `Values` for coroutines, by the provider's native requests if it can."""

    def __init__(self, native: OnEventLoop | None, threads: Threads) -> None:
        self.native = native
        self.threads = threads
        self._is_over = False

    async def on(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a method of `Values`, and return its result."""
        self._refuse_if_over()
        method: Any = getattr(call, "__func__", None)
        if method is Values.settle:  # It does nothing without a cache.
            return call(*args, **kwargs)
        by = None if self.native is None else NATIVELY.get(method)
        if by is not None:
            result: R = await by(self.native, call.__self__, *args, **kwargs)  # type: ignore[attr-defined]  # a bound method
            return result
        return await self.threads.run(partial(call, *args, **kwargs), is_read=method in READS)

    async def fetch(self, values: Values, key: str) -> Item | None:
        """Return the item of a key; None if the key is absent."""
        self._refuse_if_over()
        name = values.name(key)
        if self.native is not None:
            return await self.native.get(name)
        return await self.threads.run(partial(_item, values, name), is_read=True)

    async def end(self) -> None:
        """Refuse requests from now on, wait for the native ones, and close their connections."""
        self._is_over = True
        if self.native is not None:
            await self.native.close()

    def _refuse_if_over(self) -> None:
        if self._is_over:  # Operations of several requests may have begun before.
            raise ValueError("invalid operation on closed shelf")


class AsyncAtomic(Atomic):
    """Operations on one key for the tasks of one event loop, which take turns at a key."""

    def __init__(self, atomic: Atomic, requests: Requests) -> None:
        super().__init__(atomic.timeout_seconds, atomic.logger)
        self._requests = requests
        self._queues: dict[str, _Queue] = {}

    async def _on(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._requests.on(call, *args, **kwargs)

    async def _result_of(self, function: Callable[[Any], Any], value: Any) -> Any:
        result = function(value)
        return await result if isawaitable(result) else result

    async def _pause(self, seconds: float) -> None:
        if seconds:
            await asyncio.sleep(seconds)

    async def _acquire(self, name: str) -> bool:
        queue = self._queues.setdefault(name, _Queue())
        queue.users += 1
        acquired = False
        try:
            async with asyncio.timeout(self.timeout_seconds):
                acquired = await queue.lock.acquire()
        except TimeoutError:
            return False
        finally:
            if not acquired:
                self._leave(name, queue)
        return True

    def _release(self, name: str) -> None:
        queue = self._queues[name]
        queue.lock.release()
        self._leave(name, queue)

    def _leave(self, name: str, queue: _Queue) -> None:
        queue.users -= 1
        if not queue.users:
            del self._queues[name]


class _Queue:
    """The lock of a name, and the number of tasks that hold it or wait for it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


def _item(values: Values, name: str) -> Item | None:
    try:
        return values.provider.get(name)
    except KeyNotFoundError:
        return None


async def _read_record(native: OnEventLoop, values: Values, key: str) -> tuple[Decoded, str]:
    item = await native.get(values.name(key))
    decoded = values.decode_fetched(Fetched(key, item))
    assert item is not None
    return decoded, item.version


async def _read_versioned(native: OnEventLoop, values: Values, key: str) -> tuple[Any, str]:
    decoded, version = await _read_record(native, values, key)
    return values.loads(key, decoded), version


async def _read(native: OnEventLoop, values: Values, key: str) -> Any:
    return values.load(Fetched(key, await native.get(values.name(key))))


async def _contains(native: OnEventLoop, values: Values, key: str) -> bool:
    return values.is_there(await native.expires_at(values.name(key)))


async def _write(
    native: OnEventLoop,
    values: Values,
    key: str,
    value: Any,
    *,
    if_absent: bool = False,
    if_version: str | None = None,
    expires_at: float | None = None,
) -> str:
    record = values.new_record(key, value, expires_at)
    return await native.put(values.name(key), record, if_absent=if_absent, if_version=if_version)


async def _remove(
    native: OnEventLoop, values: Values, key: str, *, if_version: str | None = None
) -> bool:
    values.refuse_if_read_only("delete", key)
    return await native.delete(values.name(key), if_version=if_version) is not False


async def _delete(native: OnEventLoop, values: Values, key: str) -> None:
    values.refuse_if_read_only("delete", key)
    if not await _contains(native, values, key) or not await _remove(native, values, key):
        raise KeyNotFoundError(key)


# The methods of `Values` that differ only in how they wait. A subclass that overrides one, such as
# that of local shelves, is called in threads.
NATIVELY: dict[Any, Callable[..., Awaitable[Any]]] = {
    Values.read: _read,
    # A provider with native requests has no cache.
    Values.read_latest: _read,
    Values.read_record: _read_record,
    Values.read_versioned: _read_versioned,
    Values.contains: _contains,
    Values.write: _write,
    Values.remove: _remove,
    Values.delete: _delete,
}
READS = frozenset(
    {
        Values.read,
        Values.read_latest,
        Values.read_record,
        Values.read_versioned,
        Values.contains,
        Values.expired_version,
    }
)
