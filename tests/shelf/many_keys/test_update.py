"""`update` takes what `dict.update` takes and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

import cshelve
from cshelve.providers.in_memory import InMemory
from cshelve.testing import CountingProvider, shelf_over
from tests.rigs import Place


class TestUpdate:
    """It takes what `dict.update` takes and nothing else."""

    class OnlyKeys:
        """No mapping, but what `dict.update` takes for one."""

        def keys(self) -> list[str]:
            return ["a", "d"]

        def __getitem__(self, key: str) -> str:
            return key * 2

    def test_a_keyword_is_a_key_whatever_it_is_called(self, place: Place) -> None:
        db = place.open()
        names = {"progress": 1, "self": 2, "other": 3, "items": 4, "more": 5, "key": 6}
        db.update(**names)
        assert dict(db.items()) == names

    def test_keywords_go_before_what_else_is_given(self, db: cshelve.CloudShelf) -> None:
        db.update({"a": 5, "b": 6}, a=7)
        assert db == {"a": 7, "b": 6, "c": 3}

    def test_what_has_keys_is_taken_for_a_mapping(self, db: cshelve.CloudShelf) -> None:
        db.update(self.OnlyKeys())
        assert db == {"a": "aa", "b": 2, "c": 3, "d": "dd"}

    def test_nothing_need_be_given(self, db: cshelve.CloudShelf) -> None:
        db.update()
        assert db == {"a": 1, "b": 2, "c": 3}

    def test_another_shelf_may_be_given(self, db: cshelve.CloudShelf) -> None:
        with shelf_over(InMemory()) as other:
            other["d"] = 4
            db.update(other)
        assert db["d"] == 4

    @pytest.mark.parametrize(
        "given", [None, 5, [5], ["abc"], [("a", 1, 2)], "ab"], ids=lambda given: repr(given)
    )
    def test_what_a_dict_refuses_is_refused_with_the_same_error(
        self, given: Any, db: cshelve.CloudShelf
    ) -> None:
        with pytest.raises((TypeError, ValueError)) as of_a_dict:
            {}.update(given)
        with pytest.raises(of_a_dict.type):
            db.update(given)

    def test_two_mappings_are_refused(self, db: cshelve.CloudShelf) -> None:
        update: Any = db.update
        with pytest.raises(TypeError):
            update({}, {})


def test_a_shelf_given_to_update_is_not_listed_for_its_length() -> None:
    given = CountingProvider(InMemory())
    with shelf_over(given) as other, shelf_over(InMemory()) as db:
        other.update(a=1, b=2)
        given.reset()
        db.update(other)
        db.set_many(other.items())
        assert given.counts["names"] == 2
        assert dict(db.items()) == {"a": 1, "b": 2}


def test_turning_writeback_off_ends_the_keeping() -> None:
    with shelf_over(InMemory(), writeback=True) as db:
        db["a"] = []
        db.writeback = False
        db.set_many({"b": []})
        db["b"].append(1)
        db.sync()
        assert db["b"] == []
