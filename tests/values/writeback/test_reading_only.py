"""A shelf for reading may have a cache, and never writes what was changed in it."""

from __future__ import annotations

import pytest

import cshelve
from tests.rigs import Place, S3Rig
from tests.values.writeback.rig import KEYS


class TestAShelfForReading:
    def test_after_reading_it_closes_and_writes_nothing(self, filled: Place) -> None:
        db = filled.open("r", writeback=True)
        assert db["k1"] == ["k1"]
        assert len(list(db.items())) == len(KEYS)
        db.close()

    @pytest.mark.s3
    def test_on_s3_closing_it_costs_nothing(self, s3: S3Rig, s3_place: Place) -> None:
        s3_place.open().update({key: [] for key in KEYS})
        db = s3_place.open("r", writeback=True)
        assert len(list(db.values())) == len(KEYS)
        with s3.proxy.counting() as seen:
            db.close()
        assert seen.operations == []

    @pytest.mark.parametrize("end", ["sync", "close"])
    def test_after_a_change_the_keys_are_named(self, end: str, filled: Place) -> None:
        db = filled.open("r", writeback=True)
        for key in ("k1", "k4"):
            db[key].append("changed")
        assert db["k2"] == ["k2"]
        with pytest.raises(cshelve.ReadOnlyError, match=r"'k1', 'k4'") as caught:
            getattr(db, end)()
        assert "'k2'" not in str(caught.value)

    def test_a_change_is_not_written(self, filled: Place) -> None:
        db = filled.open("r", writeback=True)
        db["k1"].append("changed")
        with pytest.raises(cshelve.ReadOnlyError):
            db.close()
        assert filled.open("r")["k1"] == ["k1"]

    def test_once_the_changes_are_dropped_it_closes(self, filled: Place) -> None:
        db = filled.open("r", writeback=True)
        db["k1"].append("changed")
        with pytest.raises(cshelve.ReadOnlyError):
            db.close()
        db.cache.clear()
        db.close()
