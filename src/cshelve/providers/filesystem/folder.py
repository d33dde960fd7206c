"""The files of a folder, by path: each is read, written, moved and removed atomically.

A path that is a file and a directory at once is a directory, with the content of the file in `%@`.
Other processes change the same folder at the same time, so that each result may be out of date a
moment later: every function here reports that in its own result, or tries again.
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
# Without O_NONBLOCK, opening a named pipe in the folder would block; without O_BINARY, Windows
# would convert the ends of lines.
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_CAN_DATE_OPEN_FILES = os.utime in os.supports_fd
# Not all file systems store times to the nanosecond, but most to 100 ns.
_TICK_NANOSECONDS = 1000


class Folder:
    """The temporary files, locks and directories that all writers of a folder share."""

    def __init__(self, path: str) -> None:
        self.base = os.path.join(os.fsencode(path), b"")
        self._scratch = self.base + SCRATCH + b"/"
        self.two_step_mark = self._scratch + b"two-steps"

    def write_temporary(self, data: bytes) -> tuple[bytes, os.stat_result]:
        """Write a temporary file, and return its path and status; if that fails, remove it."""
        path = self._scratch + os.urandom(8).hex().encode()
        descriptor = self._in_scratch(lambda: os.open(path, _WRITE_FLAGS, 0o666))
        try:
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                if _CAN_DATE_OPEN_FILES:
                    # The times that Linux sets by itself advance in steps of some milliseconds.
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
        """Create the missing directories above a path; a file in the way becomes a directory."""
        end = len(self.base) - 1
        while (end := path.find(b"/", end + 1)) != -1:
            try:
                os.mkdir(path[:end])
            except FileExistsError:
                if not os.path.isdir(path[:end]):
                    self._make_directory_of_file(path[:end])
            except ABSENT:
                # Another process removed an empty directory; the caller tries again.
                return

    def _make_directory_of_file(self, path: bytes) -> None:
        """Replace the file `a` by a directory `a` with the value in `a/%@`.

        It takes one exchange of two paths, or two renames if the file system cannot exchange them.
        Readers find the value at any time: during the two renames, they wait for the lock.
        """
        with self.locked(name_at(path[len(self.base) :]) or os.fsdecode(path)):
            if not os.path.isfile(path):
                return
            staging = self._scratch + os.urandom(8).hex().encode()
            inside = staging + INSIDE
            os.mkdir(staging)
            if _linked(path, inside):
                if exchange(staging, path):
                    os.unlink(staging)
                    return
                os.unlink(inside)
            self._move_in_two_steps(path, staging)

    def _move_in_two_steps(self, path: bytes, staging: bytes) -> None:
        # From now on, and for good, readers that find nothing wait for the lock and look again.
        os.close(os.open(self.two_step_mark, os.O_CREAT | os.O_WRONLY, 0o666))
        os.replace(path, staging + INSIDE)
        for _ in range(ATTEMPTS):
            os.makedirs(path, exist_ok=True)
            # Another process may remove the directory before that, as it is empty.
            with suppress(FileNotFoundError):
                os.replace(staging + INSIDE, path + INSIDE)
                break
        os.rmdir(staging)

    def unlink(self, path: bytes) -> None:
        """Remove the file of a path, and the directories that it leaves empty."""
        # Looked up first: if the file is absent, a writer may be making a directory of the path.
        if at(path, status_of) is not None:
            with suppress(*ABSENT):
                os.unlink(path + INSIDE if os.path.isdir(path) else path)
        self.remove_empty_above(path + INSIDE)

    def remove_empty_above(self, path: bytes) -> None:
        """Remove the directories above a path that are empty."""
        while len(path := path[: path.rindex(b"/")]) >= len(self.base):
            try:
                os.rmdir(path)
            except ABSENT:
                continue
            except OSError:
                return

    def locked(self, name: str) -> Locked:
        """Lock a name against other writers until the end of a `with`.

        Never nest these: two names may share a lock.
        """
        shard = zlib.crc32(name.encode(errors="surrogateescape")) & 0xFF
        path = self._scratch + b"locks/%02x" % shard
        return Locked(self._in_scratch(lambda: open_locked(path)))

    def _in_scratch(self, open_file: Callable[[], int]) -> int:
        """Open a file below `%tmp`, and create that directory if it is missing."""
        try:
            return open_file()
        except FileNotFoundError:
            for directory in (self._scratch, self._scratch + b"locks"):
                with suppress(FileExistsError):
                    os.mkdir(directory)
            return open_file()

    def sweep(self) -> None:
        """Remove temporary files that are older than a day, which killed processes left."""
        with suppress(OSError), os.scandir(self._scratch) as found:
            for entry in found:
                old = entry.stat(follow_symlinks=False).st_mtime < time.time() - _DAY_SECONDS
                if old and entry.is_file() and entry.path != self.two_step_mark:
                    os.unlink(entry.path)


class Locked:
    """Unlock a file at the end of a `with`.

    A generator with `contextmanager` would take a tenth of the time of a write.
    """

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        close_locked(self._descriptor)


def at(path: bytes, look: Callable[[bytes], T]) -> T | None:
    """Return what `look` returns for the file of a path, or None if there is no such file.

    If the path is a directory, its file is `%@` in it.
    """
    for _ in range(ATTEMPTS):
        try:
            try:
                return look(path)
            except IsADirectoryError:
                return look(path + INSIDE)
        except NotADirectoryError:
            if not os.path.exists(path):
                return None
            # The directory has become a file meanwhile.
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
    """Link a file to a second path, and return False if the file system cannot do that."""
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
    """Set the time of a file after that of the file it replaces, and return its new status.

    Versions contain the time, and the clock may have been set back.
    """
    if replaced is None or replaced.st_mtime_ns < status.st_mtime_ns:
        return status
    later = replaced.st_mtime_ns + _TICK_NANOSECONDS
    os.utime(path, ns=(later, later))
    return os.stat(path)


def move_onto(temporary: bytes, path: bytes) -> bool:
    """Rename a file to a path, or into it if that is a directory.

    Returns False if directories above the path are missing.
    """
    try:
        try:
            os.replace(temporary, path)
        except IsADirectoryError:
            os.replace(temporary, path + INSIDE)
        except PermissionError:  # Windows raises this for a directory.
            if not os.path.isdir(path):
                raise
            os.replace(temporary, path + INSIDE)
    except ABSENT:
        return False
    return True
