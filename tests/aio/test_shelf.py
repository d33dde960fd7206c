"""What shelves for asyncio do beyond the suites of the others."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import warnings
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

import cshelve
from cshelve.providers.in_memory import InMemory
from testbed.faults import Answer, Hang, Reset
from testbed.tls_front import TlsFront, write_certificate
from tests.aio.test_cancelling import in_flight, run
from tests.rigs import S3Rig
from tests.threads import in_threads

MEMORY: dict[str, dict[str, Any]] = {"default": {"provider": "in-memory"}}


def test_writeback_is_refused_with_the_reason() -> None:
    with pytest.raises(cshelve.ConfigurationError, match=r"await db\.modify"):
        cshelve.aopen(MEMORY, writeback=True)


def test_it_is_no_mapping() -> None:
    async def main() -> None:
        async with cshelve.aopen(MEMORY) as db:
            shelf: Any = db
            with pytest.raises(TypeError):
                shelf["k"]

    run(main())


def test_a_missing_key_is_a_key_error_unless_there_is_a_default() -> None:
    async def main() -> None:
        async with cshelve.aopen(MEMORY) as db:
            with pytest.raises(KeyError):
                await db.get("k")
            assert await db.get("k", None) is None
            assert await db.get("k", 5) == 5

    run(main())


def test_a_local_shelf_is_used_in_a_thread(tmp_path: Path) -> None:
    async def main() -> None:
        async with cshelve.aopen(tmp_path / "notes") as db:
            await db.set("k", [1])
            assert await db.modify("k", lambda value: [*value, 2]) == [1, 2]
            assert [pair async for pair in db.items()] == [("k", [1, 2])]
            assert await db.pop("k") == [1, 2]

    run(main())
    with cshelve.open(tmp_path / "notes") as db:
        assert len(db) == 0


def test_what_open_raises_is_raised(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(cshelve.DBDoesNotExistsError):
            await cshelve.aopen(f"file://{tmp_path}/none", "r")

    run(main())


def test_nothing_is_left(loop_kind: str) -> None:
    async def main() -> None:
        before = set(threading.enumerate())
        async with cshelve.aopen(MEMORY) as db:
            await db.set_many({f"k{number}": number for number in range(20)})
            assert len([pair async for pair in db.items()]) == 20
        assert set(threading.enumerate()) == before
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(main(), loop_kind)
        gc.collect()


def test_tasks_that_modify_a_key_take_turns() -> None:
    calls = 0

    async def add_one(n: int) -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        return n + 1

    async def main() -> None:
        async with cshelve.aopen(MEMORY) as db, asyncio.TaskGroup() as group:
            for _ in range(40):
                group.create_task(db.modify("n", add_one, default=0))
        assert calls == 40

    run(main())


def test_many_that_modify_and_use_the_shelf_meanwhile_do_not_wait_for_each_other() -> None:
    async def main() -> None:
        async with cshelve.aopen(InMemory(exists=True)) as db:
            await db.set("step", 1)

            async def add_step(n: int) -> int:
                return n + int(await db.get("step"))

            async with asyncio.TaskGroup() as group:
                for number in range(100):
                    group.create_task(db.modify(f"n{number % 3}", add_step, default=0))
            assert [await db.get(f"n{number}") for number in range(3)] == [34, 33, 33]

    run(main())


def test_a_listing_of_several_pages_is_complete_and_in_order() -> None:
    pairs = {f"k{number:04}": number for number in range(2500)}

    async def main() -> None:
        async with cshelve.aopen(MEMORY) as db:
            await db.set_many(pairs)
            assert [pair async for pair in db.items()] == list(pairs.items())
            assert [key async for key in db.keys(start_after="k2000")] == list(pairs)[2001:]

    run(main())


def test_what_a_listing_raises_is_raised_after_the_keys_before_it() -> None:
    class Broken(InMemory):
        def names(self, *arguments: Any, **options: Any) -> Iterator[str]:
            yield from super().names(*arguments, **options)
            raise cshelve.StorageError("the next page does not come")

    async def main() -> None:
        async with cshelve.aopen(Broken(exists=True)) as db:
            await db.set_many({"a": 1, "b": 2})
            keys = db.keys()
            assert [await anext(keys), await anext(keys)] == ["a", "b"]
            with pytest.raises(cshelve.StorageError, match="next page"):
                await anext(keys)
            with pytest.raises(cshelve.StorageError, match="next page"):
                _ = [pair async for pair in db.items()]

    run(main())


@pytest.mark.s3
@pytest.mark.once
class TestInABucket:
    def test_each_operation_sends_what_the_synchronous_one_does(
        self, s3: S3Rig, loop_kind: str
    ) -> None:
        async def main() -> None:
            async with cshelve.aopen(s3.config()) as db:
                await db.replace("new", 1, None)  # The server is asked if it honours conditions.
                value, version = await db.get_versioned("new")
                await db.delete("new", version)
                with s3.proxy.counting() as count:
                    await db.set("k", value)
                    await db.get("k")
                    await db.contains("k")
                    await db.modify("k", lambda n: n + 1)
                    await db.delete("k")
                assert count.operations == [
                    *("PutObject", "GetObject", "HeadObject", "GetObject", "PutObject"),
                    *("HeadObject", "DeleteObject"),
                ]

        run(main(), loop_kind)

    def test_without_the_direct_engine_threads_send_them(self, s3: S3Rig) -> None:
        async def main() -> None:
            async with cshelve.aopen(s3.config(engine="boto3")) as db:
                assert await db.modify("n", lambda n: n + 1, default=0) == 1
                assert await db.get("n") == 1

        run(main())

    def test_boto3_explains_a_failure(self, s3: S3Rig) -> None:
        async def main() -> None:
            async with cshelve.aopen(s3.config()) as db:
                await db.set("k", 1)
                with (
                    s3.proxy.inject(Answer(403, "AccessDenied"), operation="GetObject", times=None),
                    pytest.raises(cshelve.AuthError),
                ):
                    await db.get("k")
                assert await db.get("k") == 1

        run(main())

    def test_a_conditional_write_whose_response_is_lost_is_settled(self, s3: S3Rig) -> None:
        async def main() -> None:
            async with cshelve.aopen(s3.config()) as db:
                version = await db.replace("k", 1, None)
                with s3.proxy.inject(Reset(before=False), operation="PutObject", times=1):
                    version = await db.replace("k", 2, version)
                assert await db.get_versioned("k") == (2, version)
                with s3.proxy.inject(Reset(), operation="PutObject", times=1):
                    version = await db.replace("k", 3, version)
                assert await db.get_versioned("k") == (3, version)

        run(main())

    def test_connections_are_kept_between_requests(self, s3: S3Rig, loop_kind: str) -> None:
        async def main() -> None:
            async with cshelve.aopen(s3.config()) as db:
                await db.set("k", 1)
                with s3.proxy.counting() as count:
                    for _ in range(5):
                        await db.get("k")
                assert len({request.connection for request in count.requests}) == 1
                s3.proxy.drop_connections()
                assert await db.get("k") == 1
                assert in_flight(db) == (0, 0, 0)

        run(main(), loop_kind)

    def test_over_tls(self, s3: S3Rig, loop_kind: str, tmp_path: Path) -> None:
        certificate = tmp_path / "certificate.pem"
        write_certificate(certificate)

        async def main(config: dict[str, dict[str, Any]]) -> None:
            async with cshelve.aopen(config) as db:
                large = b"x" * 1_000_000
                await asyncio.gather(*(db.set(f"k{n}", large) for n in range(4)))
                assert [value async for value in db.values()] == [large] * 4
                assert db.stats.engine == "direct"
                assert in_flight(db) == (0, 0, 0)

        with TlsFront(s3.server.endpoint_url, certificate) as front:
            config = s3.config()
            verify = {"endpoint_url": front.endpoint_url, "verify": str(certificate)}
            run(main({**config, "provider_params": verify}), loop_kind)

    def test_a_request_that_a_busy_server_refuses_is_sent_again(self, s3: S3Rig) -> None:
        async def main() -> None:
            async with cshelve.aopen(s3.config()) as db:
                await db.set("k", 1)
                s3.proxy.inject(Answer(503, "SlowDown"), operation="GetObject", times=5)
                gets = await asyncio.gather(*(db.get("k") for _ in range(10)))
                assert gets == [1] * 10
                assert db.stats.retries >= 5

        run(main())

    def test_after_its_time_boto3_sends_a_request_again(self, s3: S3Rig, loop_kind: str) -> None:
        async def main() -> None:
            config = s3.config(total_max_attempts=2, read_timeout_seconds=0.4)
            async with cshelve.aopen(config) as db:
                await db.set("k", 1)
                with s3.proxy.inject(Hang(), operation="GetObject", times=1):
                    assert await db.get("k") == 1
                assert in_flight(db) == (0, 0, 0)

        run(main(), loop_kind)

    def test_a_shelf_that_is_closed_meanwhile_refuses_the_rest_of_an_operation(
        self, s3: S3Rig
    ) -> None:
        async def main() -> None:
            db = await cshelve.aopen(s3.config())
            is_closing = asyncio.Event()

            async def wait(value: int) -> int:
                is_closing.set()
                await asyncio.sleep(0.05)
                return value + 1

            modifying = asyncio.create_task(db.modify("n", wait, default=0))
            await is_closing.wait()
            await db.close()
            with pytest.raises(ValueError, match="closed shelf"):
                await modifying

        run(main())

    def test_two_event_loops_use_a_shelf_each(self, s3: S3Rig) -> None:
        config = s3.config()

        async def count() -> None:
            async with cshelve.aopen(config) as db:
                for _ in range(10):
                    await db.modify("n", lambda n: n + 1, default=0)

        in_threads(2, lambda _: run(count()))
        with cshelve.open_from_dict(config) as db:
            assert db["n"] == 20

    def test_a_request_is_reported_in_the_context_of_its_task(self, s3: S3Rig) -> None:
        task: ContextVar[str] = ContextVar("task", default="")
        seen: list[tuple[str, str]] = []

        async def main() -> None:
            async with cshelve.aopen(s3.config()) as db:
                await db.set("k", 1)

                async def get(name: str) -> None:
                    task.set(name)
                    await db.get("k")

                db.stats.tell_of_attempts(
                    lambda attempt: seen.append((attempt.operation, task.get())),
                    logging.getLogger("cshelve"),
                    0,
                )
                s3.proxy.inject(Answer(500, "InternalError"), operation="GetObject")
                await asyncio.gather(get("first"), get("second"))

        run(main())
        assert {name for _, name in seen} == {"first", "second"}
        assert len(seen) == 3  # The one that failed was sent again by boto3, in a thread.

    def test_hundreds_of_gets_of_one_group(self, s3: S3Rig, loop_kind: str) -> None:
        async def main() -> None:
            async with cshelve.aopen(s3.config()) as db:
                await db.set_many({f"k{number}": number for number in range(50)})
                async with asyncio.TaskGroup() as group:
                    gets = [group.create_task(db.get(f"k{n % 50}")) for n in range(400)]
                assert [get.result() for get in gets] == [n % 50 for n in range(400)]

        run(main(), loop_kind)

    def test_a_sealed_shelf_in_a_view(self, s3: S3Rig) -> None:
        pytest.importorskip("cryptography", reason="the extra encryption is not installed")
        config = s3.config()
        config["encryption"] = {"algorithm": "aes256-gcm", "key": cshelve.generate_key()}

        async def main() -> None:
            async with cshelve.aopen(config) as db:
                view = db.prefix("users/")
                await view.set("ada", {"visits": 1})
                assert await db.get("users/ada") == await view.get("ada") == {"visits": 1}

        run(main())
