"""Many writers at the same time: each operation has one outcome that all of them agree on."""

from __future__ import annotations

import itertools
import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import pytest

import cshelve
from tests.rigs import Place, S3Rig

T = TypeVar("T")

PROCESSES = 4
# For what has to happen soon, on a machine that may be busy.
PATIENCE_SECONDS = 60

IN_THIS_PROCESS = ["in-memory", "filesystem", pytest.param("aws-s3", marks=pytest.mark.s3)]
shared_by_processes = pytest.mark.parametrize("place", IN_THIS_PROCESS[1:], indirect=True)
with_versions_that_change = pytest.mark.parametrize("place", IN_THIS_PROCESS[:2], indirect=True)


def in_threads(number: int, function: Callable[[int], T]) -> list[T]:
    """Call a function in so many threads at the same moment and give what they returned."""
    start = threading.Barrier(number)
    results: dict[int, T] = {}
    errors: list[BaseException] = []

    def run(which: int) -> None:
        try:
            start.wait(PATIENCE_SECONDS)
            results[which] = function(which)
        except BaseException as error:  # noqa: BLE001  # for whoever waits for the thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(number)]
    with switching_often():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    if errors:
        raise errors[0]
    return [results[which] for which in range(number)]


@contextmanager
def switching_often() -> Iterator[None]:
    """Let Python go from thread to thread so often that what is not guarded goes wrong."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(0.00005)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


@contextmanager
def meanwhile(function: Callable[[], None]) -> Iterator[None]:
    """Call a function in another thread again and again for as long as the block takes."""
    over = threading.Event()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            while not over.is_set():
                function()
        except BaseException as error:  # noqa: BLE001  # for whoever waits for the thread
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive(), "the other thread hangs"
    if errors:
        raise errors[0]


class Crowd:
    """Some processes that each do their part at the same moment as the others."""

    def __init__(self, number: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._number = number
        self._pool = ProcessPoolExecutor(
            number, context, initializer=_join, initargs=(context.Barrier(number),)
        )

    def each(self, function: Callable[..., T], *arguments: Any) -> list[T]:
        """Have a function called in each process, with its number, and give what they returned."""
        parts = [self._pool.submit(_part, function, n, *arguments) for n in range(self._number)]
        return [part.result(PATIENCE_SECONDS) for part in parts]

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


_start: Any = None


def _join(start: Any) -> None:
    global _start
    _start = start


def _part(function: Callable[..., T], number: int, *arguments: Any) -> T:
    # Nobody gets a second part before everybody has got one.
    _start.wait(PATIENCE_SECONDS)
    return function(number, *arguments)


@pytest.fixture(scope="module")
def crowd() -> Iterator[Crowd]:
    crowd = Crowd(PROCESSES)
    yield crowd
    crowd.close()


@pytest.fixture
def db(place: Place) -> cshelve.CloudShelf:
    return place.open()


@pytest.fixture
def hasty(place: Place) -> cshelve.CloudShelf:
    """A shelf that contends for half a second."""
    place.config["default"]["modify_timeout_seconds"] = 0.5
    return place.open()


# What the processes do


def set_defaults(number: int, config: Any, keys: list[str]) -> dict[str, int]:
    with cshelve.open_from_dict(config, "w") as db:
        return {key: db.setdefault(key, number) for key in keys}


def count(number: int, config: Any, threads: int) -> None:
    with cshelve.open_from_dict(config, "w") as db:
        in_threads(threads, lambda _: db.modify("n", lambda n: n + 1, default=0))


def take_all(number: int, config: Any) -> list[tuple[str, int]]:
    taken = []
    with cshelve.open_from_dict(config, "w") as db, suppress(cshelve.KeyNotFoundError):
        while True:
            taken.append(db.popitem())
    return taken


def pop_each(number: int, config: Any, keys: list[str]) -> list[str]:
    with cshelve.open_from_dict(config, "w") as db:
        return [key for key in keys if db.pop(key, None) is not None]


SIZE = 1_000_000
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
    """Tell a value that is whole from half of it, or one half of each of two."""
    return f"{len(text)} of {''.join(sorted(set(text)))}"


WHOLE = {summary("a" * SIZE), summary("b" * SIZE)}


class Contender:
    """A number that is pickled, which is what a write begins with, when all others are too."""

    def __init__(self, number: int, all_have_read: threading.Barrier) -> None:
        self.number = number
        self._all_have_read = all_have_read

    def __reduce__(self) -> tuple[Any, ...]:
        self._all_have_read.wait(PATIENCE_SECONDS)
        return int, (self.number,)


class TestSetdefault:
    def test_of_a_hundred_threads_one_wins_and_all_see_its_value(
        self, db: cshelve.CloudShelf
    ) -> None:
        all_have_read = threading.Barrier(100)

        def set_default(number: int) -> int:
            value = db.setdefault("k", Contender(number, all_have_read))
            return value.number if isinstance(value, Contender) else value

        assert set(in_threads(100, set_default)) == {db["k"]}

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


class TestModifyCounts:
    @shared_by_processes
    def test_forty_threads_in_each_of_four_processes_count_to_160(
        self, place: Place, db: cshelve.CloudShelf, crowd: Crowd
    ) -> None:
        crowd.each(count, place.config, 40)
        assert db["n"] == 160

    def test_threads_of_one_process_count_with_as_many_tries_as_there_are_threads(
        self, db: cshelve.CloudShelf
    ) -> None:
        calls = itertools.count()

        def add_one(n: int) -> int:
            next(calls)
            return n + 1

        in_threads(40, lambda _: db.modify("n", add_one, default=0))
        assert db["n"] == 40
        assert next(calls) == 40

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


class TestModify:
    def test_gives_what_it_stored(self, db: cshelve.CloudShelf) -> None:
        db["k"] = 1
        assert db.modify("k", lambda n: n + 1) == 2
        assert db["k"] == 2

    def test_begins_again_with_what_another_writer_stored_meanwhile(
        self, db: cshelve.CloudShelf
    ) -> None:
        db["k"] = ["old"]
        others = iter([["another"]])

        def append(items: list[str]) -> list[str]:
            for other in others:
                db["k"] = other
            return [*items, "mine"]

        assert db.modify("k", append) == ["another", "mine"]
        assert db["k"] == ["another", "mine"]

    def test_gives_the_function_a_fresh_copy_of_the_default_in_each_try(
        self, db: cshelve.CloudShelf
    ) -> None:
        default: list[str] = []
        got: list[list[str]] = []
        # What another writer does during each of the first two tries, so that they fail.
        others = iter([lambda: db.update(k=["another"]), lambda: db.delete_many(["k"])])

        def append(items: list[str]) -> list[str]:
            got.append(list(items))
            items.append("mine")
            next(others, lambda: None)()
            return items

        assert db.modify("k", append, default=default) == ["mine"]
        assert got == [[], ["another"], []]
        assert default == []

    def test_without_a_default_an_absent_key_is_a_key_error(self, db: cshelve.CloudShelf) -> None:
        with pytest.raises(KeyError) as caught:
            db.modify("k", lambda value: pytest.fail("it was called"))
        assert isinstance(caught.value, cshelve.KeyNotFoundError)
        assert "k" not in db

    def test_none_is_a_default_like_any_other(self, db: cshelve.CloudShelf) -> None:
        assert db.modify("k", lambda value: [value], default=None) == [None]

    def test_delete_deletes_the_key(self, db: cshelve.CloudShelf) -> None:
        db["k"] = 1
        assert db.modify("k", lambda _: cshelve.DELETE) is cshelve.DELETE
        assert "k" not in db

    def test_delete_does_nothing_where_only_the_default_is(self, db: cshelve.CloudShelf) -> None:
        assert db.modify("k", lambda _: cshelve.DELETE, default=1) is cshelve.DELETE
        assert "k" not in db

    def test_delete_does_not_delete_what_another_writer_stored_meanwhile(
        self, db: cshelve.CloudShelf
    ) -> None:
        db["k"] = "old"
        others = iter(["new"])

        def drop_what_is_old(value: str) -> Any:
            for other in others:
                db["k"] = other
            return cshelve.DELETE if value == "old" else value

        assert db.modify("k", drop_what_is_old) == "new"
        assert db["k"] == "new"

    @with_versions_that_change
    def test_the_same_object_is_written_again(self, db: cshelve.CloudShelf) -> None:
        db["k"] = [1]
        _, before = db.get_versioned("k")
        db.modify("k", lambda value: value)
        value, after = db.get_versioned("k")
        assert value == [1]
        assert after != before

    @pytest.mark.s3
    def test_the_same_object_is_sent_again(self, s3: S3Rig, s3_place: Place) -> None:
        db = s3_place.open()
        db["k"] = [1]
        db.modify("k", lambda value: value)
        with s3.proxy.counting() as seen:
            db.modify("k", lambda value: value)
        assert seen.operations == ["GetObject", "PutObject"]

    def test_what_the_function_raises_is_raised_with_nothing_written(
        self, db: cshelve.CloudShelf
    ) -> None:
        db["k"] = [1]
        before = db.get_versioned("k")

        def fail(value: list[int]) -> None:
            value.append(2)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            db.modify("k", fail)
        assert db.get_versioned("k") == before

    def test_after_an_error_of_the_function_another_thread_has_its_turn(
        self, hasty: cshelve.CloudShelf
    ) -> None:
        with pytest.raises(ZeroDivisionError):
            hasty.modify("k", lambda n: n // 0, default=1)
        assert in_threads(1, lambda _: hasty.modify("k", lambda n: n + 1, default=1)) == [2]

    def test_gives_up_when_others_always_write_in_between(self, hasty: cshelve.CloudShelf) -> None:
        hasty["k"] = 0
        written = itertools.count(1)
        began = time.monotonic()

        def be_late(value: int) -> str:
            hasty["k"] = next(written)
            return "mine"

        with pytest.raises(cshelve.ConflictError, match=r"'k' in .*modify_timeout_seconds"):
            hasty.modify("k", be_late)
        assert 0.5 <= time.monotonic() - began < 10
        last = next(written) - 1
        assert last > 1
        assert hasty["k"] == last

    def test_on_a_shelf_for_reading_the_function_is_not_called(self, place: Place) -> None:
        place.open()["k"] = 1
        db = place.open("r")
        with pytest.raises(cshelve.ReadOnlyError, match="'k'"):
            db.modify("k", lambda value: pytest.fail("it was called"))
        assert db["k"] == 1

    def test_the_function_may_modify_another_key(self, hasty: cshelve.CloudShelf) -> None:
        def move(stock: int) -> int:
            hasty.modify("sold", lambda sold: sold + 1, default=0)
            return stock - 1

        hasty["stock"] = 5
        hasty.modify("stock", move)
        assert dict(hasty.items()) == {"stock": 4, "sold": 1}

    def test_a_thread_that_waits_for_its_turn_too_long_gives_up(
        self, place: Place, hasty: cshelve.CloudShelf
    ) -> None:
        has_begun, may_end = threading.Event(), threading.Event()

        def take_long(n: int) -> int:
            has_begun.set()
            assert may_end.wait(PATIENCE_SECONDS)
            return n + 1

        slow = threading.Thread(target=hasty.modify, args=("k", take_long, 0), daemon=True)
        slow.start()
        try:
            assert has_begun.wait(PATIENCE_SECONDS)
            with pytest.raises(cshelve.ConflictError, match="another thread"):
                hasty.modify("k", lambda n: pytest.fail("it was called"), default=0)
        finally:
            may_end.set()
            slow.join(PATIENCE_SECONDS)
        assert hasty["k"] == 1
        assert hasty.modify("k", lambda n: n + 1) == 2


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

        winners = [number for number in in_threads(20, replace) if number is not None]
        assert winners == [db["k"]]


class TestPop:
    def test_of_many_threads_that_pop_a_key_one_gets_it(self, db: cshelve.CloudShelf) -> None:
        for _ in range(3):
            db["k"] = "value"
            got = in_threads(30, lambda _: db.pop("k", None))
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

        def write() -> None:
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
    ITEMS = 200

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
        items = {f"task-{number}": number for number in range(40)}
        db.update(items)
        taken = in_threads(8, lambda _: _until_empty(db))
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


class TestReaders:
    def test_in_other_threads_see_the_old_value_or_the_new_one(
        self, place: Place, db: cshelve.CloudShelf
    ) -> None:
        writer = place.open()
        writer["k"] = "a" * SIZE
        turns = itertools.count(1)

        def write() -> None:
            writer["k"] = "ab"[next(turns) % 2] * SIZE

        with meanwhile(write):
            seen = in_threads(2, lambda _: {summary(db["k"]) for _ in range(12)})
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
