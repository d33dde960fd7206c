"""`pop` and `popitem` of many writers: each value is given to one of them."""

from __future__ import annotations

import itertools
import threading
from contextlib import suppress
from typing import Any

import pytest

import cshelve
from tests.behaviour.many_writers.crowd import Crowd, shared_by_processes
from tests.rigs import Place
from tests.threads import in_threads, meanwhile


def take_all(number: int, config: Any) -> list[tuple[str, int]]:
    taken = []
    with cshelve.open_from_dict(config, "w") as db, suppress(cshelve.KeyNotFoundError):
        while True:
            taken.append(db.popitem())
    return taken


def pop_each(number: int, config: Any, keys: list[str]) -> list[str]:
    with cshelve.open_from_dict(config, "w") as db:
        return [key for key in keys if db.pop(key, None) is not None]


class TestPop:
    def test_of_many_threads_that_pop_a_key_one_gets_it(self, db: cshelve.CloudShelf) -> None:
        for _ in range(3):
            db["k"] = "value"
            got = in_threads(12, lambda _: db.pop("k", None))
            assert [value for value in got if value is not None] == ["value"]
            assert "k" not in db

    def test_the_others_find_the_key_missing(self, db: cshelve.CloudShelf) -> None:
        db["k"] = "value"

        def pop(_: int) -> str:
            try:
                return str(db.pop("k"))
            except cshelve.KeyNotFoundError:
                return "missing"

        assert sorted(in_threads(5, pop)) == ["missing"] * 4 + ["value"]

    @shared_by_processes
    def test_of_some_processes_that_pop_the_same_keys_one_gets_each(
        self, place: Place, db: cshelve.CloudShelf, crowd: Crowd
    ) -> None:
        keys = [f"k{number}" for number in range(25)]
        db.update(dict.fromkeys(keys, "value"))
        got = crowd.each(pop_each, place.config, keys)
        assert sorted(itertools.chain(*got)) == sorted(keys)
        assert not db

    def test_of_a_key_that_is_replaced_all_the_time_each_value_is_given_once_at_most(
        self, place: Place, db: cshelve.CloudShelf
    ) -> None:
        writer = place.open()
        numbers = itertools.count(1)
        is_missing, enough = threading.Event(), threading.Event()

        def write(_: int) -> None:
            # Twice, so that the first is replaced while somebody pops it; then the pops catch up.
            if is_missing.wait(0.1):
                is_missing.clear()
                for number in (next(numbers), next(numbers)):
                    writer["k"] = number
                if number >= 8:
                    enough.set()

        def pop_often(_: int) -> list[int]:
            got = []
            while not enough.is_set():
                try:
                    got.append(db.pop("k"))
                except cshelve.KeyNotFoundError:
                    is_missing.set()
            return got

        with meanwhile(write):
            got = list(itertools.chain(*in_threads(2, pop_often)))
        assert got
        assert len(got) == len(set(got))


class TestAQueue:
    ITEMS = 80

    @shared_by_processes
    def test_that_processes_empty_gives_each_item_to_one_of_them(
        self, place: Place, db: cshelve.CloudShelf, crowd: Crowd
    ) -> None:
        items = {f"task-{number}": number for number in range(self.ITEMS)}
        db.update(items)
        taken = crowd.each(take_all, place.config)
        assert sorted(itertools.chain(*taken)) == sorted(items.items())
        assert not db

    def test_that_threads_empty_gives_each_item_to_one_of_them(
        self, db: cshelve.CloudShelf
    ) -> None:
        items = {f"task-{number}": number for number in range(20)}
        db.update(items)
        taken = in_threads(5, lambda _: _until_empty(db))
        assert sorted(itertools.chain(*taken)) == sorted(items.items())

    def test_of_a_view_gives_the_view_s_items_alone(self, db: cshelve.CloudShelf) -> None:
        db.update({"tasks/a": 1, "other": 2})
        tasks = db.prefix("tasks/")
        assert tasks.popitem() == ("a", 1)
        with pytest.raises(cshelve.KeyNotFoundError, match="empty"):
            tasks.popitem()
        assert dict(db.items()) == {"other": 2}


def _until_empty(db: cshelve.CloudShelf) -> list[tuple[str, Any]]:
    taken = []
    with suppress(cshelve.KeyNotFoundError):
        while True:
            taken.append(db.popitem())
    return taken
