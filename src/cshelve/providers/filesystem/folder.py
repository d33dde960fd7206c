"""Values in the files of a folder, by path: read, dated, moved in, removed, each in one step.

A path may be a file and a directory at once: what such a file would hold is in the directory, in
`%@`. Other processes do the same at the same time, so whatever is looked up here may be otherwise
a moment later; every function says so in what it returns, or tries again.
"""

from __future__ import annotations

import errno
import os
import stat
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from cshelve.providers.base import Item
from cshelve.providers.filesystem.locks import close_locked, exchange, open_locked
from cshelve.providers.filesystem.paths import IN_DIRECTORY, SCRATCH, name_at

__all__ = [
    "ABSENT",
    "ATTEMPTS",
    "INSIDE",
    "NAME_REFUSED",
    "Folder",
    "at",
    "dated_after",
    "move_onto",
    "read_file",
    "status_of",
    "version_of",
]

T = TypeVar("T")

INSIDE = b"/" + IN_DIRECTORY
ABSENT = (FileNotFoundError, NotADirectoryError)
NAME_REFUSED = frozenset({errno.ENAMETOOLONG, errno.EILSEQ})

_DAY_SECONDS = 24 * 60 * 60
# Losing a race this often in a row means that something else is wrong.
ATTEMPTS = 1000
# A pipe that somebody left in the folder must not hold up who reads it; Windows would take the
# end of a line for two bytes.
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_CAN_DATE_OPEN_FILES = os.utime in os.supports_fd
# Not every file system stores a time to the nanosecond; most to the tenth of a microsecond.
_TICK_NANOSECONDS = 1000


class Folder:
    """What the writers of one folder share on its disk: temporary files, locks, directories."""

    def __init__(self, path: str) -> None:
        self.base = os.path.join(os.fsencode(path), b"")
        self._scratch = self.base + SCRATCH + b"/"
        self.two_step_mark = self._scratch + b"two-steps"

    def write_temporary(self, data: bytes) -> tuple[bytes, os.stat_result]:
        """Write a file that has no name yet, and give its path; if that fails, none is left."""
        path = self._scratch + os.urandom(8).hex().encode()
        descriptor = self._in_scratch(lambda: os.open(path, _WRITE_FLAGS, 0o666))
        try:
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                if _CAN_DATE_OPEN_FILES:
                    # By itself, Linux counts in steps of some milliseconds.
                    now = time.time_ns()
                    os.utime(descriptor, ns=(now, now))
                return path, os.fstat(descriptor)
            finally:
                os.close(descriptor)
        except BaseException:
            with suppress(OSError):
                os.unlink(path)
            raise

    def make_directories_above(self, path: bytes) -> None:
        """Make what is missing over a path; a value that is in the way moves into a directory."""
        end = len(self.base) - 1
        while (end := path.find(b"/", end + 1)) != -1:
            try:
                os.mkdir(path[:end])
            except FileExistsError:
                if not os.path.isdir(path[:end]):
                    self._make_directory_of_file(path[:end])
            except ABSENT:
                # Somebody else just removed what was empty; the caller tries again.
                return

    def _make_directory_of_file(self, path: bytes) -> None:
        """Turn `a` into the directory `a` with the value in `a/%@`; readers never miss it."""
        with self.locked(name_at(path[len(self.base) :]) or os.fsdecode(path)):
            if not os.path.isfile(path):
                return
            room = self._scratch + os.urandom(8).hex().encode()
            inside = room + INSIDE
            os.mkdir(room)
            if _linked(path, inside):
                if exchange(room, path):
                    os.unlink(room)
                    return
                os.unlink(inside)
            self._move_in_two_steps(path, room)

    def _move_in_two_steps(self, path: bytes, room: bytes) -> None:
        # Readers that find nothing have to wait for the lock, from now on and for good.
        os.close(os.open(self.two_step_mark, os.O_CREAT | os.O_WRONLY, 0o666))
        os.replace(path, room + INSIDE)
        for _ in range(ATTEMPTS):
            os.makedirs(path, exist_ok=True)
            # Somebody may take the directory for an empty one that a delete left.
            with suppress(FileNotFoundError):
                os.replace(room + INSIDE, path + INSIDE)
                break
        os.rmdir(room)

    def unlink(self, path: bytes) -> None:
        """Remove the file of a path, and the directories that it leaves empty."""
        # Looked up first, as in its absence somebody may be making a directory of the path.
        if at(path, status_of) is not None:
            with suppress(*ABSENT):
                os.unlink(path + INSIDE if os.path.isdir(path) else path)
        self.remove_empty_above(path + INSIDE)

    def remove_empty_above(self, path: bytes) -> None:
        """Remove the directories over a path that hold nothing; one in use cannot be removed."""
        while len(path := path[: path.rindex(b"/")]) >= len(self.base):
            try:
                os.rmdir(path)
            except ABSENT:
                continue
            except OSError:
                return

    def locked(self, name: str) -> Locked:
        """Keep other writers of a name out. Never nested: two names may share a lock."""
        shard = zlib.crc32(name.encode(errors="surrogateescape")) & 0xFF
        path = self._scratch + b"locks/%02x" % shard
        return Locked(self._in_scratch(lambda: open_locked(path)))

    def _in_scratch(self, open_file: Callable[[], int]) -> int:
        """Open a file below `%tmp`, which is made when the first one is wanted."""
        try:
            return open_file()
        except FileNotFoundError:
            for directory in (self._scratch, self._scratch + b"locks"):
                with suppress(FileExistsError):
                    os.mkdir(directory)
            return open_file()

    def sweep(self) -> None:
        """Remove what killed processes left; whatever is a day old is nobody's any more."""
        with suppress(OSError), os.scandir(self._scratch) as found:
            for entry in found:
                old = entry.stat(follow_symlinks=False).st_mtime < time.time() - _DAY_SECONDS
                if old and entry.is_file() and entry.path != self.two_step_mark:
                    os.unlink(entry.path)


class Locked:
    """Unlock a file at the end of a `with`; a generator would take a tenth of a write."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        close_locked(self._descriptor)


def at(path: bytes, look: Callable[[bytes], T]) -> T | None:
    """Look at the file of a path, which is inside it if the path is a directory."""
    for _ in range(ATTEMPTS):
        try:
            try:
                return look(path)
            except IsADirectoryError:
                return look(path + INSIDE)
        except NotADirectoryError:
            if not os.path.exists(path):
                return None
            # What was a directory has become a file meanwhile.
        except (FileNotFoundError, IsADirectoryError):
            return None
        except OSError as error:
            if error.errno in NAME_REFUSED:
                return None
            raise
    return None


def status_of(path: bytes) -> os.stat_result:
    return _of_file(os.stat(path))


def read_file(path: bytes) -> Item:
    try:
        descriptor = os.open(path, _READ_FLAGS)
    except PermissionError:
        status_of(path)  # Windows refuses to open a directory.
        raise
    try:
        status = _of_file(os.fstat(descriptor))
        data = os.read(descriptor, status.st_size)
        while len(data) < status.st_size and (more := os.read(descriptor, status.st_size)):
            data += more
        return Item(data, version_of(status))
    finally:
        os.close(descriptor)


def _linked(path: bytes, other: bytes) -> bool:
    """Make a second link to a file, and tell False where the file system has none."""
    try:
        os.link(path, other)
    except OSError:
        return False
    return True


def _of_file(status: os.stat_result) -> os.stat_result:
    if stat.S_ISREG(status.st_mode):
        return status
    raise IsADirectoryError if stat.S_ISDIR(status.st_mode) else FileNotFoundError


def version_of(status: os.stat_result) -> str:
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"


def dated_after(
    replaced: os.stat_result | None, path: bytes, status: os.stat_result
) -> os.stat_result:
    """Date a file later than the one it replaces, whatever the clock says."""
    if replaced is None or replaced.st_mtime_ns < status.st_mtime_ns:
        return status
    later = replaced.st_mtime_ns + _TICK_NANOSECONDS
    os.utime(path, ns=(later, later))
    return os.stat(path)


def move_onto(temporary: bytes, path: bytes) -> bool:
    """Rename a file onto a path, or into it if that is a directory; False if others are missing."""
    try:
        try:
            os.replace(temporary, path)
        except IsADirectoryError:
            os.replace(temporary, path + INSIDE)
        except PermissionError:  # which is how Windows says that it is a directory
            if not os.path.isdir(path):
                raise
            os.replace(temporary, path + INSIDE)
    except ABSENT:
        return False
    return True
