"""`setdefault`, `pop`, `popitem` and `modify` when the answer to their write is lost."""

from __future__ import annotations

import pytest

import cshelve
from testbed.faults import AfterActing, Meanwhile, Reset
from tests.providers.aws_s3.conditions.rig import (
    DELETE,
    GET,
    HEAD,
    PUT,
    Write,
    is_lost_answer,
    unknown,
)
from tests.rigs import S3Rig, object_of

pytestmark = pytest.mark.s3


class TestOperationsOfWhichAnAnswerIsLost:
    def test_setdefault_gives_what_others_wrote(
        self, s3: S3Rig, db: cshelve.CloudShelf, other: cshelve.CloudShelf
    ) -> None:
        theirs = Meanwhile(lambda: other.__setitem__("n", "theirs"), Reset())
        s3.proxy.inject(theirs, operation=PUT, key=object_of(db, "n"))
        with s3.proxy.counting() as seen:
            assert db.setdefault("n", "mine") == "theirs"
        assert seen.operations == [GET, PUT, HEAD, GET]
        assert db["n"] == "theirs"

    def test_setdefault_that_was_done_gives_its_default(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(AfterActing(Reset()), operation=PUT, key=object_of(db, "n"))
        with s3.proxy.counting() as seen:
            assert db.setdefault("n", "mine") == "mine"
        assert seen.operations == [GET, PUT, HEAD]
        assert db["n"] == "mine"

    def test_setdefault_of_what_stays_absent_is_unknown(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(Reset(), operation=PUT, key=object_of(db, "n"), times=None)
        error = unknown(lambda: db.setdefault("n", "mine"))
        assert is_lost_answer(error.__cause__)

    @pytest.mark.parametrize(
        "take",
        [lambda db: db.pop("k"), lambda db: db.pop("k", "default"), lambda db: db.popitem()],
        ids=["pop", "pop with default", "popitem"],
    )
    def test_a_value_is_given_to_nobody_rather_than_to_two(
        self, take: Write, s3: S3Rig, db: cshelve.CloudShelf, other: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(AfterActing(Reset()), operation=DELETE, key=object_of(db))
        error = unknown(lambda: take(db))
        assert is_lost_answer(error.__cause__)
        with pytest.raises(KeyError):
            take(other) if other.get("k") else other.pop("k")

    def test_pop_that_was_not_done_is_done_by_the_second_sending(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(Reset(), operation=DELETE, key=object_of(db))
        assert db.pop("k") == "old"
        assert "k" not in db

    def test_modify_counts_once_if_it_was_done(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        db["n"] = 1
        s3.proxy.inject(AfterActing(Reset()), operation=PUT, key=object_of(db, "n"))
        assert db.modify("n", lambda n: n + 1) == 2
        assert db["n"] == 2

    @pytest.mark.parametrize("to", ["theirs", "mine"])
    def test_modify_passes_the_unknown_on(
        self, to: str, s3: S3Rig, db: cshelve.CloudShelf, other: cshelve.CloudShelf
    ) -> None:
        calls: list[str] = []

        def change(value: str) -> str:
            calls.append(value)
            return "mine"

        theirs = Meanwhile(lambda: other.__setitem__("k", to), Reset())
        s3.proxy.inject(AfterActing(theirs), operation=PUT, key=object_of(db))
        error = unknown(lambda: db.modify("k", change))
        assert is_lost_answer(error.__cause__)
        assert calls == ["old"]

    def test_modify_that_deletes_passes_the_unknown_on(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        s3.proxy.inject(AfterActing(Reset()), operation=DELETE, key=object_of(db))
        error = unknown(lambda: db.modify("k", lambda _: cshelve.DELETE))
        assert is_lost_answer(error.__cause__)
