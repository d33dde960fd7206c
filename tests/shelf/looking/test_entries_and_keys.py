"""Entries and keys come from the listing, after a key if one is given, and respect prefixes."""

from __future__ import annotations

from collections.abc import KeysView
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import cshelve
from cshelve.providers import InMemory
from cshelve.testing import CountingProvider, shelf_over
from tests.rigs import Place, local_config, provider_of

KEYS = ["a", "aa", "b/1", "b/2", "c", "é", "\uff45", "\U0001f511"]


@pytest.fixture
def db(place: Place) -> cshelve.CloudShelf:
    db = place.open()
    db.update({key: key * 10 for key in KEYS})
    return db


def test_entries_tell_what_the_store_has(db: cshelve.CloudShelf) -> None:
    entries = {entry.key: entry for entry in db.entries()}
    assert sorted(entries) == sorted(KEYS)
    assert type(entries["a"]) is cshelve.Entry
    for key, entry in entries.items():
        stored = provider_of(db).get(key)
        assert (entry.size_bytes, entry.version) == (len(stored.data), stored.version)
        assert entry.version == db.get_versioned(key)[1]
        assert abs(datetime.now(UTC) - entry.modified) < timedelta(hours=1)


def test_entries_have_a_prefix_and_a_start(db: cshelve.CloudShelf) -> None:
    assert sorted(entry.key for entry in db.entries("b")) == ["b/1", "b/2"]
    assert [entry.key for entry in db.entries("b", "b/1")] == ["b/2"]
    assert [entry.key for entry in db.entries(start_after="b/2")] == KEYS[4:]


def test_keys_after_a_key_are_in_the_order_of_their_bytes(db: cshelve.CloudShelf) -> None:
    for number, key in enumerate(KEYS):
        assert list(db.keys(start_after=key)) == KEYS[number + 1 :]
    assert list(db.keys(start_after="a/")) == KEYS[1:]
    assert list(db.keys(start_after="")) == KEYS


def test_keys_after_a_key_are_a_view(db: cshelve.CloudShelf) -> None:
    keys = db.keys(start_after="b/1")
    assert isinstance(keys, KeysView)
    assert len(keys) == 5
    assert "c" in keys
    assert "a" not in keys
    assert "absent" not in keys
    assert 1 not in keys  # type: ignore[comparison-overlap]  # what a program may ask all the same
    assert keys & {"a", "c"} == {"c"}
    del db["c"]
    assert "c" not in keys


def test_keys_without_a_start_are_those_of_a_mapping(db: cshelve.CloudShelf) -> None:
    assert type(db.keys()) is KeysView
    assert sorted(db.keys()) == sorted(KEYS)


def test_a_view_under_a_prefix_has_its_own_keys(db: cshelve.CloudShelf) -> None:
    view = db.prefix("b/")
    assert sorted(entry.key for entry in view.entries()) == ["1", "2"]
    assert [entry.key for entry in view.entries("", "1")] == ["2"]
    assert [entry.key for entry in view.entries("2")] == ["2"]
    assert list(view.keys(start_after="1")) == ["2"]
    assert list(view.keys(start_after="")) == ["1", "2"]


def test_going_on_after_each_key_meets_all_of_them(db: cshelve.CloudShelf) -> None:
    met: list[str] = []
    while (key := next(iter(db.keys(start_after=met[-1] if met else "")), None)) is not None:
        met.append(key)
    assert met == KEYS


def test_what_is_no_key_is_refused(db: cshelve.CloudShelf) -> None:
    with pytest.raises(cshelve.KeyTypeError):
        db.keys(start_after=1)  # type: ignore[arg-type]  # which is tested
    with pytest.raises(cshelve.KeyTypeError):
        db.entries(b"")  # type: ignore[arg-type]  # which is tested
    with pytest.raises(cshelve.KeyNotStorableError):
        db.entries(start_after="\ud800")


def test_no_value_is_read() -> None:
    store = CountingProvider(InMemory(exists=True))
    with shelf_over(store) as db:
        db.update(a=1, b=2)
        store.reset()
        assert len(list(db.entries())) == 2
        assert [*iter(db.keys(start_after="a"))] == ["b"]
        assert store.counts == {"entries": 1, "names": 1}


def test_entries_are_lazy_and_end_with_the_shelf(db: cshelve.CloudShelf) -> None:
    entries = db.entries()
    next(entries)
    db.close()
    with pytest.raises(ValueError, match="closed"):
        next(entries)
    with pytest.raises(ValueError, match="closed"):
        db.entries()


def test_a_local_shelf_has_entries(tmp_path: Path) -> None:
    db = Place(local_config(tmp_path / "shelf")).open()
    db.update(a=1, b=[1, 2])
    entries = {entry.key: entry for entry in db.entries()}
    assert sorted(entries) == ["a", "b"]
    assert entries["b"].version == db.get_versioned("b")[1]
    assert list(db.keys(start_after="a")) == ["b"]
    db.close()
