"""Failures among many keys: of one key, or of the whole shelf."""

from __future__ import annotations

from typing import Any

import pytest

import cshelve
from testbed.faults import Answer, Hang, Reset, fail_keys_in_delete_result
from tests.providers.aws_s3.errors.rig import IMPATIENT
from tests.providers.aws_s3.rig import threads_left
from tests.rigs import SENT_IF_REFUSED, Place, S3Rig, object_of

pytestmark = pytest.mark.s3


def test_leaving_a_loop_over_values_does_not_wait_for_every_attempt(s3: S3Rig) -> None:
    db = Place(s3.config(total_max_attempts=8, read_timeout_seconds=0.5)).open()
    db.update(a=1, b=2, c=3)
    with s3.proxy.counting() as seen:
        for key in "bc":
            s3.proxy.inject(Hang(), key=object_of(db, key), times=None)
        for pair in db.items():
            assert pair == ("a", 1)
            break
    assert threads_left() == []
    # One attempt for each of the two values; the others would have been sixteen.
    assert seen.operations.count("GetObject") <= 5


class TestWritingMany:
    MANY = 300

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (Answer(503, "SlowDown"), cshelve.StorageError),
            (Reset(), cshelve.StorageError),
            (Answer(403, "InvalidAccessKeyId"), cshelve.AuthError),
            (Answer(400, "ExpiredToken"), cshelve.AuthError),
            (Answer(404, "NoSuchBucket"), cshelve.DBDoesNotExistsError),
        ],
        ids=str,
    )
    def test_stops_at_what_is_wrong_with_the_whole_shelf(
        self, fault: Any, error: type[Exception], s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        with (
            s3.proxy.inject(fault, operation="PutObject", times=None),
            s3.proxy.counting() as seen,
            pytest.raises(error) as caught,
        ):
            db.update({f"k{number}": number for number in range(self.MANY)})
        assert not isinstance(caught.value, cshelve.BulkError)
        # 32 fly at a time, each twice at most.
        assert seen.total < self.MANY / 2
        assert threads_left() == []

    @pytest.mark.parametrize("code", ["AccessDenied", "InvalidObjectState"])
    def test_goes_on_past_what_is_wrong_with_one_key(
        self, code: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        with (
            s3.proxy.inject(Answer(403, code), key=object_of(db, "k7"), times=None),
            pytest.raises(cshelve.BulkError, match="'k7'") as caught,
        ):
            db.update({f"k{number}": number for number in range(40)})
        assert set(caught.value.failures) == {"k7"}
        assert caught.value.__cause__ is caught.value.failures["k7"]
        assert len(db) == 40  # `k` was there before.


class TestDeletingMany:
    @pytest.fixture
    def three(self, s3: S3Rig) -> cshelve.CloudShelf:
        shelf = Place(s3.config(**IMPATIENT)).open()
        shelf.update(a=1, b=2, c=3)
        return shelf

    def test_a_failure_of_single_keys_inside_a_200_is_a_failure_of_those_keys(
        self, s3: S3Rig, three: cshelve.CloudShelf
    ) -> None:
        fault = fail_keys_in_delete_result("AccessDenied", [object_of(three, "b")])
        s3.proxy.inject(fault, operation="DeleteObjects", times=None)
        with pytest.raises(cshelve.BulkError, match="'b'") as caught:
            three.clear()
        assert set(caught.value.failures) == {"b"}
        assert isinstance(caught.value.failures["b"], cshelve.AuthError)

    def test_slowdown_of_single_keys_inside_a_200_costs_time_and_not_the_keys(
        self, s3: S3Rig, three: cshelve.CloudShelf
    ) -> None:
        fault = fail_keys_in_delete_result("SlowDown", [object_of(three, k) for k in "abc"])
        s3.proxy.inject(fault, operation="DeleteObjects")
        three.clear()
        assert list(three) == []

    def test_slowdown_for_ever_is_a_failure_of_those_keys(
        self, s3: S3Rig, three: cshelve.CloudShelf
    ) -> None:
        fault = fail_keys_in_delete_result("SlowDown", [object_of(three, "c")])
        s3.proxy.inject(fault, operation="DeleteObjects", times=None)
        with pytest.raises(cshelve.BulkError) as caught:
            three.clear()
        assert set(caught.value.failures) == {"c"}
        assert isinstance(caught.value.failures["c"], cshelve.StorageError)

    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (501, "NotImplemented"),
            (405, "MethodNotAllowed"),
            (400, "MissingContentMD5"),
            (400, "InvalidRequest"),
        ],
    )
    def test_a_server_without_it_gets_single_deletes(
        self, status: int, code: str, s3: S3Rig, three: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(Answer(status, code, "no"), operation="DeleteObjects", times=None)
        with s3.proxy.counting() as seen:
            three.clear()
        assert sorted(seen.operations) == [
            *["DeleteObject"] * 3,
            *["DeleteObjects"] * SENT_IF_REFUSED,
            "ListObjectsV2",
        ]
        three["d"] = 4
        with s3.proxy.counting() as seen:
            three.clear()
        assert seen.operations == ["ListObjectsV2", "DeleteObject"]

    def test_a_key_that_xml_cannot_carry_is_deleted_too(
        self, s3: S3Rig, three: cshelve.CloudShelf
    ) -> None:
        three["control\x01"] = 1
        three["line\r\nend"] = 1
        three.clear()
        assert list(three) == []
