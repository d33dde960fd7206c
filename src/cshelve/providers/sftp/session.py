"""Requests over one connection: each is counted, and bounded in time.

Paths are bytes. Requests of one connection are pipelined: each coroutine sends its request at once,
whatever else is in flight, and the server carries out the requests in their order.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, NamedTuple, TypeVar

import asyncssh

from cshelve.exceptions import ConflictError
from cshelve.providers.sftp.errors import ABSENT, LOST, ConnectionLostError
from cshelve.providers.sftp.watch import Watch
from cshelve.providers.stats import Stats

__all__ = [
    *("CutShortError", "Found", "NewFile", "OpenedFile", "Session"),
    *("all_of", "is_directory", "is_file", "is_link"),
]

T = TypeVar("T")

# The pieces of one value that are on their way at the same time.
WINDOW = 16
# What every server accepts, if it does not announce its limit.
SAFE_BYTES = 32_768
LARGEST_BYTES = 2**18
# The size of the parts of a file that the server copies by itself.
COPIED_BYTES = 2**26
# The bytes that its disk writes in a second, at least.
SLOWEST_DISK = 2**22
_TYPE_BITS, _FILE, _DIRECTORY, _LINK = 0o170000, 0o100000, 0o040000, 0o120000


class Found(NamedTuple):
    """An entry of a directory."""

    name: bytes
    attrs: asyncssh.SFTPAttrs


class Session:
    """The requests of one connection. Use it in the thread of its event loop only."""

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection,
        sftp: asyncssh.SFTPClient,
        stats: Stats,
        timeout: float,
    ) -> None:
        self.connection = connection
        self._sftp = sftp
        self._stats = stats
        self._timeout = timeout
        # A late response would not be awaited by anybody.
        self._watch = Watch(timeout, connection.abort)
        limits = sftp.limits
        self.read_bytes = min(limits.max_read_len or SAFE_BYTES, LARGEST_BYTES)
        self.write_bytes = min(limits.max_write_len or SAFE_BYTES, LARGEST_BYTES)
        self.has_fsync = True
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def copies(self) -> bool:
        """Whether the server copies files by itself."""
        return self._sftp.supports_remote_copy

    async def status(self, path: bytes) -> asyncssh.SFTPAttrs | None:
        """Return the attributes of a path, links followed; None if it does not exist."""
        try:
            return await self.ask("stat", partial(self._sftp.stat, path))
        except ABSENT:
            return None

    async def open(self, path: bytes, most: int | None = None) -> OpenedFile | None:
        """Open a file and read its beginning; return None if it does not exist.

        The size and the first piece, of at most `most` bytes, are asked for together, so that a
        small file takes two round trips. Raises `IsADirectoryError` for a directory.
        """
        try:
            file = await self._opened(path, asyncssh.FXF_READ)
        except ABSENT:
            return None
        except asyncssh.SFTPError:
            # OpenSSH opens directories; other servers refuse to.
            attrs = await self.status(path)
            if is_directory(attrs):
                raise IsADirectoryError from None
            if attrs is None:
                return None
            raise
        opened = OpenedFile(self, file)
        try:
            if await opened.begin(self.read_bytes if most is None else min(most, self.read_bytes)):
                return opened
        except BaseException:
            self.close_later(file)
            raise
        self.close_later(file)
        return None

    async def read(self, path: bytes) -> bytes | None:
        """Return the data of a file; None if it does not exist.

        Raises `IsADirectoryError` for a directory.
        """
        opened = await self.open(path)
        if opened is None:
            return None
        try:
            pieces = [opened.head]
            while more := await opened.more():
                pieces += more
        finally:
            opened.close()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def create(self, path: bytes) -> NewFile:
        """Create a file; raise an error if the path exists."""
        flags = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | asyncssh.FXF_EXCL
        return NewFile(self, path, await self._opened(path, flags))

    async def write(self, path: bytes, data: bytes) -> None:
        """Write data to a new file. If that fails, or is cancelled, the file is removed."""
        file = await self.create(path)
        try:
            await file.write(data)
            await file.finish()
        except BaseException:
            file.abandon()
            raise

    async def copy(self, source: bytes, target: bytes, version: str | None) -> bool:
        """Let the server copy a file to a new one; return False if the source does not exist.

        With a version, the file is read first, and `ConflictError` is raised if it has another one.
        Raises `IsADirectoryError` for a directory.
        """
        opened = await self.open(source, None if version else 0)
        if opened is None:
            return False
        try:
            if version is not None and await opened.version() != version:
                raise ConflictError("the source was changed since it was read")
            copy = await self.create(target)
            try:
                await copy.fill_from(opened)
                await copy.finish()
            except BaseException:
                copy.abandon()
                raise
        finally:
            opened.close()
        return True

    async def copy_range(
        self,
        source: asyncssh.SFTPClientFile,
        target: asyncssh.SFTPClientFile,
        offset: int,
        size: int,
    ) -> None:
        """Let the server copy a part of a file to the same place in another one."""
        copying = partial(self._sftp.remote_copy, source, target, offset, size, offset)
        await self.ask("copy-data", copying, more_seconds=size / SLOWEST_DISK)

    async def remove(self, path: bytes) -> bool:
        """Remove a file; return whether it existed."""
        try:
            await self.ask("remove", partial(self._sftp.remove, path))
        except ABSENT:
            return False
        return True

    async def remove_quietly(self, path: bytes) -> None:
        """Remove a file if possible: a day later, the next clean-up would."""
        try:
            await self.ask("remove", partial(self._sftp.remove, path))
        except (asyncssh.SFTPError, ConnectionLostError):
            return

    def remove_later(self, path: bytes) -> None:
        """Remove a file, without waiting for that: an interrupted caller should not have to."""
        self._do_later(self.remove_quietly(path))

    async def remove_directory(self, path: bytes) -> bool:
        """Remove a directory; return False if it is not empty, or for any other reason."""
        try:
            await self.ask("rmdir", partial(self._sftp.rmdir, path))
        except asyncssh.SFTPError:
            return False
        return True

    async def make_directory(self, path: bytes) -> asyncssh.SFTPError | None:
        """Create a directory; return the error if the server refuses to, or None."""
        try:
            await self.ask("mkdir", partial(self._sftp.mkdir, path))
        except asyncssh.SFTPError as error:
            return error
        return None

    async def replace(self, old: bytes, new: bytes) -> None:
        """Rename a file, atomically, even if there is a file with the new name."""
        await self.ask("rename", partial(self._sftp.posix_rename, old, new))

    async def rename(self, old: bytes, new: bytes) -> None:
        """Rename a file or directory if nothing has the new name; otherwise raise an error."""
        await self.ask("rename", partial(self._sftp.rename, old, new))

    async def link(self, old: bytes, new: bytes) -> None:
        """Create a hard link, if nothing has the new name; otherwise raise an error."""
        await self.ask("link", partial(self._sftp.link, old, new))

    async def set_time(self, path: bytes, seconds: int) -> None:
        """Set the modification time of a file."""
        await self.ask("setstat", partial(self._sftp.utime, path, (seconds, seconds)))

    async def entries(self, path: bytes, most: int | None = None) -> list[Found] | None:
        """Return the entries of a directory, at least `most` if there are; None if it is absent.

        The attributes of a link are those of the link.
        """
        found: list[Found] = []
        # An async generator: it closes the directory when it is closed.
        entries: Any = self._sftp.scandir(path)
        try:
            await self._answered(self._list_into(found, entries, most))
        except ABSENT:
            return None
        finally:
            self._stats.count("list")
        return found

    async def _list_into(self, found: list[Found], entries: Any, most: int | None) -> None:
        async with aclosing(entries):
            async for entry in entries:
                if entry.filename not in (b".", b".."):
                    found.append(Found(entry.filename, entry.attrs))
                if most is not None and len(found) >= most:
                    break
                self._watch.progress()

    async def _opened(self, path: bytes, flags: int) -> asyncssh.SFTPClientFile:
        """Open a file, and close it again if that is cancelled meanwhile."""
        opening = asyncio.ensure_future(
            self.ask("open", partial(self._sftp.open, path, flags, encoding=None, block_size=0))
        )
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(lambda done: self._abandon(done, path, flags))
            raise

    def _abandon(
        self, opening: asyncio.Future[asyncssh.SFTPClientFile], path: bytes, flags: int
    ) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self.close_later(opening.result())
            if flags & asyncssh.FXF_CREAT:
                self.remove_later(path)

    def close_later(self, file: asyncssh.SFTPClientFile) -> None:
        """Close a file without waiting for the response."""
        self._do_later(self._close(file))

    async def _close(self, file: asyncssh.SFTPClientFile) -> None:
        try:
            await self.ask("close", file.close)
        except (asyncssh.SFTPError, ConnectionLostError):
            return  # Nothing depends on it: the file was only read, or is removed.

    def _do_later(self, doing: Any) -> None:
        task = asyncio.ensure_future(doing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def finish(self) -> None:
        """Wait until the files are closed that need not be waited for, and watch no longer."""
        if self._closing:
            await asyncio.wait(self._closing, timeout=1)
        self._watch.stop()

    async def ask(
        self,
        operation: str,
        send: Callable[[], Awaitable[T]],
        *,
        sent: int = 0,
        received: Callable[[T], int] = lambda _: 0,
        more_seconds: float = 0.0,
    ) -> T:
        """Send a request, wait for the response, and count it.

        `send` is called late: Python warns of a coroutine that is made and never awaited, if the
        task that should await it is cancelled first.
        """
        began = time.monotonic()
        size, failure = 0, None
        try:
            result = await self._answered(send(), more_seconds)
            size = received(result)
        except Exception as error:
            failure = error
            raise
        finally:
            self._stats.count(
                operation,
                sent=sent,
                received=size,
                seconds=time.monotonic() - began,
                error=failure,
            )
        return result

    async def _answered(self, doing: Awaitable[T], more_seconds: float = 0.0) -> T:
        self._watch.begin(more_seconds)
        try:
            return await doing
        except LOST as error:
            if self._watch.has_struck:
                raise ConnectionLostError(f"no response in {self._timeout:g} seconds") from error
            raise ConnectionLostError(f"the connection broke ({error})") from error
        finally:
            self._watch.end()


class OpenedFile:
    """A file that is being read. It stays the same one if a writer replaces it meanwhile."""

    def __init__(self, session: Session, file: asyncssh.SFTPClientFile) -> None:
        self._session = session
        self.file = file
        self._offset = 0
        self.attrs = asyncssh.SFTPAttrs()
        self.head = b""
        """The beginning of the file."""

    @property
    def size(self) -> int:
        return self.attrs.size or 0

    async def begin(self, size: int) -> bool:
        """Read the attributes and the first bytes; return False if it is no file.

        Raises `IsADirectoryError` for a directory.
        """
        self.attrs, head = await all_of(
            self._session.ask("fstat", self.file.stat), self._read_or_error(size)
        )
        if is_directory(self.attrs):
            raise IsADirectoryError
        if not is_file(self.attrs):
            return False
        if isinstance(head, Exception):
            raise head
        self.head, self._offset = head, len(head)
        return True

    async def more(self) -> list[bytes]:
        """Return the next pieces, which are asked for together; empty at the end."""
        step = self._session.read_bytes
        end = min(self.size, self._offset + WINDOW * step)
        starts = range(self._offset, end, step)
        self._offset = max(end, self._offset)
        return await all_of(*(self._read_all(start, min(step, end - start)) for start in starts))

    async def version(self) -> str:
        """Return the version of the file, which is a hash of all of it."""
        hashed = hashlib.sha256(self.head)
        while pieces := await self.more():
            for piece in pieces:
                hashed.update(piece)
        return hashed.hexdigest()

    def close(self) -> None:
        """Close the file, without waiting for that."""
        self._session.close_later(self.file)

    async def ended(self) -> None:
        """Close the file, for a caller in another thread."""
        self.close()

    async def _read_or_error(self, size: int) -> bytes | asyncssh.SFTPError:
        """Read the beginning; OpenSSH refuses only that, and not to open, for a directory."""
        try:
            return await self._read(0, size) if size else b""
        except asyncssh.SFTPError as error:
            return error

    async def _read_all(self, offset: int, size: int) -> bytes:
        """Read so many bytes; one response may contain fewer."""
        data = await self._read(offset, size)
        while len(data) < size:
            more = await self._read(offset + len(data), size - len(data))
            if not more:
                raise CutShortError
            data += more
        return data

    async def _read(self, offset: int, size: int) -> bytes:
        read: Callable[..., Awaitable[bytes]] = self.file.read  # Without an encoding, bytes.
        return await self._session.ask("read", partial(read, size, offset), received=len)


class NewFile:
    """A file that is being written, with a few writes in flight."""

    def __init__(self, session: Session, path: bytes, file: asyncssh.SFTPClientFile) -> None:
        self._session = session
        self.path = path
        self.file = file
        self._offset = 0
        self._writes: list[asyncio.Future[int]] = []

    async def write(self, data: bytes) -> None:
        """Append data; return when all of it is on its way, or has been written."""
        step = self._session.write_bytes
        for start in range(0, len(data), step):
            if len(self._writes) == WINDOW:
                await self._settle()
            chunk = data[start : start + step]
            writing = self._session.ask(
                "write", partial(self.file.write, chunk, self._offset), sent=len(chunk)
            )
            self._writes.append(asyncio.ensure_future(writing))
            self._offset += len(chunk)

    async def fill_from(self, source: OpenedFile) -> None:
        """Let the server copy another file, a part after the other."""
        while self._offset < source.size:
            size = min(COPIED_BYTES, source.size - self._offset)
            await self._session.copy_range(source.file, self.file, self._offset, size)
            self._offset += size

    async def finish(self) -> None:
        """Close the file after the server has written it to its disk, if the server can do that.

        The requests are sent before the responses to the writes arrive, to save a round trip.
        """
        writes, self._writes = self._writes, []
        syncing = [self._sync()] if self._session.has_fsync else []
        await all_of(*writes, *syncing, self._session.ask("close", self.file.close))

    def abandon(self) -> None:
        """Close and remove the file, without waiting for that."""
        for writing in self._writes:
            writing.cancel()
        self._session.close_later(self.file)
        self._session.remove_later(self.path)

    async def abandoned(self) -> None:
        """Close and remove the file, for a caller in another thread."""
        self.abandon()

    async def _settle(self) -> None:
        writes, self._writes = self._writes, []
        await all_of(*writes)

    async def _sync(self) -> None:
        try:
            more_seconds = self._offset / SLOWEST_DISK
            await self._session.ask("fsync", self.file.fsync, more_seconds=more_seconds)
        except asyncssh.SFTPOpUnsupported:
            self._session.has_fsync = False


class CutShortError(Exception):
    """A file became shorter while it was read: another program writes to it in place."""


async def all_of(*doing: Awaitable[Any]) -> list[Any]:
    """Wait for all, also if one fails, and return the results, or raise the first error.

    The requests are sent in the order of the arguments.
    """
    tasks = [asyncio.ensure_future(each) for each in doing]
    await asyncio.gather(*tasks, return_exceptions=True)
    return [task.result() for task in tasks]


def is_file(attrs: asyncssh.SFTPAttrs | None) -> bool:
    return attrs is not None and (attrs.permissions or 0) & _TYPE_BITS == _FILE


def is_directory(attrs: asyncssh.SFTPAttrs | None) -> bool:
    return attrs is not None and (attrs.permissions or 0) & _TYPE_BITS == _DIRECTORY


def is_link(attrs: asyncssh.SFTPAttrs) -> bool:
    return (attrs.permissions or 0) & _TYPE_BITS == _LINK
