"""Locks between processes and the exchange of two paths, on each platform."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress

from cshelve.providers.filesystem.descriptors import close_last, open_into

__all__ = ["exchange", "lock_into", "unlock"]

if sys.platform == "win32":
    import msvcrt

    _LOCK, _UNLOCK = msvcrt.LK_LOCK, msvcrt.LK_UNLCK

    def _flock(descriptor: int, operation: int) -> None:
        # Waits ten seconds at most, then raises OSError.
        msvcrt.locking(descriptor, operation, 1)

    def _open_directory(opened: list[int], path: bytes) -> None:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
else:
    from fcntl import LOCK_EX as _LOCK
    from fcntl import LOCK_UN as _UNLOCK
    from fcntl import flock as _flock

    def _open_directory(opened: list[int], path: bytes) -> None:
        try:
            open_into(opened, path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            with suppress(FileExistsError):
                os.mkdir(path)
            open_into(opened, path, os.O_RDONLY | os.O_DIRECTORY)


# https://man7.org/linux/man-pages/man2/flock.2.html: over NFS, only files that are open for writing
# can be locked. ENOTDIR: earlier versions locked a file, which may be in the directory's place.
_NO_LOCKS_ON_DIRECTORIES = {errno.EBADF, errno.EISDIR, errno.ENOTDIR}
_NOT_POSSIBLE_HERE = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_SWAP = 2  # Both Linux's RENAME_EXCHANGE and macOS's RENAME_SWAP.
_AT_FDCWD = -100


def lock_into(opened: list[int], path: bytes) -> None:
    """Wait for the lock of a path, and append the descriptor that holds it to a list.

    Whatever happens, the caller calls `unlock` with the list.

    The path is opened for each lock, which costs about 5 µs: a shared descriptor would not exclude
    other threads and forked processes.

    The path is created as a directory, since cshelve 1.x, which may use the same folder, lists
    every file as a key. If directories cannot be locked (over NFS, and on Windows), a file beside
    it is locked.
    """
    try:
        _open_directory(opened, path)
        _flock(opened[-1], _LOCK)
    except OSError as error:
        if error.errno not in _NO_LOCKS_ON_DIRECTORIES:
            raise
    else:
        return
    if opened:
        close_last(opened)
    open_into(opened, path + b".lock", os.O_RDWR | os.O_CREAT)
    _flock(opened[-1], _LOCK)


def unlock(opened: list[int]) -> None:
    """Unlock and close the descriptor in a list, if there is one, and remove it from there.

    Closing alone does not unlock it if a child that was forked meanwhile has it open, too. (If the
    parent dies before it unlocks, its children keep the lock until they end.)
    """
    if opened:
        try:
            _flock(opened[-1], _UNLOCK)
        finally:
            close_last(opened)


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
