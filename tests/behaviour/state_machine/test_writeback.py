"""A shelf with writeback is a dict of live objects."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests import rigs
from tests.behaviour.state_machine.strategies import LOCAL, VALUES, with_sections


class WritebackAndDict(RuleBasedStateMachine):
    """With writeback a shelf holds live objects, as a dict does, until it is synced."""

    keys = st.sampled_from("abcd")

    def __init__(self) -> None:
        super().__init__()
        self.place = rigs.Place(rigs.memory_config())
        self.shelf = self.place.open("c", writeback=True)
        self.model: dict[str, list[Any]] = {}

    def teardown(self) -> None:
        self.place.close()

    @rule(key=keys, value=st.lists(VALUES, max_size=3))
    def set_item(self, key: str, value: list[Any]) -> None:
        self.shelf[key] = copy.deepcopy(value)
        self.model[key] = copy.deepcopy(value)

    @rule(key=keys, value=VALUES)
    def change(self, key: str, value: Any) -> None:
        if key in self.model:
            self.shelf[key].append(copy.deepcopy(value))
            self.model[key].append(copy.deepcopy(value))

    @rule(key=keys, value=VALUES)
    def change_what_a_listing_gave(self, key: str, value: Any) -> None:
        for name, each in self.shelf.items():
            if name == key:
                each.append(copy.deepcopy(value))
                self.model[key].append(copy.deepcopy(value))

    @rule(key=keys, value=VALUES)
    def change_a_default(self, key: str, value: Any) -> None:
        self.shelf.setdefault(key, []).append(copy.deepcopy(value))
        self.model.setdefault(key, []).append(copy.deepcopy(value))

    @rule(pairs=st.dictionaries(keys, st.lists(VALUES, max_size=2)))
    def update(self, pairs: dict[str, list[Any]]) -> None:
        self.shelf.update(copy.deepcopy(pairs))
        self.model.update(copy.deepcopy(pairs))

    @rule(key=keys)
    def pop(self, key: str) -> None:
        assert self.shelf.pop(key, None) == self.model.pop(key, None)

    @rule(chosen=st.lists(keys, max_size=3), value=VALUES)
    def change_what_get_many_gave(self, chosen: list[str], value: Any) -> None:
        pairs = list(self.shelf.get_many(chosen))
        assert [key for key, _ in pairs] == [key for key in chosen if key in self.model]
        for key, each in pairs:
            each.append(copy.deepcopy(value))
            self.model[key].append(copy.deepcopy(value))

    @rule(chosen=st.lists(keys, max_size=3))
    def delete_many(self, chosen: list[str]) -> None:
        self.shelf.delete_many(chosen)
        for key in chosen:
            self.model.pop(key, None)

    @rule(key=keys, value=VALUES)
    def modify(self, key: str, value: Any) -> None:
        self.shelf.modify(key, lambda old: [*old, copy.deepcopy(value)], default=[])
        self.model.setdefault(key, []).append(copy.deepcopy(value))

    @rule(key=keys, value=VALUES)
    def replace_what_was_read(self, key: str, value: Any) -> None:
        if key in self.model:
            old, version = self.shelf.get_versioned(key)
            assert old == self.model[key]
            self.shelf.replace(key, [copy.deepcopy(value)], version)
            self.model[key] = [copy.deepcopy(value)]

    @rule(key=keys, value=VALUES)
    def change_through_a_view(self, key: str, value: Any) -> None:
        self.shelf.prefix(key).setdefault("", []).append(copy.deepcopy(value))
        self.model.setdefault(key, []).append(copy.deepcopy(value))

    @rule(key=keys)
    def sync_or_clear_a_view(self, key: str) -> None:
        view = self.shelf.prefix(key)
        view.sync()
        if len(self.model) > 2:
            view.clear()
            self.model.pop(key, None)

    @rule()
    def sync(self) -> None:
        self.shelf.sync()

    @rule()
    def reopen(self) -> None:
        self.shelf.close()
        self.shelf = self.place.open("w", writeback=True)

    @rule()
    def look_from_elsewhere_after_a_sync(self) -> None:
        self.shelf.sync()
        assert self.place.open("r") == self.model

    @invariant()
    def both_hold_the_same(self) -> None:
        assert dict(self.shelf.items()) == self.model


def test_a_shelf_with_writeback_is_a_dict_of_live_objects() -> None:
    run_state_machine_as_test(WritebackAndDict, settings=LOCAL)


class LimitedWritebackAndDict(RuleBasedStateMachine):
    """With a limit too nothing is lost that was changed before the next operation."""

    keys = st.sampled_from("abcde")

    def __init__(self) -> None:
        super().__init__()
        config = with_sections(rigs.memory_config(), default={"writeback_limit": 2})
        self.place = rigs.Place(config)
        self.shelf = self.place.open("c", writeback=True)
        self.model: dict[str, list[Any]] = {}

    def teardown(self) -> None:
        self.place.close()

    @rule(key=keys, value=VALUES)
    def change_a_default(self, key: str, value: Any) -> None:
        self.shelf.setdefault(key, []).append(copy.deepcopy(value))
        self.model.setdefault(key, []).append(copy.deepcopy(value))

    @rule(pairs=st.dictionaries(keys, st.lists(VALUES, max_size=2)))
    def update(self, pairs: dict[str, list[Any]]) -> None:
        self.shelf.update(copy.deepcopy(pairs))
        self.model.update(copy.deepcopy(pairs))

    @rule(value=VALUES)
    def change_what_a_listing_gives(self, value: Any) -> None:
        for key, each in self.shelf.items():
            each.append(copy.deepcopy(value))
            self.model[key].append(copy.deepcopy(value))

    @rule()
    def sync(self) -> None:
        self.shelf.sync()

    @invariant()
    def no_more_than_the_limit_is_kept(self) -> None:
        assert len(self.shelf.cache) <= 2

    @invariant()
    def both_hold_the_same(self) -> None:
        assert dict(self.shelf.items()) == self.model


def test_a_shelf_with_a_limit_on_writeback_is_a_dict_of_live_objects() -> None:
    run_state_machine_as_test(LimitedWritebackAndDict, settings=LOCAL)
