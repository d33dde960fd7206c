"""One thread serves all requests of many keys: nobody holds it up, and no fork breaks it."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable

import pytest

from cshelve.providers.base import Provider
from tests.forks import forks, in_child
from tests.providers.aws_s3.engine.rig import is_direct, provider_from
from tests.rigs import S3Rig, finish

pytestmark = [pytest.mark.s3, pytest.mark.once]


class TestWhoWaits:
    """One thread serves all requests of an operation on many keys: nobody may hold it up."""

    def test_a_reader_that_pauses_keeps_no_other_request_waiting(
        self, s3: S3Rig, direct: Provider
    ) -> None:
        names = [f"k{number}" for number in range(100)]
        finish(direct.put_many((name, name.encode()) for name in names))
        with s3.proxy.counting() as seen:
            reading = direct.get_many(names)
            assert next(reading)[0] == "k0"
            assert direct.get("k99").data == b"k99"
            assert seen.total <= direct.concurrency + 1
            assert [name for name, _ in reading] == names[1:]
        assert all(is_direct(request) for request in seen.requests)

    def test_an_end_on_the_way_leaves_all_permits(self, opened: Callable[..., Provider]) -> None:
        direct = opened(concurrency=8)
        names = [f"k{number}" for number in range(20)]
        finish(direct.put_many((name, b"value") for name in names))
        for _ in range(2 * direct.concurrency):
            reading = direct.get_many(names)
            next(reading)
            reading.close()  # type: ignore[attr-defined]
        assert len(list(direct.get_many(names))) == len(names)

    @forks
    def test_a_forked_child_has_a_client_of_its_own(self, s3: S3Rig, direct: Provider) -> None:
        direct.put("k", b"value")

        def read_twice() -> list[bytes]:
            return [direct.get("k").data, direct.get("k").data]

        with s3.proxy.counting() as seen:
            assert in_child(read_twice) == [b"value"] * 2
        assert [is_direct(request) for request in seen.requests] == [True, True]
        assert direct.get("k").data == b"value"

    @forks
    def test_a_forked_child_outlives_its_parents_clients(self, s3: S3Rig, direct: Provider) -> None:
        """Freeing one in a child waits for threads that are not there: a segmentation fault."""
        direct.put("k", b"value")
        shelves = [provider_from(s3.config(engine="direct")) for _ in range(3)]
        for each in shelves:
            assert each.exists()
            finish(each.put_many((f"k{number}", b"value") for number in range(50)))

        def collect_them_and_read() -> list[bytes]:
            shelves.clear()
            gc.collect()
            return [direct.get("k").data for _ in range(50)]

        assert in_child(collect_them_and_read) == [b"value"] * 50
        for each in shelves:
            each.close()


@forks
def test_a_process_may_be_forked_while_another_thread_reads(direct: Provider) -> None:
    names = [f"k{number}" for number in range(50)]
    finish(direct.put_many((name, b"value") for name in names))
    is_over = threading.Event()

    def read_on() -> None:
        while not is_over.is_set():
            assert len(list(direct.get_many(names))) == len(names)

    reader = threading.Thread(target=read_on)
    reader.start()
    try:
        assert [in_child(lambda: direct.get("k1").data) for _ in range(8)] == [b"value"] * 8
    finally:
        is_over.set()
        reader.join()
