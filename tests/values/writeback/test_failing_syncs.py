"""A `sync` or `close` that fails keeps what it could not write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

import cshelve
from cshelve.testing import FailingProvider, shelf_over
from testbed.faults import Answer
from tests.rigs import Place, S3Rig
from tests.values.writeback.rig import KEYS, PUT, GatedMemory, stored_in


class TestASyncThatFails:
    @pytest.fixture
    def db(self, failing: FailingProvider) -> Iterator[cshelve.CloudShelf]:
        """Ten values in the cache, all changed; two of them cannot be written, once."""
        db = shelf_over(failing, writeback=True)
        db.update({key: [] for key in KEYS})
        for key in KEYS:
            db[key].append("changed")
        for key in ("k3", "k7"):
            failing.fail("put", cshelve.AuthError("no"), name=key)
        yield db
        db.cache.clear()
        db.close()

    @pytest.mark.parametrize("end", ["sync", "close"])
    def test_raises(self, end: str, db: cshelve.CloudShelf) -> None:
        with pytest.raises(cshelve.BulkError) as caught:
            getattr(db, end)()
        assert set(caught.value.failures) == {"k3", "k7"}

    def test_writes_what_it_can(self, db: cshelve.CloudShelf, memory: GatedMemory) -> None:
        with pytest.raises(cshelve.BulkError):
            db.sync()
        assert [key for key, value in stored_in(memory).items() if not value] == ["k3", "k7"]

    def test_leaves_writeback_on(self, db: cshelve.CloudShelf) -> None:
        with pytest.raises(cshelve.BulkError):
            db.sync()
        assert db.writeback

    def test_keeps_what_was_not_written_in_the_cache(self, db: cshelve.CloudShelf) -> None:
        values = {key: db[key] for key in ("k3", "k7")}
        with pytest.raises(cshelve.BulkError):
            db.sync()
        assert all(db.cache[key] is value for key, value in values.items())

    @pytest.mark.parametrize("end", ["sync", "close"])
    def test_the_next_one_writes_what_it_could_not(
        self, end: str, db: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        with pytest.raises(cshelve.BulkError):
            db.sync()
        before = len(memory.puts)
        getattr(db, end)()
        assert sorted(memory.puts[before:]) == ["k3", "k7"]
        assert set(map(str, stored_in(memory).values())) == {"['changed']"}

    def test_leaves_the_shelf_open_if_it_was_that_of_a_close(self, db: cshelve.CloudShelf) -> None:
        with pytest.raises(cshelve.BulkError):
            db.close()
        db["new"] = 1
        assert db["new"] == 1

    def test_what_is_wrong_with_the_shelf_keeps_everything_that_was_not_written(
        self, db: cshelve.CloudShelf, failing: FailingProvider, memory: GatedMemory
    ) -> None:
        failing.fail("put", cshelve.DBDoesNotExistsError, after=2)
        with pytest.raises(cshelve.DBDoesNotExistsError):
            db.sync()
        for _ in range(2):  # The two keys may fail yet, each at another time.
            with suppress(cshelve.BulkError):
                db.sync()
        db.sync()
        assert set(map(str, stored_in(memory).values())) == {"['changed']"}

    @pytest.mark.s3
    def test_on_s3_too(self, s3: S3Rig) -> None:
        place = Place(s3.config(total_max_attempts=1))
        db = place.open(writeback=True)
        db.update({key: [] for key in KEYS})
        for key in KEYS:
            db[key].append("changed")
        with (
            s3.proxy.inject(Answer(503, "SlowDown"), operation=PUT, after=2, times=None),
            pytest.raises(cshelve.StorageError),
        ):
            db.sync()
        db.close()
        assert dict(place.open("r").items()) == {key: ["changed"] for key in KEYS}

    def test_a_value_that_can_no_longer_be_pickled_stays_in_the_cache(
        self, live: cshelve.CloudShelf
    ) -> None:
        live["k"] = [1]
        live["k"].append(lambda: 0)
        live["other"] = []
        live["other"].append("changed")
        with pytest.raises(cshelve.BulkError) as caught:
            live.sync()
        assert isinstance(caught.value.failures["k"], cshelve.ValueTypeError)
        assert len(live["k"]) == 2
        live.cache.clear()
        assert live["other"] == ["changed"]
