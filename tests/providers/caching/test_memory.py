"""Entries in memory: bounded, the least recently used ones go, and a child has its own."""

from __future__ import annotations

from cshelve.providers.base import Item
from cshelve.providers.caching.memory import InMemoryEntries
from tests.forks import forks, in_child


def keep(entries: InMemoryEntries, name: str, size_bytes: int = 1000) -> None:
    prepared = entries.prepare(name, Item(bytes(size_bytes), "1"), 0.0)
    assert prepared is not None
    entries.keep(prepared)


def names_in(entries: InMemoryEntries, names: range) -> list[int]:
    return [name for name in names if entries.read(str(name)) is not None]


def test_the_least_recently_used_make_room() -> None:
    entries = InMemoryEntries(10 * 1500)
    for number in range(100):
        keep(entries, str(number))
        assert entries.read("0") is not None
    assert names_in(entries, range(100)) == [0, *range(91, 100)]


def test_an_entry_that_is_replaced_counts_once() -> None:
    entries = InMemoryEntries(10 * 1500)
    keep(entries, "1")
    for _ in range(100):
        keep(entries, "2")
    assert names_in(entries, range(3)) == [1, 2]
    entries.drop("2")
    entries.drop("2")
    for number in range(3, 12):
        keep(entries, str(number))
    assert len(names_in(entries, range(12))) == 10


def test_what_is_too_large_is_not_kept() -> None:
    entries = InMemoryEntries(1000)
    assert entries.prepare("k", Item(bytes(1000), "1"), 0.0) is None


def test_renewing_changes_only_the_entry_that_was_read() -> None:
    entries = InMemoryEntries(10_000)
    keep(entries, "k")
    entry = entries.read("k")
    assert entry is not None
    keep(entries, "k", 5)
    entries.renew("k", entry, 10.0)
    found = entries.read("k")
    assert found is not None
    assert (len(found.item.data), found.asked_at) == (5, 0.0)


@forks
def test_a_forked_child_begins_with_nothing() -> None:
    entries = InMemoryEntries(10_000)
    keep(entries, "1")

    def child() -> list[int]:
        keep(entries, "2")
        return names_in(entries, range(3))

    assert in_child(child) == [2]
    assert names_in(entries, range(3)) == [1]
