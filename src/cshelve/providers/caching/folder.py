"""Entries in files of a folder, which processes of one user share without locks.

An entry is written to a temporary file and renamed, so readers see all of it or nothing, and a
checksum shows what a crash of the machine has damaged. The modification time of its file is when
the store was last asked for it, and the access time is when it was last used: both are set by us,
so that it does not matter how the file system is mounted.

To compute the checksum of a large entry takes several times as long as to read it. So the digits of
its modification time below a millisecond are a mark that stands for the checksum and for the time
since this machine was started: a file that has the mark was written or checked since then, and not
changed by anybody else, who would have set another time.

The folder may belong to the user alone: whoever can write to it could plant pickles.
"""

from __future__ import annotations

import os
import stat
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import blake2b
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from cshelve._concurrency.signals import is_from_signal_handler
from cshelve.providers.base import Item
from cshelve.providers.caching.entries import Entries, Entry
from cshelve.providers.caching.room import TEMPORARY, Room

if TYPE_CHECKING:
    import logging

__all__ = ["FolderEntries"]

# The name says the format of the files: another version of cshelve may have another one.
OURS = "cshelve-cache-1"
MAGIC = b"cshlv-c1"
# Magic, checksum of all that follows, digest of the place and the name, lengths.
HEAD = struct.Struct("<8sI16sHQ")
AFTER_CHECKSUM = len(MAGIC) + 4
# A small entry is read by one call.
FIRST_BYTES = 64 * 1024
MOST_VERSION_BYTES = 4096
# Nanoseconds in a millisecond.
MARKS = 1_000_000

_numbers = count()


class Prepared(NamedTuple):
    """A temporary file, and where it belongs."""

    temporary: str
    path: str
    size_bytes: int


class FolderEntries(Entries[Prepared]):
    """The entries of one shelf in a folder, in which other shelves may have theirs.

    `scope` is a text that names the place of the shelf and whoever reads it.
    """

    def __init__(self, folder: str, scope: str, max_bytes: int, logger: logging.Logger) -> None:
        self._folder = folder
        self._base = os.path.join(folder, OURS)
        self._scope = _digest(scope)
        self._own = os.path.join(self._base, self._scope.hex())
        self._room = Room(self._base, max_bytes)
        self._max_bytes = max_bytes
        self._logger = logger
        self._has_warned = self._has_cleaned = False
        self._is_safe: bool | None = None

    def read(self, name: str) -> Entry | None:
        key = self._key(name)
        path = self._path(key)
        try:
            if self._is_safe is None and not self._look():
                return None
            if not self._is_safe:
                return None
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            try:
                return self._read(descriptor, key)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            return None
        except _DamagedError:
            with self._quietly("clean"):
                os.unlink(path)
            return None
        except OSError as error:
            self._note(error, "read")
            return None

    def prepare(self, name: str, item: Item, asked_at: float) -> Prepared | None:
        version = item.version.encode("utf-8", "surrogatepass")
        size_bytes = HEAD.size + len(version) + len(item.data)
        if size_bytes > self._max_bytes or len(version) > MOST_VERSION_BYTES:
            return None
        key = self._key(name)
        head = _head(key, version, item.data)
        with self._quietly("written to"):
            try:
                if self._make_safe():
                    temporary = self._write((head, version, item.data), asked_at)
                    return Prepared(temporary, self._path(key), size_bytes)
            except FileNotFoundError:
                self._is_safe = None  # Somebody has removed the folder: the next write makes it.
        return None

    def keep(self, prepared: Prepared) -> None:
        with self._quietly("written to"):
            try:
                _move(prepared.temporary, prepared.path)
            except BaseException:
                self.discard(prepared)
                raise
            self._room.taken(prepared.size_bytes)

    def discard(self, prepared: Prepared) -> None:
        with self._quietly("cleaned"), suppress(FileNotFoundError):
            os.unlink(prepared.temporary)

    def renew(self, name: str, entry: Entry, asked_at: float) -> None:
        number, mark = entry.identity
        with self._quietly("written to"), suppress(FileNotFoundError):
            descriptor = os.open(self._path(self._key(name)), os.O_RDONLY)
            try:
                # Another process may have replaced the file by one with an older item.
                if os.fstat(descriptor).st_ino == number:
                    _set_times(descriptor, asked_at, mark)
            finally:
                os.close(descriptor)

    def drop(self, name: str) -> None:
        with self._quietly("cleaned"), suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(self._path(self._key(name)))

    def clear(self) -> None:
        with self._quietly("cleaned"):
            self._room.clear(self._own)

    def _key(self, name: str) -> bytes:
        return _digest(name, self._scope)

    def _path(self, key: bytes) -> str:
        written = key.hex()
        return f"{self._own}/{written[:2]}/{written[2:]}"

    def _read(self, descriptor: int, key: bytes) -> Entry:
        """Return the entry in a file; raise `_DamagedError` if it is not exactly as written."""
        status = os.fstat(descriptor)
        first = os.read(descriptor, min(status.st_size, FIRST_BYTES))
        if len(first) < HEAD.size:
            raise _DamagedError
        magic, checksum, of, version_bytes, data_bytes = HEAD.unpack_from(first)
        at = HEAD.size + version_bytes
        if (magic, of, at + data_bytes) != (MAGIC, key, status.st_size) or at > len(first):
            raise _DamagedError
        version = first[HEAD.size : at]
        if status.st_size <= len(first):
            data = first[at:]
        else:
            data = _read_from(descriptor, at, data_bytes)
        mark = _mark(first[: HEAD.size])
        is_checked = len(data) > FIRST_BYTES and status.st_mtime_ns % MARKS == mark
        if len(data) != data_bytes or not (
            is_checked or zlib.crc32(data, zlib.crc32(first[AFTER_CHECKSUM:at])) == checksum
        ):
            raise _DamagedError
        asked_at = status.st_mtime_ns // MARKS * MARKS / 1e9
        with suppress(OSError):  # Someone else's file system may not allow it: then it is older.
            _set_times(descriptor, asked_at, mark)
        item = Item(data, version.decode("utf-8", "surrogatepass"))
        return Entry(item, asked_at, (status.st_ino, mark))

    def _write(self, pieces: tuple[bytes, ...], asked_at: float) -> str:
        """Write a temporary file, and return its path; the first piece is the head."""
        name = f"{os.getpid()}-{next(_numbers)}-{time.monotonic_ns():x}"
        temporary = f"{self._base}/{TEMPORARY}/{name}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(temporary, flags, 0o600)
        try:
            try:
                for piece in pieces:
                    rest = memoryview(piece)
                    while rest:
                        rest = rest[os.write(descriptor, rest) :]
                _set_times(descriptor, asked_at, _mark(pieces[0]))
            finally:
                os.close(descriptor)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        return temporary

    def _make_safe(self) -> bool:
        """Create the folder if need be, and return whether only this user can write to it."""
        if self._is_safe is None:
            os.makedirs(self._folder, exist_ok=True)
            for path in (self._base, f"{self._base}/{TEMPORARY}"):
                with suppress(FileExistsError):
                    os.mkdir(path, 0o700)
            self._look()
        if self._is_safe and not self._has_cleaned:
            self._has_cleaned = True
            self._room.remove_temporary()
        return bool(self._is_safe)

    def _look(self) -> bool:
        """Return whether the folder is there and only this user can write to it."""
        status = os.lstat(self._base)
        is_ours = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
        is_closed = os.name == "nt" or not status.st_mode & 0o022
        self._is_safe = stat.S_ISDIR(status.st_mode) and is_ours and is_closed
        if not self._is_safe:
            self._warn("not used: others can write to it", None)
        return self._is_safe

    @contextmanager
    def _quietly(self, what: str) -> Iterator[None]:
        """Log the first failure of the folder, instead of raising it."""
        try:
            yield
        except OSError as error:
            self._note(error, what)

    def _note(self, error: OSError, what: str) -> None:
        if is_from_signal_handler(error):
            raise error
        self._warn(f"not {what}", error)

    def _warn(self, what: str, error: OSError | None) -> None:
        if not self._has_warned:
            self._has_warned = True
            why = "" if error is None else f": {error.strerror or error}"
            self._logger.warning(
                "[cache] folder: %s is %s%s. Values come from the store.", self._base, what, why
            )


class _DamagedError(Exception):
    """A file is not what was written."""


def _digest(text: str, key: bytes = b"") -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=key).digest()


def _head(key: bytes, version: bytes, data: bytes) -> bytes:
    head = HEAD.pack(MAGIC, 0, key, len(version), len(data))
    checksum = zlib.crc32(data, zlib.crc32(head[AFTER_CHECKSUM:] + version))
    return HEAD.pack(MAGIC, checksum, key, len(version), len(data))


def _read_from(descriptor: int, at: int, size_bytes: int) -> bytes:
    os.lseek(descriptor, at, os.SEEK_SET)
    # Exactly as much as there is: the memory that is too much would have to be given back.
    data = os.read(descriptor, size_bytes)
    while len(data) < size_bytes and (more := os.read(descriptor, size_bytes - len(data))):
        data += more
    return data


def _mark(head: bytes) -> int:
    """Return the mark of a checked entry; another one after the next start of the machine.

    Where the starts cannot be told from each other, no modification time has the mark.
    """
    return zlib.crc32(head, zlib.crc32(start)) % MARKS if (start := _start()) else -1


@cache
def _start() -> bytes:
    """Return what Linux has chosen at random when the machine was started; empty elsewhere."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return file.read()
    except OSError:
        return b""


def _set_times(descriptor: int, asked_at: float, mark: int) -> None:
    if os.utime in os.supports_fd:
        # Rounded, as it is set again at each use: it would become earlier and earlier.
        modified = round(asked_at * 1000) * MARKS + max(mark, 0)
        os.utime(descriptor, ns=(time.time_ns(), modified))


def _move(temporary: str, path: str) -> None:
    try:
        os.replace(temporary, path)
    except FileNotFoundError:
        directory = os.path.dirname(path)
        for each in (os.path.dirname(directory), directory):
            with suppress(FileExistsError):
                os.mkdir(each, 0o700)
        os.replace(temporary, path)
