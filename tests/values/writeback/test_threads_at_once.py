"""Many threads at once in the cache, in whatever order comes about."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest

import cshelve
from cshelve.testing import shelf_over
from tests.rigs import Place
from tests.values.writeback.rig import (
    KEYS,
    PATIENCE_SECONDS,
    GatedMemory,
    begun,
    result_of,
    stored_in,
)


class TestManyThreadsAtOnce:
    """No gates here: whatever order comes about."""

    @pytest.mark.parametrize("way", ["setitem", "update"])
    def test_threads_that_set_while_others_sync_lose_nothing(self, way: str, place: Place) -> None:
        db = place.open(writeback=True)
        done = threading.Event()

        def set_all(thread: int) -> None:
            for number in range(6):
                if way == "setitem":
                    db[f"{thread}/{number % 2}"] = [number]
                else:
                    db.update({f"{thread}/{number % 2}": [number], "all": [thread]})

        def sync_on_and_on() -> None:
            while not done.is_set():
                db.sync()

        setting = [begun(partial(set_all, thread)) for thread in range(3)]
        syncing = begun(sync_on_and_on)
        for future in setting:
            result_of(future)
        done.set()
        result_of(syncing)
        db.close()
        stored = dict(place.open("r").items())
        stored.pop("all", None)
        assert stored == {f"{thread}/{odd}": [4 + odd] for thread in range(3) for odd in (0, 1)}

    def test_store_and_cache_agree_on_who_was_last(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        begin = threading.Barrier(6)

        def write(thread: int) -> None:
            begin.wait(PATIENCE_SECONDS)
            for number in range(50):
                if thread % 2:
                    live["k"] = (thread, number)
                else:
                    live.update(k=(thread, number))

        for future in [begun(partial(write, thread)) for thread in range(6)]:
            result_of(future)
        assert stored_in(memory)["k"] == live["k"]

    def test_threads_that_change_what_is_theirs_lose_nothing_within_a_limit(
        self, memory: GatedMemory
    ) -> None:
        with shelf_over(memory, writeback=True) as db:
            db.cache.limit = 3

            def count(thread: int) -> None:
                for number in range(40):
                    db[f"{thread}/{number % 4}"] = number

            for future in [begun(partial(count, thread)) for thread in range(4)]:
                result_of(future)
        assert stored_in(memory) == {
            f"{thread}/{rest}": 36 + rest for thread in range(4) for rest in range(4)
        }

    def test_updates_and_syncs_of_the_same_keys_do_not_wait_for_each_other_for_ever(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        live.update({key: [] for key in KEYS})
        begin = threading.Barrier(5)

        def work(act: Callable[[], object]) -> None:
            begin.wait(PATIENCE_SECONDS)
            for _ in range(30):
                act()

        def change_and_sync() -> None:
            for key in KEYS:
                live[key].append("changed")
            live.sync()

        acts: list[Callable[[], object]] = [
            lambda: live.update({key: [] for key in KEYS}),
            lambda: live.update({key: [] for key in reversed(KEYS)}),
            change_and_sync,
            live.sync,
            lambda: dict(live.items()),
        ]
        for future in [begun(partial(work, act)) for act in acts]:
            result_of(future)
