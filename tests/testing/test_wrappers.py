"""What a shelf asks of its store, and what it does when the store fails: seen through wrappers."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import cshelve
from cshelve import (
    AuthError,
    BulkError,
    CloudShelf,
    ConfigurationError,
    DBDoesNotExistsError,
    ReadOnlyError,
    StorageError,
)
from cshelve.providers.base import Capabilities, Provider
from cshelve.providers.in_memory import InMemory, _named
from cshelve.testing import (
    CountingProvider,
    FailingProvider,
    ProviderContract,
    SlowProvider,
    shelf_over,
)
from tests import rigs

ERRORS = [AuthError, StorageError, DBDoesNotExistsError]


@pytest.fixture
def memory() -> InMemory:
    return InMemory(exists=True)


@pytest.fixture
def counting(memory: InMemory) -> CountingProvider:
    return CountingProvider(memory)


@pytest.fixture
def failing(memory: InMemory) -> FailingProvider:
    return FailingProvider(memory)


@pytest.fixture
def shelf(failing: FailingProvider) -> Iterator[CloudShelf]:
    with shelf_over(failing) as shelf:
        yield shelf


# Wrappers are providers


class WrapperContract(ProviderContract):
    """The contract, over what a wrapper makes of memory."""

    many = 50

    @pytest.fixture(autouse=True)
    def _a_shelf_in_memory(self) -> None:
        self.key = rigs.unique_name()

    def wrap(self, inner: Provider) -> Provider:
        raise NotImplementedError

    def make_provider(self) -> Provider:
        return self.wrap(InMemory(persist_key=self.key, exists=True))

    def absent_provider(self) -> Provider:
        return self.wrap(InMemory(persist_key=f"{self.key}-absent"))

    def raw_read(self, name: str) -> bytes | None:
        held = _named[self.key].values.get(name)
        return None if held is None else held.data

    def raw_write(self, name: str, data: bytes) -> None:
        InMemory(persist_key=self.key, exists=True).put(name, data)

    def raw_names(self) -> set[str]:
        return set(_named[self.key].values)


class TestCountingProvider(WrapperContract):
    def wrap(self, inner: Provider) -> Provider:
        return CountingProvider(inner)


class TestFailingProvider(WrapperContract):
    def wrap(self, inner: Provider) -> Provider:
        return FailingProvider(inner)


class TestSlowProvider(WrapperContract):
    def wrap(self, inner: Provider) -> Provider:
        return SlowProvider(inner, 0)


@pytest.mark.parametrize("wrapper", [CountingProvider, FailingProvider])
def test_a_wrapper_has_what_its_inner_provider_has(wrapper: Any, memory: InMemory) -> None:
    memory.capabilities = Capabilities(
        conditional_put=False, conditional_delete=True, delete_reports=False
    )
    wrapped = wrapper(memory)
    assert (wrapped.capabilities, wrapped.location, wrapped.concurrency) == (
        memory.capabilities,
        memory.location,
        memory.concurrency,
    )
    assert wrapped.stats is memory.stats


def test_a_wrapper_is_not_made_from_a_configuration() -> None:
    config: Any = type("Config", (), {"source": "here"})
    with pytest.raises(ConfigurationError, match="here: SlowProvider wraps"):
        SlowProvider.from_config(config)


def test_testing_needs_neither_pytest_nor_an_sdk() -> None:
    blocked = ("pytest", "boto3", "hypothesis", "Crypto")
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked!r})); import cshelve.testing as t; "
        "[getattr(t, name) for name in t.__all__]"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# Counting


def test_calls_are_written_down_with_their_names(counting: CountingProvider) -> None:
    counting.put("a", b"")
    counting.put_many([("b", b""), ("c", b"")])
    assert [(call.method, call.names) for call in counting.calls] == [
        ("put", ["a"]),
        ("put_many", ["b", "c"]),
    ]


def test_a_reset_forgets_the_calls(counting: CountingProvider) -> None:
    counting.exists()
    counting.reset()
    assert counting.counts == Counter()


# Failing


def test_a_planned_failure_happens_once(failing: FailingProvider) -> None:
    failing.fail("exists", StorageError)
    with pytest.raises(StorageError):
        failing.exists()
    assert failing.exists()


def test_a_planned_failure_may_happen_for_ever(failing: FailingProvider) -> None:
    failing.fail("exists", StorageError, times=None)
    for _ in range(10):
        with pytest.raises(StorageError):
            failing.exists()


def test_a_planned_failure_may_be_that_very_error(failing: FailingProvider) -> None:
    error = AuthError("this one")
    failing.fail("get", error)
    with pytest.raises(AuthError) as caught:
        failing.get("a")
    assert caught.value is error


def test_a_planned_failure_may_let_calls_through_first(failing: FailingProvider) -> None:
    failing.fail("contains", StorageError, name="a", after=2)
    outcomes = []
    for name in ("a", "b", "a", "a", "a"):
        try:
            outcomes.append(failing.contains(name))
        except StorageError:
            outcomes.append(True)
    assert outcomes == [False, False, False, True, False]


def test_a_failure_after_the_act_loses_only_the_answer(
    failing: FailingProvider, memory: InMemory
) -> None:
    failing.fail("put", StorageError, before=False)
    with pytest.raises(StorageError):
        failing.put("a", b"value")
    assert memory.get("a").data == b"value"


def test_a_failure_before_the_act_prevents_it(failing: FailingProvider, memory: InMemory) -> None:
    failing.fail("delete", StorageError)
    memory.put("a", b"value")
    with pytest.raises(StorageError):
        failing.delete("a")
    assert memory.contains("a")


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    ("method", "act"),
    [
        ("exists", lambda p: p.exists()),
        ("create", lambda p: p.create()),
        ("close", lambda p: p.close()),
        ("get", lambda p: p.get("a")),
        ("contains", lambda p: p.contains("a")),
        ("put", lambda p: p.put("a", b"")),
        ("delete", lambda p: p.delete("a")),
        ("entries", lambda p: list(p.entries())),
        ("names", lambda p: list(p.names())),
        ("get_many", lambda p: list(p.get_many(["a"]))),
        ("put_many", lambda p: p.put_many([("a", b"")])),
        ("delete_many", lambda p: p.delete_many(["a"])),
        ("purge", lambda p: p.purge()),
    ],
)
def test_every_method_can_fail(
    failing: FailingProvider, method: str, act: Callable[[Provider], object], before: bool
) -> None:
    failing.put("a", b"value")
    failing.fail(method, AuthError, before=before)
    with pytest.raises(AuthError):
        act(failing)


def test_a_method_that_there_is_not_cannot_fail(failing: FailingProvider) -> None:
    with pytest.raises(ValueError, match="no method 'write'"):
        failing.fail("write", StorageError)


# Slowness


@pytest.mark.parametrize(
    ("act", "waits"),
    [
        (lambda p: p.exists(), 1),
        (lambda p: p.create(), 1),
        (lambda p: p.get("a"), 1),
        (lambda p: p.contains("a"), 1),
        (lambda p: p.put("b", b""), 1),
        (lambda p: p.delete("a"), 1),
        (lambda p: list(p.entries()), 1),
        (lambda p: list(p.names()), 1),
        (lambda p: list(p.get_many(["a", "b", "c"])), 3),
        (lambda p: p.close(), 0),
    ],
)
def test_a_slow_provider_waits_once_for_each_request(
    memory: InMemory,
    monkeypatch: pytest.MonkeyPatch,
    act: Callable[[Provider], object],
    waits: int,
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("cshelve.testing.wrappers.time.sleep", waited.append)
    memory.put("a", b"value")
    act(SlowProvider(memory, 0.02))
    assert waited == [0.02] * waits


def test_a_slow_provider_of_no_seconds_does_not_sleep(
    memory: InMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("cshelve.testing.wrappers.time.sleep", waited.append)
    SlowProvider(memory, 0).exists()
    assert waited == []


def test_a_slow_provider_may_have_more_in_parallel_than_its_inner_one(memory: InMemory) -> None:
    assert SlowProvider(memory, 0, concurrency=16).concurrency == 16


# Shelves over a provider


def test_shelf_over_reads_what_open_wrote() -> None:
    config = rigs.memory_config()
    with cshelve.open_from_dict(config) as db:
        db["a"] = {"b": 1}
    memory = InMemory(persist_key=config["default"]["persist-key"])
    with shelf_over(memory, "r") as db:
        assert db["a"] == {"b": 1}


def test_shelf_over_obeys_flag_r(memory: InMemory) -> None:
    with shelf_over(memory, "r") as db, pytest.raises(ReadOnlyError):
        db["a"] = 1


@pytest.mark.parametrize("flag", ["r", "w"])
def test_shelf_over_an_absent_place_is_refused(flag: str) -> None:
    with pytest.raises(DBDoesNotExistsError):
        shelf_over(InMemory(), flag)


def test_shelf_over_refuses_a_flag_that_there_is_not(memory: InMemory) -> None:
    with pytest.raises(ConfigurationError, match="no flag 'x'"):
        shelf_over(memory, "x")


def test_a_shelf_that_could_not_be_opened_leaves_no_open_provider(memory: InMemory) -> None:
    failing = FailingProvider(memory)
    failing.fail("exists", AuthError)
    counting = CountingProvider(failing)
    with pytest.raises(AuthError):
        shelf_over(counting)
    assert counting.counts["close"] == 1


# A failure is never an absent key


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    ("method", "act"),
    [
        ("get", lambda db: db["a"]),
        ("get", lambda db: db.get("a", "default")),
        ("contains", lambda db: "a" in db),
        ("get", lambda db: db.setdefault("a", "default")),
        ("put", lambda db: db.setdefault("absent", "default")),
        ("get", lambda db: db.pop("a", "default")),
        ("delete", lambda db: db.pop("a", "default")),
        ("delete", lambda db: db.__delitem__("a")),
        ("names", lambda db: db.popitem()),
        ("get", lambda db: db.popitem()),
        ("names", lambda db: list(db)),
        ("names", lambda db: len(db)),
        ("names", lambda db: bool(db)),
        ("names", lambda db: list(db.items())),
        ("get", lambda db: list(db.values())),
        ("get", lambda db: db == {"a": 1}),
        ("get", lambda db: "default" in db.values()),
        ("get", lambda db: ("a", 1) in db.items()),
        ("contains", lambda db: "a" in db.keys()),  # noqa: SIM118  # the view is what is tested
        ("names", lambda db: db.clear()),
    ],
)
def test_a_failure_is_raised_as_what_it_is(
    shelf: CloudShelf,
    failing: FailingProvider,
    method: str,
    act: Callable[[CloudShelf], object],
    error: type[StorageError],
) -> None:
    shelf["a"] = 1
    failing.fail(method, error)
    with pytest.raises(error):
        act(shelf)


def test_a_failing_read_stores_no_default(shelf: CloudShelf, failing: FailingProvider) -> None:
    failing.fail("get", AuthError)
    with pytest.raises(AuthError):
        shelf.setdefault("a", "default")
    assert list(shelf) == []


def test_a_pop_that_could_not_delete_keeps_the_value(
    shelf: CloudShelf, failing: FailingProvider
) -> None:
    shelf["a"] = 1
    failing.fail("delete", StorageError)
    with pytest.raises(StorageError):
        shelf.pop("a", None)
    assert shelf["a"] == 1


def test_a_key_that_another_took_first_is_popped_by_nobody_else() -> None:
    class TakenMeanwhile(InMemory):
        def delete(self, name: str, *, if_version: str | None = None) -> bool:
            super().delete(name)
            return super().delete(name)

    with shelf_over(TakenMeanwhile(exists=True)) as db:
        db["a"] = 1
        assert db.pop("a", "default") == "default"


# Bulk writes


def test_a_bulk_write_writes_the_rest(shelf: CloudShelf, failing: FailingProvider) -> None:
    failing.fail("put", StorageError, name="b")
    with pytest.raises(BulkError):
        shelf.update(a=1, b=2, c=3)
    assert dict(shelf) == {"a": 1, "c": 3}


def test_a_bulk_write_names_the_keys_that_failed(
    shelf: CloudShelf, failing: FailingProvider
) -> None:
    error = AuthError("no")
    failing.fail("put", error, name="b")
    with pytest.raises(BulkError) as caught:
        shelf.update(a=1, b=2, c=3)
    assert caught.value.failures == {"b": error}


def test_a_bulk_write_to_an_absent_store_ends_at_once(
    shelf: CloudShelf, failing: FailingProvider
) -> None:
    failing.fail("put", DBDoesNotExistsError)
    with pytest.raises(DBDoesNotExistsError):
        shelf.update(a=1, b=2)


def test_of_a_key_that_is_updated_twice_the_last_value_stays() -> None:
    class FirstIsSlowest(InMemory):
        """Finish the first of two writes after the second, as parallel requests may."""

        def __init__(self) -> None:
            super().__init__(exists=True)
            self.concurrency = 4
            self.second_is_done = threading.Event()

        def put(self, name: str, data: bytes, **conditions: Any) -> str:
            if b"first" in data:
                self.second_is_done.wait(timeout=0.1)
            version = super().put(name, data, **conditions)
            self.second_is_done.set()
            return version

    with shelf_over(FirstIsSlowest()) as db:
        db.update([("a", "first"), ("a", "last")])
        assert db["a"] == "last"


# Writeback


@pytest.fixture
def written_back(failing: FailingProvider) -> Iterator[CloudShelf]:
    with shelf_over(failing) as db:
        db.update(a=[1], b=[2])
    shelf = shelf_over(failing, writeback=True)
    yield shelf
    shelf.cache.clear()
    shelf.close()


def test_a_sync_that_fails_keeps_what_was_not_written(
    written_back: CloudShelf, failing: FailingProvider
) -> None:
    written_back["a"].append("new")
    failing.fail("put", StorageError)
    with pytest.raises(BulkError):
        written_back.sync()
    assert written_back.cache == {"a": [1, "new"]}


def test_a_second_sync_writes_what_the_first_could_not(
    written_back: CloudShelf, failing: FailingProvider
) -> None:
    written_back["a"].append("new")
    failing.fail("put", StorageError)
    with pytest.raises(BulkError):
        written_back.sync()
    written_back.sync()
    with shelf_over(failing, "r") as db:
        assert db["a"] == [1, "new"]


def test_a_second_sync_writes_nothing_that_the_first_did(memory: InMemory) -> None:
    failing = FailingProvider(memory)
    counting = CountingProvider(failing)
    with shelf_over(counting, writeback=True) as db:
        db.update(a=[1], b=[2])
        db["a"].append("new")
        db["b"].append("new")
        failing.fail("put", StorageError, name="a")
        with pytest.raises(BulkError):
            db.sync()
        counting.reset()
        db.sync()
    assert [call.names for call in counting.calls if call.method == "put_many"] == [["a"]]


def test_a_close_that_fails_leaves_the_shelf_open(
    written_back: CloudShelf, failing: FailingProvider
) -> None:
    written_back["a"].append("new")
    failing.fail("put", StorageError)
    with pytest.raises(BulkError):
        written_back.close()
    assert written_back["b"] == [2]


def test_a_second_close_writes_what_the_first_could_not(
    written_back: CloudShelf, failing: FailingProvider
) -> None:
    written_back["a"].append("new")
    failing.fail("put", StorageError)
    with pytest.raises(BulkError):
        written_back.close()
    written_back.close()
    with shelf_over(failing, "r") as db:
        assert db["a"] == [1, "new"]


def test_values_that_were_only_read_are_not_written(counting: CountingProvider) -> None:
    with shelf_over(counting, writeback=True) as db:
        db.update(a=[1], b=[2])
        db.sync()
        assert list(db.values()) == [[1], [2]]
        counting.reset()
        db.sync()
    assert [call for call in counting.calls if call.names] == []


def test_only_values_that_were_changed_are_written(counting: CountingProvider) -> None:
    with shelf_over(counting, writeback=True) as db:
        db.update(a=[1], b=[2], c=[3])
        assert db["a"] == [1]
        db["b"].append("new")
        counting.reset()
        db.sync()
        assert [(call.method, call.names) for call in counting.calls] == [("put_many", ["b"])]


def test_a_value_in_the_cache_is_read_from_there(counting: CountingProvider) -> None:
    with shelf_over(counting, writeback=True) as db:
        db["a"] = [1]
        counting.reset()
        assert db["a"] == [1]
        assert counting.calls == []


# What each operation of a shelf asks of its store


def requests(act: Callable[[CloudShelf], object], provider: CountingProvider) -> Counter[str]:
    with shelf_over(provider) as db:
        db.update(a=1, b=2, c=3)
        provider.reset()
        act(db)
        return provider.counts


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda db: db["a"], {"get": 1}),
        (lambda db: db.get("a"), {"get": 1}),
        (lambda db: db.get("absent"), {"get": 1}),
        (lambda db: db.__setitem__("a", 2), {"put": 1}),
        (lambda db: db.__delitem__("a"), {"delete": 1}),
        (lambda db: "a" in db, {"contains": 1}),
        (lambda db: len(db), {"names": 1}),
        (lambda db: bool(db), {"names": 1}),
        (lambda db: [key for key in db], {"names": 1}),  # noqa: C416
        (lambda db: set(db.keys()), {"names": 1}),
        # Python asks for the length of what it makes a list of, to reserve the memory.
        (lambda db: list(db), {"names": 2}),
        (lambda db: len(db.keys()), {"names": 1}),
        (lambda db: "a" in db.keys(), {"contains": 1}),  # noqa: SIM118
        (lambda db: set(db.items()), {"names": 1, "get_many": 1}),
        (lambda db: ("a", 1) in db.items(), {"get": 1}),
        (lambda db: set(db.values()), {"names": 1, "get_many": 1}),
        (lambda db: db == {"a": 1, "b": 2, "c": 3}, {"names": 1, "get_many": 1}),
        (lambda db: dict(db.items()), {"names": 1, "get_many": 1}),
        (lambda db: db.pop("a"), {"get": 1, "delete": 1}),
        (lambda db: db.pop("absent", None), {"get": 1}),
        (lambda db: db.popitem(), {"names": 1, "get": 1, "delete": 1}),
        (lambda db: db.setdefault("a", 5), {"get": 1}),
        (lambda db: db.setdefault("absent", 5), {"get": 1, "put": 1}),
        (lambda db: db.update(a=5, d=6), {"put_many": 1}),
        (lambda db: db.clear(), {"purge": 1}),
        (lambda db: db.sync(), {}),
        (lambda db: db.close(), {"close": 1}),
        (lambda db: repr(db), {}),
    ],
)
def test_an_operation_asks_for_no_more_than_it_needs(
    counting: CountingProvider, act: Callable[[CloudShelf], object], expected: dict[str, int]
) -> None:
    assert requests(act, counting) == expected


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda db: db.__delitem__("a"), {"contains": 1, "delete": 1}),
        (lambda db: db.pop("a"), {"get": 1, "delete": 1}),
    ],
)
def test_a_store_that_does_not_report_deletes_is_asked_first_where_need_be(
    memory: InMemory, act: Callable[[CloudShelf], object], expected: dict[str, int]
) -> None:
    memory.capabilities = Capabilities(
        conditional_put=True, conditional_delete=True, delete_reports=False
    )
    assert requests(act, CountingProvider(memory)) == expected


@pytest.mark.parametrize(
    ("flag", "exists", "expected"),
    [
        ("r", True, {"exists": 1}),
        ("w", True, {"exists": 1}),
        ("c", True, {"exists": 1}),
        ("c", False, {"exists": 1, "create": 1}),
        ("n", True, {"purge": 1}),
        ("n", False, {"purge": 1, "create": 1}),
    ],
)
def test_opening_asks_for_no_more_than_its_flag_needs(
    flag: str, exists: bool, expected: dict[str, int]
) -> None:
    counting = CountingProvider(InMemory(exists=exists))
    with shelf_over(counting, flag):
        assert counting.counts == expected


def test_looking_for_any_key_asks_for_one_name(memory: InMemory) -> None:
    limits: list[int | None] = []

    class Noting(CountingProvider):
        def names(self, prefix: str = "", *, limit: int | None = None) -> Iterator[str]:
            limits.append(limit)
            return super().names(prefix, limit=limit)

    with shelf_over(Noting(memory)) as db:
        assert not db
    assert limits == [1]


# Shelves that nobody closes


def collect_with_changes(memory: InMemory) -> None:
    """Change two of three values of a shelf with writeback, and lose it."""
    db = shelf_over(memory, writeback=True)
    db.update(a=[1], b=[2], c=[3])
    db["a"].append("new")
    db["b"].append("new")
    del db
    gc.collect()


def test_a_shelf_collected_with_changes_warns_with_their_number(memory: InMemory) -> None:
    with pytest.warns(ResourceWarning, match="2 changed values are not written"):
        collect_with_changes(memory)


def test_a_shelf_collected_with_changes_logs_a_warning(
    memory: InMemory, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.warns(ResourceWarning):
        collect_with_changes(memory)
    assert [(r.levelno, "2 changed values" in r.getMessage()) for r in caplog.records] == [
        (logging.WARNING, True)
    ]


def test_a_shelf_collected_with_changes_writes_nothing(memory: InMemory) -> None:
    with pytest.warns(ResourceWarning):
        collect_with_changes(memory)
    with shelf_over(memory, "r") as db:
        assert db["a"] == [1]


def test_a_shelf_collected_without_changes_says_nothing(
    memory: InMemory, recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    db = shelf_over(memory, writeback=True)
    db["a"] = [1]
    del db
    gc.collect()
    assert (list(recwarn), caplog.records) == ([], [])
