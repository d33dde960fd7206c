"""Answers that are lost, cut to nothing, or say inside that they are refusals."""

from __future__ import annotations

import pytest

import cshelve
from testbed.exchange import Exchange
from testbed.faults import CutBody, Fault, Reset, fail_keys_in_delete_result
from testbed.http_messages import made_response
from tests.providers.aws_s3.faults.misbehaviour import (
    BROKEN,
    after_the_server_acted,
    assert_has_cause,
)
from tests.providers.aws_s3.faults.operations import BEFORE, OPERATIONS, Case

pytestmark = pytest.mark.s3


class TestALostAnswer:
    @pytest.mark.parametrize(
        "fault", [Reset(before=False), after_the_server_acted(BROKEN)], ids=["reset", "500"]
    )
    def test_to_modify_applies_the_function_once(self, fault: Fault, case: Case) -> None:
        calls = []

        def add_one(number: int) -> int:
            calls.append(number)
            return number + 1

        case.s3.proxy.inject(fault, operation="PutObject")
        with case.s3.proxy.counting() as seen:
            assert case.db.modify("k", add_one) == 8
        assert calls == [7]
        assert seen.operations == ["GetObject", "PutObject", "HeadObject"]
        assert case.stored() == BEFORE | {"k": 8}

    def test_in_every_write_of_a_count_still_counts_right(self, case: Case) -> None:
        for _ in range(5):
            case.s3.proxy.inject(Reset(before=False), operation="PutObject")
            case.db.modify("k", lambda number: number + 1)
        assert case.stored() == BEFORE | {"k": 12}


def cut_to_nothing(exchange: Exchange) -> None:
    """Let the server act, and send the head of its answer alone."""
    exchange.send_cut(exchange.forward(), 0)


def refuse_deletion_and_cut_to_nothing(exchange: Exchange) -> None:
    """Answer a DeleteObjects that no key is deleted, and lose that on the way."""
    answer = b"<DeleteResult><Error><Key>k</Key><Code>AccessDenied</Code></Error></DeleteResult>"
    response = made_response(200, [("Content-Type", "application/xml")], answer)
    exchange.send_cut(response, 0)


class TestAnswersThatAreNoValues:
    def test_a_lost_refusal_to_delete_is_no_success(self, case: Case) -> None:
        case.s3.proxy.inject(
            refuse_deletion_and_cut_to_nothing, operation="DeleteObjects", times=None
        )
        with pytest.raises(cshelve.StorageError):
            case.db.delete_many(["k"])
        assert case.stored() == BEFORE

    @pytest.mark.parametrize("name", ["len", "bool", "iter", "items", "popitem", "clear"])
    def test_a_listing_cut_to_nothing_once_is_asked_for_again(self, name: str, case: Case) -> None:
        operation = OPERATIONS[name]
        case.s3.proxy.inject(cut_to_nothing, operation="ListObjectsV2")
        assert operation.run(case.db, None) == operation.value
        assert case.stored() == operation.after

    @pytest.mark.parametrize("name", ["get absent", "setdefault absent", "modify absent"])
    def test_an_answer_that_a_key_is_absent_cut_short_once_is_asked_for_again(
        self, name: str, case: Case
    ) -> None:
        operation = OPERATIONS[name]
        case.s3.proxy.inject(CutBody(12), operation="GetObject")
        assert operation.run(case.db, None) == operation.value
        assert case.stored() == operation.after

    def test_a_refusal_inside_the_answer_to_a_delete_is_the_cause(self, case: Case) -> None:
        case.s3.proxy.inject(
            fail_keys_in_delete_result("AccessDenied", [case.name("b")]), operation="DeleteObjects"
        )
        with pytest.raises(cshelve.BulkError) as caught:
            case.db.delete_many(["a", "b"])
        assert_has_cause(caught.value)
