"""What a shelf with writeback asks of its store, and shelves that nobody closes."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest

from cshelve import BulkError, CloudShelf, StorageError
from cshelve.providers.in_memory import InMemory
from cshelve.testing import CountingProvider, FailingProvider, shelf_over


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
