"""The server of a shelf: all that a process creates with its first request."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import asyncssh

from cshelve.providers.settling import settle
from cshelve.providers.sftp.connection import Connection
from cshelve.providers.sftp.errors import ConnectionLostError, failure_of
from cshelve.providers.sftp.folder import Folder
from cshelve.providers.sftp.options import SftpSettings
from cshelve.providers.sftp.session import CutShortError, NewFile, Session
from cshelve.providers.sftp.writing import Creation, Put
from cshelve.providers.stats import Stats

__all__ = ["Remote"]

T = TypeVar("T")

Act = Callable[[Session], Awaitable[T]]

CREATE_ATTEMPTS = 3
_FAILURES = (asyncssh.Error, ConnectionLostError, CutShortError)


class Remote:
    """A connection, and the folder at its other end. Safe in many threads.

    Methods that return an `Act` send nothing: `run` does. It may call the act twice, if the
    connection breaks.
    """

    def __init__(self, settings: SftpSettings, stats: Stats, logger: logging.Logger) -> None:
        self._connection = Connection(settings, stats, logger)
        self._location = settings.location
        self.folder = Folder(settings.remote_path, settings.location, self._connection)

    def run(self, what: str, act: Act[T]) -> T:
        """Return the result of an act, and translate its errors; `what` begins a message."""
        try:
            return self._connection.run(act)
        except _FAILURES as error:
            raise failure_of(error, what) from error

    def wait(self, what: str, act: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the result of a coroutine method of a file that is open."""
        try:
            return self._connection.loop.run(act)
        except _FAILURES as error:
            raise failure_of(error, what) from error

    def close(self) -> None:
        self._connection.close()

    def putting(self, places: Sequence[bytes], data: bytes) -> Act[bool]:
        """Return an act that stores data under a name."""

        async def write(session: Session, temporary: bytes) -> None:
            await self.folder.write_temporary(session, temporary, data)

        return Put(self.folder, places, write)

    def put_new(self, places: Sequence[bytes], data: bytes, what: str) -> None:
        """Store data if the name is absent; raise `ConflictError` otherwise."""
        creation = Creation(self._connection, self.folder, places, data, what)
        try:
            settle(creation, CREATE_ATTEMPTS)
        finally:
            creation.clean_up()

    async def begin(self, session: Session) -> NewFile:
        """Begin to write a temporary file, piece by piece."""
        return await self.folder.new_file(session, self.folder.temporary())

    def moving_in(self, file: NewFile, places: Sequence[bytes]) -> Act[bool]:
        """Return an act that moves a temporary file to the path of a name."""
        return Put(self.folder, places, temporary=file.path)

    def deleting(self, places: Sequence[bytes]) -> Act[bool | None]:
        """Return an act that deletes a name; it returns None if an earlier one may have done so."""
        attempts = 0

        async def delete(session: Session) -> bool | None:
            nonlocal attempts
            attempts += 1
            if await self.folder.delete(session, places):
                return True
            return None if attempts > 1 else False

        return delete

    async def can_copy(self, session: Session) -> bool:
        """Return whether the server copies files by itself."""
        return session.copies

    def copying(
        self, origin: str, source: Sequence[bytes], target: Sequence[bytes], version: str | None
    ) -> Act[bool]:
        """Return an act that copies a file on the server; it returns False if there is none.

        `origin` is the path of the folder of the source.
        """
        folder = Folder(origin, self._location, self._connection)

        async def write(session: Session, temporary: bytes) -> bool:
            return await self.folder.copy_to_temporary(session, temporary, folder, source, version)

        return Put(self.folder, target, write)
