"""Readers beside writers see the old value or the new one."""

from __future__ import annotations

import itertools
from typing import Any

import cshelve
from tests.behaviour.many_writers.crowd import PROCESSES, Crowd, shared_by_processes
from tests.rigs import Place
from tests.threads import in_threads, meanwhile

SIZE = 400_000
WRITES = 12


def write_or_read(number: int, config: Any) -> set[str]:
    """As the first process write long values, as any other read them until that is over."""
    with cshelve.open_from_dict(config, "w") as db:
        if number == 0:
            readers = [f"{each} has read" for each in range(1, PROCESSES)]
            for turn in itertools.count():
                db["k"] = "ab"[turn % 2] * SIZE
                # Else it might be over before a slow one has begun.
                if turn >= WRITES and all(each in db for each in readers):
                    break
            db["is over"] = True
            return set()
        seen = set()
        while "is over" not in db:
            seen.add(summary(db["k"]))
            db[f"{number} has read"] = True
        return seen


def summary(text: str) -> str:
    """Return a text that differs for a whole value, half of it, and halves of two."""
    return f"{len(text)} of {''.join(sorted(set(text)))}"


WHOLE = {summary("a" * SIZE), summary("b" * SIZE)}


class TestReaders:
    def test_in_other_threads_see_the_old_value_or_the_new_one(
        self, place: Place, db: cshelve.CloudShelf
    ) -> None:
        writer = place.open()
        writer["k"] = "a" * SIZE
        turns = itertools.count(1)

        def write(_: int) -> None:
            writer["k"] = "ab"[next(turns) % 2] * SIZE

        with meanwhile(write):
            seen = in_threads(2, lambda _: {summary(db["k"]) for _ in range(8)})
        assert set().union(*seen) <= WHOLE
        assert next(turns) > 2

    @shared_by_processes
    def test_in_other_processes_see_the_old_value_or_the_new_one(
        self, place: Place, db: cshelve.CloudShelf, crowd: Crowd
    ) -> None:
        db["k"] = "b" * SIZE
        seen = set().union(*crowd.each(write_or_read, place.config))
        assert seen
        assert seen <= WHOLE
