"""Operations on many keys that fail: whose failure it is, and the numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import cshelve
from testbed.faults import Answer, EditResponse, Fault, Reset, fail_keys_in_delete_result
from tests.providers.aws_s3.faults.misbehaviour import (
    EXPIRED,
    NO_BUCKET,
    REFUSED,
    SLOW_DOWN,
    assert_has_cause,
    is_botos,
)
from tests.providers.aws_s3.faults.operations import (
    BEFORE,
    CONCURRENCY,
    MANY,
    Case,
    changed_in_cache,
)

pytestmark = pytest.mark.s3

ALL_KEYS = [f"k{number:02}" for number in range(20)]
NUMBERED: dict[str, Callable[[cshelve.CloudShelf], Any]] = {
    "update": lambda db: db.update(dict.fromkeys(ALL_KEYS, 1)),
    "set_many": lambda db: db.set_many(dict.fromkeys(ALL_KEYS, 1)),
}
ABOUT_THE_SHELF: dict[str, tuple[Fault, type[cshelve.Error]]] = {
    "throttled": (SLOW_DOWN, cshelve.StorageError),
    "an expired token": (EXPIRED, cshelve.AuthError),
    "a wrong secret": (Answer(403, "SignatureDoesNotMatch"), cshelve.AuthError),
    "an unknown key id": (Answer(403, "InvalidAccessKeyId"), cshelve.AuthError),
    "reset": (Reset(), cshelve.StorageError),
    "no bucket": (NO_BUCKET, cshelve.DBDoesNotExistsError),
}


class TestManyKeys:
    @pytest.mark.parametrize("name", NUMBERED)
    @pytest.mark.parametrize("fault", ABOUT_THE_SHELF)
    def test_what_is_about_the_shelf_stops_a_write_with_the_numbers(
        self, fault: str, name: str, case: Case
    ) -> None:
        injected, error = ABOUT_THE_SHELF[fault]
        case.s3.proxy.inject(injected, operation="PutObject", times=None, after=7)
        with pytest.raises(cshelve.StorageError) as caught:
            NUMBERED[name](case.db)
        failure = caught.value
        assert type(failure) is error
        assert is_botos(failure.__cause__)
        assert failure.stored == 7 == len(case.stored()) - len(BEFORE)
        assert failure.failed is not None
        assert failure.not_attempted is not None
        assert 1 <= failure.failed <= CONCURRENCY
        assert failure.stored + failure.failed + failure.not_attempted == len(ALL_KEYS)

    @pytest.mark.parametrize("fault", ABOUT_THE_SHELF)
    def test_what_is_about_the_shelf_stops_a_delete_with_the_numbers(
        self, fault: str, case: Case, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cshelve.providers.aws_s3.bulk_delete.KEYS_PER_REQUEST", 4)
        case.db.update(dict.fromkeys(ALL_KEYS, 1))
        injected, error = ABOUT_THE_SHELF[fault]
        case.s3.proxy.inject(injected, operation="DeleteObjects", times=None, after=2)
        with pytest.raises(error) as caught:
            case.db.delete_many(ALL_KEYS)
        failure = caught.value
        assert failure.failed is not None
        assert failure.not_attempted is not None
        assert failure.stored == 8
        assert 4 <= failure.failed <= CONCURRENCY * 4
        assert failure.failed + failure.not_attempted == 12
        assert is_botos(failure.__cause__)
        # The requests are sent at the same time, and any two of them may be first.
        assert len(case.stored()) == len(BEFORE) + 12

    @pytest.mark.parametrize("name", NUMBERED)
    def test_a_refusal_of_one_key_is_its_own(self, name: str, case: Case) -> None:
        case.s3.proxy.inject(REFUSED, key=case.name("k05"), times=None)
        with pytest.raises(cshelve.BulkError, match="'k05'") as caught:
            NUMBERED[name](case.db)
        assert list(caught.value.failures) == ["k05"]
        assert type(caught.value.failures["k05"]) is cshelve.AuthError
        assert_has_cause(caught.value)
        expected = dict.fromkeys(ALL_KEYS, 1)
        del expected["k05"]
        assert case.stored() == BEFORE | expected

    def test_a_refusal_of_one_key_stops_reading_and_names_it(self, case: Case) -> None:
        case.s3.proxy.inject(REFUSED, key=case.name("b"), times=None)
        pairs = case.db.get_many(["a", "b", "k"])
        assert next(pairs) == ("a", "one")
        with pytest.raises(cshelve.AuthError, match="'b'"):
            next(pairs)
        assert list(pairs) == []

    @pytest.mark.parametrize("operation", ["delete_many", "clear"])
    def test_a_refusal_of_one_key_inside_the_answer_to_a_delete(
        self, operation: str, case: Case
    ) -> None:
        case.s3.proxy.inject(
            fail_keys_in_delete_result("AccessDenied", [case.name("b")]),
            operation="DeleteObjects",
            times=None,
        )
        arguments = [["a", "b"]] if operation == "delete_many" else []
        with pytest.raises(cshelve.BulkError, match="'b'") as caught:
            getattr(case.db, operation)(*arguments)
        assert list(caught.value.failures) == ["b"]
        assert type(caught.value.failures["b"]) is cshelve.AuthError

    @pytest.mark.parametrize("ending", ["sync", "close"])
    def test_what_could_not_be_written_stays_in_the_cache_for_the_next_time(
        self, ending: str, case: Case
    ) -> None:
        shelf = case.open("w", writeback=True)
        shelf["b"].append("more")
        rule = case.s3.proxy.inject(SLOW_DOWN, operation="PutObject", times=None)
        with pytest.raises(cshelve.StorageError):
            getattr(shelf, ending)()
        assert shelf["b"] == ["two", "more"]
        assert case.stored() == BEFORE
        rule.remove()
        getattr(shelf, ending)()
        assert case.stored() == BEFORE | {"b": ["two", "more"]}


class TestTheNumbers:
    @pytest.mark.parametrize("ending", ["sync", "close"])
    def test_of_a_failed_sync_add_up_to_what_was_changed(self, ending: str, case: Case) -> None:
        changed_in_cache(case)
        case.s3.proxy.inject(SLOW_DOWN, operation="PutObject", times=None)
        with pytest.raises(cshelve.StorageError) as caught:
            getattr(case.db, ending)()
        failure = caught.value
        numbers = [failure.stored, failure.failed, failure.not_attempted]
        assert sum(number or 0 for number in numbers) == len(MANY)

    def test_of_a_clear_are_told_when_a_later_page_of_the_listing_fails(
        self, case: Case, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cshelve.providers.aws_s3.bulk_delete.KEYS_PER_REQUEST", 2)
        more = b"<IsTruncated>true</IsTruncated><NextContinuationToken>2</NextContinuationToken>"
        case.s3.proxy.inject(
            EditResponse(
                lambda answer: replace(
                    answer, body=answer.body.replace(b"<IsTruncated>false</IsTruncated>", more)
                )
            ),
            operation="ListObjectsV2",
        )
        case.s3.proxy.inject(SLOW_DOWN, operation="ListObjectsV2", times=None)
        with pytest.raises(cshelve.StorageError) as caught:
            case.db.clear()
        assert caught.value.about_shelf
        assert caught.value.stored == len(BEFORE) - len(case.stored())
