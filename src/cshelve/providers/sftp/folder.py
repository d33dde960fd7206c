"""The files of a folder on the server: find, write, move and remove them.

The layout is that of the filesystem provider (see `paths.py`), so both may use the same folder. The
functions here are coroutines, which run in the event loop of a connection.

No request of SFTP replaces a file by a directory. If `a` is a file and `a/b` is to be written, the
value of `a` moves by two renames through a directory in `%tmp`, where readers find it meanwhile:

1. `a` is renamed to `%tmp/moving-…/%@`: this takes whatever is at `a` now.
2. `a` is made as a directory, and the file is renamed to `a/%@`, unless that exists, since then
   another client has written a newer value.

Each step may be repeated, by any client, so a client that is killed in between leaves a value that
readers find, and that the next client that opens the shelf for writing puts into its place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

import asyncssh

from cshelve.exceptions import ConflictError, KeyNotStorableError, StorageError
from cshelve.providers.paths import INSIDE, MOVING, SCRATCH, TWO_STEPS, WHERE, staging_of
from cshelve.providers.sftp.connection import Connection
from cshelve.providers.sftp.errors import ABSENT, no_folder
from cshelve.providers.sftp.session import (
    Found,
    NewFile,
    OpenedFile,
    Session,
    all_of,
    is_directory,
    is_file,
    is_link,
)

__all__ = ["Folder"]

T = TypeVar("T")

# After losing a race this often in a row, something else must be wrong.
ATTEMPTS = 100
_DAY_SECONDS = 24 * 60 * 60
_NOT_SWEPT = frozenset({b"locks", b"two-steps"})

_REFUSED_FOR_DIRECTORIES = (
    asyncssh.SFTPFailure,
    asyncssh.SFTPPermissionDenied,
    asyncssh.SFTPFileIsADirectory,
)

Look = Callable[[Session, bytes], Awaitable[T | None]]
"""Looks at a path; returns None if there is no file, and raises IsADirectoryError."""


class Folder:
    """The folder of a shelf on the server."""

    def __init__(self, path: str, location: str, connection: Connection) -> None:
        written = path.encode()
        self._path = written or b"."
        self._base = b"" if not written else written.removesuffix(b"/") + b"/"
        self._location = location
        self._connection = connection
        self._ignores_case: bool | None = None

    def at(self, relative: bytes) -> bytes:
        """Return the path on the server of a path in the folder."""
        return self._base + relative

    def temporary(self) -> bytes:
        """Return a new path on the server for a temporary file."""
        return self.at(SCRATCH + b"/" + os.urandom(8).hex().encode())

    async def exists(self, session: Session) -> bool:
        return is_directory(await session.status(self._path))

    async def require(self, session: Session) -> None:
        """Raise `DBDoesNotExistsError` if the folder does not exist."""
        if not await self.exists(session):
            raise no_folder(self._location)

    async def create(self, session: Session) -> None:
        """Create the folder, and the folders above it."""
        parts = self._path.split(b"/")
        paths = [b"/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        # Only the last answer counts: an error for those above may only mean that they exist.
        refused = [await session.make_directory(path) for path in paths if path]
        if not await self.exists(session):
            raise refused[-1] or StorageError("the server says nothing more")

    async def find(self, session: Session, places: Sequence[bytes], look: Look[T]) -> T | None:
        """Return what `look` returns for the file of a name; None if the name is absent.

        `places` are the paths where the file may be, its own path first. Raises
        `DBDoesNotExistsError` if the folder itself is absent.
        """
        found = await self._first(session, places, look)
        if found is not None:
            return found
        exists, mark = await all_of(self.exists(session), session.status(self.at(TWO_STEPS)))
        if not exists:
            raise no_folder(self._location)
        if mark is not None:
            # The value may be moving into a directory. First its place on the way, then its new
            # place: it is in one of them at any time.
            stagings = [staging_of(path) for path in places]
            found = await self._first(session, [*stagings, *places], look)
        elif len(places) > 1:
            # A writer may have moved the file to its own path meanwhile.
            found = await self._first(session, places[:1], look)
        return found

    async def _first(self, session: Session, paths: Sequence[bytes], look: Look[T]) -> T | None:
        for path in paths:
            found = await self._look(session, path, look)
            if found is not None:
                return found
        return None

    async def _look(self, session: Session, relative: bytes, look: Look[T]) -> T | None:
        path = self.at(relative)
        try:
            try:
                return await look(session, path)
            except IsADirectoryError:
                return await look(session, path + INSIDE)
        except (IsADirectoryError, asyncssh.SFTPBadMessage, asyncssh.SFTPInvalidFilename):
            return None  # OpenSSH calls a path that is too long a bad message.

    async def status_of(
        self, places: Sequence[bytes], session: Session
    ) -> asyncssh.SFTPAttrs | None:
        """Return the attributes of the file of a name; None if the name is absent."""
        return await self.find(session, places, file_status)

    async def read(self, places: Sequence[bytes], session: Session) -> bytes | None:
        """Return the data of a name; None if it is absent."""
        return await self.find(session, places, Session.read)

    async def open(self, places: Sequence[bytes], session: Session) -> OpenedFile | None:
        """Open the file of a name, which the caller closes; None if it is absent."""
        return await self.find(session, places, Session.open)

    async def head(
        self, places: Sequence[bytes], size_bytes: int, session: Session
    ) -> OpenedFile | None:
        """Read the first bytes and the attributes of the file of a name; None if it is absent."""

        async def look(session: Session, path: bytes) -> OpenedFile | None:
            opened = await session.open(path, size_bytes)
            if opened is not None:
                opened.close()
            return opened

        return await self.find(session, places, look)

    async def refuse_aliases(self, session: Session, places: Sequence[bytes]) -> None:
        """Raise `KeyNotStorableError` if another key would have the same file on this server.

        That happens if the server's file system ignores case, which the directory for temporary
        files shows, if it exists: every write creates it.
        """
        if len(places) == 1:
            return  # The path has no capitals.
        if self._ignores_case is None:
            scratch, in_capitals = await all_of(
                session.status(self.at(SCRATCH)), session.status(self.at(SCRATCH.upper()))
            )
            if scratch is not None:
                self._ignores_case = in_capitals is not None
        if self._ignores_case:
            raise KeyNotStorableError(
                f"{places[0].decode()!r} cannot be a key in {self._location}: the file system of "
                "the server ignores case, so another key could have the same file; use a key of "
                "small letters, digits, and _ - . /"
            )

    async def is_there(self, session: Session, places: Sequence[bytes]) -> bool:
        """Return whether a name has a value at one of these paths, or on its way to them."""
        paths = [*places, *(staging_of(path) for path in places)]
        found = await all_of(*(self._look(session, path, file_status) for path in paths))
        return any(attrs is not None for attrs in found)

    async def new_file(self, session: Session, temporary: bytes) -> NewFile:
        """Create a temporary file, and the directory for such files if it is missing."""
        try:
            return await session.create(temporary)
        except ABSENT:
            await self._make_scratch(session)
            return await session.create(temporary)

    async def _make_scratch(self, session: Session) -> None:
        """Create the directory for temporary files, unless another client was faster."""
        await self.require(session)
        refused = await session.make_directory(self.at(SCRATCH))
        if refused is not None and await session.status(self.at(SCRATCH)) is None:
            raise refused

    async def write_temporary(self, session: Session, temporary: bytes, data: bytes) -> None:
        """Write data to a new temporary file. If that fails, the file is removed."""
        file = await self.new_file(session, temporary)
        try:
            await file.write(data)
            await file.finish()
        except BaseException:
            file.abandon()
            raise

    async def copy_to_temporary(
        self,
        session: Session,
        temporary: bytes,
        origin: Folder,
        source: Sequence[bytes],
        version: str | None,
    ) -> bool:
        """Let the server copy the file of a name; return False if the name is absent.

        Raises `ConflictError` if the file does not have the version, if one is given.
        """

        async def copy(session: Session, path: bytes) -> bool | None:
            return await session.copy(path, temporary, version) or None

        # Otherwise, this missing directory might be taken for a missing source.
        if await session.status(self.at(SCRATCH)) is None:
            await self._make_scratch(session)
        return await origin.find(session, source, copy) is not None

    async def give_up(self, session: Session, temporary: bytes, relative: bytes) -> None:
        """Remove what a write has left that failed before the value was in its place."""
        session.remove_later(temporary)
        await self.remove_empty_above(session, relative)

    async def bring_in(
        self,
        session: Session,
        temporary: bytes,
        places: Sequence[bytes],
        *,
        may_be_done: bool = False,
    ) -> None:
        """Rename a temporary file to the path of a name, and remove it from its other places.

        With `may_be_done`, an earlier request may have renamed it, whose response was lost.
        """

        async def replace(path: bytes) -> None:
            try:
                await session.replace(temporary, path)
            except ABSENT:
                if not may_be_done or await session.status(temporary) is not None:
                    raise

        await self._place(session, places[0], replace)
        if len(places) > 1:
            await all_of(*(self._remove_from(session, path) for path in places[1:]))

    async def link_in(self, session: Session, temporary: bytes, places: Sequence[bytes]) -> None:
        """Link a temporary file to the path of a name; raise `ConflictError` if that exists."""

        async def link(path: bytes) -> None:
            try:
                await session.link(temporary, path)
            except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
                if is_file(await session.status(path)):
                    raise ConflictError("the name exists") from None
                raise

        await self._place(session, places[0], link)

    async def _place(
        self, session: Session, relative: bytes, act: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """Call `act` with the path of a name, or with `%@` in it if that is a directory.

        Creates the directories that are missing.
        """
        path = self.at(relative)
        for _ in range(ATTEMPTS):
            try:
                await act(path)
            except ABSENT:
                await self._make_directories_above(session, relative)
                path = self.at(relative)
            except _REFUSED_FOR_DIRECTORIES:
                if path.endswith(INSIDE) or not is_directory(await session.status(path)):
                    raise
                path += INSIDE
            else:
                return
        raise StorageError(
            f"it could not be put into its place in {ATTEMPTS} attempts: something is in the way, "
            "or another program removes its directories each time"
        )

    async def _make_directories_above(self, session: Session, relative: bytes) -> None:
        """Create the missing directories above a path; a file in the way becomes a directory."""
        above = list(_above(relative))[::-1]
        refused = await all_of(*(session.make_directory(self.at(path)) for path in above))
        for path, error in zip(above, refused, strict=True):
            if error is None:
                continue
            attrs = await session.status(self.at(path))
            if is_file(attrs):
                async with self._connection.moving:
                    await self._make_directory_of_file(session, path)
                await all_of(*(session.make_directory(self.at(path)) for path in above))
            elif attrs is not None and not is_directory(attrs):
                raise StorageError(f"{path.decode(errors='replace')} is no file and no directory")
            elif isinstance(error, asyncssh.SFTPPermissionDenied) and attrs is None:
                raise error

    async def _make_directory_of_file(self, session: Session, relative: bytes) -> None:
        """Replace the file `a` by a directory `a` with the value in `a/%@`."""
        path, staging = self.at(relative), self.at(staging_of(relative))
        for _ in range(ATTEMPTS):
            if not is_file(await session.status(path)):
                break
            await self._make_staging(session, relative, staging)
            try:
                await session.replace(path, staging + INSIDE)
            except ABSENT:
                continue  # Another client moves it, too, or has removed it.
            await self._finish_move(session, path, staging)
        await self._finish_move(session, path, staging)

    async def _make_staging(self, session: Session, relative: bytes, staging: bytes) -> None:
        """Create the directory for a value on its way, with the path that it belongs to."""
        if await session.status(self.at(TWO_STEPS)) is None:
            mark = await session.create(self.at(TWO_STEPS))
            await mark.finish()
        if await session.status(staging + WHERE) is not None:
            return
        # Created elsewhere, so that the directory is never without its `where`.
        made = self.temporary()
        refused = await session.make_directory(made)
        if refused is not None:
            raise refused
        await session.write(made + WHERE, relative)
        try:
            await session.rename(made, staging)
        except asyncssh.SFTPFailure:
            # Another client was faster.
            await session.remove_quietly(made + WHERE)
            await session.remove_directory(made)

    async def _finish_move(self, session: Session, path: bytes, staging: bytes) -> None:
        """Put the value on its way, if there is one, into the directory; a newer one there stays.

        If the path is a file again, that is newer, and the value on its way is removed.
        """
        inside = staging + INSIDE
        for _ in range(ATTEMPTS):
            if not is_file(await session.status(inside)):
                break
            await session.make_directory(path)
            try:
                await session.rename(inside, path + INSIDE)
            except (*ABSENT, asyncssh.SFTPFailure):
                newer = await all_of(session.status(path), session.status(path + INSIDE))
                if any(is_file(attrs) for attrs in newer):
                    await session.remove(inside)
        else:
            raise StorageError("its value could not be moved: its directory is removed each time")
        await session.remove_quietly(staging + WHERE)
        await session.remove_directory(staging)

    async def delete(self, session: Session, places: Sequence[bytes]) -> bool:
        """Remove the file of a name, and return whether it existed.

        The path that is read first is removed last: otherwise, an older value would appear for a
        moment.
        """
        stagings = [self.at(staging_of(path)) + INSIDE for path in places]
        removed = await all_of(
            *(session.remove(path) for path in stagings),
            *(self._remove_from(session, path) for path in places[:0:-1]),
            self._remove_from(session, places[0]),
        )
        if any(removed):
            return True
        await self.require(session)
        return False

    async def _remove_from(self, session: Session, relative: bytes) -> bool:
        """Remove the file of a path, and the directories above it that become empty."""
        path = self.at(relative)
        try:
            existed = await session.remove(path)
        except (asyncssh.SFTPBadMessage, asyncssh.SFTPInvalidFilename):
            return False
        except asyncssh.SFTPError:
            if not is_directory(await session.status(path)):
                raise
            existed = await session.remove(path + INSIDE)
            if existed:
                await session.remove_directory(path)
        if existed:
            await self.remove_empty_above(session, relative)
        return existed

    async def remove_empty_above(self, session: Session, relative: bytes) -> None:
        """Remove the directories above a path that are empty."""
        for path in _above(relative):
            if not await session.remove_directory(self.at(path)):
                return

    async def statuses(
        self, paths: Sequence[bytes], session: Session
    ) -> list[asyncssh.SFTPAttrs | None]:
        """Return the attributes of the files at these paths; None where there is none."""
        return await all_of(*(self._look(session, path, file_status) for path in paths))

    async def directories(
        self, directories: Sequence[bytes], most: int | None, session: Session
    ) -> list[list[Found] | None]:
        """Return the entries of several directories, at least `most` of each if there are.

        Returns None for a directory that is absent. Entries that are links have the attributes of
        what they lead to, if that is a file.
        """

        async def read(directory: bytes) -> list[Found] | None:
            path = self.at(directory).removesuffix(b"/") or (b"/" if self._base else b".")
            found = await session.entries(path, most)
            return None if found is None else await self._resolved(session, directory, found)

        return await all_of(*(read(directory) for directory in directories))

    async def _resolved(
        self, session: Session, directory: bytes, found: list[Found]
    ) -> list[Found]:
        links = [entry for entry in found if is_link(entry.attrs)]
        if not links:
            return found
        paths = [self.at(directory + entry.name) for entry in links]
        targets = await all_of(*(session.status(path) for path in paths))
        followed = {
            entry.name: attrs for entry, attrs in zip(links, targets, strict=True) if is_file(attrs)
        }
        return [entry._replace(attrs=followed.get(entry.name, entry.attrs)) for entry in found]

    async def staged(self, session: Session) -> list[tuple[bytes, bytes]]:
        """Return the path of each value on its way, and the path of its file, in the folder.

        Raises `DBDoesNotExistsError` if the folder does not exist.
        """
        _, mark = await all_of(self.require(session), session.status(self.at(TWO_STEPS)))
        if mark is None:
            return []
        found = []
        for entry in await session.entries(self.at(SCRATCH)) or ():
            if entry.name.startswith(MOVING):
                staging = SCRATCH + b"/" + entry.name
                where, value = await all_of(
                    session.read(self.at(staging + WHERE)),
                    session.status(self.at(staging + INSIDE)),
                )
                if where is not None and is_file(value):
                    found.append((where, staging + INSIDE))
        return found

    async def sweep(self, session: Session) -> None:
        """Clean up after killed clients: put values back, and remove old temporary files.

        A temporary file is removed if its modification time is more than a day ago.
        """
        try:
            entries = await session.entries(self.at(SCRATCH)) or []
        except asyncssh.SFTPError:
            return  # Perhaps this user may not: then there is nothing to clean up either.
        oldest = time.time() - _DAY_SECONDS
        for name, attrs in entries:
            path = self.at(SCRATCH + b"/" + name)
            try:
                if name.startswith(MOVING):
                    await self._restore(session, path)
                elif name not in _NOT_SWEPT and (attrs.mtime or 0) < oldest:
                    if is_directory(attrs):
                        await session.remove_quietly(path + WHERE)
                        await session.remove_directory(path)
                    else:
                        await session.remove(path)
            except (asyncssh.SFTPError, StorageError):
                continue  # One by one: writers rename their files meanwhile.

    async def _restore(self, session: Session, staging: bytes) -> None:
        where = await session.read(staging + WHERE)
        if where is None:
            await session.remove_directory(staging)
            return
        async with self._connection.moving:
            path = self.at(where)
            if not is_file(await session.status(staging + INSIDE)):
                await session.remove_quietly(staging + WHERE)
                await session.remove_directory(staging)
                return
            await all_of(*(session.make_directory(self.at(each)) for each in _above(where)))
            await self._finish_move(session, path, staging)


async def file_status(session: Session, path: bytes) -> asyncssh.SFTPAttrs | None:
    """Return the attributes of a file; None if there is none."""
    attrs = await session.status(path)
    if is_directory(attrs):
        raise IsADirectoryError
    return attrs if is_file(attrs) else None


def _above(path: bytes) -> Iterator[bytes]:
    """Yield the directories above a path, the nearest first."""
    while (end := path.rfind(b"/")) > 0:
        path = path[:end]
        yield path
