"""`get_many`: order, back-pressure, failures, and how it ends."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

import cshelve
from cshelve.testing import FailingProvider, shelf_over
from testbed.faults import Answer
from tests.rigs import Place, S3Rig
from tests.shelf.many_keys.rig import (
    CONCURRENCY,
    GET,
    NOBODY_CAN_HOLD,
    FarMemory,
    all_of,
    numbered,
    spoil,
)


class TestGetMany:
    def test_pairs_come_in_the_order_of_the_keys(self, place: Place) -> None:
        pairs = numbered(24)
        db = place.open()
        db.update(pairs)
        keys = [*reversed(pairs)]
        assert list(db.get_many(keys)) == [(key, pairs[key]) for key in keys]

    def test_missing_keys_are_left_out(self, db: cshelve.CloudShelf) -> None:
        assert list(db.get_many(["x", "a", "y", "z", "c", "w"])) == [("a", 1), ("c", 3)]

    def test_none_of_the_keys_may_be_there(self, db: cshelve.CloudShelf) -> None:
        assert list(db.get_many(["x", "y"])) == []

    def test_no_keys_are_no_pairs(self, db: cshelve.CloudShelf) -> None:
        assert list(db.get_many([])) == []

    def test_a_key_given_twice_comes_twice(self, db: cshelve.CloudShelf) -> None:
        assert list(db.get_many(["a", "a", "x", "b", "x", "a"])) == [
            ("a", 1),
            ("a", 1),
            ("b", 2),
            ("a", 1),
        ]

    def test_keys_may_come_from_a_generator(self, db: cshelve.CloudShelf) -> None:
        assert list(db.get_many(key for key in "abc")) == [("a", 1), ("b", 2), ("c", 3)]

    def test_keys_that_no_store_can_hold_are_missing(self, db: cshelve.CloudShelf) -> None:
        assert list(db.get_many([NOBODY_CAN_HOLD, "a", NOBODY_CAN_HOLD])) == [("a", 1)]

    @pytest.mark.s3
    def test_keys_that_s3_cannot_hold_are_missing(self, s3_place: Place) -> None:
        db = s3_place.open()
        db["a"] = 1
        assert list(db.get_many(["", "x" * 1025, "a", ".."])) == [("a", 1)]

    @pytest.mark.parametrize("key", [5, b"a", None])
    def test_a_key_that_is_no_text_is_a_type_error(self, key: Any, db: cshelve.CloudShelf) -> None:
        with pytest.raises(cshelve.KeyTypeError, match=type(key).__name__):
            list(db.get_many(["a", key]))

    def test_a_record_error_stands_in_the_place_of_its_key(self, db: cshelve.CloudShelf) -> None:
        spoil(db, "bad")
        pairs = db.get_many(["a", "bad", "b"])
        assert next(pairs) == ("a", 1)
        with pytest.raises(cshelve.RecordError, match="'bad'"):
            next(pairs)
        assert next(pairs) == ("b", 2)

    def test_it_goes_on_behind_every_record_error(self, db: cshelve.CloudShelf) -> None:
        spoil(db, "bad")
        found, errors = all_of(db.get_many(["bad", "a", "bad", "bad", "b", "bad"]))
        assert (found, len(errors)) == ([("a", 1), ("b", 2)], 4)

    def test_any_other_failure_ends_it(self, failing: FailingProvider) -> None:
        with shelf_over(failing) as db:
            db.update(numbered())
            failing.fail("get", cshelve.AuthError("no"), name="k002", times=None)
            found, errors = all_of(db.get_many(numbered()))
        assert found == [("k000", 0), ("k001", 1)]
        assert [type(error) for error in errors] == [cshelve.AuthError]

    @pytest.mark.s3
    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (Answer(403, "AccessDenied"), cshelve.AuthError),
            (Answer(503, "SlowDown"), cshelve.StorageError),
        ],
        ids=["refused", "throttled for ever"],
    )
    def test_the_failure_names_the_key(
        self, fault: Answer, error: type[Exception], s3: S3Rig
    ) -> None:
        config = s3.config(total_max_attempts=1)
        db = Place(config).open()
        db.update(numbered(10))
        key = f"{config['default']['key_prefix']}/k005"
        s3.proxy.inject(fault, operation=GET, key=key, times=None)
        with pytest.raises(error, match="'k005'"):
            list(db.get_many(numbered(10)))

    def test_what_the_source_of_keys_raises_is_raised(self, db: cshelve.CloudShelf) -> None:
        def keys() -> Iterator[str]:
            yield "a"
            raise LookupError("of the source")

        with pytest.raises(LookupError, match="of the source"):
            list(db.get_many(keys()))

    def test_no_more_is_taken_ahead_than_flies(self, far: FarMemory) -> None:
        taken = itertools.count()
        last_taken = 0

        def keys() -> Iterator[str]:
            nonlocal last_taken
            for key in numbered():
                last_taken = next(taken) + 1
                yield key

        with shelf_over(far) as db:
            db.update(numbered())
            for given, _ in enumerate(db.get_many(keys()), 1):
                assert last_taken <= given + CONCURRENCY + 1

    def test_nothing_is_asked_for_before_the_first_pair_is(self, far: FarMemory) -> None:
        with shelf_over(far) as db:
            pairs = db.get_many(numbered())
            assert far.begun == 0
            list(pairs)

    def test_nothing_runs_on_after_a_break(
        self, far: FarMemory, workers: Callable[[], list[str]]
    ) -> None:
        with shelf_over(far) as db:
            db.update(numbered())
            before = far.begun
            for _ in db.get_many(numbered()):
                break
            assert far.begun == far.done
            assert far.begun - before <= CONCURRENCY + 1
            assert workers() == []

    def test_a_closed_shelf_gives_nothing(self, place: Place) -> None:
        db = place.open()
        db.close()
        with pytest.raises(ValueError, match="closed shelf"):
            db.get_many(["a"])

    def test_a_shelf_that_is_closed_meanwhile_gives_nothing_more(
        self, db: cshelve.CloudShelf
    ) -> None:
        pairs = db.get_many(["a", "b", "c"])
        next(pairs)
        db.close()
        with pytest.raises(ValueError, match="closed shelf"):
            next(pairs)

    @pytest.mark.s3
    def test_it_costs_a_get_a_key_that_can_be_there(self, s3: S3Rig, s3_place: Place) -> None:
        db = s3_place.open()
        db.update(numbered(10))
        with s3.proxy.counting() as seen:
            list(db.get_many([*numbered(10), "missing", "", NOBODY_CAN_HOLD]))
        assert seen.operations == [GET] * 11


def test_get_many_can_be_closed(far: FarMemory, workers: Callable[[], list[str]]) -> None:
    with shelf_over(far) as db:
        db.update(numbered())
        pairs: Any = db.get_many(numbered())
        with closing(pairs):
            next(pairs)
        assert workers() == []
        assert list(pairs) == []


@pytest.mark.parametrize("end", ["callback", "interrupt"])
def test_what_the_callback_of_get_many_raises_ends_it(
    end: str, far: FarMemory, workers: Callable[[], list[str]]
) -> None:
    def fail(progress: cshelve.Progress) -> None:
        if progress.done == 3:
            raise ArithmeticError if end == "callback" else KeyboardInterrupt

    with shelf_over(far) as db:
        db.update(numbered())
        pairs = db.get_many(numbered(), progress=fail)
        with pytest.raises((ArithmeticError, KeyboardInterrupt)):
            list(pairs)
        assert workers() == []
        assert list(pairs) == []


def test_no_more_is_taken_ahead_of_keys_that_are_cached(far: FarMemory) -> None:
    taken: list[str] = []

    def keys() -> Iterator[str]:
        for key in numbered():
            taken.append(key)
            yield key

    with shelf_over(far, writeback=True) as db:
        db.update(numbered())
        for given, _ in enumerate(db.get_many(keys()), 1):
            assert len(taken) <= given + CONCURRENCY + 1


def test_a_record_error_of_the_source_is_the_end(far: FarMemory) -> None:
    class IndexError(cshelve.RecordError):
        pass

    def keys() -> Iterator[str]:
        yield from list(numbered())[:5]
        raise IndexError("of another shelf")

    with shelf_over(far) as db:
        db.update(numbered())
        pairs = db.get_many(keys())
        with pytest.raises(IndexError):
            list(pairs)
        assert list(pairs) == []


def test_a_key_error_of_the_callback_is_the_end(far: FarMemory) -> None:
    def fail(progress: cshelve.Progress) -> None:
        raise cshelve.KeyNotFoundError("of another shelf")

    with shelf_over(far) as db:
        db.update(numbered())
        pairs = db.get_many(["k000", "k001"], progress=fail)
        with pytest.raises(cshelve.KeyNotFoundError, match="another"):
            next(pairs)
