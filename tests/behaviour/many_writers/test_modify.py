"""`modify`: what it stores, gives and raises while others write."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import cshelve
from tests.behaviour.many_writers.crowd import IN_THIS_PROCESS
from tests.rigs import Place, S3Rig
from tests.threads import PATIENCE_SECONDS, in_threads

with_versions_that_change = pytest.mark.parametrize("place", IN_THIS_PROCESS[:2], indirect=True)


@pytest.fixture
def hasty(place: Place) -> cshelve.CloudShelf:
    """A shelf that contends for half a second."""
    place.config["default"]["modify_timeout_seconds"] = 0.5
    return place.open()


class TestModify:
    def test_gives_what_it_stored(self, db: cshelve.CloudShelf) -> None:
        db["k"] = 1
        assert db.modify("k", lambda n: n + 1) == 2
        assert db["k"] == 2

    def test_begins_again_with_what_another_writer_stored_meanwhile(
        self, db: cshelve.CloudShelf
    ) -> None:
        db["k"] = ["old"]
        others = iter([["another"]])

        def append(items: list[str]) -> list[str]:
            for other in others:
                db["k"] = other
            return [*items, "mine"]

        assert db.modify("k", append) == ["another", "mine"]
        assert db["k"] == ["another", "mine"]

    def test_gives_the_function_a_fresh_copy_of_the_default_in_each_try(
        self, db: cshelve.CloudShelf
    ) -> None:
        default: list[str] = []
        got: list[list[str]] = []
        # What another writer does during each of the first two tries, so that they fail.
        others: list[Callable[[], None]] = [
            lambda: db.update(k=["another"]),
            lambda: db.delete_many(["k"]),
        ]

        def append(items: list[str]) -> list[str]:
            got.append(list(items))
            items.append("mine")
            if others:
                others.pop(0)()
            return items

        assert db.modify("k", append, default=default) == ["mine"]
        assert got == [[], ["another"], []]
        assert default == []

    def test_without_a_default_an_absent_key_is_a_key_error(self, db: cshelve.CloudShelf) -> None:
        with pytest.raises(KeyError) as caught:
            db.modify("k", lambda value: pytest.fail("it was called"))
        assert isinstance(caught.value, cshelve.KeyNotFoundError)
        assert "k" not in db

    def test_none_is_a_default_like_any_other(self, db: cshelve.CloudShelf) -> None:
        assert db.modify("k", lambda value: [value], default=None) == [None]

    def test_delete_deletes_the_key(self, db: cshelve.CloudShelf) -> None:
        db["k"] = 1
        assert db.modify("k", lambda _: cshelve.DELETE) is cshelve.DELETE
        assert "k" not in db

    def test_delete_does_nothing_where_only_the_default_is(self, db: cshelve.CloudShelf) -> None:
        assert db.modify("k", lambda _: cshelve.DELETE, default=1) is cshelve.DELETE
        assert "k" not in db

    def test_delete_does_not_delete_what_another_writer_stored_meanwhile(
        self, db: cshelve.CloudShelf
    ) -> None:
        db["k"] = "old"
        others = iter(["new"])

        def drop_what_is_old(value: str) -> Any:
            for other in others:
                db["k"] = other
            return cshelve.DELETE if value == "old" else value

        assert db.modify("k", drop_what_is_old) == "new"
        assert db["k"] == "new"

    @with_versions_that_change
    def test_the_same_object_is_written_again(self, db: cshelve.CloudShelf) -> None:
        db["k"] = [1]
        _, before = db.get_versioned("k")
        db.modify("k", lambda value: value)
        value, after = db.get_versioned("k")
        assert value == [1]
        assert after != before

    @pytest.mark.s3
    def test_the_same_object_is_sent_again(self, s3: S3Rig, s3_place: Place) -> None:
        db = s3_place.open()
        db["k"] = [1]
        db.modify("k", lambda value: value)
        with s3.proxy.counting() as seen:
            db.modify("k", lambda value: value)
        assert seen.operations == ["GetObject", "PutObject"]

    def test_what_the_function_raises_is_raised_with_nothing_written(
        self, db: cshelve.CloudShelf
    ) -> None:
        db["k"] = [1]
        before = db.get_versioned("k")

        def fail(value: list[int]) -> None:
            value.append(2)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            db.modify("k", fail)
        assert db.get_versioned("k") == before

    def test_after_an_error_of_the_function_another_thread_has_its_turn(
        self, hasty: cshelve.CloudShelf
    ) -> None:
        with pytest.raises(ZeroDivisionError):
            hasty.modify("k", lambda n: n // 0, default=1)
        assert in_threads(1, lambda _: hasty.modify("k", lambda n: n + 1, default=1)) == [2]

    def test_gives_up_when_others_always_write_in_between(self, hasty: cshelve.CloudShelf) -> None:
        hasty["k"] = 0
        written = itertools.count(1)
        began = time.monotonic()

        def be_late(value: int) -> str:
            hasty["k"] = next(written)
            return "mine"

        with pytest.raises(cshelve.ConflictError, match=r"'k' in .*modify_timeout_seconds"):
            hasty.modify("k", be_late)
        assert 0.5 <= time.monotonic() - began < 10
        last = next(written) - 1
        assert last > 1
        assert hasty["k"] == last

    def test_on_a_shelf_for_reading_the_function_is_not_called(self, place: Place) -> None:
        place.open()["k"] = 1
        db = place.open("r")
        with pytest.raises(cshelve.ReadOnlyError, match="'k'"):
            db.modify("k", lambda value: pytest.fail("it was called"))
        assert db["k"] == 1

    def test_the_function_may_modify_another_key(self, hasty: cshelve.CloudShelf) -> None:
        def move(stock: int) -> int:
            hasty.modify("sold", lambda sold: sold + 1, default=0)
            return stock - 1

        hasty["stock"] = 5
        hasty.modify("stock", move)
        assert dict(hasty.items()) == {"stock": 4, "sold": 1}

    def test_a_thread_that_waits_for_its_turn_too_long_gives_up(
        self, place: Place, hasty: cshelve.CloudShelf
    ) -> None:
        has_begun, may_end = threading.Event(), threading.Event()

        def take_long(n: int) -> int:
            has_begun.set()
            assert may_end.wait(PATIENCE_SECONDS)
            return n + 1

        slow = threading.Thread(target=hasty.modify, args=("k", take_long, 0), daemon=True)
        slow.start()
        try:
            assert has_begun.wait(PATIENCE_SECONDS)
            with pytest.raises(cshelve.ConflictError, match="another thread"):
                hasty.modify("k", lambda n: pytest.fail("it was called"), default=0)
        finally:
            may_end.set()
            slow.join(PATIENCE_SECONDS)
        assert hasty["k"] == 1
        assert hasty.modify("k", lambda n: n + 1) == 2
