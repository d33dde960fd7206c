"""Writes whose outcome is settled if the connection breaks.

A value is in a temporary file before its path is touched, and the name of that file is random. So
after a rename whose response was lost, the temporary file is gone if the rename was carried out.
After a link, the path leads to the same file as the temporary name, or not.
"""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import asyncssh

from cshelve.exceptions import ConditionsNotSupportedError, ConflictError, Error, StorageError
from cshelve.providers.paths import INSIDE
from cshelve.providers.settling import ConditionalRequest, Failure, Found
from cshelve.providers.sftp.connection import Connection
from cshelve.providers.sftp.errors import ABSENT, ConnectionLostError, failure_of
from cshelve.providers.sftp.folder import Folder
from cshelve.providers.sftp.session import Session, is_directory

__all__ = ["Creation", "Put"]

_EARLIEST, _LATEST = 1_000_000_000, 1_500_000_000
"""Times long ago, of which one marks a file for a moment."""


class Put:
    """Stores a value under a name; call it again with a new session if the connection breaks."""

    def __init__(
        self,
        folder: Folder,
        places: Sequence[bytes],
        write: Callable[[Session, bytes], Awaitable[bool | None]] | None = None,
        *,
        temporary: bytes | None = None,
    ) -> None:
        """`write` writes the temporary file, and returns False if there is nothing to store.

        With `temporary`, that file is there already.
        """
        self._folder = folder
        self._places = places
        self._write = write
        self._temporary = temporary
        self._was_lost = False

    async def __call__(self, session: Session) -> bool:
        """Store the value; return False if there was nothing to store."""
        if self._temporary is None:
            temporary = self._folder.temporary()
            assert self._write is not None
            if await self._write(session, temporary) is False:
                return False
            self._temporary = temporary
        elif self._was_lost and await session.status(self._temporary) is None:
            return True  # The rename was carried out, although its response was lost.
        try:
            await self._folder.refuse_aliases(session, self._places)
            await self._folder.bring_in(
                session, self._temporary, self._places, may_be_done=self._was_lost
            )
        except ConnectionLostError:
            self._was_lost = True
            raise
        except BaseException:
            await self._folder.give_up(session, self._temporary, self._places[0])
            raise
        return True


class Creation(ConditionalRequest):
    """Stores a value under a name that is absent."""

    def __init__(
        self,
        connection: Connection,
        folder: Folder,
        places: Sequence[bytes],
        data: bytes,
        place: str,
    ) -> None:
        # The token is the path of the temporary file, which leads to the file that was linked.
        super().__init__(place, None, None)
        self._connection = connection
        self._folder = folder
        self._places = places
        self._data = data
        self._is_written = False
        self._is_linking = False

    @property
    def _temporary(self) -> bytes:
        assert self.token is not None
        return os.fsencode(self.token)

    def send(self, number: int) -> str:
        self._is_linking = False
        self._connection.once(self._create)
        return ""

    async def _create(self, session: Session) -> None:
        if not self._is_written:
            if await self._folder.is_there(session, self._places):
                await self._folder.refuse_aliases(session, self._places)
                raise ConflictError("the name exists")
            self.token = os.fsdecode(self._folder.temporary())
            await self._folder.write_temporary(session, self._temporary, self._data)
            self._is_written = True
        await self._folder.refuse_aliases(session, self._places)
        self._is_linking = True
        try:
            await self._folder.link_in(session, self._temporary, self._places)
        except asyncssh.SFTPOpUnsupported as error:
            raise ConditionsNotSupportedError(
                f"{self.place}: the server has no hard links (hardlink@openssh.com), so it cannot "
                "tell whether the key is absent at the moment of the write"
            ) from error

    def failures(self) -> tuple[type[Exception], ...]:
        return (asyncssh.Error, ConnectionLostError, Error)

    def kind_of(self, failure: Exception) -> Failure:
        if isinstance(failure, ConnectionLostError):
            return Failure.LOST if self._is_linking else Failure.NOTHING_DONE
        return Failure.REFUSED

    def look(self) -> Found | None:
        """Return whether the path leads to our file, which a mark on the file shows."""
        try:
            return self._connection.run(self._look)
        except (asyncssh.Error, ConnectionLostError) as error:
            raise failure_of(error, self.place) from error

    async def _look(self, session: Session) -> Found | None:
        path = self._folder.at(self._places[0])
        attrs = await session.status(path)
        if is_directory(attrs):
            path += INSIDE
            attrs = await session.status(path)
        if attrs is None:
            return None
        mark = random.randrange(_EARLIEST, _LATEST)
        temporary = self._temporary
        with suppress(*ABSENT):
            before = await session.status(temporary)
            await session.set_time(temporary, mark)
            marked = await session.status(path)
            if before is not None and before.mtime is not None:
                await session.set_time(temporary, before.mtime)
            if marked is not None and marked.mtime == mark:
                return Found("ours", self.token)
        return Found("another's", None)

    def refusal(self, failure: Exception) -> Error:
        if isinstance(failure, ConflictError):
            return ConflictError(f"{self.place}: it is already there")
        if isinstance(failure, Error):
            return failure
        return failure_of(failure, self.place)

    def clean_up(self) -> None:
        """Remove the temporary name; after a failure, the next clean-up does it a day later."""
        if self._is_written:
            with suppress(ConnectionLostError, StorageError):
                self._connection.once(self._remove)

    async def _remove(self, session: Session) -> None:
        session.remove_later(self._temporary)
