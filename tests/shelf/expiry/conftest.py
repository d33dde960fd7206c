"""A shelf in each store, and a clock that the test moves."""

from __future__ import annotations

import pytest

import cshelve
from tests.clocks import Clock
from tests.rigs import Place


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    clock.rule(monkeypatch)
    return clock


@pytest.fixture
def db(place: Place, clock: Clock) -> cshelve.CloudShelf:
    """A shelf without options, in which `over` has expired, and `there` has not."""
    db = place.open()
    db.set("over", "old", expire_after_seconds=10)
    db.set("there", "value", expire_after_seconds=1000)
    clock.move(10)
    return db


@pytest.fixture
def brief(place: Place, clock: Clock) -> cshelve.CloudShelf:
    """A shelf whose values expire after ten seconds."""
    place.config["default"]["expire_after_seconds"] = 10
    return place.open()
