"""Expired keys that others write at the same time: nobody's value is lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import cshelve
from cshelve.providers.base import Details, Item
from cshelve.providers.in_memory import InMemory
from cshelve.providers.wrapper import Wrapper
from cshelve.testing import FailingProvider, shelf_over
from tests.clocks import Clock


class WritesInBetween(Wrapper):
    """A store in which somebody else writes as soon as something was read, once."""

    def __init__(self, inner: InMemory) -> None:
        super().__init__(inner)
        self.write: Callable[[], object] | None = None

    def get(self, name: str) -> Item:
        item = super().get(name)
        self._write_once()
        return item

    def inspect(self, name: str, head_bytes: int = 64) -> Details:
        details = super().inspect(name, head_bytes)
        self._write_once()
        return details

    def _write_once(self) -> None:
        if self.write is not None:
            write, self.write = self.write, None
            write()


@pytest.fixture
def memory(clock: Clock) -> InMemory:
    memory = InMemory(exists=True)
    with shelf_over(memory) as db:
        db.set("k", "old", expire_after_seconds=10)
    clock.move(10)
    return memory


@pytest.fixture
def other(memory: InMemory) -> cshelve.CloudShelf:
    return shelf_over(memory)


@pytest.fixture
def store(memory: InMemory, other: cshelve.CloudShelf) -> WritesInBetween:
    store = WritesInBetween(memory)
    store.write = lambda: other.set("k", "theirs")
    return store


def test_setdefault_returns_the_value_of_the_faster_one(store: WritesInBetween) -> None:
    assert shelf_over(store).setdefault("k", "mine") == "theirs"


def test_modify_begins_again_with_it(store: WritesInBetween) -> None:
    assert shelf_over(store).modify("k", lambda text: text + "!", default="mine") == "theirs!"


def test_replace_is_a_conflict(store: WritesInBetween, other: cshelve.CloudShelf) -> None:
    with pytest.raises(cshelve.ConflictError):
        shelf_over(store).replace("k", "mine", None)
    assert other["k"] == "theirs"


def test_replace_is_a_conflict_if_it_was_deleted_meanwhile(
    store: WritesInBetween, memory: InMemory
) -> None:
    store.write = lambda: memory.delete("k")
    with pytest.raises(cshelve.ConflictError):
        shelf_over(store).replace("k", "mine", None)


def test_replace_is_a_conflict_with_what_cannot_be_read(memory: InMemory) -> None:
    db = shelf_over(memory)
    record = bytearray(memory.get("k").data)
    record[-1] ^= 1
    memory.put("k", bytes(record))
    with pytest.raises(cshelve.ConflictError):
        db.replace("k", "mine", None)


def test_expire_leaves_what_is_written_anew(
    store: WritesInBetween, other: cshelve.CloudShelf
) -> None:
    assert shelf_over(store).expire() == 0
    assert other["k"] == "theirs"


def test_expire_counts_what_it_deleted_although_the_answer_was_lost(memory: InMemory) -> None:
    store = FailingProvider(memory)
    lost = cshelve.OutcomeUnknownError("the answer was lost")
    store.fail("delete", lost, before=False)
    assert shelf_over(store).expire() == 1
    assert len(shelf_over(memory)) == 0
