"""Requests fly as `concurrency` says, whoever they are for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from testbed.exchange import Exchange
from tests.rigs import Place, S3Rig
from tests.shelf.many_keys.rig import GET, PUT, numbered


class Gauge:
    """A fault that does no harm and tells how many requests are under way at once, at most."""

    def __init__(self, together: int) -> None:
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()
        self._first = together
        self._all_there = threading.Barrier(together)

    def __call__(self, exchange: Exchange) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            waits, self._first = self._first > 0, self._first - 1
        if waits:
            # So that a bound that is lower than it should be is found out too.
            self._all_there.wait(timeout=10)
        try:
            response = exchange.forward()
        finally:
            # Before the answer is sent: whoever gets it may send the next request at once.
            with self._lock:
                self._now -= 1
        exchange.send(response)


@pytest.fixture
def pool_warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.WARNING, logger="urllib3")
    return lambda: [record.getMessage() for record in caplog.records if "pool" in record.name]


@pytest.mark.s3
class TestConnections:
    def test_as_many_requests_fly_as_concurrency_says_and_the_pool_holds_them(
        self, s3: S3Rig, s3_place: Place, pool_warnings: Callable[[], list[str]]
    ) -> None:
        db = s3_place.open()
        for act in (lambda: db.update(numbered(200)), lambda: list(db.items())):
            gauge = Gauge(32)
            operation = PUT if not db else GET
            with s3.proxy.inject(gauge, operation=operation, times=None):
                act()
            assert gauge.most == 32
        assert pool_warnings() == []

    def test_a_hundred_threads_of_the_users_wait_for_their_turn(
        self, s3: S3Rig, pool_warnings: Callable[[], list[str]]
    ) -> None:
        db = Place(s3.config(concurrency=8)).open()
        gauge = Gauge(8)
        s3.proxy.inject(gauge, times=None)
        begin = threading.Barrier(100)
        errors: list[Exception] = []

        def work(number: int) -> None:
            begin.wait(timeout=30)
            try:
                db[f"k{number}"] = number
                assert db[f"k{number}"] == number
                assert f"k{number}" in db
            except Exception as error:  # noqa: BLE001  # for the main thread to look at
                errors.append(error)

        threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(100)]
        with s3.proxy.counting() as seen:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
        assert errors == []
        assert seen.total == 300
        assert gauge.most == 8
        assert len({request.connection for request in seen.requests}) <= 8
        assert pool_warnings() == []

    def test_many_threads_that_each_work_on_many_keys_share_the_same_bound(
        self,
        s3: S3Rig,
        pool_warnings: Callable[[], list[str]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # A machine that is busy may pause an iteration for longer, which then counts for nothing.
        monkeypatch.setattr("cshelve._concurrency.permits.PAUSE_SECONDS", 5)
        db = Place(s3.config(concurrency=8)).open()
        gauge = Gauge(8)
        s3.proxy.inject(gauge, times=None)
        threads = [
            threading.Thread(
                target=db.update, args=({f"{n}/{key}": 0 for key in range(20)},), daemon=True
            )
            for n in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(db) == 120
        assert gauge.most == 8
        assert pool_warnings() == []

    def test_a_smaller_pool_is_the_bound(
        self, s3: S3Rig, pool_warnings: Callable[[], list[str]]
    ) -> None:
        config = s3.config(concurrency=32)
        config["provider_params"]["config.max_pool_connections"] = 4
        db = Place(config).open()
        gauge = Gauge(4)
        with s3.proxy.inject(gauge, operation=PUT, times=None):
            db.update(numbered(60))
        assert gauge.most == 4
        assert pool_warnings() == []
