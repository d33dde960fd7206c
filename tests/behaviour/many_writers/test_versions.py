"""`get_versioned`, `replace` and `delete`: nothing that another wrote is lost."""

from __future__ import annotations

import pytest

import cshelve
from tests.rigs import Place
from tests.threads import CONTENDERS, in_threads


class TestVersions:
    def test_what_was_read_can_be_replaced(self, db: cshelve.CloudShelf) -> None:
        db["k"] = "old"
        value, version = db.get_versioned("k")
        assert value == "old"
        db.replace("k", "new", version)
        assert db["k"] == "new"

    def test_the_version_that_replace_gives_is_that_of_what_it_stored(
        self, db: cshelve.CloudShelf
    ) -> None:
        version = db.replace("k", "first", None)
        assert db.get_versioned("k") == ("first", version)
        version = db.replace("k", "second", version)
        assert db.get_versioned("k") == ("second", version)

    def test_what_was_written_since_is_not_replaced(self, db: cshelve.CloudShelf) -> None:
        db["k"] = "old"
        _, version = db.get_versioned("k")
        db["k"] = "new"
        with pytest.raises(cshelve.ConflictError, match="'k'"):
            db.replace("k", "mine", version)
        assert db["k"] == "new"

    def test_what_was_deleted_since_is_not_replaced(self, db: cshelve.CloudShelf) -> None:
        db["k"] = "old"
        _, version = db.get_versioned("k")
        del db["k"]
        with pytest.raises(cshelve.ConflictError, match="'k'"):
            db.replace("k", "mine", version)
        assert "k" not in db

    def test_without_a_version_a_key_is_created(self, db: cshelve.CloudShelf) -> None:
        db.replace("k", "new", None)
        assert db["k"] == "new"

    def test_without_a_version_nothing_is_replaced(self, db: cshelve.CloudShelf) -> None:
        db["k"] = "old"
        with pytest.raises(cshelve.ConflictError, match="'k'"):
            db.replace("k", "new", None)
        assert db["k"] == "old"

    def test_what_was_read_can_be_deleted(self, db: cshelve.CloudShelf) -> None:
        db["k"] = "old"
        db.delete("k", db.get_versioned("k")[1])
        assert "k" not in db

    def test_what_was_written_since_is_not_deleted(self, db: cshelve.CloudShelf) -> None:
        db["k"] = "old"
        _, version = db.get_versioned("k")
        db["k"] = "new"
        with pytest.raises(cshelve.ConflictError, match="'k'"):
            db.delete("k", version)
        assert db["k"] == "new"

    def test_what_was_deleted_since_is_a_conflict_to_delete(self, db: cshelve.CloudShelf) -> None:
        db["k"] = "old"
        _, version = db.get_versioned("k")
        del db["k"]
        with pytest.raises(cshelve.ConflictError, match="'k'"):
            db.delete("k", version)

    def test_an_absent_key_has_no_version(self, db: cshelve.CloudShelf) -> None:
        with pytest.raises(cshelve.KeyNotFoundError):
            db.get_versioned("k")

    @pytest.mark.parametrize("version", ["*", "", "no such version", '"a", "b"'])
    def test_a_text_that_is_no_version_is_a_conflict(
        self, version: str, db: cshelve.CloudShelf
    ) -> None:
        db["k"] = "old"
        with pytest.raises(cshelve.ConflictError):
            db.replace("k", "new", version)
        with pytest.raises(cshelve.ConflictError):
            db.delete("k", version)
        assert db["k"] == "old"

    def test_a_version_that_is_no_text_is_refused(self, db: cshelve.CloudShelf) -> None:
        with pytest.raises(cshelve.ValueTypeError, match="get_versioned"):
            db.replace("k", "new", 1)  # type: ignore[arg-type]
        with pytest.raises(cshelve.ValueTypeError, match="get_versioned"):
            db.delete("k", None)  # type: ignore[arg-type]

    def test_on_a_shelf_for_reading_both_are_refused(self, place: Place) -> None:
        place.open()["k"] = 1
        db = place.open("r")
        value, version = db.get_versioned("k")
        for write in (
            lambda: db.replace("k", value, version),
            lambda: db.replace("new", value, None),
            lambda: db.delete("k", version),
        ):
            with pytest.raises(cshelve.ReadOnlyError):
                write()
        assert list(db) == ["k"]

    def test_of_many_threads_that_replace_the_same_version_one_does(
        self, db: cshelve.CloudShelf
    ) -> None:
        version = db.replace("k", "old", None)

        def replace(number: int) -> int | None:
            try:
                db.replace("k", number, version)
            except cshelve.ConflictError:
                return None
            return number

        winners = [number for number in in_threads(CONTENDERS, replace) if number is not None]
        assert winners == [db["k"]]
