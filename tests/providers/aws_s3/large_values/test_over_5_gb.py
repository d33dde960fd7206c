"""Values that no single request may carry, and conditions on them."""

from __future__ import annotations

import pytest

import cshelve
from cshelve.providers.aws_s3 import multipart
from testbed.faults import AfterActing, Answer, Meanwhile, Reset
from tests.providers.aws_s3.large_values.rig import (
    ABORT,
    ATTEMPTS,
    CHUNK,
    COMPLETE,
    CREATE,
    GET,
    HEAD,
    IN_2_PARTS,
    MIB,
    NEW,
    OLD,
    PART,
    PUT,
    SMALL,
    Case,
)

pytestmark = [pytest.mark.s3, pytest.mark.once]


class TestOver5GB:
    """With the limit of one request lowered."""

    @pytest.fixture(autouse=True)
    def _low_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(multipart, "LARGEST_PUT_BYTES", CHUNK)

    def test_a_value_goes_in_parts_whatever_the_threshold(self, case: Case) -> None:
        db = case.open(multipart_threshold_bytes=100 * MIB)
        assert case.operations(lambda: db.__setitem__("k", NEW)) == IN_2_PARTS
        assert case.stored("k") == NEW

    def test_a_condition_goes_with_the_last_request(self, case: Case) -> None:
        case.store("k", SMALL)
        with case.s3.proxy.counting() as seen:
            assert case.db.modify("k", lambda _: NEW) == NEW
            case.db.setdefault("x", NEW)
        assert seen.operations == [GET, *IN_2_PARTS, GET, *IN_2_PARTS]
        conditions = [
            (request.operation, "if-match" in request.headers, "if-none-match" in request.headers)
            for request in seen.requests
            if {"if-match", "if-none-match"}.intersection(request.headers)
        ]
        assert conditions == [(COMPLETE, True, False), (COMPLETE, False, True)]
        assert case.stored("k") == case.stored("x") == NEW

    def test_a_condition_below_the_limit_goes_with_one_put(self, case: Case) -> None:
        case.store("k", SMALL)
        value = NEW[:CHUNK]
        assert case.operations(lambda: case.db.modify("k", lambda _: value)) == [GET, PUT]

    def test_whoever_is_not_first_is_told_and_leaves_nothing(self, case: Case) -> None:
        case.store("k", SMALL)
        _, version = case.db.get_versioned("k")
        case.inject(Meanwhile(lambda: case.store("k", OLD)), COMPLETE)
        with pytest.raises(cshelve.ConflictError):
            case.db.replace("k", NEW, version)
        with pytest.raises(cshelve.ConflictError):
            case.db.replace("k", NEW, None)
        assert case.stored("k") == OLD
        assert case.uploads() == []

    def test_a_lost_answer_is_settled_by_the_token(self, case: Case) -> None:
        case.store("k", SMALL)
        case.inject(Reset(before=False), COMPLETE)
        calls = []

        def replace(value: bytes) -> bytes:
            calls.append(value)
            return NEW

        case.db.modify("k", replace)
        assert calls == [SMALL]
        assert case.stored("k") == NEW

    def test_a_last_request_that_never_arrived_is_sent_again_with_its_parts(
        self, case: Case
    ) -> None:
        case.store("k", SMALL)
        case.inject(Reset(), COMPLETE)
        operations = case.operations(lambda: case.db.modify("k", lambda _: NEW))
        assert operations == [GET, *IN_2_PARTS, ABORT, HEAD, *IN_2_PARTS]
        assert case.stored("k") == NEW

    def test_a_conflict_of_uploads_begins_again(self, case: Case) -> None:
        case.store("k", SMALL)
        case.inject(Answer(409, "ConditionalRequestConflict"), COMPLETE)
        operations = case.operations(lambda: case.db.modify("k", lambda _: NEW))
        assert operations == [GET, *IN_2_PARTS, ABORT, *IN_2_PARTS]

    def test_an_answer_lost_while_others_write_is_known_to_be_unknown(self, case: Case) -> None:
        case.store("k", SMALL)
        overwritten = AfterActing(Meanwhile(lambda: case.store("k", OLD), Reset()))
        case.inject(overwritten, COMPLETE)
        with pytest.raises(cshelve.OutcomeUnknownError):
            case.db.modify("k", lambda _: NEW)
        assert case.stored("k") == OLD

    def test_a_part_that_fails_is_tried_by_boto3_alone(self, case: Case) -> None:
        case.store("k", SMALL)
        case.inject(Answer(500), PART, times=None)
        with case.s3.proxy.counting() as seen, pytest.raises(cshelve.StorageError, match=PART):
            case.db.modify("k", lambda _: NEW)
        assert seen.operations.count(CREATE) == 1
        assert seen.operations.count(PART) <= 3 * ATTEMPTS
        assert case.stored("k") == SMALL
