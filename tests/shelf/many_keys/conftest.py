"""Shelves and stores for operations on many keys."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

import cshelve
from cshelve.testing import FailingProvider
from tests.rigs import Place
from tests.shelf.many_keys.rig import FarMemory


@pytest.fixture
def workers() -> Callable[[], list[str]]:
    """Name the threads of ours that were not there when the test began."""
    before = set(threading.enumerate())

    def named() -> list[str]:
        new = set(threading.enumerate()) - before
        return [thread.name for thread in new if thread.name.startswith("cshelve")]

    return named


@pytest.fixture
def db(place: Place) -> cshelve.CloudShelf:
    shelf = place.open()
    shelf.update(a=1, b=2, c=3)
    return shelf


@pytest.fixture
def far() -> FarMemory:
    return FarMemory()


@pytest.fixture
def failing(far: FarMemory) -> FailingProvider:
    return FailingProvider(far)
