"""What Python leaves to the platform: a lock that processes share, and a swap of two paths."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress

__all__ = ["close_locked", "exchange", "open_locked"]

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # Waits ten seconds at most, then gives an OSError.
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


# https://man7.org/linux/man-pages/man2/flock.2.html: by way of NFS, only what is open for writing.
# A file in its place, which is no directory, is one of a version before this was so.
_NO_LOCKS_ON_DIRECTORIES = {errno.EBADF, errno.EISDIR, errno.ENOTDIR}
_NOT_POSSIBLE_HERE = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_SWAP = 2  # both Linux's RENAME_EXCHANGE and macOS's RENAME_SWAP
_AT_FDCWD = -100


def open_locked(path: bytes) -> int:
    """Wait until nobody else has a path locked, and lock it until `close_locked`.

    What is opened anew each time keeps apart threads and forked processes as well as strangers,
    which a descriptor that they share would not; it costs some 5 µs more.

    The path becomes a directory, as cshelve 1.x, which may use the same folder, lists every file as
    a key. Where a directory cannot be locked (by way of NFS it cannot, nor on Windows) it is a
    file beside that.
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
    """Unlock and close: a child forked meanwhile has it open too, so closing is not enough.

    (Should the parent die before this, its children keep the lock until they end.)
    """
    try:
        _unlock(descriptor)
    finally:
        os.close(descriptor)


def exchange(one: bytes, other: bytes) -> bool:
    """Let two paths trade what they lead to, in one step; False where that cannot be done."""
    if sys.platform == "win32":
        return False
    # Rarely needed, and not quick to import.
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
