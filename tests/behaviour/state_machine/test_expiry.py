"""A shelf whose values expire, and a model with the same clock, never differ."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

import cshelve
from tests import rigs
from tests.behaviour.state_machine.strategies import LOCAL, Config, with_sections
from tests.clocks import Clock

CONFIGURED = 10.0
ABSENT = object()
KEYS = st.sampled_from("abc")
VALUES = st.lists(st.integers(0, 9), max_size=3)
SECONDS = st.sampled_from([None, 1.0, 5.0, 25.0, math.inf])


def machine(new_config: Callable[[], Config], *, writeback: bool) -> type[RuleBasedStateMachine]:
    """Make the machine whose shelves live where the configurations say, each in a new place."""

    class ShelfAndModel(RuleBasedStateMachine):
        """The model has each value that was stored, with the time when it expires."""

        def __init__(self) -> None:
            super().__init__()
            self.clock = Clock()
            self.patch = pytest.MonkeyPatch()
            self.clock.rule(self.patch)
            config = with_sections(new_config(), default={"expire_after_seconds": CONFIGURED})
            self.place = rigs.Place(config)
            self.shelf = self.place.open("c", writeback=writeback)
            self.model: dict[str, tuple[Any, float]] = {}

        def teardown(self) -> None:
            self.place.close()
            self.patch.undo()

        def live(self) -> dict[str, Any]:
            pairs = self.model.items()
            return {key: value for key, (value, until) in pairs if until > self.clock.time}

        def remember(self, key: str, value: Any, seconds: float = CONFIGURED) -> None:
            self.model[key] = list(value), self.clock.time + seconds

        @rule(seconds=st.sampled_from([0.5, 1.0, 3.0, 10.0, 20.0]))
        def time_passes(self, seconds: float) -> None:
            self.clock.move(seconds)

        # Writing

        @rule(key=KEYS, value=VALUES)
        def set_item(self, key: str, value: Any) -> None:
            self.shelf[key] = list(value)
            self.remember(key, value)

        @rule(key=KEYS, value=VALUES, seconds=SECONDS)
        def set(self, key: str, value: Any, seconds: float | None) -> None:
            self.shelf.set(key, list(value), expire_after_seconds=seconds)
            self.remember(key, value, CONFIGURED if seconds is None else seconds)

        @rule(pairs=st.dictionaries(KEYS, VALUES))
        def set_many(self, pairs: dict[str, Any]) -> None:
            self.shelf.set_many({key: list(value) for key, value in pairs.items()})
            for key, value in pairs.items():
                self.remember(key, value)

        @rule(key=KEYS, value=VALUES)
        def setdefault(self, key: str, value: Any) -> None:
            expected = self.live().get(key, value)
            if key not in self.live():
                self.remember(key, value)
            assert self.shelf.setdefault(key, list(value)) == expected

        @rule(key=KEYS)
        def modify(self, key: str) -> None:
            old, until = self.live().get(key, []), self.clock.time + CONFIGURED
            if key in self.live():
                _, until = self.model[key]
            assert self.shelf.modify(key, lambda value: [*value, 7], default=[]) == [*old, 7]
            self.model[key] = [*old, 7], until

        @rule(key=KEYS, value=VALUES)
        def replace_what_is_missing(self, key: str, value: Any) -> None:
            if key in self.live():
                with pytest.raises(cshelve.ConflictError):
                    self.shelf.replace(key, list(value), None)
            else:
                self.shelf.replace(key, list(value), None)
                self.remember(key, value)

        @rule(key=KEYS, value=VALUES)
        def replace_a_version(self, key: str, value: Any) -> None:
            if key in self.live():
                _, version = self.shelf.get_versioned(key)
                self.shelf.replace(key, list(value), version)
                self.remember(key, value)
            else:
                with pytest.raises(KeyError):
                    self.shelf.get_versioned(key)

        @rule(key=KEYS)
        def change_a_cached_value(self, key: str) -> None:
            if writeback and key in self.live():
                self.shelf[key].append(8)
                value, until = self.model[key]
                self.model[key] = [*value, 8], until

        @rule()
        def sync(self) -> None:
            self.shelf.sync()

        @rule()
        def rewrite(self) -> None:
            self.shelf.sync()
            assert self.shelf.rewrite() == 0

        # Deleting

        @rule(key=KEYS)
        def delete_item(self, key: str) -> None:
            if key in self.live():
                del self.shelf[key]
                del self.model[key]
            else:
                with pytest.raises(KeyError):
                    del self.shelf[key]

        @rule(key=KEYS)
        def pop(self, key: str) -> None:
            is_there = key in self.live()
            assert self.shelf.pop(key, ABSENT) == self.live().get(key, ABSENT)
            if is_there:
                del self.model[key]

        @rule()
        def popitem(self) -> None:
            if self.live():
                key, value = self.shelf.popitem()
                assert self.live()[key] == value
                del self.model[key]
            else:
                with pytest.raises(KeyError):
                    self.shelf.popitem()

        @rule(keys=st.lists(KEYS, max_size=2))
        def delete_many(self, keys: list[str]) -> None:
            self.shelf.delete_many(keys)
            for key in keys:
                self.model.pop(key, None)

        @rule()
        def expire(self) -> None:
            over = self.model.keys() - self.live().keys()
            assert self.shelf.expire() == len(over)
            self.model = {key: self.model[key] for key in self.live()}

        # Reading

        @rule(key=KEYS)
        def get(self, key: str) -> None:
            assert self.shelf.get(key, ABSENT) == self.live().get(key, ABSENT)

        @rule(key=KEYS)
        def contains(self, key: str) -> None:
            assert (key in self.shelf) == (key in self.live())

        @rule()
        def everything(self) -> None:
            assert dict(self.shelf.items()) == self.live()
            assert dict(self.shelf.get_many(list("abc"))) == self.live()

        @rule()
        def keys_are_those_in_the_store(self) -> None:
            assert sorted(self.shelf) == sorted(self.model)
            assert len(self.shelf) == len(self.model)

    return ShelfAndModel


@pytest.mark.parametrize("writeback", [False, True])
def test_in_memory(writeback: bool) -> None:
    run_state_machine_as_test(machine(rigs.memory_config, writeback=writeback), settings=LOCAL)


@pytest.mark.parametrize("writeback", [False, True])
def test_in_a_folder(writeback: bool, tmp_path: Path) -> None:
    def config() -> Config:
        return rigs.folder_config(tmp_path / rigs.unique_name())

    run_state_machine_as_test(machine(config, writeback=writeback), settings=LOCAL)


def test_under_a_signature() -> None:
    key = cshelve.generate_key()

    def config() -> Config:
        signing = {"algorithm": "hmac-sha256", "key": key}
        return with_sections(rigs.memory_config(), signing=signing)

    run_state_machine_as_test(machine(config, writeback=False), settings=LOCAL)


@pytest.mark.s3
@pytest.mark.parametrize("writeback", [False, True])
def test_in_a_bucket(writeback: bool, s3: rigs.S3Rig) -> None:
    def config() -> Config:
        # No faults are injected here, so we go without the proxy, which takes its time.
        params = {"endpoint_url": s3.server.endpoint_url}
        return with_sections(s3.config(), provider_params=params)

    few = settings(LOCAL, max_examples=5, stateful_step_count=20)
    run_state_machine_as_test(machine(config, writeback=writeback), settings=few)
