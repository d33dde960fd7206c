"""Tests of an application, without a server, and without mocks of one."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from notes import Notes

import cshelve
from cshelve.providers import Filesystem, InMemory, Provider
from cshelve.testing import CountingProvider, FailingProvider

NOON, EVENING = datetime(2026, 5, 1, 12), datetime(2026, 5, 1, 20)


@pytest.fixture
def store() -> Provider:
    """A store in memory, which ends with the test."""
    return InMemory()


@pytest.fixture
def notes(store: Provider) -> Iterator[Notes]:
    with cshelve.open_provider(store) as db:
        yield Notes(db)


def test_the_latest_note(notes: Notes) -> None:
    notes.add("ada", "write", NOON)
    notes.add("ada", "rest", EVENING)
    assert notes.latest("ada") == "rest"
    assert notes.latest("grace") is None


class TestRequests:
    @pytest.fixture
    def store(self) -> CountingProvider:
        return CountingProvider(InMemory())

    def test_all_notes_are_read_at_once(self, store: CountingProvider, notes: Notes) -> None:
        notes.add("ada", "write", NOON)
        notes.add("ada", "rest", EVENING)
        store.reset()
        assert len(notes.all("ada")) == 2
        assert store.counts["get_many"] == 1
        assert store.counts["get"] == 0


class TestFailures:
    @pytest.fixture
    def store(self) -> FailingProvider:
        return FailingProvider(InMemory())

    def test_an_outage_is_not_a_missing_note(self, store: FailingProvider, notes: Notes) -> None:
        notes.add("ada", "write", NOON)
        store.fail("get", cshelve.StorageError("the server does not respond"))
        assert notes.latest("ada") == "Your notes cannot be read at the moment."
        assert notes.latest("ada") == "write"


class TestInAFolder:
    @pytest.fixture
    def store(self, tmp_path: Path) -> Filesystem:
        return Filesystem(tmp_path)

    def test_a_note_is_a_file(self, notes: Notes, tmp_path: Path) -> None:
        notes.add("ada", "write", NOON)
        assert [path.name for path in tmp_path.glob("ada/*")] == ["2026-05-01T12:00:00"]
