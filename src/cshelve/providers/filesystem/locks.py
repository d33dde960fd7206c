"""Locks between processes and the exchange of two paths, on each platform."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress

__all__ = ["close_locked", "exchange", "open_locked"]

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # Waits ten seconds at most, then raises OSError.
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)

    def _unlock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

    def _open_directory(path: bytes) -> int:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _open_directory(path: bytes) -> int:
        try:
            return os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            with suppress(FileExistsError):
                os.mkdir(path)
            return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


# https://man7.org/linux/man-pages/man2/flock.2.html: over NFS, only files that are open for writing
# can be locked. ENOTDIR: earlier versions locked a file, which may be in the directory's place.
_NO_LOCKS_ON_DIRECTORIES = {errno.EBADF, errno.EISDIR, errno.ENOTDIR}
_NOT_POSSIBLE_HERE = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_SWAP = 2  # Both Linux's RENAME_EXCHANGE and macOS's RENAME_SWAP.
_AT_FDCWD = -100


def open_locked(path: bytes) -> int:
    """Wait for the lock of a path, and return a descriptor, which `close_locked` unlocks.

    The path is opened for each lock, which costs about 5 µs: a shared descriptor would not exclude
    other threads and forked processes.

    The path is created as a directory, since cshelve 1.x, which may use the same folder, lists
    every file as a key. If directories cannot be locked (over NFS, and on Windows), a file beside
    it is locked.
    """
    try:
        return _locked(_open_directory(path))
    except OSError as error:
        if error.errno not in _NO_LOCKS_ON_DIRECTORIES:
            raise
    return _locked(os.open(path + b".lock", os.O_RDWR | os.O_CREAT, 0o666))


def _locked(descriptor: int) -> int:
    try:
        _lock(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def close_locked(descriptor: int) -> None:
    """Unlock and close a descriptor.

    Closing alone does not unlock it if a child that was forked meanwhile has it open, too. (If the
    parent dies before it unlocks, its children keep the lock until they end.)
    """
    try:
        _unlock(descriptor)
    finally:
        os.close(descriptor)


def exchange(one: bytes, other: bytes) -> bool:
    """Exchange two paths atomically; return False, and do nothing, if the system cannot do that."""
    if sys.platform == "win32":
        return False
    # Rarely needed, and slow to import.
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    if hasattr(library, "renameat2"):
        failed = library.renameat2(_AT_FDCWD, one, _AT_FDCWD, other, _SWAP)
    elif hasattr(library, "renamex_np"):
        failed = library.renamex_np(one, other, _SWAP)
    else:
        return False
    if not failed:
        return True
    number = ctypes.get_errno()
    if number in _NOT_POSSIBLE_HERE:
        return False
    raise OSError(number, os.strerror(number), one, None, other)
