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
from collections.abc import Callable, Iterator, Sequence
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
    "make_directory",
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
        self._two_step_mark = self._scratch + b"two-steps"

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
        process is killed between the two, they find the value where it lies, and the next one that
        opens the folder for writing puts it back.
        """
        with self.locked(_lock_name(path[len(self.base) :])):
            if not is_file(path):
                return
            self._make_link_absolute(path)
            staging = self._scratch + os.urandom(8).hex().encode()
            inside = staging + INSIDE
            os.mkdir(staging)
            if _linked(path, inside):
                if exchange(staging, path):
                    # It is as old as the value, so that another process may have swept it away.
                    with suppress(FileNotFoundError):
                        os.unlink(staging)
                    return
                os.unlink(inside)
            os.rmdir(staging)
            self._move_in_two_steps(path)

    def _make_link_absolute(self, path: bytes) -> None:
        """Replace a relative symbolic link, which would lead elsewhere from another directory."""
        try:
            target = os.readlink(path)
        except OSError as error:
            # What is no link is EINVAL, and on Windows an error of its own.
            if is_from_signal_handler(error):
                raise
            return
        if not os.path.isabs(target):
            link = self._scratch + os.urandom(8).hex().encode()
            os.symlink(os.path.join(os.path.dirname(path), target), link)
            os.replace(link, path)

    def _move_in_two_steps(self, path: bytes) -> None:
        # From now on, and for good, whoever finds nothing waits for the lock, and looks in the
        # directory of this path in `%tmp` too.
        os.close(os.open(self._two_step_mark, os.O_CREAT | os.O_WRONLY, 0o666))
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
            # Another process may remove the directory before the file is in it, as it is empty, and
            # even before `make_directory` has looked at what exists.
            with suppress(FileExistsError, FileNotFoundError):
                make_directory(path)
                os.replace(staging + INSIDE, path + INSIDE)
                return
        # Not to return is what keeps the caller from removing the only copy.
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)

    def staging_of(self, path: bytes) -> bytes:
        """Return the directory in which the file of a path lies during the two renames."""
        from hashlib import sha256  # Rarely needed.

        return self._scratch + MOVING + sha256(path[len(self.base) :]).hexdigest()[:32].encode()

    def stagings_of(self, paths: Sequence[bytes]) -> list[bytes]:
        """Return the directories in which killed processes may have left the file of these paths.

        Nearly always there are none. Each write asks once, which takes some microseconds.
        """
        return [self.staging_of(path) for path in paths] if self._has_two_steps() else []

    def _has_two_steps(self) -> bool:
        # Each write asks. `os.stat` would take longer, as it raises an exception where there is
        # nothing, which is nearly everywhere.
        return os.access(self._two_step_mark, os.F_OK)

    def forget(self, stagings: Sequence[bytes]) -> None:
        """Remove what killed processes left in these directories.

        The caller holds the lock of the name, and replaces or deletes its value.
        """
        for staging in stagings:
            self._forget(staging)

    def staged(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the path, relative to the folder, of each file on its way, and where it lies."""
        for staging in self._stagings():
            relative = None
            with Quietly():
                relative = _read(staging + WHERE)
            if relative is None or not is_file(staging + INSIDE):
                continue
            path = self.base + relative
            if not (is_file(path) or is_file(path + INSIDE)):
                yield relative, staging + INSIDE

    def _stagings(self) -> list[bytes]:
        if self._has_two_steps():
            with Quietly(), os.scandir(self._scratch) as found:
                return [each.path for each in found if each.name.startswith(MOVING)]
        return []

    def restore(self) -> None:
        """Put back every file that a killed process had on its way."""
        for staging in self._stagings():
            with Quietly():
                self._restore(staging)

    def _restore(self, staging: bytes) -> None:
        try:
            path = self.base + _read(staging + WHERE)
        except FileNotFoundError:
            # Its file was moved on. Without the lock, no more than an empty directory is removed:
            # by now, another process may have the next file there.
            os.rmdir(staging)
            return
        for _ in range(ATTEMPTS):
            # A process that is still moving it holds the lock, and is waited for.
            with self.locked(_lock_name(path[len(self.base) :])):
                inside = staging + INSIDE
                # What was written since is newer.
                is_settled = not is_file(inside) or is_file(path) or is_file(path + INSIDE)
                if is_settled or move_onto(inside, path):
                    self._forget(staging)
                    return
            # After the lock is released, as in a write: locks never nest.
            self.make_directories_above(path)

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

        A temporary file that was not written to for a day, by its time of modification, is
        nobody's any more: a writer sets that time when it writes, and renames the file soon after.
        """
        self.restore()
        with Quietly(), os.scandir(self._scratch) as found:
            for entry in found:
                # One by one: others rename their files meanwhile, and some may not be removed.
                with Quietly():
                    self._sweep(entry)

    def _sweep(self, entry: os.DirEntry[bytes]) -> None:
        if entry.name in {b"locks", b"two-steps"} or entry.name.startswith(MOVING):
            return
        if entry.stat(follow_symlinks=False).st_mtime >= time.time() - _DAY_SECONDS:
            return
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
    except ABSENT:
        return 0
    except OSError as error:
        if is_from_signal_handler(error):
            raise
        return 0


def make_directory(path: bytes) -> None:
    """Do what `os.makedirs` does with `exist_ok`; see `is_there`."""
    try:
        os.mkdir(path)
    except FileNotFoundError:
        above = os.path.dirname(path)
        if above == path:
            raise
        make_directory(above)
        make_directory(path)
    except OSError as error:
        if is_from_signal_handler(error) or not is_directory(path):
            raise


def _lock_name(relative: bytes) -> str:
    return name_at(relative) or os.fsdecode(relative)


def _read(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return file.read()


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
