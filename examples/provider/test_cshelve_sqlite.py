"""The provider does everything that a shelf asks of its store, and a configuration can name it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cshelve_sqlite import Sqlite

import cshelve
from cshelve.testing import ProviderContract


class TestSqlite(ProviderContract):
    @pytest.fixture(autouse=True)
    def _file_of_the_test(self, tmp_path: Path) -> None:
        self.path = tmp_path / "shelf.db"
        Sqlite(self.path).create()

    def make_provider(self) -> Sqlite:
        return Sqlite(self.path)

    def absent_provider(self) -> Sqlite:
        return Sqlite(self.path.parent / "absent.db")

    def raw(self, statement: str, *values: Any) -> list[Any]:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def raw_read(self, name: str) -> bytes | None:
        rows = self.raw("SELECT data FROM shelf WHERE name = ?", name)
        return rows[0][0] if rows else None

    def raw_write(self, name: str, data: bytes) -> None:
        self.raw("REPLACE INTO shelf VALUES (?, ?, 'raw', 0)", name, data)

    def raw_names(self) -> set[str]:
        return {name for (name,) in self.raw("SELECT name FROM shelf")}


def test_a_configuration_names_it(tmp_path: Path) -> None:
    ini = tmp_path / "shelf.ini"
    ini.write_text(f"[default]\nprovider = sqlite-example\npath = {tmp_path / 'shelf.db'}\n")
    with cshelve.open(ini) as db:
        db["k"] = [1, 2]
    with cshelve.open(ini, "r") as db:
        assert db["k"] == [1, 2]
