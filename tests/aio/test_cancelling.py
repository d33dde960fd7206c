"""What a cancelled task leaves behind: a clean pool, and writes that are done or not."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import cshelve
from cshelve.providers.base import Item
from cshelve.providers.in_memory import InMemory
from testbed.faults import Delay, Hang
from tests.aio.facade import new_loop
from tests.rigs import S3Rig

Main = Callable[[], Coroutine[Any, Any, None]]


def run(main: Coroutine[Any, Any, None], kind: str = "asyncio") -> None:
    with asyncio.Runner(loop_factory=lambda: new_loop(kind)) as runner:
        runner.run(main)


def in_flight(db: cshelve.AsyncShelf[Any]) -> tuple[int, int, int]:
    """Return the numbers of requests in flight and waiting, and of permits that are taken."""
    native: Any = db._requests.native
    jobs = native._loop._jobs
    return len(jobs._in_flight), len(jobs._begun) + len(jobs._pending), jobs._permits.taken


@pytest.mark.s3
@pytest.mark.once
class TestInABucket:
    def test_a_cancelled_request_ends_at_once_and_the_next_one_works(
        self, s3: S3Rig, loop_kind: str
    ) -> None:
        async def main() -> None:
            async with cshelve.aopen(s3.config(concurrency=1)) as db:
                await db.set("k", 1)
                with (
                    s3.proxy.inject(Hang(), operation="GetObject", times=1),
                    pytest.raises(TimeoutError),
                ):
                    await asyncio.wait_for(db.get("k"), 0.2)
                assert in_flight(db) == (0, 0, 0)
                assert await db.get("k") == 1

        run(main(), loop_kind)

    def test_a_request_that_waits_for_others_can_be_cancelled(self, s3: S3Rig) -> None:
        async def main() -> None:
            async with cshelve.aopen(s3.config(concurrency=1)) as db:
                await db.set("k", 1)
                with s3.proxy.inject(Delay(0.2), operation="GetObject", times=1):
                    first = asyncio.create_task(db.get("k"))
                    await asyncio.sleep(0)
                    second = asyncio.create_task(db.get("k"))
                    await asyncio.sleep(0)
                    assert in_flight(db)[1] == 2
                    second.cancel()
                    assert await first == 1
                assert second.cancelled()
                assert in_flight(db) == (0, 0, 0)

        run(main())

    def test_writes_that_are_cancelled_at_any_moment_are_done_or_not(
        self, s3: S3Rig, loop_kind: str
    ) -> None:
        chance = random.Random(16)
        old, new = b"old" * 100_000, b"new" * 100_000

        async def main() -> None:
            async with cshelve.aopen(s3.config(concurrency=4)) as db:
                keys = [f"k{number}" for number in range(12)]
                for _ in range(3):
                    await db.set_many(dict.fromkeys(keys, old))
                    writes = [asyncio.create_task(db.set(key, new)) for key in keys]
                    for write in writes:
                        await asyncio.sleep(chance.uniform(0, 0.004))
                        chance.choice(writes).cancel()
                        write.cancel()
                    await asyncio.wait(writes)
                    assert in_flight(db) == (0, 0, 0)
                    assert {value async for _, value in db.get_many(keys)} <= {old, new}

        run(main(), loop_kind)

    def test_a_counter_that_is_cancelled_at_any_moment_counts_what_it_says(self, s3: S3Rig) -> None:
        chance = random.Random(17)

        async def main() -> None:
            async with cshelve.aopen(s3.config()) as db:
                tasks = [
                    asyncio.create_task(db.modify("n", lambda n: n + 1, default=0))
                    for _ in range(30)
                ]
                for task in chance.sample(tasks, 15):
                    await asyncio.sleep(chance.uniform(0, 0.01))
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
                counted = [each for each in ended if isinstance(each, int)]
                # One that was cancelled while its write was in flight may have counted.
                assert len(counted) <= await db.get("n") <= 30
                assert len(set(counted)) == len(counted)
                assert in_flight(db) == (0, 0, 0)

        run(main())

    def test_an_iteration_that_is_left_cancels_what_it_has_asked_for(self, s3: S3Rig) -> None:
        async def main() -> None:
            async with cshelve.aopen(s3.config()) as db:
                await db.set_many({f"k{number}": number for number in range(50)})
                async for _ in db.items():
                    break
                async for _ in db.get_many(f"k{number}" for number in range(50)):
                    break
                for _ in range(3):  # The tasks that were cancelled end.
                    await asyncio.sleep(0)
                assert in_flight(db) == (0, 0, 0)
                assert await db.get("k7") == 7

        run(main())


class Slow(InMemory):
    """Begins a call, tells so, and goes on when it may."""

    def __init__(self) -> None:
        super().__init__(exists=True)
        self.concurrency = 2
        self.has_begun = threading.Event()
        self.may_end = threading.Event()

    def get(self, name: str) -> Item:
        self._wait()
        return super().get(name)

    def put(self, name: str, data: bytes, **condition: Any) -> str:
        self._wait()
        return super().put(name, data, **condition)

    def _wait(self) -> None:
        self.has_begun.set()
        assert self.may_end.wait(30)


async def begun(store: Slow) -> None:
    while not store.has_begun.is_set():
        await asyncio.sleep(0.001)


class TestInThreads:
    def test_a_read_is_abandoned(self) -> None:
        async def main() -> None:
            store = Slow()
            async with cshelve.aopen(store) as db:
                reading = asyncio.create_task(db.get("k"))
                await begun(store)
                reading.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reading
                store.may_end.set()

        run(main())

    def test_a_write_that_has_begun_is_waited_for(self) -> None:
        async def main() -> None:
            store = Slow()
            async with cshelve.aopen(store) as db:
                writing = asyncio.create_task(db.set("k", 1))
                await begun(store)
                writing.cancel()
                await asyncio.sleep(0.01)
                assert not writing.done()
                store.may_end.set()
                with pytest.raises(asyncio.CancelledError):
                    await writing
                assert await db.get("k") == 1

        run(main())

    def test_a_write_that_has_not_begun_is_not_done(self) -> None:
        async def main() -> None:
            store = Slow()
            async with cshelve.aopen(store) as db:
                writes = [asyncio.create_task(db.set(f"k{n}", n)) for n in range(3)]
                await begun(store)
                await asyncio.sleep(0.01)
                writes[2].cancel()
                await asyncio.sleep(0)
                store.may_end.set()
                await asyncio.wait(writes)
                assert sorted([key async for key in db]) == ["k0", "k1"]

        run(main())

    def test_set_many_ends_early(self) -> None:
        async def main() -> None:
            store = Slow()
            async with cshelve.aopen(store) as db:
                writing = asyncio.create_task(db.set_many({f"k{n}": n for n in range(100)}))
                await begun(store)
                writing.cancel()
                await asyncio.sleep(0)
                store.may_end.set()
                with pytest.raises(asyncio.CancelledError):
                    await writing
                assert len([key async for key in db]) < 10

        run(main())

    def test_a_cancelled_close_closes_all_the_same(self) -> None:
        async def main() -> None:
            db = await cshelve.aopen({"default": {"provider": "in-memory"}})
            closing = asyncio.create_task(db.close())
            await asyncio.sleep(0)
            closing.cancel()
            await asyncio.wait([closing])
            await db.close()
            with pytest.raises(ValueError, match="closed shelf"):
                await db.get("k")

        run(main())
