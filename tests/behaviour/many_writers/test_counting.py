"""`modify` by many writers at once loses no count."""

from __future__ import annotations

import itertools
from typing import Any

import cshelve
from tests.behaviour.many_writers.crowd import Crowd, shared_by_processes
from tests.rigs import Place
from tests.threads import in_threads


def count(number: int, config: Any, threads: int) -> None:
    with cshelve.open_from_dict(config, "w") as db:
        in_threads(threads, lambda _: db.modify("n", lambda n: n + 1, default=0))


class TestModifyCounts:
    @shared_by_processes
    def test_twenty_threads_in_each_of_four_processes_count_to_80(
        self, place: Place, db: cshelve.CloudShelf, crowd: Crowd
    ) -> None:
        crowd.each(count, place.config, 20)
        assert db["n"] == 80

    def test_threads_of_one_process_count_with_as_many_tries_as_there_are_threads(
        self, db: cshelve.CloudShelf
    ) -> None:
        calls = itertools.count()

        def add_one(n: int) -> int:
            next(calls)
            return n + 1

        in_threads(20, lambda _: db.modify("n", add_one, default=0))
        assert db["n"] == 20
        assert next(calls) == 20

    def test_shelves_that_know_nothing_of_each_other_lose_no_count(self, place: Place) -> None:
        shelves = [place.open() for _ in range(3)]
        in_threads(12, lambda n: shelves[n % 3].modify("n", lambda n: n + 1, default=0))
        assert shelves[0]["n"] == 12

    def test_a_view_takes_turns_with_its_parent(self, db: cshelve.CloudShelf) -> None:
        view = db.prefix("users/")
        calls = itertools.count()

        def add_one(n: int) -> int:
            next(calls)
            return n + 1

        def modify(number: int) -> None:
            if number % 2:
                view.modify("n", add_one, default=0)
            else:
                db.modify("users/n", add_one, default=0)

        in_threads(20, modify)
        assert view["n"] == 20
        assert next(calls) == 20
