"""The provider of local shelves, on every backend of `dbm` that this Python has."""

from __future__ import annotations

import dbm
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cshelve.providers import Dbm
from cshelve.testing import ProviderContract

# These have a lock on the file, or an index in memory, so that there are no two at a time.
ONE_AT_A_TIME = ("dbm.gnu", "dbm.ndbm", "dbm.dumb")


class TestContract(ProviderContract):
    # `dbm.dumb` writes its whole index at each deletion.
    many = 300

    @pytest.fixture(autouse=True)
    def _a_path(self, tmp_path: Path, dbm_backend: str) -> Iterator[None]:
        self.backend = dbm_backend
        self.path = tmp_path / "shelf"
        self.made: list[Dbm] = []
        dbm.open(str(self.path), "c").close()
        yield
        for provider in self.made:
            provider.close()

    @pytest.fixture(autouse=True)
    def _without_what_it_cannot_do(self, request: pytest.FixtureRequest, _a_path: None) -> None:
        name = request.function.__name__
        if self.backend in ONE_AT_A_TIME and name in NEEDS_TWO_AT_A_TIME:
            pytest.skip("the file is open for one at a time")
        if self.backend == "dbm.sqlite3" and name in NEEDS_THREADS:
            pytest.skip("its connection is for one thread")
        if self.backend == "dbm.ndbm" and name in NEEDS_LARGE_OR_EMPTY_VALUES:
            pytest.skip("its values are small, and none is empty")

    def make_provider(self) -> Dbm:
        self.made.append(Dbm(self.path))
        return self.made[-1]

    def absent_provider(self) -> Dbm:
        self.made.append(Dbm(self.path.with_name("absent")))
        return self.made[-1]

    def raw_read(self, name: str) -> bytes | None:
        with self._raw() as database:
            key = name.encode()
            return database[key] if key in database else None  # noqa: SIM401  # not ndbm's

    def raw_write(self, name: str, data: bytes) -> None:
        with self._raw() as database:
            database[name.encode()] = data

    def raw_names(self) -> set[str]:
        with self._raw() as database:
            return {key.decode() for key in database.keys()}  # noqa: SIM118  # gdbm has no other

    def raw_write_many(self, names: Any) -> None:
        with self._raw() as database:
            for name in names:
                database[name.encode()] = b""

    def write_neighbours(self) -> None:
        for name in ("shelf-2", "shelf.txt"):
            self.path.with_name(name).write_bytes(b"theirs")

    def neighbours_are_whole(self) -> bool:
        return all(
            self.path.with_name(name).read_bytes() == b"theirs" for name in ("shelf-2", "shelf.txt")
        )

    @contextmanager
    def _raw(self) -> Iterator[Any]:
        """The database itself: the one that is open, as there may be no second one."""
        open_now = [provider._database for provider in self.made if provider._database is not None]
        if open_now:
            yield open_now[-1]
            return
        database = dbm.open(str(self.path), "w")  # noqa: SIM115
        try:
            yield database
        finally:
            database.close()


NEEDS_TWO_AT_A_TIME = {"test_a_second_provider_sees_what_the_first_wrote"}
NEEDS_THREADS = {
    "test_a_reader_sees_the_old_value_or_the_new_one",
    "test_of_writers_that_race_if_absent_one_wins",
    "test_writers_that_race_if_version_lose_no_update",
    "test_of_callers_that_race_to_delete_at_most_one_is_told_that_it_did",
    "test_a_provider_may_be_used_by_many_threads",
    "test_a_name_that_is_overwritten_is_in_every_listing",
}
NEEDS_LARGE_OR_EMPTY_VALUES = {
    "test_a_download_writes_what_is_there",
    "test_an_empty_value_is_inspected",
    "test_an_empty_value_is_there",
    "test_an_entry_has_the_size_of_its_value",
    "test_an_upload_stores_what_a_file_has",
    "test_values_of_every_kind_come_back_as_they_were",
    "test_a_reader_sees_the_old_value_or_the_new_one",
}
