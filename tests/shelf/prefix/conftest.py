"""A shelf of users and others, and the view of the users."""

from __future__ import annotations

import pytest

import cshelve
from tests.rigs import Place
from tests.shelf.prefix.rig import OTHERS


@pytest.fixture
def db(place: Place) -> cshelve.CloudShelf:
    shelf = place.open()
    shelf.update({"users/ada": 1, "users/grace": 2, **OTHERS})
    return shelf


@pytest.fixture
def users(db: cshelve.CloudShelf) -> cshelve.CloudShelf:
    return db.prefix("users/")
