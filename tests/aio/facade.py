"""A shelf for asyncio that is used like a `cshelve.Shelf`: the suites of that one run over it."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, MutableMapping
from typing import Any, TypeVar

import cshelve

T = TypeVar("T")


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    if kind == "uvloop":
        import uvloop

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop
    return asyncio.new_event_loop()


def kinds_of_loops() -> list[str]:
    """Return the event loops that this environment has."""
    return ["asyncio", *(["uvloop"] if importlib.util.find_spec("uvloop") else [])]


class LoopThread:
    """An event loop that runs in a thread of its own."""

    def __init__(self, kind: str = "asyncio") -> None:
        self._loop = new_loop(kind)
        self._thread = threading.Thread(target=self._loop.run_forever, name="event loop")
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close(self) -> None:
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        left = asyncio.all_tasks(self._loop)
        self._loop.close()
        assert left == set()


class Facade(MutableMapping[str, Any]):
    """Runs each call on an event loop in another thread, and waits for it."""

    def __init__(self, loop: LoopThread, db: cshelve.AsyncShelf[Any]) -> None:
        self._loop = loop
        self.db = db

    @classmethod
    def open(cls, loop: LoopThread, *arguments: Any, **options: Any) -> Facade:
        async def opened() -> cshelve.AsyncShelf[Any]:
            return await cshelve.aopen(*arguments, **options)

        return cls(loop, loop.run(opened()))

    def __repr__(self) -> str:
        return repr(self.db)

    def __enter__(self) -> Facade:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def provider(self) -> Any:
        return self.db._shelf.provider

    @property
    def stats(self) -> Any:
        return self.db.stats

    def __getitem__(self, key: str) -> Any:
        return self._loop.run(self.db.get(key))

    def get(self, key: str, default: Any = None) -> Any:
        return self._loop.run(self.db.get(key, default))

    def __setitem__(self, key: str, value: Any) -> None:
        self._loop.run(self.db.set(key, value))

    def set(self, key: str, value: Any, **options: Any) -> None:
        self._loop.run(self.db.set(key, value, **options))

    def __delitem__(self, key: str) -> None:
        self._loop.run(self.db.delete(key))

    def delete(self, key: str, version: str) -> None:
        self._loop.run(self.db.delete(key, version))

    def __contains__(self, key: object) -> bool:
        return self._loop.run(self.db.contains(key))  # type: ignore[arg-type]  # as tests do

    def __iter__(self) -> Iterator[str]:
        return self._each(self.db.keys())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def items(self, **options: Any) -> Any:
        return self._each(self.db.items(**options))

    def values(self, **options: Any) -> Any:
        return self._each(self.db.values(**options))

    def pop(self, *arguments: Any) -> Any:
        return self._loop.run(self.db.pop(*arguments))

    def setdefault(self, *arguments: Any) -> Any:
        return self._loop.run(self.db.setdefault(*arguments))

    def modify(
        self, key: str, function: Callable[[Any], Any], *default: Any, **options: Any
    ) -> Any:
        async def in_thread(value: Any) -> Any:
            return await asyncio.to_thread(function, value)  # It may use this facade.

        return self._loop.run(self.db.modify(key, in_thread, *default, **options))

    def get_versioned(self, key: str) -> tuple[Any, str]:
        return self._loop.run(self.db.get_versioned(key))

    def replace(self, key: str, value: Any, version: str | None) -> str:
        return self._loop.run(self.db.replace(key, value, version))

    def get_many(self, keys: Iterable[str], **options: Any) -> Iterator[tuple[str, Any]]:
        return self._each(self.db.get_many(keys, **options))

    def set_many(self, items: Any, **options: Any) -> None:
        self._loop.run(self.db.set_many(items, **options))

    def update(self, other: Any = (), /, **more: Any) -> None:
        self.set_many({**dict(other), **more})

    def delete_many(self, keys: Iterable[str], **options: Any) -> None:
        self._loop.run(self.db.delete_many(keys, **options))

    def clear(self, **options: Any) -> None:
        self._loop.run(self.db.clear(**options))

    def info(self, key: str) -> cshelve.Info:
        return self._loop.run(self.db.info(key))

    def prefix(self, prefix: str) -> Facade:
        return Facade(self._loop, self.db.prefix(prefix))

    def sync(self) -> None:
        self._loop.run(self.db.sync())

    def close(self) -> None:
        self._loop.run(self.db.close())

    def _each(self, iterator: AsyncIterator[T]) -> Each[T]:
        return Each(self._loop, iterator)


class Each(Iterator[T]):
    """Takes what an asynchronous iterator yields, one by one."""

    def __init__(self, loop: LoopThread, iterator: AsyncIterator[T]) -> None:
        self._loop = loop
        self._iterator: Any = iterator

    def __next__(self) -> T:
        async def taken() -> Any:
            try:
                return await anext(self._iterator)
            except StopAsyncIteration:
                return self  # The end.

        item = self._loop.run(taken())
        if item is self:
            raise StopIteration
        return item  # type: ignore[no-any-return]

    def close(self) -> None:
        self._loop.run(self._iterator.aclose())
