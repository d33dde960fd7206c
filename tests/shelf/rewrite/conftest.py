"""A shelf whose values were written without options."""

from __future__ import annotations

import pytest

from tests.rigs import memory_config
from tests.shelf.rewrite.rig import VALUES, Config, opened


@pytest.fixture
def config() -> Config:
    config = memory_config()
    with opened(config) as db:
        db.update(VALUES)
    return config
