"""However an operation on many keys ends, it leaves no thread behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import pytest

import cshelve
from cshelve.providers.in_memory import InMemory
from cshelve.testing import FailingProvider, SlowProvider, shelf_over
from tests.shelf.many_keys.rig import FarMemory, Gone, numbered


def give_up(_: object) -> None:
    raise ArithmeticError


def broken_source() -> Iterator[Any]:
    yield from numbered(20).items()
    raise ArithmeticError


def left_early(pairs: Iterable[Any]) -> None:
    for _ in pairs:
        return


ENDS: dict[str, Callable[[cshelve.CloudShelf], object]] = {
    "all read": lambda db: list(db.items()),
    "all written": lambda db: db.set_many(numbered()),
    "all deleted": lambda db: db.delete_many(numbered()),
    "cleared": lambda db: db.clear(),
    "break out of items": lambda db: left_early(db.items()),
    "break out of values": lambda db: left_early(db.values()),
    "break out of get_many": lambda db: left_early(db.get_many(numbered())),
    "first difference": lambda db: db == {"other": 1},
    "failure of a key": lambda db: db.set_many({**numbered(), "bad": 1}),
    "failure of a deletion": lambda db: db.delete_many([*numbered(), "bad"]),
    "failure of a read": lambda db: list(db.get_many([*numbered(20), "bad", *numbered(20)])),
    "about the shelf": lambda db: db.set_many({**numbered(20), "worse": 1, **numbered()}),
    "source of a write": lambda db: db.set_many(broken_source()),
    "source of a read": lambda db: list(db.get_many(key for key, _ in broken_source())),
    "key that is no text": lambda db: list(db.get_many([*numbered(), 5])),  # type: ignore[list-item]
    "value without a pickle": lambda db: db.update({**numbered(20), "f": lambda: 0}),
    "callback of a write": lambda db: db.set_many(numbered(), progress=give_up),
    "callback of a deletion": lambda db: db.delete_many(numbered(), progress=give_up),
}


@pytest.mark.parametrize("end", ENDS)
def test_no_thread_stays_behind(
    end: str, failing: FailingProvider, workers: Callable[[], list[str]]
) -> None:
    with shelf_over(failing) as db:
        db.update(numbered())
        failing.inner.put("bad", b"hello")
        for method in ("put", "delete", "get"):
            failing.fail(method, cshelve.AuthError, name="bad", times=None)
        failing.fail("put", Gone, name="worse", times=None)
        with suppress(Exception):  # How it ends is not what is looked at here.
            ENDS[end](db)
        assert workers() == []


def test_a_failure_that_somebody_keeps_keeps_no_thread(
    failing: FailingProvider, workers: Callable[[], list[str]]
) -> None:
    with shelf_over(failing) as db:
        db.update(numbered())
        failing.fail("get", cshelve.AuthError, name="k020")
        with pytest.raises(cshelve.AuthError) as kept:
            list(db.items())
        assert workers() == []
        del kept


@pytest.mark.parametrize("operation", ["get_many", "items"])
def test_an_iterator_of_a_shelf_that_is_closed_leaves_no_thread(
    operation: str, far: FarMemory, workers: Callable[[], list[str]]
) -> None:
    with shelf_over(far) as db:
        db.update(numbered())
        pairs = iter(db.items() if operation == "items" else db.get_many(numbered()))
        next(pairs)
    with pytest.raises(ValueError, match="closed shelf"):
        next(pairs)
    assert workers() == []


def test_without_threads_the_work_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    store = SlowProvider(InMemory(), 0, concurrency=4)
    with shelf_over(store) as db:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        db.update({str(number): number for number in range(20)})
        assert len(dict(db.items())) == 20
