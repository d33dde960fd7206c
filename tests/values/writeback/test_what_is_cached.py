"""What is in the cache is what every operation gives and goes by."""

from __future__ import annotations

import pytest

import cshelve
from tests.rigs import Place, S3Rig
from tests.values.writeback.rig import GET, KEYS, LIST


class TestWhatIsCached:
    @pytest.mark.s3
    def test_items_gives_it_without_a_get(self, s3: S3Rig, s3_place: Place) -> None:
        s3_place.open().update({key: [key] for key in KEYS})
        db = s3_place.open("w", writeback=True)
        for key in KEYS[:9]:
            assert db[key]
        with s3.proxy.counting() as seen:
            pairs = [*iter(db.items())]
        assert len(pairs) == len(KEYS)
        assert seen.operations == [LIST, GET]

    @pytest.mark.s3
    def test_get_many_gives_it_without_a_get(self, s3: S3Rig, s3_place: Place) -> None:
        db = s3_place.open(writeback=True)
        db.update({key: [key] for key in KEYS})
        with s3.proxy.counting() as seen:
            assert [key for key, _ in db.get_many(["x", *KEYS, "y"])] == KEYS
        assert seen.operations == [GET, GET]

    def test_items_gives_the_objects_themselves(self, filled: Place) -> None:
        db = filled.open("w", writeback=True)
        values = {key: db[key] for key in KEYS[::2]}
        for key, value in db.items():
            assert values.setdefault(key, value) is value
        assert all(db[key] is value for key, value in values.items())

    def test_cached_and_other_values_come_in_the_order_of_the_keys(self, filled: Place) -> None:
        db = filled.open("w", writeback=True)
        for key in KEYS[::3]:
            assert db[key]
        keys = [*reversed(KEYS), "x", *KEYS]
        wanted = [key for key in keys if key != "x"]
        assert list(db.get_many(keys)) == [(key, [key]) for key in wanted]

    def test_what_is_deleted_is_not_written_again(self, filled: Place) -> None:
        with filled.open("w", writeback=True) as db:
            for key in KEYS:
                db[key].append("changed")
            del db["k0"]
            db.pop("k1")
            db.delete_many(["k2"])
            db.prefix("k3").clear()
            db.modify("k4", lambda _: cshelve.DELETE)
            db.delete("k5", db.get_versioned("k5")[1])
        assert sorted(filled.open("r")) == KEYS[6:]

    @pytest.mark.parametrize("operation", ["modify", "pop", "get_versioned"])
    def test_what_goes_by_the_store_sees_what_was_changed(
        self, operation: str, filled: Place
    ) -> None:
        db = filled.open("w", writeback=True)
        db["k1"].append("changed")
        seen = {
            "modify": lambda: db.modify("k1", lambda value: value),
            "pop": lambda: db.pop("k1"),
            "get_versioned": lambda: db.get_versioned("k1")[0],
        }[operation]()
        assert seen == ["k1", "changed"]

    def test_what_modify_made_is_what_is_read(self, filled: Place) -> None:
        db = filled.open("w", writeback=True)
        assert db["k1"] == ["k1"]
        db.modify("k1", lambda value: [*value, "modified"])
        assert db["k1"] == ["k1", "modified"]
