"""`cshelve.testing`: wrappers are providers, and count, fail and wait as they say."""

from __future__ import annotations

import io
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import cshelve
from cshelve import AuthError, ConfigurationError, DBDoesNotExistsError, ReadOnlyError, StorageError
from cshelve.providers.base import Capabilities, Provider
from cshelve.providers.in_memory import InMemory, _named
from cshelve.providers.streams import Source, Target
from cshelve.testing import (
    CountingProvider,
    FailingProvider,
    ProviderContract,
    SlowProvider,
    shelf_over,
)
from tests import rigs
from tests.rigs import finish

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
    finish(counting.put_many([("b", b""), ("c", b"")]))
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
        ("inspect", lambda p: p.inspect("a")),
        ("contains", lambda p: p.contains("a")),
        ("expires_at", lambda p: p.expires_at("a")),
        ("put", lambda p: p.put("a", b"")),
        ("copy", lambda p: p.copy("a", "b")),
        ("upload", lambda p: p.upload("a", Source(io.BytesIO()))),
        ("download", lambda p: p.download("a", Target(io.BytesIO()))),
        ("sync", lambda p: p.sync()),
        ("delete", lambda p: p.delete("a")),
        ("entries", lambda p: list(p.entries())),
        ("names", lambda p: list(p.names())),
        ("get_many", lambda p: list(p.get_many(["a"]))),
        ("put_many", lambda p: list(p.put_many([("a", b"")]))),
        ("delete_many", lambda p: list(p.delete_many(["a"]))),
        ("purge", lambda p: list(p.purge())),
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
    with pytest.raises(ValueError, match="'shares_store' does not use the store"):
        failing.fail("shares_store", StorageError)


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
