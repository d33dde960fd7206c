"""The same shelf opened with other sections, and writers in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import cshelve
from cshelve.codec.record import unframe
from cshelve.providers.base import Item, Provider
from cshelve.providers.in_memory import InMemory
from cshelve.testing import FailingProvider
from tests.rigs import provider_of

VALUES = {f"k{number}": ["a value that compresses " * 20, number] for number in range(8)}
Config = dict[str, dict[str, Any]]


def opened(
    config: Config,
    wrap: Callable[[Provider], Provider] = lambda memory: memory,
    /,
    **sections: dict[str, Any],
) -> cshelve.CloudShelf:
    """Open the same shelf with other sections, and with a wrapper round its memory."""
    merged = {**config, **sections}
    merged["default"] = {**config["default"], **sections.get("default", {})}
    memory_of = InMemory.from_config
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InMemory, "from_config", lambda config: wrap(memory_of(config)))
        return cshelve.open_from_dict(merged)


def letters_of(db: cshelve.CloudShelf) -> set[bytes]:
    store = provider_of(db)
    return {unframe(store.get(name).data).letters.signature for name in store.names()}


class WritesInBetween(FailingProvider):
    """A store in which, each time a value has been read, somebody else has written it."""

    def __init__(self, inner: Provider, other: cshelve.CloudShelf, times: int) -> None:
        super().__init__(inner)
        self.other = other
        self.times = times

    def get(self, name: str) -> Item:
        item = super().get(name)
        if name == "k3" and self.times:
            self.times -= 1
            self.other[name] = f"newer, {self.times} to come"
        return item
