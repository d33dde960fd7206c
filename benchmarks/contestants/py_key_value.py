"""Contestant: py-key-value's S3Store, whose methods are awaited; it stores JSON.

Many values are read and written by `asyncio.gather`, with at most as many calls at once as requests
may be in flight.
"""

from __future__ import annotations

import asyncio
import base64
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from key_value.aio.stores.s3 import S3Store

from benchmarks.contestants.turns import Place, Turns, Values
from benchmarks.machine import versions

AsyncAct = Callable[[Values], Coroutine[Any, Any, object]]


def main() -> None:
    # It warns that it may still change.
    warnings.filterwarnings("ignore", message=".*unstable", category=UserWarning)
    turns = Turns()
    with asyncio.Runner() as runner:
        resources = AsyncExitStack()
        store = runner.run(opened(turns.place, resources))
        acts = store_acts(store, turns.place.concurrency)
        turns.take(
            {name: blocking(runner, act) for name, act in acts.items()},
            versions("py-key-value-aio", "aiobotocore"),
        )
        runner.run(resources.aclose())


def blocking(runner: asyncio.Runner, act: AsyncAct) -> Callable[[Values], object]:
    return lambda values: runner.run(act(values))


async def opened(place: Place, resources: AsyncExitStack) -> Any:
    client = get_session().create_client(
        "s3",
        endpoint_url=place.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=place.access_key,
        aws_secret_access_key=place.secret_key,
        config=AioConfig(max_pool_connections=place.concurrency),
    )
    store = S3Store(
        client=await resources.enter_async_context(client),
        bucket_name=place.bucket,
        default_collection=place.prefix.rstrip("/"),
    )
    return await resources.enter_async_context(store)


def store_acts(store: Any, concurrency: int) -> dict[str, AsyncAct]:
    async def put(key: str, value: dict[str, Any]) -> None:
        await store.put(key, as_json(value))

    async def get(key: str) -> dict[str, Any]:
        return from_json(await store.get(key))

    async def at_once(calls: Iterable[Awaitable[Any]]) -> list[Any]:
        free = asyncio.Semaphore(concurrency)

        async def one(call: Awaitable[Any]) -> Any:
            async with free:
                return await call

        return await asyncio.gather(*map(one, calls))

    async def put_each(values: Values) -> None:
        for key, value in values.items():
            await put(key, value)

    async def get_each(values: Values) -> Values:
        return {key: await get(key) for key in values}

    async def put_all(values: Values) -> None:
        await at_once(put(key, value) for key, value in values.items())

    async def get_all(values: Values) -> Values:
        return dict(zip(values, await at_once(map(get, values)), strict=True))

    async def clear(values: Values) -> None:
        await at_once(map(store.delete, values))

    return {"set": put_each, "get": get_each, "write": put_all, "read": get_all, "clear": clear}


def as_json(value: dict[str, Any]) -> dict[str, Any]:
    """Return a value without bytes, which JSON does not have."""
    if isinstance(value.get("data"), bytes):
        return {"data": base64.b64encode(value["data"]).decode()}
    return value


def from_json(value: dict[str, Any]) -> dict[str, Any]:
    return {"data": base64.b64decode(value["data"])} if "data" in value else value


if __name__ == "__main__":
    main()
