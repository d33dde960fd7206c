"""A shelf and a dict, put through the same random operations, never differ."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import cshelve
from tests import rigs

Config = dict[str, dict[str, Any]]

# No example at all may be slow enough for a deadline to say something about it.
LOCAL = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    # No shrinking: against a server it takes many minutes.
    phases=[Phase.explicit, Phase.generate],
)
REMOTE = settings(LOCAL, max_examples=5, stateful_step_count=20)

ABSENT = object()
PREFIXES = st.sampled_from(["", "a", "A", "é", "%"])

POOL = ["a", "a/b", "a/c", "A", "%2F", "a b", "é", "e\u0301", "q?x=1&y", "#", "plus+", "x:~*", "鍵"]
# A few keys that come back again and again, so that operations meet what others left.
KEYS = st.sampled_from([*POOL, "", ".", "..", "a//b", "/a", "a/", "x\\y", "%=", "%tmp/x", "\0"])
ANY_KEY = KEYS | st.text(max_size=8)
# What S3 refuses, and what SeaweedFS makes other keys of, is left out; and `a` beside `a/b`, of
# which it says to If-None-Match that it is there, as a folder.
S3_KEY = st.sampled_from(POOL[1:]) | st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cn"], exclude_characters="/\\."),
    min_size=1,
    max_size=8,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


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
            self.shelf.modify(key, lambda old: (seen.append(old), value)[1], default=value)
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


def with_sections(config: Config, **sections: dict[str, Any]) -> Config:
    """Add options to a configuration, section by section."""
    return config | {name: config.get(name, {}) | options for name, options in sections.items()}


def test_a_shelf_in_memory_is_a_dict() -> None:
    run_state_machine_as_test(machine(rigs.memory_config, ANY_KEY, VALUES), settings=LOCAL)


def test_a_shelf_in_a_folder_is_a_dict(tmp_path: Path) -> None:
    def config() -> Config:
        return rigs.folder_config(tmp_path / rigs.unique_name())

    run_state_machine_as_test(machine(config, ANY_KEY, VALUES), settings=LOCAL)


def test_a_local_shelf_is_a_dict(tmp_path: Path, dbm_backend: str) -> None:
    def config() -> Config:
        return rigs.local_config(tmp_path / rigs.unique_name())

    # `dbm.ndbm` holds an empty key and does not list it, as with `shelve`.
    keys = ANY_KEY.filter(bool) if dbm_backend == "dbm.ndbm" else ANY_KEY
    run_state_machine_as_test(machine(config, keys, VALUES), settings=LOCAL)


@pytest.mark.s3
def test_a_shelf_in_a_bucket_is_a_dict(s3: rigs.S3Rig) -> None:
    def config() -> Config:
        # No faults are injected here, so we go without the proxy, which takes its time.
        params = {"endpoint_url": s3.server.endpoint_url}
        return with_sections(s3.config(), provider_params=params)

    run_state_machine_as_test(machine(config, S3_KEY, VALUES), settings=REMOTE)


def test_a_compressed_shelf_is_a_dict() -> None:
    def config() -> Config:
        return with_sections(rigs.memory_config(), compression={"algorithm": "zlib", "level": 1})

    run_state_machine_as_test(machine(config, ANY_KEY, VALUES), settings=LOCAL)


@pytest.mark.encryption
def test_an_encrypted_and_compressed_shelf_is_a_dict() -> None:
    def config() -> Config:
        return with_sections(
            rigs.memory_config(),
            compression={"algorithm": "zlib"},
            encryption={"algorithm": "aes256", "key": "k" * 32},
        )

    run_state_machine_as_test(machine(config, ANY_KEY, VALUES), settings=LOCAL)


@pytest.mark.encryption
@pytest.mark.compression
def test_a_sealed_and_compressed_shelf_is_a_dict() -> None:
    def config() -> Config:
        return with_sections(
            rigs.memory_config(),
            compression={"algorithm": "zstd", "min_size_bytes": 30},
            encryption={"algorithm": "aes256-gcm", "key": cshelve.generate_key()},
        )

    run_state_machine_as_test(machine(config, ANY_KEY, VALUES), settings=LOCAL)


def test_a_signed_shelf_is_a_dict() -> None:
    def config() -> Config:
        return with_sections(
            rigs.memory_config(),
            signing={"algorithm": "hmac-sha256", "key": cshelve.generate_key()},
            default={"checksum": True},
        )

    run_state_machine_as_test(machine(config, ANY_KEY, VALUES), settings=LOCAL)


def test_a_shelf_of_bytes_is_a_dict() -> None:
    def config() -> Config:
        return with_sections(rigs.memory_config(), default={"use_pickle": False})

    run_state_machine_as_test(machine(config, ANY_KEY, st.binary(max_size=20)), settings=LOCAL)


def test_a_shelf_without_record_headers_is_a_dict() -> None:
    def config() -> Config:
        return with_sections(rigs.memory_config(), default={"use_versioning": False})

    run_state_machine_as_test(machine(config, ANY_KEY, VALUES), settings=LOCAL)


def test_a_shelf_of_bare_bytes_is_a_dict() -> None:
    def config() -> Config:
        options = {"use_pickle": False, "use_versioning": False}
        return with_sections(rigs.memory_config(), default=options)

    run_state_machine_as_test(machine(config, ANY_KEY, st.binary(max_size=20)), settings=LOCAL)


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
