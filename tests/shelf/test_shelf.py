"""What the shelf itself promises, beyond what `shelve` does, in every store."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import cshelve
from cshelve.providers.in_memory import InMemory
from cshelve.testing import FailingProvider, shelf_over
from tests.rigs import Place


class Unpicklable:
    def __reduce__(self) -> str:
        raise KeyError("no pickle of this")


def test_what_update_could_not_write_is_not_in_the_cache(place: Place) -> None:
    store = FailingProvider(InMemory())
    with shelf_over(store, writeback=True) as db:
        store.fail("put", cshelve.StorageError("no"), name="a", times=None)
        with pytest.raises(cshelve.BulkError):
            db.update(a=1, b=2)
        assert "a" not in db.cache
        assert db["b"] == 2


def test_a_shelf_for_reading_can_be_closed_after_an_update_that_it_refused(place: Place) -> None:
    place.open().close()
    db = place.open("r", writeback=True)
    with pytest.raises(cshelve.ReadOnlyError):
        db.update(a=1)
    assert db.get("a") is None
    db.close()


def test_a_value_that_cannot_be_pickled_counts_as_unwritten(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    db = place.open(writeback=True)
    db["k"] = []
    db["k"].append(Unpicklable())
    del db  # The list has the last reference to it now.
    with (
        caplog.at_level(logging.WARNING, logger="cshelve"),
        pytest.warns(ResourceWarning, match="1 changed value is not written"),
    ):
        place.opened.clear()
    assert "1 changed value is not written" in caplog.text


@pytest.mark.parametrize(
    "payload", [b"\x80\x05\x96" + (1 << 45).to_bytes(8, "little"), b"\x80\x05.", b"\x80\xff"]
)
def test_a_damaged_pickle_is_a_record_error_that_names_the_key(payload: bytes) -> None:
    store = InMemory()
    with shelf_over(store) as db:
        store.put("k", payload)
        with pytest.raises(cshelve.RecordError, match="'k' in memory"):
            db["k"]


def test_of_a_key_written_twice_the_later_write_decides_what_failed() -> None:
    store = FailingProvider(InMemory())
    with shelf_over(store) as db:
        store.fail("put", cshelve.StorageError("once"), name="a", times=1)
        db.update([("a", 1), ("a", 2)])
        assert db["a"] == 2


def test_a_key_error_inside_unpickling_is_no_missing_key(place: Place) -> None:
    db = place.open()
    db["k"] = RaisesWhenRead()
    with pytest.raises(cshelve.RecordError, match="KeyError"):
        db.get("k", "default")
    with pytest.raises(cshelve.RecordError):
        db.pop("k", "default")
    assert "k" in db


class RaisesWhenRead:
    def __getstate__(self) -> dict[str, Any]:
        return {"a": 1}

    def __setstate__(self, state: dict[str, Any]) -> None:
        raise KeyError("inside")


def test_of_many_values_the_one_that_cannot_be_pickled_is_named(place: Place) -> None:
    db = place.open()
    with pytest.raises(cshelve.BulkError, match="'b'") as caught:
        db.update(a=1, b=Unpicklable(), c=3)
    (failure,) = caught.value.failures.values()
    assert isinstance(failure, cshelve.ValueTypeError)
    assert isinstance(failure.__cause__, KeyError)
    assert dict(db.items()) == {"a": 1, "c": 3}


@pytest.mark.parametrize("value", ["text", 5, None, [b"list"]])
def test_without_pickle_a_value_is_bytes(value: object, place: Place) -> None:
    place.config["default"]["use_pickle"] = False
    db = place.open()
    with pytest.raises(cshelve.ValueTypeError, match="use_pickle"):
        db["k"] = value
    assert "k" not in db


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_without_pickle_any_kind_of_bytes_comes_back_as_bytes(kind: Any, place: Place) -> None:
    place.config["default"]["use_pickle"] = False
    db = place.open()
    db["k"] = kind(b"\0data")
    assert db["k"] == b"\0data"
    assert type(db["k"]) is bytes


def test_every_key_can_be_deleted_in_a_loop_over_them(place: Place) -> None:
    db = place.open()
    db.update({f"k{number}": number for number in range(12)})
    for key in db:
        del db[key]
    assert not db


def test_a_shelf_says_where_it_is_and_no_secret(place: Place) -> None:
    place.config["default"]["use_pickle"] = True
    db = place.open()
    assert repr(db).startswith("<cshelve.CloudShelf in ")
    assert "secret" not in repr(db)
