"""Only what changed is written, and what counts as a change."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import cshelve
from cshelve.testing import shelf_over
from tests.rigs import Place, S3Rig
from tests.values.writeback.rig import KEYS, PUT, GatedMemory, begun, result_of, stored_in


class TestOnlyWhatChangedIsWritten:
    def test_what_was_changed_is_written(self, filled: Place) -> None:
        with filled.open("w", writeback=True) as db:
            db["k1"].append("changed")
        assert filled.open("r")["k1"] == ["k1", "changed"]

    @pytest.mark.parametrize("end", ["sync", "close"])
    def test_what_was_only_read_is_not(self, end: str, filled: Place) -> None:
        db = filled.open("w", writeback=True)
        assert len(list(db.items())) == len(KEYS)
        other = filled.open("w")
        other["k1"] = "of another program"
        getattr(db, end)()
        assert other["k1"] == "of another program"

    def test_what_was_written_and_not_changed_since_is_not_written_again(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        live["a"] = []
        live.update(b=[], c=[])
        live.setdefault("d", [])
        live.sync()
        assert memory.puts == ["a", *sorted(memory.puts[1:3]), "d"]

    def test_what_was_changed_and_written_is_not_written_again(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        live["a"] = []
        live["a"].append("changed")
        live.sync()
        live.sync()
        assert memory.puts == ["a", "a"]

    def test_what_is_changed_inside_counts(self, filled: Place) -> None:
        with filled.open("w", writeback=True) as db:
            db["new"] = {"deep": [{"er": set()}]}
            db.sync()
            db["new"]["deep"][0]["er"].add(1)
        assert filled.open("r")["new"] == {"deep": [{"er": {1}}]}

    def test_after_a_sync_values_are_read_again(self, filled: Place) -> None:
        db = filled.open("w", writeback=True)
        assert db["k1"] == ["k1"]
        db.sync()
        filled.open("w")["k1"] = "of another program"
        assert db["k1"] == "of another program"

    def test_writing_again_replaces_what_was_changed(self, filled: Place) -> None:
        with filled.open("w", writeback=True) as db:
            db["k1"].append("changed")
            db["k1"] = "another"
        assert filled.open("r")["k1"] == "another"

    @pytest.mark.s3
    def test_on_s3_it_is_a_put_for_each_changed_value(self, s3: S3Rig, s3_place: Place) -> None:
        db = s3_place.open(writeback=True)
        db.update({key: [] for key in KEYS})
        db.sync()
        values = dict(db.items())
        for key in ("k3", "k7"):
            values[key].append("changed")
        with s3.proxy.counting() as seen:
            db.sync()
        assert [request.operation for request in seen.requests] == [PUT, PUT]
        assert {request.key.rpartition("/")[2] for request in seen.requests} == {"k3", "k7"}

    @pytest.mark.s3
    def test_on_s3_a_sync_without_a_change_costs_nothing(self, s3: S3Rig, s3_place: Place) -> None:
        db = s3_place.open(writeback=True)
        db.update({key: [] for key in KEYS})
        with s3.proxy.counting() as seen:
            db.sync()
        assert seen.operations == []

    def test_a_sync_writes_in_parallel(self, live: cshelve.CloudShelf, memory: GatedMemory) -> None:
        live.update(a=[], b=[])
        for key in "ab":
            live[key].append("changed")
        gates = [memory.hold("put", key) for key in "ab"]
        syncing = begun(live.sync)
        for gate in gates:  # Both are reached before either is let go.
            gate.wait_until_reached()
        for gate in gates:
            gate.open()
        result_of(syncing)


class TestWhatCountsAsAChange:
    """The serialized form then and now, never the stored bytes: one value has many pickles."""

    @pytest.mark.parametrize("protocol", [0, 2, 4])
    @pytest.mark.parametrize(
        "value",
        [{"one", "two", "three"}, {"b": {1: (2, "x")}, "a": [b"bytes", 1.5]}, ["x", "x"]],
        ids=["set", "dict", "list"],
    )
    def test_a_value_pickled_by_another_protocol_is_not_rewritten(
        self, protocol: int, value: Any, memory: GatedMemory
    ) -> None:
        memory.put("k", pickle.dumps(value, protocol))
        with shelf_over(memory, writeback=True) as db:
            assert db["k"] == value
        assert memory.puts == ["k"]

    @pytest.mark.s3
    def test_on_s3_neither(self, s3: S3Rig, s3_place: Place) -> None:
        with cshelve.open_from_dict(s3_place.config, protocol=2) as db:
            db.update({key: {"a": {key}, "b": (1.5, b"x")} for key in KEYS})
        db = s3_place.open("w", writeback=True)
        assert len(list(db.items())) == len(KEYS)
        with s3.proxy.counting() as seen:
            db.close()
        assert seen.operations == []

    def test_a_change_that_was_undone_is_none(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        live["k"] = [1]
        live["k"].append(2)
        live["k"].pop()
        live.sync()
        assert memory.puts == ["k"]

    def test_a_change_to_an_equal_value_of_another_type_is_one(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        live["k"] = [1]
        live["k"][0] = True
        live.sync()
        assert stored_in(memory)["k"][0] is True
