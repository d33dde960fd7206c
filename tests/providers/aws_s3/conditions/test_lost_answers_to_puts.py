"""A conditional put of which the answer is lost: settled by its token, or said to be unknown."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import cshelve
from testbed.faults import AfterActing, Answer, Fault, Late, Meanwhile, Reset
from tests.providers.aws_s3.conditions.rig import (
    AFTER,
    ATTEMPTS,
    BEFORE,
    BROKEN,
    BUSY,
    GET,
    HEAD,
    PUT,
    add_it,
    conditions_of,
    etag,
    is_lost_answer,
    of_fault,
    replace_it,
    tokens,
    unknown,
    unread,
)
from tests.rigs import S3Rig, object_of

pytestmark = pytest.mark.s3

# Conditional puts: what does it, and to which key.
PUTS: dict[str, tuple[Callable[[cshelve.CloudShelf], str], str]] = {
    "if unchanged": (replace_it, "k"),
    "if absent": (add_it, "n"),
}


@pytest.mark.parametrize("condition", PUTS)
class TestAPutOfWhichTheAnswerIsLost:
    @pytest.mark.parametrize("fault", AFTER)
    def test_is_done_if_the_token_is_there(
        self, condition: str, fault: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        write, key = PUTS[condition]
        s3.proxy.inject(AFTER[fault], operation=PUT, key=object_of(db, key))
        with s3.proxy.counting() as seen:
            version = write(db)
        assert unread(seen.operations) == [PUT, HEAD]
        assert version == etag(s3, db, key)
        assert db[key] == "new"

    @pytest.mark.parametrize("fault", BEFORE)
    def test_is_sent_again_as_it_was_if_the_old_version_is_there(
        self, condition: str, fault: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        write, key = PUTS[condition]
        s3.proxy.inject(BEFORE[fault], operation=PUT, key=object_of(db, key))
        with s3.proxy.counting() as seen:
            version = write(db)
        assert unread(seen.operations) == [PUT, HEAD, PUT]
        first, second = (request for request in seen.requests if request.operation == PUT)
        assert conditions_of(first) == conditions_of(second)
        assert first.body == second.body
        assert version == etag(s3, db, key)
        assert db[key] == "new"

    def test_is_ours_if_it_arrives_late_and_refuses_the_second(
        self, condition: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        write, key = PUTS[condition]
        s3.proxy.inject(Late(), operation=PUT, key=object_of(db, key), times=2)
        with s3.proxy.counting() as seen:
            version = write(db)
        assert unread(seen.operations) == [PUT, HEAD, PUT, HEAD]
        assert [r.status for r in seen.requests if r.operation == PUT] == [None, 412]
        assert version == etag(s3, db, key)
        assert db[key] == "new"

    @pytest.mark.parametrize("busy", BUSY)
    def test_is_done_by_a_second_sending_that_waits_for_a_busy_server(
        self, condition: str, busy: str, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        write, key = PUTS[condition]
        s3.proxy.inject(Reset(), operation=PUT, key=object_of(db, key))
        s3.proxy.inject(BUSY[busy], operation=PUT, key=object_of(db, key))
        with s3.proxy.counting() as seen:
            write(db)
        assert unread(seen.operations) == [PUT, HEAD, PUT, PUT]
        assert len(set(tokens(seen))) == 1

    @pytest.mark.parametrize("fault", [Reset(), AfterActing(Reset())], ids=["before", "after"])
    def test_is_unknown_if_others_have_written_since(
        self,
        condition: str,
        fault: Fault,
        s3: S3Rig,
        db: cshelve.CloudShelf,
        other: cshelve.CloudShelf,
    ) -> None:
        write, key = PUTS[condition]
        theirs = Meanwhile(lambda: other.__setitem__(key, "theirs"), Reset())
        fault = AfterActing(theirs) if isinstance(fault, AfterActing) else theirs
        s3.proxy.inject(fault, operation=PUT, key=object_of(db, key))
        with s3.proxy.counting() as seen:
            error = unknown(lambda: write(db))
        assert is_lost_answer(error.__cause__)
        assert unread(seen.operations) == [PUT, HEAD]
        assert db[key] == "theirs"

    @pytest.mark.parametrize(
        ("acts", "guarded"),
        [(False, False), (True, False), (True, True)],
        ids=["before, plainly", "after, plainly", "after, with a token"],
    )
    def test_is_unknown_if_another_has_written_the_same_bytes(
        self,
        condition: str,
        acts: bool,
        guarded: bool,
        s3: S3Rig,
        db: cshelve.CloudShelf,
        other: cshelve.CloudShelf,
    ) -> None:
        write, key = PUTS[condition]

        def write_the_same() -> None:
            if guarded:
                other.modify(key, lambda _: "new", default="")
            else:
                other[key] = "new"

        theirs = Meanwhile(write_the_same, Reset())
        s3.proxy.inject(
            AfterActing(theirs) if acts else theirs, operation=PUT, key=object_of(db, key)
        )
        unknown(lambda: write(db))

    def test_is_unknown_if_another_writes_before_the_second_sending(
        self, condition: str, s3: S3Rig, db: cshelve.CloudShelf, other: cshelve.CloudShelf
    ) -> None:
        write, key = PUTS[condition]
        s3.proxy.inject(Reset(), operation=PUT, key=object_of(db, key))
        theirs = Meanwhile(lambda: other.__setitem__(key, "theirs"))
        s3.proxy.inject(theirs, operation=PUT, key=object_of(db, key))
        with s3.proxy.counting() as seen:
            error = unknown(lambda: write(db))
        assert is_lost_answer(error.__cause__)
        assert unread(seen.operations) == [PUT, HEAD, PUT, HEAD]
        assert db[key] == "theirs"

    @pytest.mark.parametrize("fault", [Answer(403, "AccessDenied"), BROKEN, Reset()], ids=of_fault)
    def test_is_unknown_if_the_head_fails_too(
        self, condition: str, fault: Fault, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        write, key = PUTS[condition]
        s3.proxy.inject(AfterActing(Reset()), operation=PUT, key=object_of(db, key))
        s3.proxy.inject(fault, operation=HEAD, key=object_of(db, key), times=None)
        error = unknown(lambda: write(db))
        assert is_lost_answer(error.__cause__)

    @pytest.mark.parametrize("fault", [BROKEN, Reset()], ids=of_fault)
    def test_is_done_if_the_head_fails_once(
        self, condition: str, fault: Fault, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        write, key = PUTS[condition]
        s3.proxy.inject(AfterActing(Reset()), operation=PUT, key=object_of(db, key))
        s3.proxy.inject(fault, operation=HEAD, key=object_of(db, key))
        assert write(db) == etag(s3, db, key)

    @pytest.mark.parametrize("fault", BEFORE)
    def test_is_unknown_if_it_is_lost_in_every_attempt(
        self, condition: str, fault: str, s3: S3Rig, db: cshelve.CloudShelf, pauses: list[int]
    ) -> None:
        write, key = PUTS[condition]
        s3.proxy.inject(BEFORE[fault], operation=PUT, key=object_of(db, key), times=None)
        with s3.proxy.counting() as seen:
            error = unknown(lambda: write(db))
        assert is_lost_answer(error.__cause__)
        assert unread(seen.operations) == [PUT, HEAD] * ATTEMPTS
        assert len(set(tokens(seen))) == 1
        assert pauses == list(range(ATTEMPTS - 1))
        assert db.get(key) == ("old" if key == "k" else None)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_an_answer_of_a_gateway_is_a_lost_one(
    status: int, s3: S3Rig, db: cshelve.CloudShelf
) -> None:
    s3.proxy.inject(AfterActing(Answer(status)), operation=PUT, key=object_of(db))
    with s3.proxy.counting() as seen:
        version = replace_it(db)
    assert seen.operations == [GET, PUT, HEAD]
    assert version == etag(s3, db)
