"""A view and its parent share the writeback cache."""

from __future__ import annotations

import pytest

import cshelve
from cshelve.providers.in_memory import InMemory
from cshelve.testing import FailingProvider, shelf_over
from tests.rigs import Place


class TestWriteback:
    @pytest.fixture
    def live(self, place: Place) -> cshelve.CloudShelf:
        with place.open() as plain:
            plain.update({"users/ada": [1], "groups/all": [2]})
        return place.open("w", writeback=True)

    def test_parent_and_view_give_the_same_object(self, live: cshelve.CloudShelf) -> None:
        assert live["users/ada"] is live.prefix("users/")["ada"]

    def test_views_of_the_same_keys_give_the_same_object(self, live: cshelve.CloudShelf) -> None:
        inner = live.prefix("users").prefix("/")
        assert inner["ada"] is live.prefix("users/")["ada"]

    def test_what_a_view_wrote_its_parent_gives(self, live: cshelve.CloudShelf) -> None:
        value: list[int] = []
        live.prefix("users/")["new"] = value
        assert live["users/new"] is value

    def test_what_a_view_changed_its_parent_writes(
        self, live: cshelve.CloudShelf, place: Place
    ) -> None:
        live.prefix("users/")["ada"].append("changed")
        live.close()
        assert place.open("r")["users/ada"] == [1, "changed"]

    @pytest.mark.parametrize("end", ["sync", "close"])
    def test_a_view_writes_only_what_is_under_its_prefix(
        self, end: str, live: cshelve.CloudShelf, place: Place
    ) -> None:
        live["users/ada"].append("changed")
        live["groups/all"].append("changed")
        getattr(live.prefix("users/"), end)()
        stored = place.open("r")
        assert [stored["users/ada"], stored["groups/all"]] == [[1, "changed"], [2]]

    @pytest.mark.parametrize("end", ["sync", "close"])
    def test_what_is_not_under_its_prefix_stays_to_be_written(
        self, end: str, live: cshelve.CloudShelf, place: Place
    ) -> None:
        group = live["groups/all"]
        group.append("changed")
        getattr(live.prefix("users/"), end)()
        assert live["groups/all"] is group
        live.sync()
        assert place.open("r")["groups/all"] == [2, "changed"]

    def test_a_view_that_could_not_write_stays_open(self) -> None:
        store = FailingProvider(InMemory(exists=True))
        with shelf_over(store, writeback=True) as db:
            users = db.prefix("users/")
            users["ada"] = [1]
            users["ada"].append("changed")
            store.fail("put", cshelve.StorageError)
            with pytest.raises(cshelve.BulkError) as caught:
                users.close()
            assert list(caught.value.failures) == ["ada"]
            assert users["ada"] == [1, "changed"]

    def test_what_was_changed_under_r_is_named_by_the_key_of_the_view(
        self, live: cshelve.CloudShelf, place: Place
    ) -> None:
        users = place.open("r", writeback=True).prefix("users/")
        users["ada"].append("changed")
        with pytest.raises(cshelve.ReadOnlyError, match="were changed: 'ada'"):
            users.sync()

    def test_clearing_a_view_drops_its_values_from_the_cache_and_no_others(
        self, live: cshelve.CloudShelf
    ) -> None:
        group = live["groups/all"]
        assert live["users/ada"] == [1]
        live.prefix("users/").clear()
        assert "users/ada" not in live.cache
        assert live["groups/all"] is group

    def test_the_limit_is_that_of_both_together(self, place: Place) -> None:
        place.config["default"]["writeback_limit"] = 2
        db = place.open(writeback=True)
        db.prefix("users/").update({str(number): [] for number in range(4)})
        db.update({str(number): [] for number in range(4)})
        assert len(db.cache) <= 2

    def test_beyond_the_limit_a_view_writes_what_its_parent_changed(self, place: Place) -> None:
        place.config["default"]["writeback_limit"] = 1
        db = place.open(writeback=True)
        db["groups/all"] = []
        db["groups/all"].append("changed")
        db.prefix("users/")["ada"] = []
        assert place.open("r")["groups/all"] == ["changed"]
