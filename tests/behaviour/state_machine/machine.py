"""A shelf and a dict that are put through the same random operations."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

import cshelve
from tests import rigs
from tests.behaviour.state_machine.strategies import Config

ABSENT = object()
PREFIXES = st.sampled_from(["", "a", "A", "é", "%"])


def machine(
    new_config: Callable[[], Config], keys: st.SearchStrategy[str], values: st.SearchStrategy[Any]
) -> type[RuleBasedStateMachine]:
    """Make the machine whose shelves live where the configurations say, each in a new place."""

    class ShelfAndDict(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.place = rigs.Place(new_config())
            self.shelf = self.place.open("c")
            self.model: dict[str, Any] = {}

        def teardown(self) -> None:
            self.place.close()

        # Writing

        @rule(key=keys, value=values)
        def set_item(self, key: str, value: Any) -> None:
            self.shelf[key] = value
            self.model[key] = value

        @rule(key=keys)
        def delete_item(self, key: str) -> None:
            if key in self.model:
                del self.shelf[key]
                del self.model[key]
            else:
                with pytest.raises(KeyError):
                    del self.shelf[key]

        @rule(key=keys)
        def pop(self, key: str) -> None:
            if key in self.model:
                assert self.shelf.pop(key) == self.model.pop(key)
            else:
                with pytest.raises(KeyError):
                    self.shelf.pop(key)

        @rule(key=keys)
        def pop_with_a_default(self, key: str) -> None:
            assert self.shelf.pop(key, ABSENT) == self.model.pop(key, ABSENT)

        @rule()
        def popitem(self) -> None:
            if self.model:
                key, value = self.shelf.popitem()
                assert self.model.pop(key, ABSENT) == value
            else:
                with pytest.raises(KeyError):
                    self.shelf.popitem()

        @rule(key=keys, value=values)
        def setdefault(self, key: str, value: Any) -> None:
            assert self.shelf.setdefault(key, value) == self.model.setdefault(key, value)

        @rule(pairs=st.dictionaries(keys, values, max_size=4))
        def update(self, pairs: dict[str, Any]) -> None:
            self.shelf.update(pairs)
            self.model.update(pairs)

        @precondition(lambda self: len(self.model) > 2)
        @rule()
        def clear(self) -> None:
            self.shelf.clear()
            self.model.clear()

        @rule(pairs=st.lists(st.tuples(keys, values), max_size=4))
        def set_many(self, pairs: list[tuple[str, Any]]) -> None:
            self.shelf.set_many(pairs)
            self.model.update(pairs)

        @rule(chosen=st.lists(keys, max_size=4))
        def delete_many(self, chosen: list[str]) -> None:
            self.shelf.delete_many(chosen)
            for key in chosen:
                self.model.pop(key, None)

        # As one of many writers

        @rule(key=keys, value=values)
        def modify(self, key: str, value: Any) -> None:
            seen = []

            def replace(old: Any) -> Any:
                seen.append(old)
                return value

            self.shelf.modify(key, replace, default=value)
            assert seen == [self.model.get(key, value)]
            self.model[key] = value

        @rule(key=keys)
        def modify_to_delete(self, key: str) -> None:
            if key in self.model:
                self.shelf.modify(key, lambda _: cshelve.DELETE)
                del self.model[key]
            else:
                with pytest.raises(KeyError):
                    self.shelf.modify(key, lambda _: cshelve.DELETE)

        @rule(key=keys, value=values)
        def replace_what_was_read(self, key: str, value: Any) -> None:
            if key in self.model:
                old, version = self.shelf.get_versioned(key)
                assert old == self.model[key]
                self.shelf.replace(key, value, version)
                self.model[key] = value
            else:
                with pytest.raises(KeyError):
                    self.shelf.get_versioned(key)

        @rule(key=keys, value=values)
        def replace_what_is_not_there(self, key: str, value: Any) -> None:
            if key in self.model:
                with pytest.raises(cshelve.ConflictError):
                    self.shelf.replace(key, value, None)
            else:
                self.shelf.replace(key, value, None)
                self.model[key] = value

        @precondition(lambda self: self.model)
        @rule(data=st.data(), first=values, second=values)
        def replace_what_was_written_since(self, data: Any, first: Any, second: Any) -> None:
            key = data.draw(st.sampled_from(sorted(self.model)))
            old, version = self.shelf.get_versioned(key)
            self.shelf[key] = first
            self.model[key] = first
            # A store may give the same version to the same bytes.
            if pickle.dumps(first) != pickle.dumps(old):
                with pytest.raises(cshelve.ConflictError):
                    self.shelf.replace(key, second, version)
                with pytest.raises(cshelve.ConflictError):
                    self.shelf.delete(key, version)

        @precondition(lambda self: self.model)
        @rule(data=st.data())
        def delete_what_was_read(self, data: Any) -> None:
            key = data.draw(st.sampled_from(sorted(self.model)))
            _, version = self.shelf.get_versioned(key)
            self.shelf.delete(key, version)
            del self.model[key]
            with pytest.raises(cshelve.ConflictError):
                self.shelf.delete(key, version)

        # Through a view

        @rule(prefix=PREFIXES)
        def look_through_a_view(self, prefix: str) -> None:
            view = self.shelf.prefix(prefix)
            expected = self.under(prefix)
            assert dict(view.items()) == expected
            assert (len(view), bool(view)) == (len(expected), bool(expected))

        @rule(prefix=PREFIXES, key=keys, value=values)
        def set_through_a_view(self, prefix: str, key: str, value: Any) -> None:
            self.shelf.prefix(prefix)[key] = value
            self.model[prefix + key] = value

        @precondition(lambda self: self.under("a"))
        @rule(data=st.data())
        def pop_through_a_view(self, data: Any) -> None:
            key = data.draw(st.sampled_from(sorted(self.under("a"))))
            assert self.shelf.prefix("a").pop(key) == self.model.pop("a" + key)

        @precondition(lambda self: len(self.model) > 2)
        @rule(prefix=PREFIXES.filter(bool))
        def clear_a_view(self, prefix: str) -> None:
            self.shelf.prefix(prefix).clear()
            for key in self.under(prefix):
                del self.model[prefix + key]

        def under(self, prefix: str) -> dict[str, Any]:
            """What the model has of a view."""
            return {
                key.removeprefix(prefix): value
                for key, value in self.model.items()
                if key.startswith(prefix)
            }

        # Reading

        @rule(key=keys)
        def get(self, key: str) -> None:
            assert self.shelf.get(key, ABSENT) == self.model.get(key, ABSENT)

        @rule(key=keys)
        def get_item(self, key: str) -> None:
            if key in self.model:
                assert self.shelf[key] == self.model[key]
            else:
                with pytest.raises(KeyError):
                    self.shelf[key]

        @rule(chosen=st.lists(keys, max_size=4))
        def get_many(self, chosen: list[str]) -> None:
            expected = [(key, self.model[key]) for key in chosen if key in self.model]
            assert list(self.shelf.get_many(chosen)) == expected

        @rule(key=keys)
        def contains(self, key: str) -> None:
            assert (key in self.shelf) == (key in self.model)

        @rule()
        def length(self) -> None:
            assert len(self.shelf) == len(self.model)

        @rule()
        def truth(self) -> None:
            assert bool(self.shelf) == bool(self.model)

        @rule()
        def list_keys(self) -> None:
            assert sorted(self.shelf) == sorted(self.model)

        @rule()
        def list_items(self) -> None:
            listed = list(self.shelf.items())
            assert len(listed) == len(self.model)
            assert dict(listed) == self.model

        @rule()
        def list_values(self) -> None:
            assert sorted(map(repr, self.shelf.values())) == sorted(map(repr, self.model.values()))

        @rule()
        def equality(self) -> None:
            assert self.shelf == self.model

        @rule(key=keys, value=values)
        def inequality(self, key: str, value: Any) -> None:
            other = {**self.model, key: value}
            assert (self.shelf == other) == (self.model == other)

        # Opening

        @rule(flag=st.sampled_from("cw"))
        def reopen(self, flag: str) -> None:
            self.shelf.close()
            self.shelf = self.place.open(flag)

        @rule()
        def empty_by_flag(self) -> None:
            self.shelf.close()
            self.shelf = self.place.open("n")
            self.model.clear()

        @rule(key=keys, value=values)
        def open_for_reading(self, key: str, value: Any) -> None:
            self.shelf.close()
            with self.place.open("r") as reading:
                with pytest.raises(cshelve.ReadOnlyError):
                    reading[key] = value
                with pytest.raises(cshelve.ReadOnlyError):
                    reading.update({key: value})
                with pytest.raises(cshelve.ReadOnlyError):
                    reading.clear()
                assert reading == self.model
            self.shelf = self.place.open("w")

    return ShelfAndDict
