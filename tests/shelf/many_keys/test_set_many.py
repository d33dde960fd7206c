"""`set_many`: what is stored, failures of single keys, back-pressure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import cshelve
from cshelve.testing import FailingProvider, shelf_over
from tests.rigs import Place, S3Rig
from tests.shelf.many_keys.rig import (
    CONCURRENCY,
    NOBODY_CAN_HOLD,
    PUT,
    WAYS_TO_WRITE,
    FarMemory,
    numbered,
)


class TestSetMany:
    @pytest.mark.parametrize("write", WAYS_TO_WRITE.values(), ids=WAYS_TO_WRITE)
    def test_what_is_given_is_stored(
        self, write: Callable[..., None], db: cshelve.CloudShelf
    ) -> None:
        shapes: list[tuple[int, Any]] = [
            (5, {"a": 5, "d": 5}),
            (6, [("a", 6), ("d", 6)]),
            (7, {"a": 7, "d": 7}.items()),
            (8, [["a", 8], ["d", 8]]),
        ]
        for value, pairs in shapes:
            write(db, pairs)
            assert dict(db.items()) == {"a": value, "b": 2, "c": 3, "d": value}

    @pytest.mark.parametrize("write", WAYS_TO_WRITE.values(), ids=WAYS_TO_WRITE)
    def test_a_generator_is_stored(
        self, write: Callable[..., None], db: cshelve.CloudShelf
    ) -> None:
        write(db, ((key, 0) for key in "ab"))
        assert dict(db.items()) == {"a": 0, "b": 0, "c": 3}

    def test_of_a_key_given_more_than_once_the_last_value_stays(self, place: Place) -> None:
        db = place.open()
        db.set_many([(key, number) for number in range(5) for key in "aba"])
        assert dict(db.items()) == {"a": 4, "b": 4}

    def test_nothing_at_all_may_be_stored(self, db: cshelve.CloudShelf) -> None:
        db.set_many({})
        assert len(db) == 3

    @pytest.mark.parametrize("key", [5, b"a", None])
    def test_a_key_that_is_no_text_is_a_type_error(self, key: Any, db: cshelve.CloudShelf) -> None:
        with pytest.raises(cshelve.KeyTypeError, match=type(key).__name__):
            db.set_many([(key, 1)])

    def test_a_key_that_no_store_can_hold_is_its_own_failure(self, db: cshelve.CloudShelf) -> None:
        with pytest.raises(cshelve.BulkError) as caught:
            db.set_many({"a": 1, NOBODY_CAN_HOLD: 2, "b": 3})
        assert isinstance(caught.value.failures[NOBODY_CAN_HOLD], cshelve.KeyNotStorableError)
        assert dict(db.get_many(["a", "b"])) == {"a": 1, "b": 3}

    @pytest.mark.s3
    def test_a_key_that_s3_cannot_hold_is_a_failure_of_that_key(self, s3_place: Place) -> None:
        db = s3_place.open()
        with pytest.raises(cshelve.BulkError) as caught:
            db.set_many({"": 1, "a": 2, "x" * 1025: 3})
        kinds = {key: type(error) for key, error in caught.value.failures.items()}
        assert kinds == dict.fromkeys(["", "x" * 1025], cshelve.KeyNotStorableError)
        assert db["a"] == 2

    def test_what_could_be_stored_is_stored(self, failing: FailingProvider) -> None:
        with shelf_over(failing) as db:
            for key in ("k003", "k031"):
                failing.fail("put", cshelve.StorageError, name=key, times=None)
            with pytest.raises(cshelve.BulkError):
                db.set_many(numbered())
            assert set(numbered()).difference(db) == {"k003", "k031"}

    def test_each_failed_key_has_its_own_error(self, failing: FailingProvider) -> None:
        errors = {"k003": cshelve.AuthError("no"), "k031": cshelve.StorageError("later")}
        with shelf_over(failing) as db:
            for key, error in errors.items():
                failing.fail("put", error, name=key)
            with pytest.raises(cshelve.BulkError) as caught:
                db.set_many(numbered())
        assert caught.value.failures == errors

    def test_the_error_has_the_numbers_of_keys(self, failing: FailingProvider) -> None:
        with shelf_over(failing) as db:
            failing.fail("put", cshelve.StorageError("full"), name="b")
            with pytest.raises(cshelve.BulkError) as caught:
                db.set_many({"a": 1, "b": 2, "c": 3})
        error = caught.value
        assert (error.stored, error.failed, error.not_attempted) == (2, 1, 0)

    def test_the_first_failure_is_the_cause(self, failing: FailingProvider) -> None:
        first, second = cshelve.AuthError("first"), cshelve.AuthError("second")
        with shelf_over(failing) as db:
            failing.fail("put", second, name="k031")
            failing.fail("put", first, name="k003")
            with pytest.raises(cshelve.BulkError) as caught:
                db.set_many(numbered())
        assert caught.value.__cause__ is first

    def test_the_message_names_the_first_keys_and_not_all(self, failing: FailingProvider) -> None:
        with shelf_over(failing) as db:
            failing.fail("put", cshelve.StorageError, times=None)
            with pytest.raises(cshelve.BulkError, match=r"60 keys .*'k000', 'k001'") as caught:
                db.set_many(numbered())
        assert "'k030'" not in str(caught.value)

    def test_a_shelf_for_reading_stores_nothing(self, place: Place, db: cshelve.CloudShelf) -> None:
        with pytest.raises(cshelve.ReadOnlyError):
            place.open("r").set_many({"a": 9})
        assert db["a"] == 1

    def test_no_more_is_taken_ahead_than_flies(self, far: FarMemory) -> None:
        ahead: list[int] = []

        def pairs() -> Iterator[tuple[str, int]]:
            for taken, pair in enumerate(numbered().items(), 1):
                ahead.append(taken - far.done)
                yield pair

        with shelf_over(far) as db:
            db.set_many(pairs())
        assert max(ahead) <= CONCURRENCY + 1

    @pytest.mark.s3
    def test_it_costs_a_put_a_key(self, s3: S3Rig, s3_place: Place) -> None:
        db = s3_place.open()
        with s3.proxy.counting() as seen:
            db.set_many(numbered(40))
        assert seen.operations == [PUT] * 40
