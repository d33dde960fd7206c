"""What a shelf does when its store fails: a failure is never an absent key."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cshelve import AuthError, BulkError, CloudShelf, DBDoesNotExistsError, StorageError
from cshelve.providers.in_memory import InMemory
from cshelve.testing import FailingProvider, shelf_over

ERRORS = [AuthError, StorageError, DBDoesNotExistsError]


@pytest.fixture
def shelf(failing: FailingProvider) -> Iterator[CloudShelf]:
    with shelf_over(failing) as shelf:
        yield shelf


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    ("method", "act"),
    [
        ("get", lambda db: db["a"]),
        ("get", lambda db: db.get("a", "default")),
        ("expires_at", lambda db: "a" in db),
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
        ("expires_at", lambda db: "a" in db.keys()),  # noqa: SIM118  # the view is what is tested
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
