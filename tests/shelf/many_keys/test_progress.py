"""Progress: what counts as done, what is told, and by whom."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import cshelve
from cshelve.testing import FailingProvider, shelf_over
from tests.rigs import provider_of
from tests.shelf.many_keys.rig import NOBODY_CAN_HOLD, FarMemory, all_of, spoil


def sizes(db: cshelve.CloudShelf) -> int:
    """Add up the sizes of all records, as the store tells them."""
    return sum(entry.size_bytes for entry in provider_of(db).entries())


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
