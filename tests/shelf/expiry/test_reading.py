"""An expired key is missing for everything that reads."""

from __future__ import annotations

import pytest

import cshelve
from tests.clocks import Clock
from tests.rigs import Place, provider_of


class TestAnExpiredKey:
    def test_is_missing_for_a_read(self, db: cshelve.CloudShelf) -> None:
        with pytest.raises(cshelve.KeyNotFoundError) as caught:
            db["over"]
        assert caught.value.args == ("over",)
        assert db.get("over") is None
        assert db.get("over", "default") == "default"
        assert db["there"] == "value"

    def test_is_missing_for_reads_of_many(self, db: cshelve.CloudShelf) -> None:
        assert list(db.get_many(["over", "there", "over"])) == [("there", "value")]
        assert list(db.items()) == [("there", "value")]
        assert list(db.values()) == ["value"]
        assert ("over", "old") not in db.items()
        assert "old" not in db.values()
        assert db == {"there": "value"}

    def test_is_not_in_the_shelf(self, db: cshelve.CloudShelf) -> None:
        assert "over" not in db
        assert "over" not in db.keys()  # noqa: SIM118  # the view is what is tested
        assert "there" in db

    def test_has_no_version(self, db: cshelve.CloudShelf) -> None:
        with pytest.raises(cshelve.KeyNotFoundError):
            db.get_versioned("over")

    def test_is_missing_for_dict(self, db: cshelve.CloudShelf) -> None:
        assert b"over" not in db.dict
        assert b"there" in db.dict
        with pytest.raises(KeyError):
            db.dict[b"over"]

    def test_is_listed_and_counted_until_it_is_deleted(self, db: cshelve.CloudShelf) -> None:
        assert sorted(db) == sorted(db.keys()) == ["over", "there"]
        assert len(db) == 2
        assert bool(db)

    def test_is_missing_in_a_view(self, db: cshelve.CloudShelf) -> None:
        view = db.prefix("o")
        assert "ver" not in view
        assert view.get("ver") is None
        view.set("verdue", 1, expire_after_seconds=5)
        assert (view["verdue"], db["overdue"]) == (1, 1)

    def test_is_missing_at_that_very_moment(self, db: cshelve.CloudShelf, clock: Clock) -> None:
        db.set("k", 1, expire_after_seconds=5)
        clock.move(4.999)
        assert db["k"] == 1
        assert "k" in db
        clock.move(0.001)
        assert db.get("k") is None
        assert "k" not in db

    def test_is_missing_for_a_shelf_that_only_reads(
        self, db: cshelve.CloudShelf, place: Place
    ) -> None:
        reader = place.open("r")
        assert (reader.get("over"), "over" in reader) == (None, False)
        assert provider_of(reader).get("over").data  # It is still there.


class TestDeleting:
    def test_an_expired_key_is_a_key_error(self, db: cshelve.CloudShelf) -> None:
        with pytest.raises(cshelve.KeyNotFoundError):
            del db["over"]
        del db["there"]
        assert "there" not in db

    def test_many_passes_over_it(self, db: cshelve.CloudShelf) -> None:
        db.delete_many(["over", "there", "absent"])
        assert not list(db.items())

    def test_by_pop_is_a_key_error_or_the_default(self, db: cshelve.CloudShelf) -> None:
        with pytest.raises(cshelve.KeyNotFoundError):
            db.pop("over")
        assert db.pop("over", "default") == "default"
        assert db.pop("there") == "value"

    def test_by_popitem_passes_over_it(self, db: cshelve.CloudShelf) -> None:
        assert db.popitem() == ("there", "value")
        with pytest.raises(KeyError, match="empty"):
            db.popitem()

    def test_by_popitem_from_expired_keys_alone_is_at_once_a_key_error(
        self, db: cshelve.CloudShelf, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def asleep(seconds: float) -> None:
            pytest.fail("popitem waits for other callers")

        monkeypatch.setattr("cshelve._shelf.atomic.time.sleep", asleep)
        clock.move(1000)
        assert len(db) == 2
        with pytest.raises(KeyError, match="empty"):
            db.popitem()

    def test_all_clears_away_the_expired_too(self, db: cshelve.CloudShelf) -> None:
        db.clear()
        assert len(db) == 0
