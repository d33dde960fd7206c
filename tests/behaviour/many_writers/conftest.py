"""Shelves and processes for many writers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import cshelve
from tests.behaviour.many_writers.crowd import PROCESSES, Crowd
from tests.rigs import Place


@pytest.fixture(scope="package")
def crowd() -> Iterator[Crowd]:
    crowd = Crowd(PROCESSES)
    yield crowd
    crowd.close()


@pytest.fixture
def db(place: Place) -> cshelve.CloudShelf:
    return place.open()
