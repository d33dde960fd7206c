"""`dbm`: a local shelf in the same files as `shelve`, by the standard library's `dbm`.

`dbm.open` chooses the backend, and `dbm.whichdb` recognizes existing files. Their rules apply here,
too: who may open a file at the same time, which threads may use it, and what the flags mean. Each
error is an instance of both cshelve's class and `dbm`'s, so code that expects either catches it.

`dbm` has no versions. The version of a value is its digest, and a lock for each file makes
operations atomic among the threads of this process. Other processes are excluded only if the
backend does that.
"""

from __future__ import annotations

import dbm
import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, cast
from weakref import WeakValueDictionary

from cshelve._concurrency.per_process import PerProcess
from cshelve._config.options import Option, text
from cshelve.exceptions import (
    AuthError,
    CanNotCreateDBError,
    ConfigurationError,
    ConflictError,
    CorruptRecordError,
    CreateRefusedError,
    DBDoesNotExistsError,
    KeyNotFoundError,
    ReadOnlyError,
    StorageError,
)
from cshelve.providers.base import Capabilities, Details, Entry, Item, Provider

if TYPE_CHECKING:
    from cshelve._config.sections import Sections

__all__ = ["Dbm"]

# The suffixes that backends append to the name of a shelf.
SUFFIXES = ("", ".dat", ".db", ".pag", "-wal")
LOCKED = (errno.EAGAIN, errno.EACCES)

PATH = Option(
    "path", text, "", "The name of a local shelf, as passed to `shelve.open`.", required=True
)

# Shelves of one file share a lock. (`setdefault` is not atomic here, so there is a guard.)
_locks: WeakValueDictionary[str, PerProcess[threading.RLock]] = WeakValueDictionary()
_locks_guard = PerProcess(threading.Lock)


E = TypeVar("E", bound=StorageError)


class FlagTypeError(ConfigurationError, TypeError):
    """Raised for a flag that is not a `str`, for which `dbm.open` raises a `TypeError`."""


class NotUtf8Error(CorruptRecordError, UnicodeDecodeError):
    """Raised while listing a key that is not UTF-8; `shelve` cannot list it either."""


class Database(Protocol):
    """The methods that the object of every backend has."""

    def __getitem__(self, key: bytes, /) -> bytes: ...
    def __setitem__(self, key: bytes, value: bytes, /) -> None: ...
    def __delitem__(self, key: bytes, /) -> None: ...
    def __contains__(self, key: object, /) -> bool: ...
    def keys(self) -> list[bytes]: ...
    def close(self) -> None: ...


class Dbm(Provider):
    """Stores values in the same files, and the same format, as `shelve.open` with the same name.

    Operations are atomic among the threads of this process. Other processes are excluded only if
    the backend locks the file, as gdbm does. If a backend ties a file to a thread (`dbm.sqlite3`),
    other threads get an error, as with `shelve`.

        db = cshelve.open_provider(Dbm("notes"))    # the same as cshelve.open("notes")
    """

    options = (PATH,)
    capabilities = Capabilities(conditional_put=True, conditional_delete=True, delete_reports=True)
    is_shared = False  # `shelve` does not warn of a program's own files either.
    like_shelve = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """`path` is the name for `shelve.open`, to which a backend may append a suffix."""
        super().__init__(concurrency=1)
        name = text(path)
        # `dbm.dumb` opens its files again and again, even after the program has changed its current
        # directory. `abspath` would not do: it changes a name that ends in a slash.
        self._path = name if os.path.isabs(name) else os.path.join(os.getcwd(), name)
        try:
            self._locks = _lock_of(os.path.realpath(self._path))
        except ValueError as error:
            raise ConfigurationError(f"{name!r} is not a file name: {error}") from error
        self._database: Database | None = None
        self._is_closed = False

    @classmethod
    def from_config(cls, config: Sections) -> Self:
        """Return a provider with the option `path` of `[default]`."""
        return cls(os.path.expanduser(config.take(PATH)))

    @classmethod
    def check_flag(cls, flag: str) -> None:
        """Raise an error if `flag` is not a string; the backend refuses unknown flags."""
        if not isinstance(flag, str):
            raise FlagTypeError(f"flag: is a text, not of type {type(flag).__name__}.")

    @property
    def location(self) -> str:
        return self._path

    @property
    def database(self) -> Database:
        """The object that `dbm.open` returned, which is the attribute `dict` of `shelve.Shelf`."""
        database = self._database
        return self._open("w") if database is None else database

    def prepare(self, flag: str) -> None:
        """Open the files with a flag, which means what it means to `dbm.open`."""
        with self._locks.get():
            if self._database is not None:
                self._database.close()
            database = self._open(flag)
        # So that code that catches the backend's error also catches this one.
        module = sys.modules[type(database).__module__]
        self.read_only_error = _both(ReadOnlyError, getattr(module, "error", OSError))

    def exists(self) -> bool:
        # `dbm.dumb` may write its index only when it is closed.
        return self._database is not None or dbm.whichdb(self._path) is not None

    def create(self) -> None:
        with self._locks.get():
            if self._database is None:
                self._open("c")

    def sync(self) -> None:
        """Write what the backend has buffered; `dbm.sqlite3` and `dbm.ndbm` buffer nothing."""
        with self._locks.get():
            write = getattr(self._database, "sync", None)
            if write is not None:
                self._translated("", write)

    def close(self) -> None:
        with self._locks.get():
            self._is_closed = True
            database, self._database = self._database, None
        if database is None:
            return
        try:
            database.close()
        except Exception as error:
            # In another thread, sqlite raises an exception that is not one of `dbm`'s.
            raise _error(StorageError, error, "", self._path) from error

    def get(self, name: str) -> Item:
        data = self.read(name)
        return Item(data, _version_of(data))

    def read(self, name: str) -> bytes:
        """Return the data of a name without its version, which takes time to compute."""
        with self._locks.get():
            # Not by `stats.count`, which would acquire another lock.
            self.stats.requests["get"] += 1
            try:
                data = self.database[name.encode()]
            except KeyError:
                raise KeyNotFoundError(name) from None
            except OSError as error:
                raise self._failure(error, name) from error
            self.stats.bytes_received += len(data)
            return data

    def inspect(self, name: str, head_bytes: int = 64) -> Details:
        """Read the value, since `dbm` has no metadata; `modified` is the file's time."""
        data = self.read(name)
        return Details(name, len(data), self._modified(), _version_of(data), data[:head_bytes])

    def contains(self, name: str) -> bool:
        with self._locks.get():
            self.stats.requests["contains"] += 1
            try:
                return name.encode() in self.database
            except OSError as error:
                raise self._failure(error, name) from error

    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        data = bytes(data)
        with self._locks.get():
            if if_absent or if_version is not None:
                self._refuse(name, if_absent, if_version)
            self.write(name, data)
        return _version_of(data)

    def write(self, name: str, data: bytes) -> None:
        """Store data under a name unconditionally, without returning a version."""
        with self._locks.get():
            self.stats.requests["put"] += 1
            self.stats.bytes_sent += len(data)
            try:
                self.database[name.encode()] = data
            except OSError as error:
                raise self._failure(error, name) from error

    def delete(self, name: str, *, if_version: str | None = None) -> bool:
        with self._locks.get():
            self.stats.requests["delete"] += 1
            database = self.database
            if if_version is not None:
                if self._version(name) is None:
                    return False
                self._refuse(name, False, if_version)
            try:
                del database[name.encode()]
            except KeyError:
                return False
            except OSError as error:
                raise self._failure(error, name) from error
        return True

    def names(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[str]:
        """Yield the names that exist when iteration begins."""
        with self._locks.get():
            self.stats.requests["entries"] += 1
            keys = self._translated("", self.database.keys)
        start = prefix.encode()
        found = [key for key in keys if key.startswith(start)]
        if start_after is not None:
            behind = start_after.encode()
            found = sorted(key for key in found if key > behind)
        for key in islice(found, limit):
            try:
                yield key.decode()
            except UnicodeDecodeError as error:
                raise NotUtf8Error(*error.args) from error

    def entries(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> Iterator[Entry]:
        """Yield an entry for each name; this reads each value to find its size and version.

        `modified` is the time of the last write to the files, as that of each value is not known.
        """
        modified = self._modified()
        for name in self.names(prefix, start_after=start_after, limit=limit):
            with self._locks.get():
                data = self._data(name)
            if data is not None:
                yield Entry(name, len(data), modified, _version_of(data))

    def _open(self, flag: str) -> Database:
        """Open the files, and return the backend's object. The caller holds the lock."""
        if self._is_closed:
            raise ValueError("invalid operation on closed shelf")
        try:
            opened = dbm.open(self._path, cast("Any", flag))  # noqa: SIM115  # `close` closes it
        except ValueError as error:
            raise ConfigurationError(f"{self._path}: {error}") from error
        except dbm.error as error:
            raise _error(self._kind_of(error, flag), error, "", self._path) from error
        self._database = cast("Database", opened)
        return self._database

    def _kind_of(self, error: Exception, flag: str) -> type[StorageError]:
        """Return the class of the error for files that could not be opened."""
        is_refused = isinstance(error, PermissionError)
        if dbm.whichdb(self._path) is not None:
            return AuthError if is_refused else StorageError
        if flag[:1] in ("c", "n"):
            return CreateRefusedError if is_refused else CanNotCreateDBError
        return AuthError if is_refused else DBDoesNotExistsError

    def _data(self, name: str) -> bytes | None:
        database = self.database
        try:
            return database[name.encode()]
        except KeyError:
            return None
        except OSError as error:
            raise self._failure(error, name) from error

    def _version(self, name: str) -> str | None:
        data = self._data(name)
        return None if data is None else _version_of(data)

    def _refuse(self, name: str, if_absent: bool, if_version: str | None) -> None:
        """Raise `ConflictError` if a condition does not hold. The caller holds the lock."""
        version = self._version(name)
        if if_absent and version is not None:
            raise ConflictError(f"{name!r} is already in {self._path}")
        if if_version is not None and version != if_version:
            raise ConflictError(f"{name!r} in {self._path} was changed since it was read")

    def _translated(self, name: str, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except OSError as error:
            raise self._failure(error, name) from error

    def _failure(self, error: OSError, name: str) -> StorageError:
        if isinstance(error, StorageError):
            return error
        kind = AuthError if isinstance(error, PermissionError) else StorageError
        return _error(kind, error, name, self._path)

    def _modified(self) -> datetime:
        """Return the time of the last write to any of the files; now if there is none."""
        times = [datetime.now(UTC).timestamp()]
        for suffix in SUFFIXES:
            try:
                times.append(os.stat(self._path + suffix).st_mtime)
            except OSError:
                continue
        return datetime.fromtimestamp(max(times[1:], default=times[0]), UTC)


def _lock_of(path: str) -> PerProcess[threading.RLock]:
    with _locks_guard.get():
        lock = _locks.get(path)
        if lock is None:
            # Reentrant: the garbage collector may close a shelf while this thread holds the lock.
            lock = _locks[path] = PerProcess(threading.RLock)
        return lock


def _version_of(data: bytes) -> str:
    from hashlib import blake2b  # Slow to import, and needed only for versions.

    return blake2b(data, digest_size=16).hexdigest()


def _error(ours: type[StorageError], error: Exception, name: str, path: str) -> StorageError:
    """Return an error that is an instance of both a class of cshelve's and the class of `error`."""
    kind: type[StorageError] = _both(ours, type(error))  # type: ignore[arg-type]  # it is hashable
    if not isinstance(error, OSError) or error.errno is None:
        return kind(f"{f'{name!r} in ' if name else ''}{path}: {error}")
    said = f"{error.strerror}, at the key {name!r}" if name else error.strerror
    if error.errno in LOCKED and type(error) is not PermissionError:
        said = f"{said}; another program, or another shelf of this one, may have it open"
    return kind(error.errno, said, path)


@cache
def _both(ours: type[E], theirs: type[Exception]) -> type[E]:
    if issubclass(ours, theirs):
        return ours

    class Both(ours, theirs):  # type: ignore[misc, valid-type]  # made for classes not known here
        def __reduce__(self) -> tuple[Any, ...]:
            # Another process cannot import this class: there, the error has only cshelve's class.
            has_place = self.errno is not None
            return ours, (self.errno, self.strerror, self.filename) if has_place else self.args

    Both.__name__ = Both.__qualname__ = ours.__name__
    Both.__module__, Both.__doc__ = ours.__module__, ours.__doc__
    return Both
