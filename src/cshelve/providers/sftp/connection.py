"""The connection of a shelf: opened when it is first needed, and again after it has broken."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Self, TypeVar

import asyncssh

from cshelve.exceptions import AuthArgumentError, AuthError, Error, StorageError
from cshelve.providers.sftp.errors import LOST, ConnectionLostError
from cshelve.providers.sftp.event_loop import EventLoop
from cshelve.providers.sftp.host_keys import HostKeys
from cshelve.providers.sftp.options import SftpSettings
from cshelve.providers.sftp.session import Session
from cshelve.providers.stats import Stats

__all__ = ["Connection"]

T = TypeVar("T")

# Routers forget connections without traffic after some minutes.
KEEPALIVE_SECONDS = 60
CLOSE_SECONDS = 5.0
# How often to look whether the server has sent its banner: asyncssh does not tell.
LOOK_SECONDS = 0.02
_NO_ROUTE = (OSError, TimeoutError, *LOST)


class Connection:
    """One connection to the server, with a thread for its event loop. Safe in many threads."""

    def __init__(self, settings: SftpSettings, stats: Stats, logger: logging.Logger) -> None:
        self._settings = settings
        self._stats = stats
        self._logger = logger
        self._host_keys = HostKeys(settings, logger)
        self._session: Session | None = None
        self._opening = asyncio.Lock()
        self.moving = asyncio.Lock()
        """Held while a value is moved into a directory."""
        self.loop = EventLoop()

    def run(self, act: Callable[[Session], Awaitable[T]]) -> T:
        """Call `act` with a session, and return its result.

        If the connection breaks meanwhile, `act` is called once more, with a new connection. It has
        to find out by itself what the first call has done.
        """
        return self.loop.run(partial(self._run, act, attempts=2))

    def once(self, act: Callable[[Session], Awaitable[T]]) -> T:
        """Call `act` with a session, and return its result; raise `ConnectionLostError`."""
        return self.loop.run(partial(self._run, act, attempts=1))

    def close(self) -> None:
        """Close the connection and end the thread; a second call does nothing."""
        if self.loop.is_started:
            # It fails if the program is ending: then nothing needs to be closed.
            with suppress(StorageError):
                self.loop.run(self._close)
            self.loop.stop()

    async def _run(self, act: Callable[[Session], Awaitable[T]], attempts: int) -> T:
        while True:
            session = await self._opened()
            attempts -= 1
            try:
                return await act(session)
            except ConnectionLostError as error:
                self._drop(session)
                if not attempts:
                    raise
                self._logger.info("%s: %s; connecting again", self._settings.location, error)

    async def _opened(self) -> Session:
        async with self._opening:
            session = self._session
            if session is None or session.connection.is_closed():
                session = self._session = await self._open()
            return session

    def _drop(self, session: Session) -> None:
        session.connection.abort()
        if self._session is session:
            self._session = None

    async def _close(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        await session.finish()
        session.connection.close()
        try:
            await asyncio.wait_for(session.connection.wait_closed(), CLOSE_SECONDS)
        except TimeoutError:
            session.connection.abort()

    async def _open(self) -> Session:
        connection = None
        try:
            connection = await self._connect()
            async with _limit(self._settings.channel_timeout, "channel_timeout", "SFTP started"):
                sftp = await connection.start_sftp_client(path_encoding=None)
        except BaseException as error:
            if connection is not None:
                connection.abort()
            if isinstance(error, Exception):
                raise self._failure(error) from error
            raise
        self._logger.debug("%s: connected", self._settings.location)
        return Session(connection, sftp, self._stats, self._settings.timeout)

    async def _connect(self) -> asyncssh.SSHClientConnection:
        client = _Client(self._host_keys)
        async with _Keys(self._settings) as keys:
            return await self._connect_with(client, keys)

    async def _connect_with(self, client: _Client, keys: _Keys) -> asyncssh.SSHClientConnection:
        settings = self._settings
        connecting = asyncio.ensure_future(
            asyncssh.connect(
                settings.hostname,
                settings.port,
                client_factory=lambda: client,
                **self._parameters(keys),
            )
        )
        try:
            async with _limit(settings.timeout, "timeout", "connection made"):
                await _first(client.made.wait(), connecting)
            async with _limit(settings.banner_timeout, "banner_timeout", "banner received"):
                while not (client.has_banner() or connecting.done()):
                    await asyncio.wait([connecting], timeout=LOOK_SECONDS)
            async with _limit(settings.auth_timeout, "auth_timeout", "user authenticated"):
                return await asyncio.shield(connecting)
        except BaseException:
            connecting.cancel()
            await asyncio.wait([connecting], timeout=CLOSE_SECONDS)
            if not connecting.cancelled() and connecting.done() and not connecting.exception():
                connecting.result().abort()
            raise

    def _parameters(self, keys: _Keys) -> dict[str, Any]:
        """Return the parameters of asyncssh's `connect`; nothing is read from `~/.ssh/config`."""
        settings = self._settings
        by_password = ["password", "keyboard-interactive"]
        return {
            "username": settings.username,
            "password": settings.password,
            "client_keys": keys.found,
            "preferred_auth": by_password if settings.auth_type == "password" else ["publickey"],
            "known_hosts": self._host_keys.known,
            "agent_path": None,
            "config": None,
            "gss_host": None,
            "x509_trusted_certs": None,
            "keepalive_interval": KEEPALIVE_SECONDS,
            "connect_timeout": None,
            # Ours are more precise.
            "login_timeout": 0,
        }

    def _failure(self, error: Exception) -> Error:
        """Return the error to raise if the connection cannot be opened."""
        found = error if isinstance(error, Error) else self._translated(error)
        found.about_shelf = True
        return found

    def _translated(self, error: Exception) -> Error:
        settings = self._settings
        place = f"{settings.location}: "
        if isinstance(error, asyncssh.PermissionDenied):
            return AuthError(
                f"{place}the server does not let {settings.username!r} log in with auth_type = "
                f"{settings.auth_type} ({error.reason}); check username and "
                f"{_CREDENTIAL_OF[settings.auth_type]}"
            )
        if isinstance(error, asyncssh.HostKeyNotVerifiable):
            problem = self._host_keys.problem or error.reason
            return StorageError(f"{place}the server is not trusted: {problem}")
        if isinstance(error, socket.gaierror):
            return StorageError(
                f"{place}no address was found for hostname = {settings.hostname} ({error}); check "
                "it, and your network"
            )
        if isinstance(error, asyncssh.ProtocolNotSupported | asyncssh.KeyExchangeFailed):
            return StorageError(f"{place}the server speaks another protocol ({error.reason})")
        if isinstance(error, asyncssh.ChannelOpenError | asyncssh.SFTPError):
            reason = error.reason or "the channel was closed"
            return StorageError(f"{place}the server offers no SFTP ({reason})")
        text = str(error) or type(error).__name__
        return StorageError(
            f"{place}could not connect ({text}); check hostname and port, and that sshd is running"
        )


class _Client(asyncssh.SSHClient):
    """Tells how far the connection has come, and which host keys to trust."""

    def __init__(self, host_keys: HostKeys) -> None:
        self._host_keys = host_keys
        self._connection: asyncssh.SSHClientConnection | None = None
        self.made = asyncio.Event()

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._connection = conn
        self.made.set()

    def has_banner(self) -> bool:
        assert self._connection is not None
        return bool(self._connection.get_extra_info("server_version"))

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        return self._host_keys.accepts(host, addr, port, key)


_CREDENTIAL_OF = {
    "password": "password",
    "key_filename": "key_filename, and that the server knows its public key",
    "agent": "the keys of your agent (`ssh-add -l`)",
}


class _limit:  # noqa: N801  # used like a function
    """Raise a `TimeoutError` that names the option if a block takes longer than that."""

    def __init__(self, seconds: float, option: str, what: str) -> None:
        self._seconds, self._option, self._what = seconds, option, what
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, *about: Any) -> None:
        try:
            await self._timeout.__aexit__(*about)
        except TimeoutError:
            raise TimeoutError(
                f"no {self._what} in {self._option} = {self._seconds:g} seconds"
            ) from None


async def _first(waiting: Awaitable[object], connecting: asyncio.Future[Any]) -> None:
    """Wait until one of them has ended."""
    other = asyncio.ensure_future(waiting)
    try:
        await asyncio.wait([other, connecting], return_when=asyncio.FIRST_COMPLETED)
    finally:
        other.cancel()


def _private_key(settings: SftpSettings) -> asyncssh.SSHKey:
    """Read the private key; raise `AuthArgumentError` if that is not possible."""
    path = settings.key_filename or ""
    place = f"{settings.location}: key_filename = {path}: "
    try:
        return asyncssh.read_private_key(path, settings.passphrase)
    except OSError as error:
        raise AuthArgumentError(f"{place}{error.strerror or error}") from error
    except asyncssh.KeyEncryptionError as error:
        raise AuthArgumentError(f"{place}the passphrase is wrong ({error})") from error
    except asyncssh.KeyImportError as error:
        if settings.passphrase is None and "assphrase" in str(error):
            raise AuthArgumentError(f"{place}the key needs a passphrase") from error
        raise AuthArgumentError(f"{place}this is not a private key ({error})") from error


class _Keys:
    """The private keys to log in with, and the connection to the agent that has them."""

    def __init__(self, settings: SftpSettings) -> None:
        self._settings = settings
        self._agent: asyncssh.SSHAgentClient | None = None
        self.found: list[Any] | None = None

    async def __aenter__(self) -> Self:
        try:
            if self._settings.auth_type == "key_filename":
                # A passphrase takes a while to check.
                self.found = [await asyncio.to_thread(_private_key, self._settings)]
            elif self._settings.auth_type == "agent":
                self.found = await self._keys_of_agent()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._agent is not None:
            self._agent.close()
            await self._agent.wait_closed()

    async def _keys_of_agent(self) -> list[Any]:
        """Return the keys of the agent; raise `AuthArgumentError` if there is none."""
        place = f"{self._settings.location}: auth_type = agent: "
        try:
            self._agent = await asyncssh.connect_agent()
            keys = list(await self._agent.get_keys())
        except (OSError, ValueError, asyncssh.Error) as error:
            raise AuthArgumentError(
                f"{place}no agent responds at the path in SSH_AUTH_SOCK ({error}); start one with "
                "`eval $(ssh-agent)`"
            ) from error
        if not keys:
            raise AuthArgumentError(f"{place}the agent has no keys; add one by `ssh-add`")
        return keys
