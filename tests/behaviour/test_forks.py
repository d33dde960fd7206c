"""A forked child shares the shelf with its parent, and no connection, lock or thread."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import cshelve
from testbed.exchange import Exchange
from testbed.fault_proxy import Count
from testbed.faults import pass_on
from tests.forks import MARKS, in_child
from tests.rigs import Place, S3Rig, folder_config, provider_of
from tests.threads import PATIENCE_SECONDS, meanwhile

pytestmark = MARKS


shared_by_processes = pytest.mark.parametrize(
    "place",
    [
        "filesystem",
        pytest.param("aws-s3", marks=pytest.mark.s3),
        pytest.param("gcs", marks=pytest.mark.gcs),
    ],
    indirect=True,
)


def connections(seen: Count) -> set[int]:
    return {request.connection for request in seen.requests}


class TestAChild:
    @pytest.fixture
    def db(self, place: Place) -> cshelve.CloudShelf:
        db = place.open()
        db.update(a=1, b=2)
        return db

    @shared_by_processes
    def test_reads_what_the_parent_wrote(self, db: cshelve.CloudShelf) -> None:
        assert in_child(lambda: dict(db.items())) == {"a": 1, "b": 2}

    @shared_by_processes
    def test_writes_what_the_parent_reads(self, db: cshelve.CloudShelf) -> None:
        in_child(lambda: db.update(a=3, c=4))
        assert dict(db.items()) == {"a": 3, "b": 2, "c": 4}

    @shared_by_processes
    def test_does_all_that_a_shelf_does(self, db: cshelve.CloudShelf) -> None:
        def all_operations() -> Any:
            return (
                db.modify("a", lambda n: n + 10),
                db.setdefault("c", 3),
                db.pop("b"),
                db.prefix("users/").modify("n", lambda n: n + 1, default=0),
                list(db.get_many(["c", "a"])),
                len(db),
            )

        def deletions() -> Any:
            db.delete_many(["users/n"])
            return db.popitem()[0]

        assert in_child(all_operations) == (11, 3, 2, 1, [("c", 3), ("a", 11)], 3)
        assert in_child(deletions) in {"a", "c"}
        assert len(db) == 1

    @shared_by_processes
    def test_s_close_does_not_disturb_the_parent(self, db: cshelve.CloudShelf) -> None:
        def close() -> bool:
            db.close()
            try:
                db["a"]
            except ValueError:
                return True
            return False

        assert in_child(close)
        assert db["a"] == 1
        db["a"] = 5
        assert db["a"] == 5

    @shared_by_processes
    def test_that_used_the_shelf_may_close_it(self, db: cshelve.CloudShelf) -> None:
        def use_and_close() -> Any:
            with db:
                return db.modify("a", lambda n: n + 1)

        assert in_child(use_and_close) == 2
        assert db.modify("a", lambda n: n + 1) == 3

    def test_has_a_copy_of_what_is_in_memory(self) -> None:
        with cshelve.open_from_dict({"default": {"provider": "in-memory"}}) as db:
            db["k"] = "parent's"

            def replace() -> Any:
                before = db["k"]
                db["k"] = "child's"
                return before, db["k"]

            assert in_child(replace) == ("parent's", "child's")
            assert db["k"] == "parent's"

    @shared_by_processes
    def test_s_child_has_its_own_too(self, db: cshelve.CloudShelf) -> None:
        def grandchild() -> Any:
            db["b"] = 3
            return in_child(lambda: (db["a"], db["b"])), db["b"]

        assert in_child(grandchild) == ((1, 3), 3)
        assert db["b"] == 3


@pytest.mark.s3
class TestConnections:
    @pytest.fixture
    def db(self, s3_place: Place) -> cshelve.CloudShelf:
        db = s3_place.open()
        db.modify("n", lambda n: n + 1, default=0)
        return db

    def test_of_the_child_are_its_own(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        with s3.proxy.counting() as before:
            db.modify("n", lambda n: n + 1)
        with s3.proxy.counting() as during:
            in_child(lambda: db.modify("n", lambda n: n + 1))
        assert during.operations == ["GetObject", "PutObject"]
        assert not connections(before) & connections(during)

    def test_of_the_parent_go_on_being_used(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        with s3.proxy.counting() as before:
            db.modify("n", lambda n: n + 1)

        def use_and_close() -> None:
            with db:
                db.modify("n", lambda n: n + 1)

        in_child(use_and_close)
        with s3.proxy.counting() as after:
            db.modify("n", lambda n: n + 1)
        assert connections(after) == connections(before)

    def test_of_a_child_that_only_closes_are_none(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        with s3.proxy.counting() as during:
            in_child(db.close)
        assert during.total == 0

    def test_of_two_children_are_not_the_same(self, s3: S3Rig, db: cshelve.CloudShelf) -> None:
        seen = []
        for _ in range(2):
            with s3.proxy.counting() as during:
                in_child(lambda: (db["n"], db["n"]))
            assert len(connections(during)) == 1
            seen.append(connections(during))
        assert not seen[0] & seen[1]

    def test_count_towards_the_process_that_uses_them(
        self, s3: S3Rig, db: cshelve.CloudShelf
    ) -> None:
        stats = provider_of(db).stats
        before = stats.requests["GetObject"]
        assert in_child(lambda: (db["n"], stats.requests["GetObject"])[1]) == before + 1
        assert stats.requests["GetObject"] == before


class TestAForkWhileOtherThreadsWork:
    TIMES = 2

    @pytest.fixture
    def db(self, place: Place) -> cshelve.CloudShelf:
        return place.open(writeback=True)

    @shared_by_processes
    def test_leaves_no_lock_taken(self, db: cshelve.CloudShelf) -> None:
        def work(number: int) -> None:
            db[f"k{number}"] = number
            db.modify("shared", lambda n: n + 1, default=0)
            db.sync()

        def in_between() -> int:
            db["child's"] = db["k0"]
            db.modify("child's count", lambda n: n + 1, default=0)
            db.sync()
            return int(db["child's"])

        with meanwhile(work, 4):
            assert [in_child(in_between) for _ in range(self.TIMES)] == [0] * self.TIMES
        assert db["child's count"] == self.TIMES

    @shared_by_processes
    def test_leaves_the_parents_operations_whole(self, db: cshelve.CloudShelf) -> None:
        written = dict.fromkeys(range(4), 0)

        def work(number: int) -> None:
            db[f"k{number}"] = written[number] + 1
            written[number] += 1
            assert db[f"k{number}"] == written[number]

        with meanwhile(work, 4):
            for _ in range(self.TIMES):
                assert in_child(lambda: db.setdefault("child's", 1)) == 1
        assert {n: db[f"k{n}"] for n in written} == written

    @pytest.mark.s3
    def test_in_the_middle_of_every_request_that_may_fly(self, s3: S3Rig, s3_place: Place) -> None:
        s3_place.config["default"]["concurrency"] = 2
        db = s3_place.open()
        db.update(a=1, b=2)
        results = []
        have_arrived = threading.Barrier(3)
        may_go_on = threading.Event()

        def hold(exchange: Exchange) -> None:
            have_arrived.wait(PATIENCE_SECONDS)
            may_go_on.wait(PATIENCE_SECONDS)
            pass_on(exchange)

        prefix = s3_place.config["default"]["key_prefix"]
        readers = [threading.Thread(target=lambda: results.append(db["a"])) for _ in range(2)]
        with s3.proxy.inject(hold, key=f"{prefix}/a", times=2):
            for reader in readers:
                reader.start()
            have_arrived.wait(PATIENCE_SECONDS)
            try:
                # All permits, and both connections of the pool, are the readers'.
                assert in_child(lambda: db["b"]) == 2
            finally:
                may_go_on.set()
                for reader in readers:
                    reader.join(PATIENCE_SECONDS)
        assert results == [1, 1]

    @shared_by_processes
    def test_within_modify_leaves_the_turn_to_the_parent(self, place: Place) -> None:
        place.config["default"]["modify_timeout_seconds"] = 5
        db = place.open()

        def count_in_child(n: int) -> int:
            in_child(lambda: db.modify("k", lambda n: n + 1, default=0))
            return n + 1

        calls = 0

        def count(n: int) -> int:
            nonlocal calls
            calls += 1
            return count_in_child(n) if calls == 1 else n + 1

        assert db.modify("k", count, default=0) == 2
        assert calls == 2


@pytest.mark.s3
class TestAForkWithinAnIteration:
    KEYS = 30

    @pytest.fixture
    def db(self, s3_place: Place) -> cshelve.CloudShelf:
        s3_place.config["default"]["concurrency"] = 4
        db = s3_place.open()
        db.update({f"k{number:02}": number for number in range(self.KEYS)})
        return db

    def test_is_an_error_in_the_child_that_says_what_to_do(self, db: cshelve.CloudShelf) -> None:
        def go_on() -> str:
            try:
                next(pairs)
            except cshelve.StorageError as error:
                return str(error)
            return "it went on"

        pairs = iter(db.items())
        next(pairs)
        assert "before a fork" in in_child(go_on)

    def test_goes_on_in_the_parent(self, db: cshelve.CloudShelf) -> None:
        got = []
        for key, value in db.items():
            got.append((key, value))
            if value == 5:
                assert in_child(lambda: db["k07"]) == 7
        assert got == [(f"k{number:02}", number) for number in range(self.KEYS)]

    def test_lets_the_child_begin_another(self, db: cshelve.CloudShelf) -> None:
        pairs = iter(db.items())
        next(pairs)
        assert in_child(lambda: len(list(db.items()))) == self.KEYS
        assert len(list(pairs)) == self.KEYS - 1

    def test_lets_the_child_leave_it(self, db: cshelve.CloudShelf) -> None:
        iterations = [iter(db.items())]
        next(iterations[0])
        assert in_child(iterations.clear) is None
        assert len(list(iterations[0])) == self.KEYS - 1

    def test_over_keys_goes_on_in_both(self, db: cshelve.CloudShelf) -> None:
        keys = iter(db)
        next(keys)
        assert in_child(lambda: len(list(keys))) == self.KEYS - 1
        assert len(list(keys)) == self.KEYS - 1

    def test_while_many_are_written_lets_the_child_write_too(self, db: cshelve.CloudShelf) -> None:
        def pairs() -> Iterator[tuple[str, int]]:
            for number in range(20):
                if number == 10:
                    in_child(lambda: db.set_many({f"child{n}": n for n in range(10)}))
                yield f"new{number:02}", number

        db.set_many(pairs())
        assert len(db) == self.KEYS + 30


class TestMultiprocessing:
    """The fork context, and a shelf that the children know as a global."""

    @shared_by_processes
    def test_a_shelf_that_is_a_global_is_there_in_a_pool(self, place: Place) -> None:
        global _shelf
        _shelf = place.open()
        try:
            with multiprocessing.get_context("fork").Pool(3) as pool:
                pool.map_async(_count, range(12)).get(PATIENCE_SECONDS)
            assert _shelf["n"] == 12
        finally:
            _shelf = None

    @shared_by_processes
    def test_a_shelf_may_be_handed_to_a_process(self, place: Place) -> None:
        db = place.open()
        process = multiprocessing.get_context("fork").Process(target=_write_and_close, args=(db,))
        process.start()
        process.join(PATIENCE_SECONDS)
        if process.is_alive():
            process.kill()
            pytest.fail("the child hangs")
        assert process.exitcode == 0
        assert db["from the child"] == 1


_shelf: Any = None


def _count(_: int) -> None:
    _shelf.modify("n", lambda n: n + 1, default=0)


def _write_and_close(db: cshelve.CloudShelf) -> None:
    with db:
        db["from the child"] = 1


class TestTheLocksOfAFolder:
    """A lock file that was open when the fork came is open in the child too."""

    @pytest.fixture
    def db(self, tmp_path: Path) -> cshelve.CloudShelf:
        return Place(folder_config(tmp_path / "shelf")).open()

    def test_that_another_thread_had_are_not_kept_by_the_child(
        self, db: cshelve.CloudShelf
    ) -> None:
        with self.write_under_way(db, "k") as end:
            in_child(lambda: db.update(k="child's"), then=end.set)
        assert db["k"] == "child's"

    def test_that_another_thread_had_can_be_had_again_while_the_child_lives(
        self, db: cshelve.CloudShelf
    ) -> None:
        reading, writing = os.pipe()
        written = threading.Event()

        def write() -> None:
            db["k"] = "parent's"
            written.set()

        def end_the_write_and_write_again() -> None:
            end.set()
            holder.join(PATIENCE_SECONDS)
            threading.Thread(target=write, daemon=True).start()
            was_written.append(written.wait(5))
            os.write(writing, b".")

        was_written: list[bool] = []
        with self.write_under_way(db, "k") as end:
            holder = self.holder
            in_child(lambda: os.read(reading, 1), then=end_the_write_and_write_again)
        os.close(reading)
        os.close(writing)
        assert was_written == [True]

    @contextmanager
    def write_under_way(self, db: cshelve.CloudShelf, key: str) -> Iterator[threading.Event]:
        """Have another thread hold the lock that a writer of a key holds, until it is to end."""
        folder = provider_of(db)._folder
        has_begun, end = threading.Event(), threading.Event()

        def hold() -> None:
            with folder.locked(key) as lock, lock:
                has_begun.set()
                end.wait(PATIENCE_SECONDS)

        self.holder = threading.Thread(target=hold, daemon=True)
        self.holder.start()
        assert has_begun.wait(PATIENCE_SECONDS)
        try:
            yield end
        finally:
            end.set()
            self.holder.join(PATIENCE_SECONDS)
