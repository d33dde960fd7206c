"""Read, write, move and remove the files of a folder, each atomically.

If a path has to be both a file and a directory, it is a directory, and the content of the file is
in `%@` inside. Other processes may change the folder at any time, so a path may have changed since
it was looked at: every function here either reports that by its result or tries again.
"""

from __future__ import annotations

import errno
import os
import stat
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import BinaryIO, ParamSpec, TypeVar

from cshelve._concurrency.signals import is_from_signal_handler
from cshelve.providers.base import Item
from cshelve.providers.filesystem.descriptors import open_into
from cshelve.providers.filesystem.locks import exchange, lock_into, unlock
from cshelve.providers.paths import (
    INSIDE,
    MOVING,
    SCRATCH,
    TWO_STEPS,
    WHERE,
    name_at,
    staging_of,
)

__all__ = [
    "ABSENT",
    "ATTEMPTS",
    "NAME_REFUSED",
    "Folder",
    "Quietly",
    "at",
    "dated_after",
    "make_directory",
    "move_onto",
    "open_file",
    "read_file",
    "read_head",
    "status_of",
    "version_of",
]

P = ParamSpec("P")
T = TypeVar("T")

ABSENT = (FileNotFoundError, NotADirectoryError)
NAME_REFUSED = frozenset({errno.ENAMETOOLONG, errno.EILSEQ})

_DAY_SECONDS = 24 * 60 * 60
# After losing a race this often in a row, something else must be wrong.
ATTEMPTS = 1000
MKDIR_ATTEMPTS = 20
# Without O_NONBLOCK, opening a named pipe in the folder would block; without O_BINARY, Windows
# would convert the ends of lines.
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_CAN_DATE_OPEN_FILES = os.utime in os.supports_fd
# A symbolic link is to be linked itself. Python 3.14 follows it unless told not to; Windows, where
# this cannot be told, never does.
_LINK_FOLLOWS = os.link not in os.supports_follow_symlinks
# Not all file systems store times to the nanosecond, but most to 100 ns.
_TICK_NANOSECONDS = 1000


class Folder:
    """The temporary files, locks and directories that all writers of a folder share."""

    def __init__(self, path: str) -> None:
        self.base = os.path.join(os.fsencode(path), b"")
        self._scratch = self.base + SCRATCH + b"/"
        self._two_step_mark = self.base + TWO_STEPS

    def write_temporary(self, pieces: Iterable[bytes]) -> tuple[bytes, os.stat_result]:
        """Write pieces to a new temporary file, and return its path and status.

        If that fails, the file is removed.
        """
        path = self._scratch + os.urandom(8).hex().encode()
        opened: list[int] = []
        try:
            try:
                self.in_scratch(open_into, opened, path, _WRITE_FLAGS)
                (descriptor,) = opened
                _write_all(descriptor, pieces)
                if _CAN_DATE_OPEN_FILES:
                    # The times that Linux sets by itself advance in steps of some milliseconds.
                    now = time.time_ns()
                    os.utime(descriptor, ns=(now, now))
                return path, os.fstat(descriptor)
            finally:
                for descriptor in opened:
                    os.close(descriptor)
        except BaseException:
            if opened:
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

        This takes one exchange of two paths, or two renames if the file system cannot exchange
        them. Readers find the value at any time: during the two renames, they wait for the lock. If
        the process is killed between the two, readers find the value in its temporary directory,
        and the next process that opens the folder for writing puts it back.
        """
        with self.locked(_lock_name(path[len(self.base) :])) as lock, lock:
            if not is_file(path):
                return
            self._make_link_absolute(path)
            staging = self._scratch + os.urandom(8).hex().encode()
            inside = staging + INSIDE
            os.mkdir(staging)
            if _linked(path, inside):
                if exchange(staging, path):
                    # This file is as old as the value, so another process may have swept it away.
                    with suppress(FileNotFoundError):
                        os.unlink(staging)
                    return
                os.unlink(inside)
            os.rmdir(staging)
            self._move_in_two_steps(path)

    def _make_link_absolute(self, path: bytes) -> None:
        """Make a relative symbolic link absolute, as it would lead elsewhere once it is moved."""
        try:
            target = os.readlink(path)
        except OSError as error:
            # If the path is not a link, the error is EINVAL, or another one on Windows.
            if is_from_signal_handler(error):
                raise
            return
        if not os.path.isabs(target):
            link = self._scratch + os.urandom(8).hex().encode()
            os.symlink(os.path.join(os.path.dirname(path), target), link)
            os.replace(link, path)

    def _move_in_two_steps(self, path: bytes) -> None:
        # From now on, every reader that does not find a value waits for the lock, and looks into
        # the value's directory in `%tmp`, too.
        os.close(os.open(self._two_step_mark, os.O_CREAT | os.O_WRONLY, 0o666))
        staging = self.staging_of(path)
        # A value that a killed process left there is older than the one at the path now.
        self._forget(staging)
        # Created elsewhere, so that the directory is never without its `where`.
        made = self._scratch + os.urandom(8).hex().encode()
        os.mkdir(made)
        _write(made + WHERE, path[len(self.base) :])
        os.replace(made, staging)
        os.replace(path, staging + INSIDE)
        self._move_into_directory(staging, path)
        self._forget(staging)

    def _move_into_directory(self, staging: bytes, path: bytes) -> None:
        for _ in range(ATTEMPTS):
            # Another process may remove the directory while it is empty, even before
            # `make_directory` has checked that it exists.
            with suppress(FileExistsError, FileNotFoundError):
                make_directory(path)
                os.replace(staging + INSIDE, path + INSIDE)
                return
        # If this returned, the caller would remove the only copy.
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)

    def staging_of(self, path: bytes) -> bytes:
        """Return the directory that holds the file of a path between the two renames."""
        return self.base + staging_of(path[len(self.base) :])

    def stagings_of(self, paths: Sequence[bytes]) -> list[bytes]:
        """Return the directories in which killed processes may have left the files of these paths.

        Nearly always there are none. Each write calls this once, which takes some microseconds.
        """
        return [self.staging_of(path) for path in paths] if self._has_two_steps() else []

    def _has_two_steps(self) -> bool:
        # Each write calls this. `os.stat` would take longer, as it would raise an exception nearly
        # always.
        return os.access(self._two_step_mark, os.F_OK)

    def forget(self, stagings: Sequence[bytes]) -> None:
        """Remove these directories, with the values that killed processes left in them.

        The caller holds the lock of the name, and replaces or deletes its value.
        """
        for staging in stagings:
            self._forget(staging)

    def staged(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the path of each value that a killed process left, and the path of its file.

        The first path is the one that the value belongs to, relative to the folder.
        """
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
        """Put back every file that a killed process was moving."""
        for staging in self._stagings():
            with Quietly():
                self._restore(staging)

    def _restore(self, staging: bytes) -> None:
        try:
            path = self.base + _read(staging + WHERE)
        except FileNotFoundError:
            # The file has been moved on. Without the lock, remove only an empty directory: another
            # process may have put the next file into it by now.
            os.rmdir(staging)
            return
        for _ in range(ATTEMPTS):
            # If a process is still moving the file, it holds the lock, and we wait for it.
            with self.locked(_lock_name(path[len(self.base) :])) as lock, lock:
                inside = staging + INSIDE
                # A value written since then is newer.
                is_settled = not is_file(inside) or is_file(path) or is_file(path + INSIDE)
                if is_settled or move_onto(inside, path):
                    self._forget(staging)
                    return
            # Only after the lock is released, as in a write: locks must not nest.
            self.make_directories_above(path)

    def _forget(self, staging: bytes) -> None:
        """Remove a temporary directory of a move, with its files."""
        for path in (staging + INSIDE, staging + WHERE):
            with suppress(*ABSENT):
                os.unlink(path)
        with suppress(*ABSENT):
            os.rmdir(staging)

    def unlink(self, path: bytes) -> None:
        """Remove the file of a path, and the directories above it that become empty."""
        # Looked up first: if the file is absent, a writer may be turning the path into a directory.
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
        """Lock a name against other writers, in a `with` that has to enter the result twice.

        Never nest locks: two names may share one.
        """
        shard = zlib.crc32(name.encode(errors="surrogateescape")) & 0xFF
        return Locked(self, self._scratch + b"locks/%02x" % shard)

    def in_scratch(self, open_file: Callable[P, None], *where: P.args, **more: P.kwargs) -> None:
        """Open a file below `%tmp`, and create that directory if it is missing."""
        try:
            open_file(*where, **more)
        except FileNotFoundError:
            for directory in (self._scratch, self._scratch + b"locks"):
                with suppress(FileExistsError):
                    os.mkdir(directory)
            open_file(*where, **more)

    def sweep(self) -> None:
        """Clean up after killed processes: put values back, and remove temporary files.

        A temporary file is removed if its modification time is more than a day ago: a writer sets
        that time when it writes, and renames the file soon after.
        """
        self.restore()
        with Quietly(), os.scandir(self._scratch) as found:
            for entry in found:
                # One by one: writers rename their files meanwhile, and some removals may fail.
                with Quietly():
                    self._sweep(entry)

    def _sweep(self, entry: os.DirEntry[bytes]) -> None:
        if entry.name in {b"locks", b"two-steps"} or entry.name.startswith(MOVING):
            return
        if entry.stat(follow_symlinks=False).st_mtime >= time.time() - _DAY_SECONDS:
            return
        if entry.is_dir(follow_symlinks=False):
            self._forget(entry.path)  # It contains at most a second link to a value.
        else:
            os.unlink(entry.path)


class Quietly:
    """A context manager that ignores `OSError`, except from the program's signal handlers."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        return isinstance(error, OSError) and not is_from_signal_handler(error)


class Locked:
    """Hold the lock of a path until the end of a `with`, which enters it twice.

    ::

        with folder.locked(name) as lock, lock:

    The first entry locks, the first exit unlocks, and the others do nothing, unless an exception of
    a signal handler strikes where Python enters `__exit__`: then the second exit unlocks.

    `contextmanager` would take a tenth of the time of a write.
    """

    __slots__ = ("_folder", "_opened", "_path")

    def __init__(self, folder: Folder, path: bytes) -> None:
        self._folder = folder
        self._path = path
        self._opened: list[int] = []

    def __enter__(self) -> Locked:
        if not self._opened:
            try:
                self._folder.in_scratch(lock_into, self._opened, self._path)
            except BaseException:
                unlock(self._opened)
                raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._opened:
            unlock(self._opened)


def at(path: bytes, look: Callable[[bytes], T]) -> T | None:
    """Call `look` with the file of a path, and return its result; None if there is no such file.

    If the path is a directory, the file is `%@` in it.
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
            # The directory has become a file meanwhile: try again.
        except (FileNotFoundError, IsADirectoryError):
            return None
        except OSError as error:
            if error.errno in NAME_REFUSED:
                return None
            raise
    return None


def is_there(path: bytes) -> bool:
    """Return whether a path exists.

    `os.path.exists` would swallow an exception that a signal handler raises.
    """
    return _mode(path) != 0


def is_file(path: bytes) -> bool:
    """Return whether a path is a file; `is_there` says why this is not `os.path.isfile`."""
    return stat.S_ISREG(_mode(path))


def is_directory(path: bytes) -> bool:
    """Return whether a path is a directory; `is_there` says why this is not `os.path.isdir`."""
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


def make_directory(path: bytes, attempts: int = MKDIR_ATTEMPTS) -> None:
    """Create a directory and its parents; `is_there` says why this is not `os.makedirs`."""
    try:
        os.mkdir(path)
    except FileNotFoundError:
        above = os.path.dirname(path)
        # Another program may remove an empty parent again. But some file systems, such as /proc,
        # say this whenever a directory cannot be created.
        if above == path or not attempts:
            raise
        make_directory(above, attempts)
        make_directory(path, attempts - 1)
    except OSError as error:
        if is_from_signal_handler(error) or not is_directory(path):
            raise


def _lock_name(relative: bytes) -> str:
    return name_at(relative) or os.fsdecode(relative)


def _read(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _write_all(descriptor: int, pieces: Iterable[bytes]) -> None:
    # Not within a `try`: from Python 3.14 on, what a signal handler raises at the end of a loop
    # that ends in a branch or another loop passes by the `except` and `finally` around that loop,
    # as in https://github.com/python/cpython/issues/130279.
    for data in pieces:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def _write(path: bytes, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def status_of(path: bytes) -> os.stat_result:
    return _of_file(os.stat(path))


def read_file(path: bytes) -> Item:
    opened: list[int] = []
    try:
        descriptor = _opened_into(opened, path)
        status = _of_file(os.fstat(descriptor))
        data = os.read(descriptor, status.st_size)
        while len(data) < status.st_size and (more := os.read(descriptor, status.st_size)):
            data += more
        return Item(data, version_of(status))
    finally:
        for descriptor in opened:
            os.close(descriptor)


def read_head(path: bytes, size_bytes: int) -> tuple[bytes, os.stat_result]:
    """Return the first bytes of a file, and its status."""
    opened: list[int] = []
    try:
        descriptor = _opened_into(opened, path)
        status = _of_file(os.fstat(descriptor))
        return os.read(descriptor, size_bytes), status
    finally:
        for descriptor in opened:
            os.close(descriptor)


def open_file(path: bytes) -> BinaryIO:
    """Open a file to read it bit by bit; it stays the same one if a writer replaces it."""
    opened: list[int] = []
    try:
        _of_file(os.fstat(_opened_into(opened, path)))
        file = open(opened[0], "rb", buffering=0)  # noqa: SIM115  # the caller closes it
    except BaseException:
        for descriptor in opened:
            os.close(descriptor)
        raise
    return file


def _opened_into(opened: list[int], path: bytes) -> int:
    """Open a file to read it, as `open_into` does, and return its descriptor."""
    try:
        open_into(opened, path, _READ_FLAGS)
    except PermissionError:
        status_of(path)  # Windows refuses to open a directory.
        raise
    return opened[0]


def _linked(path: bytes, other: bytes) -> bool:
    """Link a file to a second path; return False if the file system cannot do that."""
    with Quietly():
        os.link(path, other, follow_symlinks=_LINK_FOLLOWS)
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
    """Set a modification time later than that of the replaced file; return the new status.

    `replaced` and `status` are the current statuses of the two. Versions contain the time, and the
    clock may have been set back.
    """
    if replaced is None or replaced.st_mtime_ns < status.st_mtime_ns:
        return status
    later = replaced.st_mtime_ns + _TICK_NANOSECONDS
    os.utime(path, ns=(later, later))
    return os.stat(path)


def move_onto(temporary: bytes, path: bytes) -> bool:
    """Rename a file to a path, or to `%@` in it if the path is a directory.

    Return False if directories above the path are missing.
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
