"""A store in memory, and wrappers round it."""

from __future__ import annotations

import pytest

from cshelve.providers.in_memory import InMemory
from cshelve.testing import CountingProvider, FailingProvider


@pytest.fixture
def memory() -> InMemory:
    return InMemory(exists=True)


@pytest.fixture
def counting(memory: InMemory) -> CountingProvider:
    return CountingProvider(memory)


@pytest.fixture
def failing(memory: InMemory) -> FailingProvider:
    return FailingProvider(memory)
