"""`setdefault` of many writers: one wins, and all see its value."""

from __future__ import annotations

import threading
from typing import Any

import cshelve
from tests.behaviour.many_writers.crowd import PROCESSES, Crowd, shared_by_processes
from tests.rigs import Place
from tests.threads import CONTENDERS, PATIENCE_SECONDS, in_threads

# What the processes do


def set_defaults(number: int, config: Any, keys: list[str]) -> dict[str, int]:
    with cshelve.open_from_dict(config, "w") as db:
        return {key: db.setdefault(key, number) for key in keys}


class Contender:
    """A number that is pickled, which is what a write begins with, when all others are too."""

    def __init__(self, number: int, all_have_read: threading.Barrier) -> None:
        self.number = number
        self._all_have_read = all_have_read

    def __reduce__(self) -> tuple[Any, ...]:
        self._all_have_read.wait(PATIENCE_SECONDS)
        return int, (self.number,)


class TestSetdefault:
    def test_of_many_threads_one_wins_and_all_see_its_value(self, db: cshelve.CloudShelf) -> None:
        all_have_read = threading.Barrier(CONTENDERS)

        def set_default(number: int) -> int:
            value = db.setdefault("k", Contender(number, all_have_read))
            return value.number if isinstance(value, Contender) else value

        assert set(in_threads(CONTENDERS, set_default)) == {db["k"]}

    @shared_by_processes
    def test_of_some_processes_one_wins_each_key_and_all_see_its_value(
        self, place: Place, db: cshelve.CloudShelf, crowd: Crowd
    ) -> None:
        keys = [f"k{number}" for number in range(25)]
        values = crowd.each(set_defaults, place.config, keys)
        assert values == [dict(db.items())] * PROCESSES

    def test_of_a_key_that_is_there_nothing_is_written(self, db: cshelve.CloudShelf) -> None:
        db["k"] = "first"
        before = db.get_versioned("k")
        assert db.setdefault("k", "second") == "first"
        assert db.get_versioned("k") == before
