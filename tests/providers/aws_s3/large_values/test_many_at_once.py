"""Many large values at once: how many requests fly, and who waits for whom."""

from __future__ import annotations

import threading

import pytest

import cshelve
from testbed.exchange import Exchange
from testbed.faults import Answer, Hang
from tests.providers.aws_s3.large_values.rig import (
    ABORT,
    CHUNK,
    GET,
    IN_2_PARTS,
    NEW,
    PART,
    PUT,
    SMALL,
    Case,
    value_of,
    write_unless_stopped,
)
from tests.rigs import wait_until

pytestmark = [pytest.mark.s3, pytest.mark.once]


class TestManyAtOnce:
    def test_never_send_more_requests_than_may_fly(self, case: Case) -> None:
        flying, most, lock = 0, 0, threading.Lock()

        def counted(exchange: Exchange) -> None:
            nonlocal flying, most
            with lock:
                flying += 1
                most = max(most, flying)
            response = exchange.forward()
            with lock:
                flying -= 1
            exchange.send(response)

        db = case.open(concurrency=3)
        case.s3.proxy.inject(counted, times=None)
        values = {f"k{number}": value_of(2 * CHUNK) for number in range(3)}
        db.update(values)
        assert dict(db.items()) == values
        assert 1 < most <= 3

    def test_work_with_a_single_permit(self, case: Case) -> None:
        db = case.open(concurrency=1)
        assert case.operations(lambda: db.__setitem__("k", NEW)) == IN_2_PARTS
        assert case.operations(lambda: db["k"]) == [GET]
        assert db["k"] == NEW

    def test_leave_permits_to_others(self, case: Case) -> None:
        db = case.open(concurrency=3)
        db["small"] = SMALL
        in_3_parts = value_of(3 * CHUNK)
        hanging = case.inject(Hang(), PART, times=None)
        writer = threading.Thread(target=lambda: write_unless_stopped(db, in_3_parts), daemon=True)
        with hanging:
            writer.start()
            wait_until(lambda: hanging.hits == 2)
            assert db["small"] == SMALL
            assert hanging.hits == 2
        writer.join(60)
        assert not writer.is_alive()

    def test_stop_with_the_operation_that_they_are_part_of(self, case: Case) -> None:
        # The first key's failure is about the shelf: the second is given up between two attempts,
        # and its parts are removed all the same.
        db = case.open(concurrency=4, total_max_attempts=50)
        is_refused = threading.Event()

        def refuse(exchange: Exchange) -> None:
            Answer(403, "InvalidAccessKeyId")(exchange)
            is_refused.set()

        def fail_after_that(exchange: Exchange) -> None:
            is_refused.wait(10)
            Answer(500)(exchange)

        case.s3.proxy.inject(fail_after_that, operation=PART, times=None)
        case.s3.proxy.inject(refuse, key=case.name("small"), operation=PUT)
        with case.s3.proxy.counting() as seen, pytest.raises(cshelve.AuthError):
            db.update([("large", NEW), ("small", SMALL)])
        assert seen.operations.count(PART) < 50
        assert seen.operations.count(ABORT) == 1
        assert case.uploads() == []
