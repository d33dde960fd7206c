"""What every other key would fail with too ends the operation, which tells how far it came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import cshelve
from cshelve.providers.in_memory import InMemory
from cshelve.testing import FailingProvider, shelf_over
from testbed.faults import Answer
from tests.rigs import Place, S3Rig
from tests.shelf.many_keys.rig import (
    CONCURRENCY,
    DELETES,
    MANY,
    NOBODY_CAN_HOLD,
    PUT,
    WAYS_TO_WRITE,
    FarMemory,
    Gone,
    numbered,
)

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
        stored, failed, not_attempted = numbers_of(caught.value)
        assert stored in (500, 1000)  # Any of the three requests may be the first.
        assert failed >= 500
        assert stored + failed + not_attempted == 2500


def test_what_failed_counts_what_failed() -> None:
    class Gone(cshelve.StorageError):
        about_shelf = True

    failing = FailingProvider(InMemory())
    with shelf_over(failing) as db:
        failing.fail("delete", Gone, times=None)
        with pytest.raises(Gone) as caught:
            db.delete_many([NOBODY_CAN_HOLD, "a", "b"])
    assert (caught.value.stored, caught.value.failed, caught.value.not_attempted) == (0, 1, 1)
