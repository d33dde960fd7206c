"""The writeback cache: only what changed is written, nothing is lost, whoever does what at once."""

from __future__ import annotations

import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import pytest

import cshelve
from cshelve.providers.base import Item, Provider
from cshelve.providers.in_memory import InMemory
from cshelve.testing import FailingProvider, shelf_over
from testbed.faults import Answer
from tests.rigs import Place, S3Rig

GET, PUT, LIST = "GetObject", "PutObject", "ListObjectsV2"
# Far more than anything here takes: what is not over by then never will be.
PATIENCE_SECONDS = 10
# What is to wait for another is given this long to show that it does not.
GRACE_SECONDS = 0.1
KEYS = [f"k{number}" for number in range(10)]


class Gate:
    """Where a call of the provider waits until it is told to go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._opened = threading.Event()

    def wait_until_reached(self) -> None:
        assert self.reached.wait(PATIENCE_SECONDS)

    def open(self) -> None:
        self._opened.set()

    def pass_through(self) -> None:
        self.reached.set()
        assert self._opened.wait(PATIENCE_SECONDS)


class GatedMemory(InMemory):
    """Memory that is worked on in parallel, and where single calls can be held up.

    A put is held up before it is done and a get after it, as if its answer were on its way.
    """

    def __init__(self, concurrency: int = 4) -> None:
        super().__init__(exists=True)
        self.concurrency = concurrency
        self.puts: list[str] = []
        self._gates: dict[tuple[str, str], Gate] = {}

    def hold(self, method: str, name: str) -> Gate:
        """Hold up the next call of a method for a name."""
        gate = self._gates[method, name] = Gate()
        return gate

    def get(self, name: str) -> Item:
        try:
            return super().get(name)
        finally:
            self._pass("get", name)

    def put(self, name: str, data: bytes, **condition: Any) -> str:
        self._pass("put", name)
        self.puts.append(name)
        return super().put(name, data, **condition)

    def _pass(self, method: str, name: str) -> None:
        gate = self._gates.pop((method, name), None)
        if gate is not None:
            gate.pass_through()


def begun(act: Callable[[], Any]) -> Future[Any]:
    """Do something in another thread."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(act())
        except BaseException as error:  # noqa: BLE001  # for whoever waits for the result
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def result_of(future: Future[Any]) -> Any:
    return future.result(PATIENCE_SECONDS)


def give_it_time(future: Future[Any]) -> None:
    """Let something that should wait for another show it if it does not."""
    with suppress(TimeoutError):
        future.result(GRACE_SECONDS)


@pytest.fixture(autouse=True)
def _watchdog() -> Iterator[None]:
    """End a test that waits for ever, in whatever it does itself."""

    def give_up(*_: object) -> None:
        raise TimeoutError("this waits for ever")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(6 * PATIENCE_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def stored_in(store: Provider) -> dict[str, Any]:
    with shelf_over(store, "r") as db:
        return dict(db.items())


@pytest.fixture
def memory() -> GatedMemory:
    return GatedMemory()


@pytest.fixture
def live(memory: GatedMemory) -> Iterator[cshelve.CloudShelf]:
    """A shelf over it, with writeback."""
    db = shelf_over(memory, writeback=True)
    yield db
    db.cache.clear()
    db.close()


@pytest.fixture
def failing(memory: GatedMemory) -> FailingProvider:
    return FailingProvider(memory)


@pytest.fixture
def filled(place: Place) -> Place:
    with place.open() as db:
        db.update({key: [key] for key in KEYS})
    return place


class TestOnlyWhatChangedIsWritten:
    def test_what_was_changed_is_written(self, filled: Place) -> None:
        with filled.open("w", writeback=True) as db:
            db["k1"].append("changed")
        assert filled.open("r")["k1"] == ["k1", "changed"]

    @pytest.mark.parametrize("end", ["sync", "close"])
    def test_what_was_only_read_is_not(self, end: str, filled: Place) -> None:
        db = filled.open("w", writeback=True)
        assert len(list(db.items())) == len(KEYS)
        other = filled.open("w")
        other["k1"] = "of another program"
        getattr(db, end)()
        assert other["k1"] == "of another program"

    def test_what_was_written_and_not_changed_since_is_not_written_again(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        live["a"] = []
        live.update(b=[], c=[])
        live.setdefault("d", [])
        live.sync()
        assert memory.puts == ["a", *sorted(memory.puts[1:3]), "d"]

    def test_what_was_changed_and_written_is_not_written_again(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        live["a"] = []
        live["a"].append("changed")
        live.sync()
        live.sync()
        assert memory.puts == ["a", "a"]

    def test_what_is_changed_inside_counts(self, filled: Place) -> None:
        with filled.open("w", writeback=True) as db:
            db["new"] = {"deep": [{"er": set()}]}
            db.sync()
            db["new"]["deep"][0]["er"].add(1)
        assert filled.open("r")["new"] == {"deep": [{"er": {1}}]}

    def test_after_a_sync_values_are_read_again(self, filled: Place) -> None:
        db = filled.open("w", writeback=True)
        assert db["k1"] == ["k1"]
        db.sync()
        filled.open("w")["k1"] = "of another program"
        assert db["k1"] == "of another program"

    def test_writing_again_replaces_what_was_changed(self, filled: Place) -> None:
        with filled.open("w", writeback=True) as db:
            db["k1"].append("changed")
            db["k1"] = "another"
        assert filled.open("r")["k1"] == "another"

    @pytest.mark.s3
    def test_on_s3_it_is_a_put_for_each_changed_value(self, s3: S3Rig, s3_place: Place) -> None:
        db = s3_place.open(writeback=True)
        db.update({key: [] for key in KEYS})
        db.sync()
        values = dict(db.items())
        for key in ("k3", "k7"):
            values[key].append("changed")
        with s3.proxy.counting() as seen:
            db.sync()
        assert [request.operation for request in seen.requests] == [PUT, PUT]
        assert {request.key.rpartition("/")[2] for request in seen.requests} == {"k3", "k7"}

    @pytest.mark.s3
    def test_on_s3_a_sync_without_a_change_costs_nothing(self, s3: S3Rig, s3_place: Place) -> None:
        db = s3_place.open(writeback=True)
        db.update({key: [] for key in KEYS})
        with s3.proxy.counting() as seen:
            db.sync()
        assert seen.operations == []

    def test_a_sync_writes_in_parallel(self, live: cshelve.CloudShelf, memory: GatedMemory) -> None:
        live.update(a=[], b=[])
        for key in "ab":
            live[key].append("changed")
        gates = [memory.hold("put", key) for key in "ab"]
        syncing = begun(live.sync)
        for gate in gates:  # Both are reached before either is let go.
            gate.wait_until_reached()
        for gate in gates:
            gate.open()
        result_of(syncing)


class TestWhatCountsAsAChange:
    """The serialized form then and now, never the stored bytes: one value has many pickles."""

    @pytest.mark.parametrize("protocol", [0, 2, 4])
    @pytest.mark.parametrize(
        "value",
        [{"one", "two", "three"}, {"b": {1: (2, "x")}, "a": [b"bytes", 1.5]}, ["x", "x"]],
        ids=["set", "dict", "list"],
    )
    def test_a_value_pickled_by_another_protocol_is_not_rewritten(
        self, protocol: int, value: Any, memory: GatedMemory
    ) -> None:
        memory.put("k", pickle.dumps(value, protocol))
        with shelf_over(memory, writeback=True) as db:
            assert db["k"] == value
        assert memory.puts == ["k"]

    @pytest.mark.s3
    def test_on_s3_neither(self, s3: S3Rig, s3_place: Place) -> None:
        with cshelve.open_from_dict(s3_place.config, protocol=2) as db:
            db.update({key: {"a": {key}, "b": (1.5, b"x")} for key in KEYS})
        db = s3_place.open("w", writeback=True)
        assert len(list(db.items())) == len(KEYS)
        with s3.proxy.counting() as seen:
            db.close()
        assert seen.operations == []

    def test_a_change_that_was_undone_is_none(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        live["k"] = [1]
        live["k"].append(2)
        live["k"].pop()
        live.sync()
        assert memory.puts == ["k"]

    def test_a_change_to_an_equal_value_of_another_type_is_one(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        live["k"] = [1]
        live["k"][0] = True
        live.sync()
        assert stored_in(memory)["k"][0] is True


class TestASyncThatFails:
    @pytest.fixture
    def db(self, failing: FailingProvider) -> Iterator[cshelve.CloudShelf]:
        """Ten values in the cache, all changed; two of them cannot be written, once."""
        db = shelf_over(failing, writeback=True)
        db.update({key: [] for key in KEYS})
        for key in KEYS:
            db[key].append("changed")
        for key in ("k3", "k7"):
            failing.fail("put", cshelve.AuthError("no"), name=key)
        yield db
        db.cache.clear()
        db.close()

    @pytest.mark.parametrize("end", ["sync", "close"])
    def test_raises(self, end: str, db: cshelve.CloudShelf) -> None:
        with pytest.raises(cshelve.BulkError) as caught:
            getattr(db, end)()
        assert set(caught.value.failures) == {"k3", "k7"}

    def test_writes_what_it_can(self, db: cshelve.CloudShelf, memory: GatedMemory) -> None:
        with pytest.raises(cshelve.BulkError):
            db.sync()
        assert [key for key, value in stored_in(memory).items() if not value] == ["k3", "k7"]

    def test_leaves_writeback_on(self, db: cshelve.CloudShelf) -> None:
        with pytest.raises(cshelve.BulkError):
            db.sync()
        assert db.writeback

    def test_keeps_what_was_not_written_in_the_cache(self, db: cshelve.CloudShelf) -> None:
        values = {key: db[key] for key in ("k3", "k7")}
        with pytest.raises(cshelve.BulkError):
            db.sync()
        assert all(db.cache[key] is value for key, value in values.items())

    @pytest.mark.parametrize("end", ["sync", "close"])
    def test_the_next_one_writes_what_it_could_not(
        self, end: str, db: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        with pytest.raises(cshelve.BulkError):
            db.sync()
        before = len(memory.puts)
        getattr(db, end)()
        assert sorted(memory.puts[before:]) == ["k3", "k7"]
        assert set(map(str, stored_in(memory).values())) == {"['changed']"}

    def test_leaves_the_shelf_open_if_it_was_that_of_a_close(self, db: cshelve.CloudShelf) -> None:
        with pytest.raises(cshelve.BulkError):
            db.close()
        db["new"] = 1
        assert db["new"] == 1

    def test_what_is_wrong_with_the_shelf_keeps_everything_that_was_not_written(
        self, db: cshelve.CloudShelf, failing: FailingProvider, memory: GatedMemory
    ) -> None:
        failing.fail("put", cshelve.DBDoesNotExistsError, after=2)
        with pytest.raises(cshelve.DBDoesNotExistsError):
            db.sync()
        for _ in range(2):  # The two keys may fail yet, each at another time.
            with suppress(cshelve.BulkError):
                db.sync()
        db.sync()
        assert set(map(str, stored_in(memory).values())) == {"['changed']"}

    @pytest.mark.s3
    def test_on_s3_too(self, s3: S3Rig) -> None:
        place = Place(s3.config(total_max_attempts=1))
        db = place.open(writeback=True)
        db.update({key: [] for key in KEYS})
        for key in KEYS:
            db[key].append("changed")
        with (
            s3.proxy.inject(Answer(503, "SlowDown"), operation=PUT, after=2, times=None),
            pytest.raises(cshelve.StorageError),
        ):
            db.sync()
        db.close()
        assert dict(place.open("r").items()) == {key: ["changed"] for key in KEYS}

    def test_a_value_that_can_no_longer_be_pickled_stays_in_the_cache(
        self, live: cshelve.CloudShelf
    ) -> None:
        live["k"] = [1]
        live["k"].append(lambda: 0)
        live["other"] = []
        live["other"].append("changed")
        with pytest.raises(cshelve.BulkError) as caught:
            live.sync()
        assert isinstance(caught.value.failures["k"], cshelve.ValueTypeError)
        assert len(live["k"]) == 2
        live.cache.clear()
        assert live["other"] == ["changed"]


class TestAShelfForReading:
    def test_after_reading_it_closes_and_writes_nothing(self, filled: Place) -> None:
        db = filled.open("r", writeback=True)
        assert db["k1"] == ["k1"]
        assert len(list(db.items())) == len(KEYS)
        db.close()

    @pytest.mark.s3
    def test_on_s3_closing_it_costs_nothing(self, s3: S3Rig, s3_place: Place) -> None:
        s3_place.open().update({key: [] for key in KEYS})
        db = s3_place.open("r", writeback=True)
        assert len(list(db.values())) == len(KEYS)
        with s3.proxy.counting() as seen:
            db.close()
        assert seen.operations == []

    @pytest.mark.parametrize("end", ["sync", "close"])
    def test_after_a_change_the_keys_are_named(self, end: str, filled: Place) -> None:
        db = filled.open("r", writeback=True)
        for key in ("k1", "k4"):
            db[key].append("changed")
        assert db["k2"] == ["k2"]
        with pytest.raises(cshelve.ReadOnlyError, match=r"'k1', 'k4'") as caught:
            getattr(db, end)()
        assert "'k2'" not in str(caught.value)

    def test_a_change_is_not_written(self, filled: Place) -> None:
        db = filled.open("r", writeback=True)
        db["k1"].append("changed")
        with pytest.raises(cshelve.ReadOnlyError):
            db.close()
        assert filled.open("r")["k1"] == ["k1"]

    def test_once_the_changes_are_dropped_it_closes(self, filled: Place) -> None:
        db = filled.open("r", writeback=True)
        db["k1"].append("changed")
        with pytest.raises(cshelve.ReadOnlyError):
            db.close()
        db.cache.clear()
        db.close()


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


class TestWhatIsCached:
    @pytest.mark.s3
    def test_items_gives_it_without_a_get(self, s3: S3Rig, s3_place: Place) -> None:
        s3_place.open().update({key: [key] for key in KEYS})
        db = s3_place.open("w", writeback=True)
        for key in KEYS[:9]:
            assert db[key]
        with s3.proxy.counting() as seen:
            pairs = [*iter(db.items())]
        assert len(pairs) == len(KEYS)
        assert seen.operations == [LIST, GET]

    @pytest.mark.s3
    def test_get_many_gives_it_without_a_get(self, s3: S3Rig, s3_place: Place) -> None:
        db = s3_place.open(writeback=True)
        db.update({key: [key] for key in KEYS})
        with s3.proxy.counting() as seen:
            assert [key for key, _ in db.get_many(["x", *KEYS, "y"])] == KEYS
        assert seen.operations == [GET, GET]

    def test_items_gives_the_objects_themselves(self, filled: Place) -> None:
        db = filled.open("w", writeback=True)
        values = {key: db[key] for key in KEYS[::2]}
        for key, value in db.items():
            assert values.setdefault(key, value) is value
        assert all(db[key] is value for key, value in values.items())

    def test_cached_and_other_values_come_in_the_order_of_the_keys(self, filled: Place) -> None:
        db = filled.open("w", writeback=True)
        for key in KEYS[::3]:
            assert db[key]
        keys = [*reversed(KEYS), "x", *KEYS]
        wanted = [key for key in keys if key != "x"]
        assert list(db.get_many(keys)) == [(key, [key]) for key in wanted]

    def test_what_is_deleted_is_not_written_again(self, filled: Place) -> None:
        with filled.open("w", writeback=True) as db:
            for key in KEYS:
                db[key].append("changed")
            del db["k0"]
            db.pop("k1")
            db.delete_many(["k2"])
            db.prefix("k3").clear()
            db.modify("k4", lambda _: cshelve.DELETE)
            db.delete("k5", db.get_versioned("k5")[1])
        assert sorted(filled.open("r")) == KEYS[6:]

    @pytest.mark.parametrize("operation", ["modify", "pop", "get_versioned"])
    def test_what_goes_by_the_store_sees_what_was_changed(
        self, operation: str, filled: Place
    ) -> None:
        db = filled.open("w", writeback=True)
        db["k1"].append("changed")
        seen = {
            "modify": lambda: db.modify("k1", lambda value: value),
            "pop": lambda: db.pop("k1"),
            "get_versioned": lambda: db.get_versioned("k1")[0],
        }[operation]()
        assert seen == ["k1", "changed"]

    def test_what_modify_made_is_what_is_read(self, filled: Place) -> None:
        db = filled.open("w", writeback=True)
        assert db["k1"] == ["k1"]
        db.modify("k1", lambda value: [*value, "modified"])
        assert db["k1"] == ["k1", "modified"]


class TestManyThreads:
    """What is held up is so by gates, one thread after the other."""

    def test_two_that_read_one_key_get_the_same_object(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        memory.put("k", pickle.dumps([1]))
        gate = memory.hold("get", "k")
        first = begun(lambda: live["k"])
        gate.wait_until_reached()
        second = begun(lambda: live["k"])
        give_it_time(second)
        gate.open()
        assert result_of(first) is result_of(second)

    def test_one_that_reads_and_one_that_goes_through_items_get_the_same_object(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        memory.put("k", pickle.dumps([1]))
        gate = memory.hold("get", "k")
        listing = begun(lambda: dict(live.items()))
        gate.wait_until_reached()
        value = live["k"]
        gate.open()
        assert result_of(listing)["k"] is value

    def test_a_sync_never_writes_an_older_value_over_a_newer_one(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        live["k"] = ["old"]
        live["k"].append("changed")
        gate = memory.hold("put", "k")
        syncing = begun(live.sync)
        gate.wait_until_reached()
        setting = begun(lambda: live.__setitem__("k", ["new"]))
        give_it_time(setting)
        gate.open()
        result_of(syncing)
        result_of(setting)
        assert stored_in(memory) == {"k": ["new"]}
        assert live["k"] == ["new"]

    def test_nor_does_one_that_begins_while_the_newer_one_is_being_written(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        live["k"] = ["old"]
        live["k"].append("changed")
        gate = memory.hold("put", "k")
        setting = begun(lambda: live.__setitem__("k", ["new"]))
        gate.wait_until_reached()
        syncing = begun(live.sync)
        give_it_time(syncing)
        gate.open()
        result_of(setting)
        result_of(syncing)
        assert stored_in(memory) == {"k": ["new"]}

    @pytest.mark.parametrize("late", ["update", "set"])
    def test_nor_does_an_update_beside_which_another_writes(
        self, late: str, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        gate = memory.hold("put", "k")
        updating = begun(lambda: live.update(k="first", other=1))
        gate.wait_until_reached()
        write = live.__setitem__ if late == "set" else lambda k, v: live.update({k: v})
        writing = begun(lambda: write("k", "second"))
        give_it_time(writing)
        gate.open()
        result_of(updating)
        result_of(writing)
        assert stored_in(memory)["k"] == live["k"] == "second"

    def test_others_can_write_while_a_sync_is_under_way(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        live["k"] = []
        live["k"].append("changed")
        gate = memory.hold("put", "k")
        syncing = begun(live.sync)
        gate.wait_until_reached()
        result_of(begun(lambda: live.__setitem__("other", [1])))
        gate.open()
        result_of(syncing)
        assert stored_in(memory) == {"k": ["changed"], "other": [1]}

    def test_what_is_set_while_a_sync_is_under_way_stays_in_the_cache(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        live["k"] = []
        live["k"].append("changed")
        gate = memory.hold("put", "k")
        syncing = begun(live.sync)
        gate.wait_until_reached()
        live["other"] = value = [1]
        gate.open()
        result_of(syncing)
        value.append("later")
        live.sync()
        assert stored_in(memory)["other"] == [1, "later"]

    def test_a_key_that_is_deleted_while_it_is_read_is_not_there(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        memory.put("k", pickle.dumps([1]))
        gate = memory.hold("get", "k")
        reading = begun(lambda: live["k"])
        gate.wait_until_reached()
        deleting = begun(lambda: live.__delitem__("k"))
        give_it_time(deleting)
        gate.open()
        assert result_of(reading) == [1]
        result_of(deleting)
        assert live.get("k") is None

    @pytest.mark.parametrize("way", ["del", "pop", "delete_many", "clear", "view"])
    def test_a_key_that_is_deleted_while_items_reads_it_is_not_there(
        self, way: str, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        memory.put("k", pickle.dumps([1]))
        gate = memory.hold("get", "k")
        listing = begun(lambda: dict(live.items()))
        gate.wait_until_reached()
        DELETIONS[way](live)
        gate.open()
        assert result_of(listing) == {}
        assert live.get("k") is None

    def test_a_key_that_is_written_while_items_reads_it_has_the_newer_value(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        memory.put("k", pickle.dumps("old"))
        gate = memory.hold("get", "k")
        listing = begun(lambda: dict(live.items()))
        gate.wait_until_reached()
        live["k"] = "new"
        live.sync()  # So that it is in the cache no longer.
        gate.open()
        assert result_of(listing) == {"k": "new"}
        assert live["k"] == "new"

    def test_a_key_that_is_deleted_while_a_sync_writes_it_is_not_there(
        self, live: cshelve.CloudShelf, memory: GatedMemory
    ) -> None:
        live["k"] = []
        live["k"].append("changed")
        gate = memory.hold("put", "k")
        syncing = begun(live.sync)
        gate.wait_until_reached()
        deleting = begun(lambda: live.__delitem__("k"))
        give_it_time(deleting)
        gate.open()
        result_of(syncing)
        result_of(deleting)
        assert (stored_in(memory), live.get("k")) == ({}, None)


DELETIONS: dict[str, Callable[[cshelve.CloudShelf], object]] = {
    "del": lambda db: db.__delitem__("k"),
    "pop": lambda db: db.pop("k"),
    "delete_many": lambda db: db.delete_many(["k"]),
    "clear": lambda db: db.clear(),
    "view": lambda db: db.prefix("k").clear(),
}


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

        setting = [begun(lambda thread=thread: set_all(thread)) for thread in range(3)]
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

        for future in [begun(lambda thread=thread: write(thread)) for thread in range(6)]:
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

            for future in [begun(lambda thread=thread: count(thread)) for thread in range(4)]:
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

        acts = [
            lambda: live.update({key: [] for key in KEYS}),
            lambda: live.update({key: [] for key in reversed(KEYS)}),
            change_and_sync,
            live.sync,
            lambda: dict(live.items()),
        ]
        for future in [begun(lambda act=act: work(act)) for act in acts]:
            result_of(future)


# What shows how turns and deletions of many keys go together


@pytest.mark.parametrize("way", ["delete_many", "clear", "view"])
def test_a_key_that_is_deleted_with_others_while_it_is_read_is_not_there(
    way: str, live: cshelve.CloudShelf, memory: GatedMemory
) -> None:
    memory.put("k", pickle.dumps([1]))
    gate = memory.hold("get", "k")
    reading = begun(lambda: live["k"])
    gate.wait_until_reached()
    deleting = begun(lambda: DELETIONS[way](live))
    give_it_time(deleting)
    gate.open()
    result_of(reading)
    result_of(deleting)
    assert "k" not in live
    assert live.get("k") is None


def test_what_is_set_while_the_shelf_is_cleared_stays_in_the_cache(
    live: cshelve.CloudShelf, memory: GatedMemory
) -> None:
    live.update(a=1, b=2)
    value: list[str] = []

    def set_meanwhile(progress: cshelve.Progress) -> None:
        if progress.done == 2:
            live["new"] = value

    live.clear(progress=set_meanwhile)
    value.append("changed")
    live.sync()
    assert stored_in(memory) == {"new": ["changed"]}


def test_updates_whose_sources_read_what_the_other_writes_do_not_wait_for_ever(
    live: cshelve.CloudShelf,
) -> None:
    live.update(a=1, b=2)
    both_fly = threading.Barrier(2)

    def pairs(own: str, others: str) -> Iterator[tuple[str, Any]]:
        yield own, "new"
        both_fly.wait(PATIENCE_SECONDS)
        # In a thread of its own, which can be given up, so that no thread waits for ever.
        yield f"copy of {others}", begun(lambda: live[others]).result(PATIENCE_SECONDS / 2)

    updates = [begun(lambda x=x, y=y: live.update(pairs(x, y))) for x, y in ("ab", "ba")]
    for update in updates:
        result_of(update)
