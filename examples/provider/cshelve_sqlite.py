"""`sqlite-example`: a shelf in an SQLite file, by a provider in a package of its own."""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any, Self

from cshelve import ConflictError, DBDoesNotExistsError, KeyNotFoundError, StorageError
from cshelve.providers import Capabilities, Details, Entry, Item, Option, Provider, Sections, text

PATH = Option("path", text, "", "The SQLite file.", required=True)
TABLE = "CREATE TABLE IF NOT EXISTS shelf (name TEXT PRIMARY KEY, data, version, modified)"


class Sqlite(Provider):
    """A shelf in an SQLite file. Each method opens the file anew, so threads and forks are safe."""

    options = (PATH,)
    capabilities = Capabilities(conditional_put=True, conditional_delete=True, delete_reports=True)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(concurrency=1)  # SQLite lets one writer in at a time.
        self._path = os.path.abspath(path)

    @classmethod
    def from_config(cls, config: Sections) -> Self:
        return cls(config.take(PATH))

    @property
    def location(self) -> str:
        return self._path

    def exists(self) -> bool:
        return os.path.exists(self._path)

    def create(self) -> None:
        with self._transaction("create", create=True) as run:
            run(TABLE)

    def close(self) -> None:
        """Do nothing: no connection stays open."""

    def get(self, name: str) -> Item:
        with self._transaction("get") as run:
            found = run("SELECT data, version FROM shelf WHERE name = ?", name).fetchone()
        if found is None:
            raise KeyNotFoundError(name)
        self.stats.add_bytes(received=len(found[0]))
        return Item(*found)

    def inspect(self, name: str, head_bytes: int = 64) -> Details:
        query = "SELECT length(data), modified, version, substr(data, 1, ?) FROM shelf"
        with self._transaction("inspect") as run:
            found = run(f"{query} WHERE name = ?", head_bytes, name).fetchone()
        if found is None:
            raise KeyNotFoundError(name)
        size_bytes, modified, version, head = found
        # Of no bytes, `substr` is NULL.
        return Details(
            name, size_bytes, datetime.fromtimestamp(modified, UTC), version, head or b""
        )

    def contains(self, name: str) -> bool:
        with self._transaction("contains") as run:
            return self._version(run, name) is not None

    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        version = uuid.uuid4().hex
        with self._transaction("put") as run:
            there = self._version(run, name)
            if (if_absent and there) or (if_version is not None and there != if_version):
                raise ConflictError(f"{name!r} in {self._path} was written by someone else")
            run("REPLACE INTO shelf VALUES (?, ?, ?, ?)", name, bytes(data), version, time.time())
        self.stats.add_bytes(sent=len(data))
        return version

    def delete(self, name: str, *, if_version: str | None = None) -> bool:
        with self._transaction("delete") as run:
            there = self._version(run, name)
            if there and if_version is not None and there != if_version:
                raise ConflictError(f"{name!r} in {self._path} was written by someone else")
            run("DELETE FROM shelf WHERE name = ?", name)
        return there is not None

    def entries(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[Entry]:
        with self._transaction("entries") as run:
            # SQLite compares texts by their bytes in UTF-8, as `start_after` asks for.
            query = (
                "SELECT name, length(data), modified, version FROM shelf "
                "WHERE substr(name, 1, ?1) = ?2 AND (?3 IS NULL OR name > ?3) "
                "ORDER BY name LIMIT ?4"
            )
            most = -1 if limit is None else limit
            found = run(query, len(prefix), prefix, start_after, most).fetchall()
        for name, size_bytes, modified, version in found:
            yield Entry(name, size_bytes, datetime.fromtimestamp(modified, UTC), version)

    def _version(self, run: Any, name: str) -> str | None:
        found = run("SELECT version FROM shelf WHERE name = ?", name).fetchone()
        return None if found is None else str(found[0])

    @contextmanager
    def _transaction(self, operation: str, *, create: bool = False) -> Iterator[Any]:
        """Yield a function that runs a statement; unless the block raises, all of it is kept."""
        self.stats.count(operation)
        if not (create or self.exists()):
            raise DBDoesNotExistsError(f"{self._path} does not exist; flag 'c' creates it")
        try:
            with closing(sqlite3.connect(self._path, timeout=60)) as connection, connection:
                connection.execute("BEGIN IMMEDIATE")
                yield lambda statement, *values: connection.execute(statement, values)
        except sqlite3.Error as error:
            raise StorageError(f"{self._path}: {error}") from error
