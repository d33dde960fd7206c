"""Many keys at once: order, back-pressure, failures, progress, and how each operation ends."""

from __future__ import annotations

import itertools
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest

import cshelve
from cshelve.providers.base import Item
from cshelve.providers.in_memory import InMemory
from cshelve.testing import CountingProvider, FailingProvider, SlowProvider, shelf_over
from testbed.exchange import Exchange
from testbed.faults import Answer, pass_on
from tests.rigs import Place, S3Rig

GET, PUT, LIST, DELETES = "GetObject", "PutObject", "ListObjectsV2", "DeleteObjects"
NOBODY_CAN_HOLD = "\ud800"
CONCURRENCY = 4
MANY = 60

WAYS_TO_WRITE: dict[str, Callable[[cshelve.CloudShelf, Any], None]] = {
    "set_many": lambda db, pairs: db.set_many(pairs),
    "update": lambda db, pairs: db.update(pairs),
}


class FarMemory(InMemory):
    """Memory that is worked on in parallel, as a far store is, and counts what is begun and done.

    An operation is begun when its provider's method is called, and done before that returns.
    """

    def __init__(self, concurrency: int = CONCURRENCY) -> None:
        super().__init__(exists=True)
        self.concurrency = concurrency
        self.begun = 0
        self.done = 0
        self._lock = threading.Lock()

    def get(self, name: str) -> Item:
        return self._counted(lambda: InMemory.get(self, name))

    def put(self, name: str, data: bytes, **condition: Any) -> str:
        return self._counted(lambda: InMemory.put(self, name, data, **condition))

    def delete(self, name: str, **condition: Any) -> bool:
        return self._counted(lambda: InMemory.delete(self, name, **condition))

    def _counted(self, act: Callable[[], Any]) -> Any:
        with self._lock:
            self.begun += 1
        try:
            return act()
        finally:
            with self._lock:
                self.done += 1


@pytest.fixture
def workers() -> Callable[[], list[str]]:
    """Name the threads of ours that were not there when the test began."""
    before = set(threading.enumerate())

    def named() -> list[str]:
        new = set(threading.enumerate()) - before
        return [thread.name for thread in new if thread.name.startswith("cshelve")]

    return named


def numbered(many: int = MANY) -> dict[str, int]:
    return {f"k{number:03}": number for number in range(many)}


def spoil(db: cshelve.CloudShelf, key: str) -> None:
    """Put under a key what is no record, as somebody's upload would be."""
    db._objects.records.provider.put(key, b"hello")


def all_of(pairs: Iterator[tuple[str, Any]]) -> tuple[list[tuple[str, Any]], list[Exception]]:
    """Go through pairs and past every error."""
    found, errors = [], []
    while True:
        try:
            found.append(next(pairs))
        except StopIteration:
            return found, errors
        except Exception as error:  # noqa: BLE001  # which ones there are is what is looked at
            errors.append(error)


@pytest.fixture
def db(place: Place) -> cshelve.CloudShelf:
    shelf = place.open()
    shelf.update(a=1, b=2, c=3)
    return shelf


@pytest.fixture
def far() -> FarMemory:
    return FarMemory()


@pytest.fixture
def failing(far: FarMemory) -> FailingProvider:
    return FailingProvider(far)


class TestGetMany:
    def test_pairs_come_in_the_order_of_the_keys(self, place: Place) -> None:
        pairs = numbered(40)
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


class TestSetMany:
    @pytest.mark.parametrize("write", WAYS_TO_WRITE.values(), ids=WAYS_TO_WRITE)
    @pytest.mark.parametrize(
        "pairs",
        [
            {"a": 5, "d": 6},
            [("a", 5), ("d", 6)],
            {"a": 5, "d": 6}.items(),
            [["a", 5], ["d", 6]],
        ],
        ids=["mapping", "pairs", "items", "lists"],
    )
    def test_what_is_given_is_stored(
        self, write: Callable[..., None], pairs: Any, db: cshelve.CloudShelf
    ) -> None:
        write(db, pairs)
        assert dict(db.items()) == {"a": 5, "b": 2, "c": 3, "d": 6}

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
        assert dict(db.get_many("ab")) == {"a": 1, "b": 3}

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


class TestUpdate:
    """It takes what `dict.update` takes and nothing else."""

    class OnlyKeys:
        """No mapping, but what `dict.update` takes for one."""

        def keys(self) -> list[str]:
            return ["a", "d"]

        def __getitem__(self, key: str) -> str:
            return key * 2

    def test_a_keyword_is_a_key_whatever_it_is_called(self, place: Place) -> None:
        db = place.open()
        names = {"progress": 1, "self": 2, "other": 3, "items": 4, "more": 5, "key": 6}
        db.update(**names)
        assert dict(db.items()) == names

    def test_keywords_go_before_what_else_is_given(self, db: cshelve.CloudShelf) -> None:
        db.update({"a": 5, "b": 6}, a=7)
        assert db == {"a": 7, "b": 6, "c": 3}

    def test_what_has_keys_is_taken_for_a_mapping(self, db: cshelve.CloudShelf) -> None:
        db.update(self.OnlyKeys())
        assert db == {"a": "aa", "b": 2, "c": 3, "d": "dd"}

    def test_nothing_need_be_given(self, db: cshelve.CloudShelf) -> None:
        db.update()
        assert db == {"a": 1, "b": 2, "c": 3}

    def test_another_shelf_may_be_given(self, db: cshelve.CloudShelf) -> None:
        with shelf_over(InMemory()) as other:
            other["d"] = 4
            db.update(other)
        assert db["d"] == 4

    @pytest.mark.parametrize(
        "given", [None, 5, [5], ["abc"], [("a", 1, 2)], "ab"], ids=lambda given: repr(given)
    )
    def test_what_a_dict_refuses_is_refused_with_the_same_error(
        self, given: Any, db: cshelve.CloudShelf
    ) -> None:
        with pytest.raises((TypeError, ValueError)) as of_a_dict:
            {}.update(given)
        with pytest.raises(of_a_dict.type):
            db.update(given)

    def test_two_mappings_are_refused(self, db: cshelve.CloudShelf) -> None:
        update: Any = db.update
        with pytest.raises(TypeError):
            update({}, {})


class TestDeleteMany:
    def test_the_keys_are_deleted_and_no_others(self, db: cshelve.CloudShelf) -> None:
        db.delete_many(["a", "c"])
        assert dict(db.items()) == {"b": 2}

    def test_missing_keys_are_no_failure(self, db: cshelve.CloudShelf) -> None:
        db.delete_many(["x", "a", "y", "a", NOBODY_CAN_HOLD])
        assert dict(db.items()) == {"b": 2, "c": 3}

    @pytest.mark.s3
    def test_keys_that_s3_cannot_hold_are_no_failure(self, s3_place: Place) -> None:
        db = s3_place.open()
        db["a"] = 1
        db.delete_many(["", "x" * 1025, "a"])
        assert not db

    def test_keys_may_come_from_a_generator(self, db: cshelve.CloudShelf) -> None:
        db.delete_many(key for key in "abx")
        assert list(db) == ["c"]

    def test_keys_may_come_from_the_shelf_itself(self, db: cshelve.CloudShelf) -> None:
        db.delete_many(db)
        assert not db

    def test_a_key_that_is_no_text_is_a_type_error(self, db: cshelve.CloudShelf) -> None:
        keys: Any = [5]
        with pytest.raises(cshelve.KeyTypeError, match="int"):
            db.delete_many(keys)

    def test_it_goes_on_past_a_key_that_fails(self, failing: FailingProvider) -> None:
        error = cshelve.AuthError("no")
        with shelf_over(failing) as db:
            db.update(numbered())
            failing.fail("delete", error, name="k003")
            with pytest.raises(cshelve.BulkError, match="'k003'") as caught:
                db.delete_many(numbered())
            assert caught.value.failures == {"k003": error}
            assert list(db) == ["k003"]

    def test_a_shelf_for_reading_deletes_nothing(
        self, place: Place, db: cshelve.CloudShelf
    ) -> None:
        with pytest.raises(cshelve.ReadOnlyError):
            place.open("r").delete_many(["a"])
        assert "a" in db

    @pytest.mark.s3
    def test_a_thousand_keys_cost_one_request(self, s3: S3Rig, s3_place: Place) -> None:
        db = s3_place.open()
        with s3.proxy.counting() as seen:
            db.delete_many(numbered(1000))
        assert seen.operations == [DELETES]

    @pytest.mark.s3
    def test_one_key_more_costs_one_request_more(self, s3: S3Rig, s3_place: Place) -> None:
        db = s3_place.open()
        with s3.proxy.counting() as seen:
            db.delete_many(key for key in numbered(1001))
        assert seen.operations == [DELETES, DELETES]


def sizes(db: cshelve.CloudShelf) -> int:
    """Add up the sizes of all records, as the store tells them."""
    return sum(entry.size for entry in db._objects.records.provider.entries())


Telling = Callable[[cshelve.CloudShelf, Callable[[cshelve.Progress], object]], object]
# Each on a shelf of three values, in the cache and changed if there is one.
TELLING: dict[str, Telling] = {
    "set_many": lambda db, tell: db.set_many({"a": 4, "b": 5, "c": "six"}, progress=tell),
    "get_many": lambda db, tell: list(db.get_many(["a", "b", "c"], progress=tell)),
    "delete_many": lambda db, tell: db.delete_many(["a", "b", "c"], progress=tell),
    "clear": lambda db, tell: db.clear(progress=tell),
    "sync": lambda db, tell: db.sync(progress=tell),
}
SIZED = ["set_many", "get_many", "delete_many"]
FROM_GENERATORS: dict[str, Telling] = {
    "set_many": lambda db, tell: db.set_many(((k, 1) for k in "ab"), progress=tell),
    "get_many": lambda db, tell: list(db.get_many((k for k in "ab"), progress=tell)),
    "delete_many": lambda db, tell: db.delete_many((k for k in "ab"), progress=tell),
}


def to_be_synced(db: cshelve.CloudShelf) -> None:
    """Have three values in the writeback cache that the store does not have."""
    db.writeback = True
    db.update(a=[1], b=[2], c=[3])
    for key in "abc":
        db[key].append("changed")


class TestProgress:
    @pytest.fixture
    def prepared(self, request: pytest.FixtureRequest, db: cshelve.CloudShelf) -> Any:
        """The shelf and its operation, with a list for the events."""
        name = request.getfixturevalue("operation")
        if name == "sync":
            to_be_synced(db)
        return db

    @pytest.mark.parametrize("operation", TELLING)
    def test_done_counts_up_to_the_end(self, operation: str, prepared: cshelve.CloudShelf) -> None:
        events: list[cshelve.Progress] = []
        TELLING[operation](prepared, events.append)
        assert [event.done for event in events] == [1, 2, 3]

    @pytest.mark.parametrize("operation", SIZED)
    def test_the_total_of_what_has_a_length_is_known(
        self, operation: str, prepared: cshelve.CloudShelf
    ) -> None:
        events: list[cshelve.Progress] = []
        TELLING[operation](prepared, events.append)
        assert [event.total for event in events] == [3, 3, 3]

    @pytest.mark.parametrize("operation", FROM_GENERATORS)
    def test_the_total_of_a_generator_is_not_known(
        self, operation: str, db: cshelve.CloudShelf
    ) -> None:
        events: list[cshelve.Progress] = []
        FROM_GENERATORS[operation](db, events.append)
        assert [event.total for event in events] == [None, None]

    @pytest.mark.parametrize("operation", ["set_many", "get_many", "sync"])
    def test_the_bytes_are_those_of_the_records(
        self, operation: str, prepared: cshelve.CloudShelf
    ) -> None:
        events: list[cshelve.Progress] = []
        TELLING[operation](prepared, events.append)
        assert events[-1].bytes == sizes(prepared) > 0

    @pytest.mark.parametrize("operation", ["delete_many", "clear"])
    def test_deleting_moves_no_bytes(self, operation: str, prepared: cshelve.CloudShelf) -> None:
        events: list[cshelve.Progress] = []
        TELLING[operation](prepared, events.append)
        assert [event.bytes for event in events] == [0, 0, 0]

    def test_missing_keys_are_done_too(self, db: cshelve.CloudShelf) -> None:
        events: list[cshelve.Progress] = []
        list(db.get_many(["x", "a", "y", "b", "z"], progress=events.append))
        assert [event.done for event in events] == [1, 2, 3, 4, 5]

    def test_a_record_that_cannot_be_read_is_done_too(self, db: cshelve.CloudShelf) -> None:
        spoil(db, "bad")
        events: list[cshelve.Progress] = []
        all_of(db.get_many(["a", "bad", "b"], progress=events.append))
        assert [event.done for event in events] == [1, 2, 3]

    def test_keys_that_fail_are_done_too(self, failing: FailingProvider) -> None:
        events: list[cshelve.Progress] = []
        with shelf_over(failing) as db:
            failing.fail("put", cshelve.StorageError, name="b")
            with pytest.raises(cshelve.BulkError):
                db.set_many({"a": 1, "b": 2, "c": 3}, progress=events.append)
        assert [event.done for event in events] == [1, 2, 3]

    def test_an_event_cannot_be_changed(self, db: cshelve.CloudShelf) -> None:
        events: list[Any] = []
        db.set_many({"a": 1}, progress=events.append)
        with pytest.raises(AttributeError):
            events[0].done = 5

    @pytest.mark.parametrize("operation", TELLING)
    def test_it_is_told_in_the_thread_of_the_caller(self, operation: str, far: FarMemory) -> None:
        threads: set[int] = set()
        with shelf_over(far) as db:
            db.update(a=1, b=2, c=3)
            to_be_synced(db)
            TELLING[operation](db, lambda _: threads.add(threading.get_ident()))
        assert threads == {threading.get_ident()}

    @pytest.mark.parametrize("operation", TELLING)
    @pytest.mark.parametrize("error", [ArithmeticError, KeyboardInterrupt])
    def test_what_the_callback_raises_ends_the_operation(
        self,
        error: type[BaseException],
        operation: str,
        far: FarMemory,
        workers: Callable[[], list[str]],
    ) -> None:
        def fail(_: object) -> None:
            raise error("of the callback")

        with shelf_over(far) as db:
            db.update(a=1, b=2, c=3)
            to_be_synced(db)
            with pytest.raises(error, match="of the callback"):
                TELLING[operation](db, fail)
            db.cache.clear()
            assert workers() == []


class Gone(cshelve.StorageError):
    """What every other key would fail with too."""

    about_shelf = True


BULK: dict[str, tuple[str, Callable[[cshelve.CloudShelf], object]]] = {
    "set_many": ("put", lambda db: db.set_many(numbered())),
    "update": ("put", lambda db: db.update(numbered())),
    "delete_many": ("delete", lambda db: db.delete_many(numbered())),
    "clear": ("delete", lambda db: db.clear()),
    "get_many": ("get", lambda db: list(db.get_many(numbered()))),
    "items": ("get", lambda db: list(db.items())),
    "values": ("get", lambda db: list(db.values())),
    "==": ("get", lambda db: db == numbered()),
}


def numbers_of(error: Any) -> tuple[Any, Any, Any]:
    return error.stored, error.failed, error.not_attempted


class TestWhatIsWrongWithTheWholeShelf:
    @pytest.mark.parametrize("operation", BULK)
    def test_is_raised_itself(self, operation: str, failing: FailingProvider) -> None:
        method, act = BULK[operation]
        with shelf_over(failing) as db:
            db.update(numbered())
            failing.fail(method, Gone, after=10, times=None)
            with pytest.raises(Gone):
                act(db)

    @pytest.mark.parametrize("operation", BULK)
    def test_stops_the_rest(self, operation: str, failing: FailingProvider, far: FarMemory) -> None:
        method, act = BULK[operation]
        with shelf_over(failing) as db:
            db.update(numbered())
            before = far.begun
            failing.fail(method, Gone, after=10)
            with pytest.raises(Gone):
                act(db)
            assert far.begun - before <= 10 + CONCURRENCY

    @pytest.mark.parametrize("operation", ["set_many", "update", "delete_many"])
    def test_the_numbers_add_up(self, operation: str, failing: FailingProvider) -> None:
        method, act = BULK[operation]
        with shelf_over(failing) as db:
            failing.fail(method, Gone, after=10, times=None)
            with pytest.raises(Gone) as caught:
                act(db)
        stored, failed, not_attempted = numbers_of(caught.value)
        assert stored == 10
        assert 1 <= failed <= CONCURRENCY
        assert stored + failed + not_attempted == MANY

    def test_a_key_that_failed_alone_before_is_among_the_failed(
        self, failing: FailingProvider
    ) -> None:
        with shelf_over(failing) as db:
            failing.fail("put", cshelve.StorageError("of one key"), name="k000")
            failing.fail("put", Gone, after=10, times=None)
            with pytest.raises(Gone) as caught:
                db.set_many(numbered())
            stored, failed, not_attempted = numbers_of(caught.value)
            assert (stored, stored + failed + not_attempted) == (len(db), MANY)
            assert failed >= 2

    def test_nobody_knows_how_many_are_left_of_a_generator(self, failing: FailingProvider) -> None:
        with shelf_over(failing) as db:
            failing.fail("put", Gone, after=10, times=None)
            with pytest.raises(Gone) as caught:
                db.set_many(pair for pair in numbered().items())
        assert caught.value.stored == 10
        assert caught.value.not_attempted is None

    def test_a_sync_tells_how_many_are_stored(self, failing: FailingProvider) -> None:
        with shelf_over(failing, writeback=True) as db:
            db.update({key: [] for key in numbered()})
            for key in numbered():
                db[key].append("changed")
            failing.fail("put", Gone, after=10, times=10)
            with pytest.raises(Gone) as caught:
                db.sync()
            db.cache.clear()
            written = [value for value in db.values() if value]
        assert caught.value.stored == len(written) == 10

    @pytest.mark.s3
    @pytest.mark.parametrize("write", WAYS_TO_WRITE.values(), ids=WAYS_TO_WRITE)
    def test_throttling_for_ever_is_that(self, write: Callable[..., None], s3: S3Rig) -> None:
        config = s3.config(total_max_attempts=2, concurrency=8)
        db = Place(config).open()
        s3.proxy.inject(Answer(503, "SlowDown"), operation=PUT, after=10, times=None)
        with pytest.raises(cshelve.StorageError, match="SlowDown") as caught:
            write(db, numbered())
        stored, failed, not_attempted = numbers_of(caught.value)
        assert caught.value.about_shelf
        assert stored == len(db) == 10
        assert stored + failed + not_attempted == MANY

    @pytest.mark.s3
    def test_throttling_for_ever_of_a_delete_is_that(self, s3: S3Rig) -> None:
        db = Place(s3.config(total_max_attempts=1)).open()
        s3.proxy.inject(Answer(503, "SlowDown"), operation=DELETES, after=1, times=None)
        with pytest.raises(cshelve.StorageError, match="SlowDown") as caught:
            db.delete_many(numbered(2500))
        assert numbers_of(caught.value) == (1000, 1000, 500)


def give_up(_: object) -> None:
    raise ArithmeticError


def broken_source() -> Iterator[Any]:
    yield from numbered(20).items()
    raise ArithmeticError


def left_early(pairs: Iterable[Any]) -> None:
    for _ in pairs:
        return


ENDS: dict[str, Callable[[cshelve.CloudShelf], object]] = {
    "all read": lambda db: list(db.items()),
    "all written": lambda db: db.set_many(numbered()),
    "all deleted": lambda db: db.delete_many(numbered()),
    "cleared": lambda db: db.clear(),
    "break out of items": lambda db: left_early(db.items()),
    "break out of values": lambda db: left_early(db.values()),
    "break out of get_many": lambda db: left_early(db.get_many(numbered())),
    "first difference": lambda db: db == {"other": 1},
    "failure of a key": lambda db: db.set_many({**numbered(), "bad": 1}),
    "failure of a deletion": lambda db: db.delete_many([*numbered(), "bad"]),
    "failure of a read": lambda db: list(db.get_many([*numbered(20), "bad", *numbered(20)])),
    "about the shelf": lambda db: db.set_many({**numbered(20), "worse": 1, **numbered()}),
    "source of a write": lambda db: db.set_many(broken_source()),
    "source of a read": lambda db: list(db.get_many(key for key, _ in broken_source())),
    "key that is no text": lambda db: list(db.get_many([*numbered(), 5])),  # type: ignore[list-item]
    "value without a pickle": lambda db: db.update({**numbered(20), "f": lambda: 0}),
    "callback of a write": lambda db: db.set_many(numbered(), progress=give_up),
    "callback of a deletion": lambda db: db.delete_many(numbered(), progress=give_up),
}


@pytest.mark.parametrize("end", ENDS)
def test_no_thread_stays_behind(
    end: str, failing: FailingProvider, workers: Callable[[], list[str]]
) -> None:
    with shelf_over(failing) as db:
        db.update(numbered())
        failing.inner.put("bad", b"hello")
        for method in ("put", "delete", "get"):
            failing.fail(method, cshelve.AuthError, name="bad", times=None)
        failing.fail("put", Gone, name="worse", times=None)
        with suppress(Exception):  # How it ends is not what is looked at here.
            ENDS[end](db)
        assert workers() == []


# Memory

VALUE_BYTES = 1_000_000

# Not `ru_maxrss` where there is better: it begins at what the process had that started this one.
PEAK = """
import pathlib, resource

def peak():
    status = pathlib.Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
"""

STREAM_FROM_MEMORY = f"""
import sys
from cshelve.providers.base import Item
from cshelve.providers.in_memory import InMemory
from cshelve.testing import shelf_over

MANY = int(sys.argv[2])

class MadeWhenAsked(InMemory):
    def names(self, prefix="", *, limit=None):
        return (str(number) for number in range(MANY))

    def get(self, name):
        return Item(bytes(memoryview(RECORD)), "1")

store = MadeWhenAsked(exists=True)
store.concurrency = 32
with shelf_over(store) as db:
    db["0"] = bytes({VALUE_BYTES})
    RECORD = InMemory.get(store, "0").data
    pairs = db.items() if sys.argv[1] == "items" else db.get_many(map(str, range(MANY)))
    count = sum(len(value) for _, value in pairs) // {VALUE_BYTES}
    assert count == MANY, count
print(peak())
"""

STREAM_THROUGH_S3 = f"""
import json, os, sys
import cshelve

MANY = int(sys.argv[2])
with cshelve.open_from_dict(json.loads(sys.argv[1])) as db:
    for way in range(2):
        # What the libraries take for themselves is taken once.
        db.set_many((str(number), os.urandom({VALUE_BYTES})) for number in range(8))
        assert len(list(db.get_many(map(str, range(8))))) == 8
    before = peak()
    db.set_many((f"{{number:03}}", os.urandom({VALUE_BYTES})) for number in range(MANY))
    written = peak()
    count = sum(len(value) for _, value in db.items()) // {VALUE_BYTES}
    assert count == MANY + 8, count
    read = peak()
print(before, written, read)
"""


def megabytes(of_getrusage: str) -> float:
    """The unit is not the same everywhere."""
    return int(of_getrusage) / (1e6 if sys.platform == "darwin" else 1e3)


def output_of(program: str, *arguments: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", PEAK + program, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


# Items stand for both: a fifth of them shows that get_many is no other way.
@pytest.mark.parametrize(("way", "many"), [("items", 10_000), ("get_many", 2_000)])
def test_thousands_of_values_of_a_megabyte_stream_through_little_memory(
    way: str, many: int
) -> None:
    assert megabytes(output_of(STREAM_FROM_MEMORY, way, str(many))) < 200


@pytest.mark.s3
def test_values_stream_to_and_from_a_server_through_little_memory(s3: S3Rig) -> None:
    many = 200
    config = s3.config(concurrency=8)
    config["provider_params"]["endpoint_url"] = s3.server.endpoint_url
    try:
        output = output_of(STREAM_THROUGH_S3, json.dumps(config), str(many))
    finally:
        cshelve.open_from_dict(config, "n").close()
    before, written, read = map(megabytes, output.split())
    assert written - before < many / 2
    assert read - before < many / 2


# Connections


class Gauge:
    """A fault that does no harm and tells how many requests are under way at once, at most."""

    def __init__(self, together: int) -> None:
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()
        self._first = together
        self._all_there = threading.Barrier(together)

    def __call__(self, exchange: Exchange) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            waits, self._first = self._first > 0, self._first - 1
        if waits:
            # So that a bound that is lower than it should be is found out too.
            self._all_there.wait(timeout=10)
        try:
            pass_on(exchange)
        finally:
            with self._lock:
                self._now -= 1


@pytest.fixture
def pool_warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.WARNING, logger="urllib3")
    return lambda: [record.getMessage() for record in caplog.records if "pool" in record.name]


@pytest.mark.s3
class TestConnections:
    def test_as_many_requests_fly_as_concurrency_says_and_the_pool_holds_them(
        self, s3: S3Rig, s3_place: Place, pool_warnings: Callable[[], list[str]]
    ) -> None:
        db = s3_place.open()
        for act in (lambda: db.update(numbered(200)), lambda: list(db.items())):
            gauge = Gauge(32)
            operation = PUT if not db else GET
            with s3.proxy.inject(gauge, operation=operation, times=None):
                act()
            assert gauge.most == 32
        assert pool_warnings() == []

    def test_a_hundred_threads_of_the_users_wait_for_their_turn(
        self, s3: S3Rig, pool_warnings: Callable[[], list[str]]
    ) -> None:
        db = Place(s3.config(concurrency=8)).open()
        gauge = Gauge(8)
        s3.proxy.inject(gauge, times=None)
        begin = threading.Barrier(100)
        errors: list[Exception] = []

        def work(number: int) -> None:
            begin.wait(timeout=30)
            try:
                db[f"k{number}"] = number
                assert db[f"k{number}"] == number
                assert f"k{number}" in db
            except Exception as error:  # noqa: BLE001  # for the main thread to look at
                errors.append(error)

        threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(100)]
        with s3.proxy.counting() as seen:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
        assert errors == []
        assert seen.total == 300
        assert gauge.most == 8
        assert len({request.connection for request in seen.requests}) <= 8
        assert pool_warnings() == []

    def test_many_threads_that_each_work_on_many_keys_share_the_same_bound(
        self,
        s3: S3Rig,
        pool_warnings: Callable[[], list[str]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # A machine that is busy may pause an iteration for longer, which then counts for nothing.
        monkeypatch.setattr("cshelve._concurrency.permits.PAUSE_SECONDS", 5)
        db = Place(s3.config(concurrency=8)).open()
        gauge = Gauge(8)
        s3.proxy.inject(gauge, times=None)
        threads = [
            threading.Thread(
                target=db.update, args=({f"{n}/{key}": 0 for key in range(20)},), daemon=True
            )
            for n in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(db) == 120
        assert gauge.most == 8
        assert pool_warnings() == []

    def test_a_smaller_pool_is_the_bound(
        self, s3: S3Rig, pool_warnings: Callable[[], list[str]]
    ) -> None:
        config = s3.config(concurrency=32)
        config["provider_params"]["config.max_pool_connections"] = 4
        db = Place(config).open()
        gauge = Gauge(4)
        with s3.proxy.inject(gauge, operation=PUT, times=None):
            db.update(numbered(60))
        assert gauge.most == 4
        assert pool_warnings() == []


# What an iterator that is not at its end leaves behind


def test_a_failure_that_somebody_keeps_keeps_no_thread(
    failing: FailingProvider, workers: Callable[[], list[str]]
) -> None:
    with shelf_over(failing) as db:
        db.update(numbered())
        failing.fail("get", cshelve.AuthError, name="k020")
        with pytest.raises(cshelve.AuthError) as kept:
            list(db.items())
        assert workers() == []
        del kept


def test_get_many_can_be_closed(far: FarMemory, workers: Callable[[], list[str]]) -> None:
    with shelf_over(far) as db:
        db.update(numbered())
        pairs: Any = db.get_many(numbered())
        with closing(pairs):
            next(pairs)
        assert workers() == []
        assert list(pairs) == []


@pytest.mark.parametrize("operation", ["get_many", "items"])
def test_an_iterator_of_a_shelf_that_is_closed_leaves_no_thread(
    operation: str, far: FarMemory, workers: Callable[[], list[str]]
) -> None:
    with shelf_over(far) as db:
        db.update(numbered())
        pairs = iter(db.items() if operation == "items" else db.get_many(numbered()))
        next(pairs)
    with pytest.raises(ValueError, match="closed shelf"):
        next(pairs)
    assert workers() == []


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


# Counting what needs no request


@pytest.mark.parametrize("operation", ["get_many", "delete_many"])
def test_keys_that_no_store_can_hold_count_as_done(operation: str, db: cshelve.CloudShelf) -> None:
    events: list[cshelve.Progress] = []
    keys = [NOBODY_CAN_HOLD, "a", NOBODY_CAN_HOLD]
    list(getattr(db, operation)(keys, progress=events.append) or [])
    assert events[-1].done == events[-1].total == 3


def test_a_key_that_is_deleted_twice_counts_twice(db: cshelve.CloudShelf) -> None:
    events: list[cshelve.Progress] = []
    db.delete_many(["a", "b", "a"], progress=events.append)
    assert events[-1].done == events[-1].total == 3


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


def test_a_shelf_given_to_update_is_not_listed_for_its_length() -> None:
    given = CountingProvider(InMemory())
    with shelf_over(given) as other, shelf_over(InMemory()) as db:
        other.update(a=1, b=2)
        given.reset()
        db.update(other)
        db.set_many(other.items())
        assert given.counts["names"] == 2
        assert dict(db.items()) == {"a": 1, "b": 2}


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


def test_what_failed_counts_what_failed() -> None:
    class Gone(cshelve.StorageError):
        about_shelf = True

    failing = FailingProvider(InMemory())
    with shelf_over(failing) as db:
        failing.fail("delete", Gone, times=None)
        with pytest.raises(Gone) as caught:
            db.delete_many([NOBODY_CAN_HOLD, "a", "b"])
    assert (caught.value.stored, caught.value.failed, caught.value.not_attempted) == (0, 1, 1)


def test_turning_writeback_off_ends_the_keeping() -> None:
    with shelf_over(InMemory(), writeback=True) as db:
        db["a"] = []
        db.writeback = False
        db.set_many({"b": []})
        db["b"].append(1)
        db.sync()
        assert db["b"] == []


def test_without_threads_the_work_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    store = SlowProvider(InMemory(), 0, concurrency=4)
    with shelf_over(store) as db:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        db.update({str(number): number for number in range(20)})
        assert len(dict(db.items())) == 20
