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

from cshelve._concurrency.signals import is_from_signal_handler
from cshelve.providers.base import Item
from cshelve.providers.filesystem.locks import close_locked, exchange, open_locked
from cshelve.providers.filesystem.paths import IN_DIRECTORY, SCRATCH, name_at

__all__ = [
    "ABSENT",
    "ATTEMPTS",
    "INSIDE",
    "NAME_REFUSED",
    "Folder",
    "Quietly",
    "at",
    "dated_after",
    "is_there",
    "move_onto",
    "read_file",
    "status_of",
    "version_of",
]

T = TypeVar("T")

INSIDE = b"/" + IN_DIRECTORY
# In `%tmp`: the beginning of the directory of a value on its way, and the note of where it belongs.
MOVING = b"moving-"
WHERE = b"/where"
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
            with Quietly():
                os.unlink(path)
            raise

    def make_directories_above(self, path: bytes) -> None:
        """Create the missing directories above a path; a file in the way becomes a directory."""
        end = len(self.base) - 1
        while (end := path.find(b"/", end + 1)) != -1:
            try:
                os.mkdir(path[:end])
            except FileExistsError:
                if not is_directory(path[:end]):
                    self._make_directory_of_file(path[:end])
            except ABSENT:
                # Another process removed an empty directory; the caller tries again.
                return

    def _make_directory_of_file(self, path: bytes) -> None:
        """Replace the file `a` by a directory `a` with the value in `a/%@`.

        It takes one exchange of two paths, or two renames if the file system cannot exchange them.
        Readers find the value at any time: during the two renames, they wait for the lock. If the
        process is killed between the two, the next one to miss the value puts it back.
        """
        with self.locked(name_at(path[len(self.base) :]) or os.fsdecode(path)):
            if not is_file(path):
                return
            staging = self._scratch + os.urandom(8).hex().encode()
            inside = staging + INSIDE
            os.mkdir(staging)
            if _linked(path, inside):
                if exchange(staging, path):
                    os.unlink(staging)
                    return
                os.unlink(inside)
            os.rmdir(staging)
            self._move_in_two_steps(path)

    def _move_in_two_steps(self, path: bytes) -> None:
        # From now on, and for good, whoever finds nothing waits for the lock, calls `restore`, and
        # looks again.
        os.close(os.open(self.two_step_mark, os.O_CREAT | os.O_WRONLY, 0o666))
        staging = self.staging_of(path)
        # What a killed process left there is older than the file that is at the path now.
        self._forget(staging)
        # It never is without its note.
        made = self._scratch + os.urandom(8).hex().encode()
        os.mkdir(made)
        _write(made + WHERE, path[len(self.base) :])
        os.replace(made, staging)
        os.replace(path, staging + INSIDE)
        self._move_into_directory(staging, path)
        self._forget(staging)

    def _move_into_directory(self, staging: bytes, path: bytes) -> None:
        for _ in range(ATTEMPTS):
            try:
                os.mkdir(path)
            except FileExistsError:
                pass
            except FileNotFoundError:
                os.makedirs(path, exist_ok=True)
            # Another process may remove the directory before that, as it is empty.
            with suppress(FileNotFoundError):
                os.replace(staging + INSIDE, path + INSIDE)
                return

    def staging_of(self, path: bytes) -> bytes:
        """Return the directory in which the file of a path lies during the two renames."""
        from hashlib import sha256  # Rarely needed.

        return self._scratch + MOVING + sha256(path[len(self.base) :]).hexdigest()[:32].encode()

    def restore(self, path: bytes) -> bool:
        """Put back the file that a killed process had on its way, and return whether there was one.

        The caller holds the lock of the path's name, and has found nothing there.
        """
        staging = self.staging_of(path)
        if not is_file(staging + INSIDE):
            if is_directory(staging):
                self._forget(staging)  # Killed before the first rename, or after the second.
            return False
        if is_file(path) or is_file(path + INSIDE):
            self._forget(staging)  # Somebody has written since, which is what counts.
            return True
        if is_directory(path):
            self._move_into_directory(staging, path)
        else:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.replace(staging + INSIDE, path)
        self._forget(staging)
        return True

    def restore_all(self) -> None:
        """Put back every file that a killed process had on its way."""
        if not is_there(self.two_step_mark):
            return
        with Quietly(), os.scandir(self._scratch) as found:
            stagings = [each.path for each in found if each.name.startswith(MOVING)]
        for staging in stagings:
            with Quietly():
                try:
                    with open(staging + WHERE, "rb") as note:
                        relative = note.read()
                except FileNotFoundError:  # It was about to be removed.
                    self._forget(staging)
                    continue
                # A process that is still moving it holds the lock, and is waited for.
                with self.locked(name_at(relative) or os.fsdecode(relative)):
                    self.restore(self.base + relative)

    def _forget(self, staging: bytes) -> None:
        """Remove a directory that nothing is on its way in any more."""
        for path in (staging + INSIDE, staging + WHERE):
            with suppress(*ABSENT):
                os.unlink(path)
        with suppress(*ABSENT):
            os.rmdir(staging)

    def unlink(self, path: bytes) -> None:
        """Remove the file of a path, and the directories that it leaves empty."""
        # Looked up first: if the file is absent, a writer may be making a directory of the path.
        if at(path, status_of) is not None:
            with suppress(*ABSENT):
                os.unlink(path + INSIDE if is_directory(path) else path)
        self.remove_empty_above(path + INSIDE)

    def remove_empty_above(self, path: bytes) -> None:
        """Remove the directories above a path that are empty."""
        while len(path := path[: path.rindex(b"/")]) >= len(self.base):
            try:
                os.rmdir(path)
            except ABSENT:
                continue
            except OSError as error:
                if is_from_signal_handler(error):
                    raise
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
        """Put back and remove what killed processes left.

        A temporary file that was not written to for a day is nobody's any more.
        """
        self.restore_all()
        with Quietly(), os.scandir(self._scratch) as found:
            for entry in found:
                old = entry.stat(follow_symlinks=False).st_mtime < time.time() - _DAY_SECONDS
                is_ours = entry.name in {b"locks", b"two-steps"} or entry.name.startswith(MOVING)
                if old and not is_ours:
                    if entry.is_dir(follow_symlinks=False):
                        self._forget(entry.path)  # With a second link to a value, at most.
                    else:
                        os.unlink(entry.path)


class Quietly:
    """Ignore errors of the system in a `with`, but not those of the program's signal handlers."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        return isinstance(error, OSError) and not is_from_signal_handler(error)


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
            if not is_there(path):
                return None
            # The directory has become a file meanwhile.
        except (FileNotFoundError, IsADirectoryError):
            return None
        except OSError as error:
            if error.errno in NAME_REFUSED:
                return None
            raise
    return None


def is_there(path: bytes) -> bool:
    """Return what `os.path.exists` does, which swallows what a signal handler raises."""
    return _mode(path) != 0


def is_file(path: bytes) -> bool:
    """Return what `os.path.isfile` does; see `is_there`."""
    return stat.S_ISREG(_mode(path))


def is_directory(path: bytes) -> bool:
    """Return what `os.path.isdir` does; see `is_there`."""
    return stat.S_ISDIR(_mode(path))


def _mode(path: bytes) -> int:
    try:
        return os.stat(path).st_mode
    except OSError as error:
        # An error of the system has a number.
        if error.errno is None and is_from_signal_handler(error):
            raise
        return 0


def _write(path: bytes, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


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
    with Quietly():
        os.link(path, other)
        return True
    return False


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
            if not is_directory(path):
                raise
            os.replace(temporary, path + INSIDE)
    except ABSENT:
        return False
    return True
