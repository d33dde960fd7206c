"""Threads that meet in the cache, held up by gates: one after the other.

The last ones show how turns and deletions of many keys go together.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

import cshelve
from tests.values.writeback.rig import PATIENCE_SECONDS, GatedMemory, begun, result_of, stored_in

# What is to wait for another is given this long to show that it does not.
GRACE_SECONDS = 0.1


def give_it_time(future: Future[Any]) -> None:
    """Let something that should wait for another show it if it does not."""
    with suppress(TimeoutError):
        future.result(GRACE_SECONDS)


class TestManyThreads:
    """What is held up is so by gates, one thread after the other."""

    def test_two_that_read_one_key_get_the_same_object(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        memory.put("k", pickle.dumps([1]))
        gate = memory.hold("get", "k")
        first = begun(lambda: live["k"])
        gate.wait_until_reached()
        second = begun(lambda: live["k"])
        give_it_time(second)
        gate.open()
        assert result_of(first) is result_of(second)

    def test_one_that_reads_and_one_that_goes_through_items_get_the_same_object(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        memory.put("k", pickle.dumps([1]))
        gate = memory.hold("get", "k")
        listing = begun(lambda: dict(live.items()))
        gate.wait_until_reached()
        value = live["k"]
        gate.open()
        assert result_of(listing)["k"] is value

    def test_a_sync_never_writes_an_older_value_over_a_newer_one(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        live["k"] = ["old"]
        live["k"].append("changed")
        gate = memory.hold("put", "k")
        syncing = begun(live.sync)
        gate.wait_until_reached()
        setting = begun(lambda: live.__setitem__("k", ["new"]))
        give_it_time(setting)
        gate.open()
        result_of(syncing)
        result_of(setting)
        assert stored_in(memory) == {"k": ["new"]}
        assert live["k"] == ["new"]

    def test_nor_does_one_that_begins_while_the_newer_one_is_being_written(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        live["k"] = ["old"]
        live["k"].append("changed")
        gate = memory.hold("put", "k")
        setting = begun(lambda: live.__setitem__("k", ["new"]))
        gate.wait_until_reached()
        syncing = begun(live.sync)
        give_it_time(syncing)
        gate.open()
        result_of(setting)
        result_of(syncing)
        assert stored_in(memory) == {"k": ["new"]}

    @pytest.mark.parametrize("late", ["update", "set"])
    def test_nor_does_an_update_beside_which_another_writes(
        self, late: str, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        gate = memory.hold("put", "k")
        updating = begun(lambda: live.update(k="first", other=1))
        gate.wait_until_reached()
        write = live.__setitem__ if late == "set" else lambda k, v: live.update({k: v})
        writing = begun(lambda: write("k", "second"))
        give_it_time(writing)
        gate.open()
        result_of(updating)
        result_of(writing)
        assert stored_in(memory)["k"] == live["k"] == "second"

    def test_others_wait_for_a_sync_and_then_write(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        live["k"] = []
        live["k"].append("changed")
        gate = memory.hold("put", "k")
        syncing = begun(live.sync)
        gate.wait_until_reached()
        setting = begun(lambda: live.__setitem__("other", [1]))
        give_it_time(setting)
        assert not setting.done()
        gate.open()
        result_of(setting)
        result_of(syncing)
        assert stored_in(memory) == {"k": ["changed"], "other": [1]}

    def test_what_is_set_while_a_sync_is_under_way_stays_in_the_cache(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        live["k"] = []
        live["k"].append("changed")
        gate = memory.hold("put", "k")
        syncing = begun(live.sync)
        gate.wait_until_reached()
        value: list[Any] = [1]
        setting = begun(lambda: live.__setitem__("other", value))
        give_it_time(setting)
        gate.open()
        result_of(syncing)
        result_of(setting)
        value.append("later")
        live.sync()
        assert stored_in(memory)["other"] == [1, "later"]

    def test_a_key_that_is_deleted_while_it_is_read_is_not_there(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        memory.put("k", pickle.dumps([1]))
        gate = memory.hold("get", "k")
        reading = begun(lambda: live["k"])
        gate.wait_until_reached()
        deleting = begun(lambda: live.__delitem__("k"))
        give_it_time(deleting)
        gate.open()
        assert result_of(reading) == [1]
        result_of(deleting)
        assert live.get("k") is None

    @pytest.mark.parametrize("way", ["del", "pop", "delete_many", "clear", "view"])
    def test_a_key_that_is_deleted_while_items_reads_it_is_not_there(
        self, way: str, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        memory.put("k", pickle.dumps([1]))
        gate = memory.hold("get", "k")
        listing = begun(lambda: dict(live.items()))
        gate.wait_until_reached()
        DELETIONS[way](live)
        gate.open()
        assert result_of(listing) == {}
        assert live.get("k") is None

    def test_a_key_that_is_written_while_items_reads_it_has_the_newer_value(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        memory.put("k", pickle.dumps("old"))
        gate = memory.hold("get", "k")
        listing = begun(lambda: dict(live.items()))
        gate.wait_until_reached()
        live["k"] = "new"
        live.sync()  # So that it is in the cache no longer.
        gate.open()
        assert result_of(listing) == {"k": "new"}
        assert live["k"] == "new"

    def test_a_key_that_is_deleted_while_a_sync_writes_it_is_not_there(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        live["k"] = []
        live["k"].append("changed")
        gate = memory.hold("put", "k")
        syncing = begun(live.sync)
        gate.wait_until_reached()
        deleting = begun(lambda: live.__delitem__("k"))
        give_it_time(deleting)
        gate.open()
        result_of(syncing)
        result_of(deleting)
        assert (stored_in(memory), live.get("k")) == ({}, None)


DELETIONS: dict[str, Callable[[cshelve.CloudShelf], object]] = {
    "del": lambda db: db.__delitem__("k"),
    "pop": lambda db: db.pop("k"),
    "delete_many": lambda db: db.delete_many(["k"]),
    "clear": lambda db: db.clear(),
    "view": lambda db: db.prefix("k").clear(),
}


@pytest.mark.parametrize("way", ["delete_many", "clear", "view"])
def test_a_key_that_is_deleted_with_others_while_it_is_read_is_not_there(
    way: str, live: cshelve.CloudShelf, memory: GatedMemory
) -> None:
    memory.put("k", pickle.dumps([1]))
    gate = memory.hold("get", "k")
    reading = begun(lambda: live["k"])
    gate.wait_until_reached()
    deleting = begun(lambda: DELETIONS[way](live))
    give_it_time(deleting)
    gate.open()
    result_of(reading)
    result_of(deleting)
    assert "k" not in live
    assert live.get("k") is None


def test_what_is_set_while_the_shelf_is_cleared_stays_in_the_cache(
    live: cshelve.CloudShelf, memory: GatedMemory
) -> None:
    live.update(a=1, b=2)
    value: list[str] = []

    def set_meanwhile(progress: cshelve.Progress) -> None:
        if progress.done == 2:
            live["new"] = value

    live.clear(progress=set_meanwhile)
    value.append("changed")
    live.sync()
    assert stored_in(memory) == {"new": ["changed"]}


def test_updates_whose_sources_read_what_the_other_writes_do_not_wait_for_ever(
    live: cshelve.CloudShelf,
) -> None:
    live.update(a=1, b=2)
    both_fly = threading.Barrier(2)

    def pairs(own: str, others: str) -> Iterator[tuple[str, Any]]:
        yield own, "new"
        both_fly.wait(PATIENCE_SECONDS)
        # In a thread of its own, which can be given up, so that no thread waits for ever.
        yield f"copy of {others}", begun(lambda: live[others]).result(PATIENCE_SECONDS / 2)

    for updating in [begun(partial(live.update, pairs(x, y))) for x, y in ("ab", "ba")]:
        result_of(updating)
