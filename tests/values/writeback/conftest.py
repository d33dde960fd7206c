"""Shelves with writeback, over a store whose calls can be held up."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

import cshelve
from cshelve.testing import FailingProvider, shelf_over
from tests.rigs import Place
from tests.values.writeback.rig import KEYS, PATIENCE_SECONDS, GatedMemory


@pytest.fixture(autouse=True)
def _watchdog() -> Iterator[None]:
    """End a test that waits for ever, in whatever it does itself."""

    def give_up(*_: object) -> None:
        raise TimeoutError("this waits for ever")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(6 * PATIENCE_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def memory() -> GatedMemory:
    return GatedMemory()


@pytest.fixture
def live(memory: GatedMemory) -> Iterator[cshelve.CloudShelf]:
    """A shelf over it, with writeback."""
    db = shelf_over(memory, writeback=True)
    yield db
    db.cache.clear()
    db.close()


@pytest.fixture
def failing(memory: GatedMemory) -> FailingProvider:
    return FailingProvider(memory)


@pytest.fixture
def filled(place: Place) -> Place:
    with place.open() as db:
        db.update({key: [key] for key in KEYS})
    return place
