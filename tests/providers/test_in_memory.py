"""The provider `in-memory`: what its lock is for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from cshelve.exceptions import ConflictError
from cshelve.providers.in_memory import InMemory
from tests.threads import CONTENDERS, in_threads


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> InMemory:
    """A store in which much time passes between looking at a value and writing it."""
    look: Any = vars(InMemory)["_held"]

    def look_slowly(provider: InMemory, name: str) -> object:
        found = look(provider, name)
        time.sleep(0.01)
        return found

    monkeypatch.setattr(InMemory, "_held", look_slowly)
    return InMemory(exists=True)


def wins(change: Callable[[], object]) -> bool:
    """Return whether a change was made, and not refused because of another one."""
    try:
        return change() is not False
    except ConflictError:
        return False


def test_of_writers_of_an_absent_name_one_wins(store: InMemory) -> None:
    def write(number: int) -> bool:
        return wins(lambda: store.put("name", b"%d" % number, if_absent=True))

    assert in_threads(CONTENDERS, write).count(True) == 1


def test_of_writers_and_deleters_of_a_version_one_wins(store: InMemory) -> None:
    version = store.put("name", b"old")

    def change(number: int) -> bool:
        if number % 2:
            return wins(lambda: store.delete("name", if_version=version))
        return wins(lambda: store.put("name", b"%d" % number, if_version=version))

    assert in_threads(CONTENDERS, change).count(True) == 1


def test_of_deleters_one_is_told_that_it_deleted(store: InMemory) -> None:
    store.put("name", b"value")
    assert in_threads(CONTENDERS, lambda _: store.delete("name")).count(True) == 1
