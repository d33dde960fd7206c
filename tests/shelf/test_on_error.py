"""`on_error`: what becomes of records that cannot be read, where many are."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import cshelve
from cshelve.providers.in_memory import InMemory
from cshelve.testing import FailingProvider, shelf_over
from tests.rigs import Place

DAMAGED = (b"\x80\x04damaged", b"", b"\x00\x00")


@pytest.fixture(params=[False, True], ids=["plain", "writeback"])
def db(request: pytest.FixtureRequest, place: Place) -> Iterator[cshelve.CloudShelf]:
    """Five keys, of which `b` and `d` cannot be read."""
    with place.open() as writer:
        writer.update(a=1, c=3, e=5)
        writer.provider.put("b", DAMAGED[0])
        writer.provider.put("d", DAMAGED[2])
    with place.open(writeback=request.param) as db:
        yield db


READS: dict[str, Callable[..., list[tuple[str, Any]]]] = {
    "get_many": lambda db, **how: list(db.get_many([*"abxcde"], **how)),
    "items": lambda db, **how: sorted(db.items(**how), key=lambda pair: pair[0]),
}
every_read = pytest.mark.parametrize("read", READS)


@every_read
def test_raises_unless_told_otherwise(read: str, db: cshelve.CloudShelf) -> None:
    for how in ({}, {"on_error": "raise"}):
        with pytest.raises(cshelve.RecordError):
            READS[read](db, **how)


@every_read
def test_skip_leaves_out_what_cannot_be_read(read: str, db: cshelve.CloudShelf) -> None:
    assert READS[read](db, on_error="skip") == [("a", 1), ("c", 3), ("e", 5)]


@every_read
def test_skip_says_so_once(
    read: str, db: cshelve.CloudShelf, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "cshelve"):
        READS[read](db, on_error="skip")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("a record is left out, like all others")
    assert "'b' in" in record.getMessage() or "'d' in" in record.getMessage()


@every_read
def test_return_has_the_error_in_the_place_of_the_value(
    read: str, db: cshelve.CloudShelf, caplog: pytest.LogCaptureFixture
) -> None:
    found = dict(READS[read](db, on_error="return"))
    errors = {key: found.pop(key) for key in ("b", "d")}
    assert found == {"a": 1, "c": 3, "e": 5}
    for key, error in errors.items():
        assert type(error) is cshelve.CorruptRecordError
        assert repr(key) in str(error) or f"/{key}'" in str(error)
    assert not caplog.records


def test_values_take_it_too(db: cshelve.CloudShelf) -> None:
    assert sorted(db.values(on_error="skip")) == [1, 3, 5]
    returned = list(db.values(on_error="return"))
    assert sum(isinstance(each, cshelve.RecordError) for each in returned) == 2
    assert 5 in db.values(on_error="skip")
    with pytest.raises(cshelve.RecordError):
        list(db.values())


def test_a_view_can_be_iterated_over_again(db: cshelve.CloudShelf) -> None:
    items = db.items(on_error="skip")
    assert list(items) == list(items)
    assert len(items) == 5  # As many as there are keys: nothing is read for that.


def test_prefix_views_take_it(db: cshelve.CloudShelf) -> None:
    assert list(db.prefix("b").items(on_error="skip")) == []
    assert [key for key, _ in db.prefix("b").items(on_error="return")] == [""]


@pytest.mark.parametrize("on_error", ["ignore", "", None, True, ["skip"]])
def test_anything_else_is_refused_at_once(on_error: Any, db: cshelve.CloudShelf) -> None:
    for read in (db.items, db.values, lambda **how: db.get_many(["a"], **how)):
        with pytest.raises(cshelve.ConfigurationError, match="on_error: is one of raise, skip"):
            read(on_error=on_error)


@pytest.mark.parametrize("on_error", ["skip", "return"])
def test_a_failure_of_the_store_is_raised_all_the_same(on_error: Any) -> None:
    store = FailingProvider(InMemory())
    with shelf_over(store) as db:
        db.update(a=1, b=2)
        store.fail("get", cshelve.StorageError("no connection"))
        with pytest.raises(cshelve.StorageError, match="no connection"):
            list(db.get_many(list("ab"), on_error=on_error))
