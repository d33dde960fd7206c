"""A conditional delete of which the answer is lost, and answers that do not come in time."""

from __future__ import annotations

import pytest

import cshelve
from testbed.faults import AfterActing, Answer, Hang, Late, Meanwhile, Reset
from tests.providers.aws_s3.conditions.rig import (
    AFTER,
    ATTEMPTS,
    BEFORE,
    DELETE,
    GET,
    HEAD,
    PUT,
    conditions_of,
    delete_it,
    is_lost_answer,
    names_in_bucket,
    unknown,
)
from tests.providers.aws_s3.rig import warmed_up
from tests.rigs import Place, S3Rig, object_of, prefix_of

pytestmark = pytest.mark.s3


@pytest.fixture(scope="module")
def shared_hasty(s3_rig: S3Rig, home: Place, shared: cshelve.CloudShelf) -> cshelve.CloudShelf:
    default = {**home.config["default"], "read_timeout_seconds": 0.5}
    return warmed_up(Place({**home.config, "default": default}).open())


class TestAnAnswerThatDoesNotComeInTime:
    @pytest.mark.parametrize("acts", [False, True], ids=["before", "after"])
    def test_is_settled_as_a_lost_one(
        self, acts: bool, s3: S3Rig, db: cshelve.CloudShelf, shared_hasty: cshelve.CloudShelf
    ) -> None:
        hasty = shared_hasty.prefix(prefix_of(db))
        version = db.get_versioned("k")[1]
        s3.proxy.inject(Hang(forward_first=acts), operation=PUT, key=object_of(db))
        with s3.proxy.counting() as seen:
            hasty.replace("k", "new", version)
        assert seen.operations == ([PUT, HEAD] if acts else [PUT, HEAD, PUT])
        assert db["k"] == "new"


class TestADeleteOfWhichTheAnswerIsLost:
    @pytest.mark.parametrize("fault", BEFORE)
    def test_is_sent_again_if_the_old_version_is_there(
        self, fault: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(BEFORE[fault], operation=DELETE, key=object_of(db))
        with s3.proxy.counting() as seen:
            delete_it(db)
        assert seen.operations == [GET, DELETE, HEAD, DELETE]
        first, second = (request for request in seen.requests if request.operation == DELETE)
        assert conditions_of(first) == conditions_of(second)
        assert names_in_bucket(s3, db) == []

    @pytest.mark.parametrize("fault", AFTER)
    def test_is_unknown_if_nothing_is_there(
        self, fault: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(AFTER[fault], operation=DELETE, key=object_of(db))
        with s3.proxy.counting() as seen:
            error = unknown(lambda: delete_it(db))
        assert is_lost_answer(error.__cause__)
        assert seen.operations == [GET, DELETE, HEAD]
        assert "k" not in db

    @pytest.mark.parametrize("acts", [False, True], ids=["before", "after"])
    def test_is_unknown_if_another_has_written_since(
        self, acts: bool, s3: S3Rig, db: cshelve.CloudShelf, other: cshelve.CloudShelf
    ) -> None:
        theirs = Meanwhile(lambda: other.__setitem__("k", "theirs"), Reset())
        s3.proxy.inject(
            AfterActing(theirs) if acts else theirs, operation=DELETE, key=object_of(db)
        )
        error = unknown(lambda: delete_it(db))
        assert is_lost_answer(error.__cause__)
        assert db["k"] == "theirs"

    def test_is_unknown_if_another_writes_before_the_second_sending(
        self, s3: S3Rig, db: cshelve.CloudShelf, other: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(Reset(), operation=DELETE, key=object_of(db))
        theirs = Meanwhile(lambda: other.__setitem__("k", "theirs"))
        s3.proxy.inject(theirs, operation=DELETE, key=object_of(db))
        unknown(lambda: delete_it(db))
        assert db["k"] == "theirs"

    def test_is_unknown_if_it_arrives_late_and_refuses_the_second(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(Late(), operation=DELETE, key=object_of(db), times=2)
        unknown(lambda: delete_it(db))
        assert "k" not in db

    def test_is_unknown_if_the_head_fails_too(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        s3.proxy.inject(Reset(), operation=DELETE, key=object_of(db))
        s3.proxy.inject(Answer(403, "AccessDenied"), operation=HEAD, key=object_of(db), times=None)
        error = unknown(lambda: delete_it(db))
        assert is_lost_answer(error.__cause__)
        assert db["k"] == "old"

    def test_is_unknown_if_it_is_lost_in_every_attempt(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(Reset(), operation=DELETE, key=object_of(db), times=None)
        with s3.proxy.counting() as seen:
            error = unknown(lambda: delete_it(db))
        assert is_lost_answer(error.__cause__)
        assert seen.operations == [GET, *[DELETE, HEAD] * ATTEMPTS]
        assert db["k"] == "old"
