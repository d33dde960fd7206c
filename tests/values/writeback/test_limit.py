"""`writeback_limit`: how much is kept, what goes first, and that no change is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import cshelve
from cshelve.testing import FailingProvider, shelf_over
from tests.rigs import Place
from tests.values.writeback.rig import KEYS, GatedMemory, stored_in


class TestTheLimit:
    LIMIT = 3

    @pytest.fixture
    def bounded(self, filled: Place) -> cshelve.CloudShelf:
        filled.config["default"]["writeback_limit"] = self.LIMIT
        return filled.open("w", writeback=True)

    def test_it_holds_while_values_are_read(self, bounded: cshelve.CloudShelf) -> None:
        for key in KEYS:
            assert bounded[key] == [key]
            assert len(bounded.cache) <= self.LIMIT

    def test_it_holds_while_values_are_read_and_changed(self, bounded: cshelve.CloudShelf) -> None:
        for key in KEYS:
            bounded[key].append("changed")
            assert len(bounded.cache) <= self.LIMIT

    def test_it_holds_while_values_are_set(self, bounded: cshelve.CloudShelf) -> None:
        for key in KEYS:
            bounded[key] = []
            assert len(bounded.cache) <= self.LIMIT

    @pytest.mark.parametrize("way", ["items", "get_many"])
    def test_it_holds_while_many_are_read(self, way: str, bounded: cshelve.CloudShelf) -> None:
        pairs = bounded.items() if way == "items" else bounded.get_many(KEYS)
        count = 0
        for _, value in pairs:
            value.append("changed")
            assert len(bounded.cache) <= self.LIMIT
            count += 1
        assert count == len(KEYS)

    def test_it_holds_during_and_after_an_update(self, bounded: cshelve.CloudShelf) -> None:
        sizes: list[int] = []

        def pairs() -> Iterator[tuple[str, list[str]]]:
            for key in KEYS:
                sizes.append(len(bounded.cache))
                yield key, []

        bounded.update(pairs())
        assert max(*sizes, len(bounded.cache)) <= self.LIMIT

    def test_the_oldest_go_first(self, bounded: cshelve.CloudShelf) -> None:
        for key in KEYS[:5]:
            assert bounded[key] == [key]
        assert list(bounded.cache) == KEYS[2:5]

    def test_the_oldest_unchanged_ones_go_before_changed_ones(
        self, bounded: cshelve.CloudShelf
    ) -> None:
        bounded["k0"].append("changed")
        for key in KEYS[1:5]:
            assert bounded[key] == [key]
        assert list(bounded.cache) == ["k0", "k3", "k4"]

    def test_nothing_is_written_while_there_are_unchanged_ones_to_drop(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        live.update({key: [] for key in KEYS})
        live.sync()
        memory.puts.clear()
        live.cache.limit = self.LIMIT
        live["k0"].append("changed")
        for key in KEYS:
            assert live[key] is not None
        assert memory.puts == []

    def test_changed_ones_are_written_before_they_are_dropped(
        self, bounded: cshelve.CloudShelf, filled: Place
    ) -> None:
        for key in KEYS[:4]:
            bounded[key].append("changed")
        assert "k0" not in bounded.cache
        assert filled.open("r")["k0"] == ["k0", "changed"]

    def test_no_change_is_lost(self, bounded: cshelve.CloudShelf, filled: Place) -> None:
        for _ in range(3):
            for key in KEYS:
                bounded[key].append("changed")
        bounded.close()
        expected = {key: [key, *["changed"] * 3] for key in KEYS}
        assert dict(filled.open("r").items()) == expected

    def test_what_could_not_be_written_is_not_dropped(
        self, failing: FailingProvider, caplog: pytest.LogCaptureFixture
    ) -> None:
        with shelf_over(failing, writeback=True) as db:
            db["a"] = [1]
            db["a"].append("changed")
            db.cache.limit = 1
            failing.fail("put", cshelve.StorageError, name="a")
            # What was asked for is done, and not to be taken for failed.
            db["b"] = [2]
            assert "over its limit" in caplog.text
            assert db["a"] == [1, "changed"]
            db.sync()
            assert stored_in(failing) == {"a": [1, "changed"], "b": [2]}

    def test_without_one_everything_is_kept(self, filled: Place) -> None:
        db = filled.open("w", writeback=True)
        assert len(list(db.items())) == len(db.cache) == len(KEYS)
