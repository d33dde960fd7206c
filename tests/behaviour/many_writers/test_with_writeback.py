"""What was changed in the cache is what an operation sees, and its outcome is cached."""

from __future__ import annotations

import pytest

import cshelve
from tests.rigs import Place
from tests.threads import in_threads


class TestWithWriteback:
    """What was changed in the cache is what an operation sees, and its outcome is cached."""

    @pytest.fixture
    def db(self, place: Place) -> cshelve.CloudShelf:
        db = place.open(writeback=True)
        db["k"] = ["stored"]
        db["k"].append("changed")
        return db

    def test_modify_goes_by_what_was_changed(self, place: Place, db: cshelve.CloudShelf) -> None:
        db.modify("k", lambda items: [*items, "mine"])
        assert place.open("r")["k"] == ["stored", "changed", "mine"]

    def test_what_modify_stored_is_cached(self, place: Place, db: cshelve.CloudShelf) -> None:
        db.modify("k", lambda items: [*items, "mine"])
        place.open()["k"] = "another's"
        assert db["k"] == ["stored", "changed", "mine"]

    def test_what_modify_deleted_stays_deleted(self, place: Place, db: cshelve.CloudShelf) -> None:
        db.modify("k", lambda _: cshelve.DELETE)
        assert "k" not in db.cache
        db.close()
        assert "k" not in place.open("r")

    def test_what_is_changed_after_modify_is_written(
        self, place: Place, db: cshelve.CloudShelf
    ) -> None:
        db.modify("k", lambda items: [*items, "mine"])
        db["k"].append("later")
        db.close()
        assert place.open("r")["k"] == ["stored", "changed", "mine", "later"]

    def test_what_the_function_spoiled_before_it_failed_is_not_cached(
        self, place: Place, db: cshelve.CloudShelf
    ) -> None:
        def fail(items: list[str]) -> None:
            items.clear()
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            db.modify("k", fail)
        assert db["k"] == ["stored", "changed"]
        db.close()
        assert place.open("r")["k"] == ["stored", "changed"]

    def test_get_versioned_gives_what_was_changed_and_its_version(
        self, place: Place, db: cshelve.CloudShelf
    ) -> None:
        value, version = db.get_versioned("k")
        assert value == ["stored", "changed"]
        assert place.open("r").get_versioned("k") == (value, version)

    def test_what_replace_stored_is_cached(self, place: Place, db: cshelve.CloudShelf) -> None:
        _, version = db.get_versioned("k")
        db.replace("k", "new", version)
        place.open()["k"] = "another's"
        assert db["k"] == "new"

    def test_what_delete_deleted_stays_deleted(self, place: Place, db: cshelve.CloudShelf) -> None:
        _, version = db.get_versioned("k")
        assert db["k"]
        db.delete("k", version)
        assert "k" not in db.cache
        db.close()
        assert "k" not in place.open("r")

    def test_pop_gives_what_was_changed(self, db: cshelve.CloudShelf) -> None:
        assert db.pop("k") == ["stored", "changed"]
        assert "k" not in db

    def test_what_was_popped_stays_deleted(self, place: Place, db: cshelve.CloudShelf) -> None:
        db.pop("k").append("nobody's")
        assert "k" not in db.cache
        db.close()
        assert "k" not in place.open("r")

    def test_popitem_gives_what_was_changed(self, db: cshelve.CloudShelf) -> None:
        assert db.popitem() == ("k", ["stored", "changed"])

    def test_setdefault_of_a_key_in_the_cache_gives_the_object_there(
        self, db: cshelve.CloudShelf
    ) -> None:
        assert db.setdefault("k", "default") is db["k"]

    def test_a_list_that_setdefault_stored_may_be_changed(
        self, place: Place, db: cshelve.CloudShelf
    ) -> None:
        db.setdefault("new", []).append("item")
        db.close()
        assert place.open("r")["new"] == ["item"]

    def test_many_threads_count_on(self, place: Place, db: cshelve.CloudShelf) -> None:
        in_threads(20, lambda _: db.modify("n", lambda n: n + 1, default=0))
        assert db["n"] == 20
        assert place.open("r")["n"] == 20
