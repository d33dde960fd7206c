"""Cached values carry their times: an expired one is missing, and nothing revives it."""

from __future__ import annotations

import math
import warnings

import pytest

import cshelve
from cshelve.providers.in_memory import InMemory
from cshelve.testing import CountingProvider, shelf_over
from tests.clocks import Clock
from tests.rigs import Place


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    clock.rule(monkeypatch)
    return clock


@pytest.fixture
def memory() -> InMemory:
    return InMemory(exists=True)


@pytest.fixture
def brief(memory: InMemory, clock: Clock) -> cshelve.CloudShelf:
    """A shelf with writeback, in which a list lives for ten seconds more."""
    db = shelf_over(memory, writeback=True)
    db.set("k", [1], expire_after_seconds=10)
    return db


def seconds_left(memory: InMemory, key: str, clock: Clock) -> float | None:
    found = shelf_over(memory).provider.expires_at(key)
    return None if found is None else found - clock.time


class TestAnExpiredValue:
    def test_reads_as_missing(self, brief: cshelve.CloudShelf, clock: Clock) -> None:
        assert brief["k"] == [1]
        clock.move(10)
        assert brief.get("k") is None
        assert "k" not in brief
        assert list(brief.get_many(["k"])) == []
        assert list(brief.items()) == []
        assert "k" not in brief.cache

    def test_that_was_read_reads_as_missing(self, memory: InMemory, clock: Clock) -> None:
        with shelf_over(memory) as db:
            db.set("a", [1], expire_after_seconds=10)
            db.set("b", [1], expire_after_seconds=10)
        db = shelf_over(memory, writeback=True)
        assert db["a"] == [1]
        assert dict(db.items()) == {"a": [1], "b": [1]}
        clock.move(10)
        assert (db.get("a"), db.get("b")) == (None, None)

    def test_is_not_written_by_sync(
        self, brief: cshelve.CloudShelf, memory: InMemory, clock: Clock
    ) -> None:
        brief["k"].append(2)
        clock.move(10)
        before = memory.get("k")
        brief.sync()
        assert memory.get("k") == before
        assert len(brief.cache) == 0
        brief.close()
        assert memory.get("k") == before

    def test_is_not_written_over_what_others_wrote(
        self, brief: cshelve.CloudShelf, memory: InMemory, clock: Clock
    ) -> None:
        brief["k"].append(2)
        clock.move(10)
        shelf_over(memory)["k"] = "theirs"
        assert brief["k"] == "theirs"
        brief.close()
        assert shelf_over(memory)["k"] == "theirs"

    def test_is_not_written_after_others_deleted_it(
        self, brief: cshelve.CloudShelf, memory: InMemory, clock: Clock
    ) -> None:
        brief["k"].append(2)
        clock.move(10)
        assert shelf_over(memory).expire() == 1
        brief.close()
        assert not memory.contains("k")

    def test_is_not_written_before_an_operation_on_the_store(
        self, brief: cshelve.CloudShelf, memory: InMemory, clock: Clock
    ) -> None:
        brief["k"].append(2)
        clock.move(10)
        assert brief.modify("k", lambda value: [*value, 3], default=[]) == [3]
        clock.move(1)
        brief.set("p", [1], expire_after_seconds=5)
        brief["p"].append(2)
        clock.move(5)
        assert brief.pop("p", None) is None
        assert brief.setdefault("p", [9]) == [9]

    def test_is_not_written_to_make_room(self, memory: InMemory, clock: Clock) -> None:
        config = {"default": {"writeback_limit": 2}}
        store = CountingProvider(memory)
        with cshelve.open_provider(store, writeback=True, config=config) as db:
            db.set("k", [1], expire_after_seconds=10)
            db["k"].append(2)
            clock.move(10)
            before = memory.get("k")
            db["a"] = [1]
            db["b"] = [1]
            assert sorted(db.cache) == ["a", "b"]
            assert memory.get("k") == before

    def test_is_no_change_that_a_reader_has_to_be_told_of(
        self, memory: InMemory, clock: Clock
    ) -> None:
        with shelf_over(memory) as db:
            db.set("k", [1], expire_after_seconds=10)
        with shelf_over(memory, "r", writeback=True) as reader:
            reader["k"].append(2)
            clock.move(10)

    def test_is_no_change_that_is_lost(self, brief: cshelve.CloudShelf, clock: Clock) -> None:
        brief["k"].append(2)
        clock.move(10)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            brief.__del__()

    def test_is_deleted_by_expire(self, brief: cshelve.CloudShelf, clock: Clock) -> None:
        brief["k"].append(2)
        clock.move(10)
        assert brief.expire() == 1
        assert len(brief) == 0
        brief.sync()
        assert len(brief) == 0


class TestTheTime:
    def test_stays_when_a_changed_value_is_written(
        self, brief: cshelve.CloudShelf, memory: InMemory, clock: Clock
    ) -> None:
        clock.move(4)
        brief["k"].append(2)
        brief.sync()
        assert shelf_over(memory)["k"] == [1, 2]
        assert seconds_left(memory, "k", clock) == 6
        assert brief["k"] == [1, 2]
        brief["k"].append(3)
        brief.sync()
        assert seconds_left(memory, "k", clock) == 6

    def test_that_is_none_stays_none(self, memory: InMemory, clock: Clock) -> None:
        shelf_over(memory)["k"] = [1]
        config = {"default": {"expire_after_seconds": 10}}
        with cshelve.open_provider(memory, writeback=True, config=config) as db:
            db["k"].append(2)
        assert shelf_over(memory)["k"] == [1, 2]
        assert memory.expires_at("k") == math.inf

    def test_of_values_that_are_set_is_the_configured_one(
        self, memory: InMemory, clock: Clock
    ) -> None:
        config = {"default": {"expire_after_seconds": 10}}
        with cshelve.open_provider(memory, writeback=True, config=config) as db:
            db.set_many({"a": [1]})
            db["b"] = [1]
            db.cache["c"] = [1]
            clock.move(4)
            db.sync()
            assert [seconds_left(memory, key, clock) for key in "abc"] == [6, 6, 10]
            db["a"].append(2)
            clock.move(6)
            assert (db.get("a"), db.get("b"), db["c"]) == (None, None, [1])
            db["c"].append(2)
            db.sync()
            assert seconds_left(memory, "c", clock) == 4


def test_an_expired_value_is_missing_in_each_store(place: Place, clock: Clock) -> None:
    with place.open(writeback=True) as db:
        db.set("k", [1], expire_after_seconds=10)
        db["k"].append(2)
        clock.move(10)
        assert db.get("k") is None
    assert list(place.open().items()) == []
