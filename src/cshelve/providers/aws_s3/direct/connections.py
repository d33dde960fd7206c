"""Connections that stay open between requests: each process has one pool for each endpoint."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from cshelve._concurrency.per_process import PerProcess
from cshelve._concurrency.signals import is_from_signal_handler

if TYPE_CHECKING:
    import ssl

__all__ = ["Connection", "Endpoint", "NotSentError", "Pool", "leave", "pool_of"]

# Servers close idle connections after 5 to 60 seconds, and lose a request that arrives just then.
MOST_IDLE_SECONDS = 15.0


class NotSentError(Exception):
    """Raised if a request was not sent, as there is no connection for it."""


class Endpoint(NamedTuple):
    """The address that requests go to, and the CA certificates that verify the server."""

    host: str
    port: int
    is_secure: bool
    ca_path: str | None
    """The file or folder of trusted CA certificates; None if any server is trusted."""
    connect_seconds: float


class Connection:
    """A socket that carries one request at a time and is used by one thread at a time."""

    __slots__ = ("idle_since", "is_reused", "is_secure", "pool", "socket", "would_block")

    def __init__(self, of: Any, pool: Pool, *, would_block: tuple[type[OSError], ...]) -> None:
        self.socket = of
        self.pool = pool
        self.is_secure = False
        """Whether the socket uses TLS."""
        self.is_reused = False
        self.idle_since = 0.0
        self.would_block = would_block
        """The exceptions that a non-blocking socket raises where another would wait."""

    def __del__(self) -> None:
        # Ctrl-C may strike before the connection is in any list, or before it has a socket.
        if hasattr(self, "socket"):
            self.close()

    def close(self) -> None:
        """Close the socket.

        No TLS close_notify is sent: in a forked child, it would end the parent's TLS session.
        """
        self.socket.close()

    def is_fit(self) -> bool:
        """Return whether another request can be sent over this connection."""
        is_young = time.monotonic() - self.idle_since <= MOST_IDLE_SECONDS
        return is_young and (not _readable(self.socket) or self.has_nothing_to_say())

    def has_nothing_to_say(self) -> bool:
        """Return whether bytes that arrived on an idle connection belong to TLS alone.

        False if they are data, or the end of the connection.
        """
        if not self.is_secure:
            return False
        self.socket.settimeout(0)
        try:
            self.socket.recv(1)
        except self.would_block:
            return True
        except OSError:
            return False
        return False


class Pool:
    """The idle connections to an endpoint; the most recently used one is taken first.

    Safe in many threads: every operation on the list of connections is atomic.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.users = 0
        self._idle: list[Connection] = []
        self._address: Any = None
        self._context: ssl.SSLContext | None = None
        self._would_block: tuple[type[OSError], ...] = (BlockingIOError,)
        self._session: Any = None
        if endpoint.is_secure:
            self._context = _tls_context(endpoint.ca_path)
            self._would_block = _would_block_with_tls()

    def take(self) -> Connection | None:
        """Return an idle connection that can carry a request; None if there is none."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # Another thread was faster.
                return None
            if connection.is_fit():
                connection.is_reused = True
                return connection
            connection.close()
        return None

    def keep(self, connection: Connection) -> None:
        """Keep a connection for another request; its last response was read completely."""
        connection.idle_since = now = time.monotonic()
        self._idle.append(connection)
        self._close_old(now)
        if self.users <= 0:
            self.close()

    def open(self) -> Connection:
        """Open a connection, wait until it is ready, and return it.

        Raises `NotSentError` if that fails.
        """
        host, port, _, _, seconds = self.endpoint
        try:
            connected = socket.create_connection((host, port), timeout=seconds)
        except (OSError, UnicodeError) as error:
            if is_from_signal_handler(error):
                raise
            raise NotSentError(str(error)) from error
        try:
            self._address = connected.family, connected.getpeername()
            connection = self._made(connected)
            self.secure(connection)
            if connection.is_secure:
                connection.socket.do_handshake()
        except BaseException as error:
            connected.close()
            if isinstance(error, OSError | ValueError) and not is_from_signal_handler(error):
                raise NotSentError(str(error)) from error
            raise
        return connection

    def begin_to_open(self) -> Connection | None:
        """Begin to open a connection to the last address that worked; do not wait for it.

        Return None if no address is known, or if this fails. Then use `open`, which tries every
        address that the host name stands for.
        """
        if self._address is None:
            return None
        family, address = self._address
        connecting = None
        try:
            connecting = socket.socket(family, socket.SOCK_STREAM)
            connecting.setblocking(False)
            connecting.connect_ex(address)
            return self._made(connecting)
        except (OSError, ValueError) as error:
            if connecting is not None:
                connecting.close()
            if is_from_signal_handler(error):
                raise
            return None

    def secure(self, connection: Connection) -> None:
        """Wrap a connection's socket in TLS if the endpoint uses it; the handshake comes later.

        The TCP connection has to be established: `ssl` takes any other socket for a closed one.
        """
        if self._context is None:
            return
        connection.socket = self._context_of_now(self._context).wrap_socket(
            connection.socket,
            server_hostname=self.endpoint.host,
            do_handshake_on_connect=False,
            session=self._session,
        )
        connection.is_secure = True

    def forget_address(self) -> None:
        """Forget the last address, which does not respond; `open` then looks up the name again."""
        self._address = None

    def note_session(self, connection: Connection) -> None:
        """Keep the TLS session of a connection that has had a response; the next one resumes it."""
        if self._context is not None:
            self._session = connection.socket.session

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            try:
                self._idle.pop().close()
            except IndexError:
                return

    def _made(self, connected: socket.socket) -> Connection:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Connection(connected, self, would_block=self._would_block)

    def _context_of_now(self, made: Any) -> ssl.SSLContext:
        """Return the TLS context, or a new one if the program has patched `ssl` since it was made.

        gevent and eventlet patch `ssl`, and an old context cannot wrap the new kind of sockets.
        """
        import ssl

        if isinstance(made, ssl.SSLContext):
            return made
        self._session = None  # The TLS session belongs to the old context.
        self._context = context = _tls_context(self.endpoint.ca_path)
        return context

    def _close_old(self, now: float) -> None:
        # A slice cannot fail, even if another thread takes the oldest connection at this moment.
        for oldest in self._idle[:1]:
            if now - oldest.idle_since <= MOST_IDLE_SECONDS:
                return
            try:
                self._idle.remove(oldest)
            except ValueError:
                return
            oldest.close()
            self._close_old(now)


class _Pools:
    """The pools of one process. A forked child closes those of its parent."""

    def __init__(self) -> None:
        for inherited in _pools.of_others():
            for pool in inherited.of.values():
                pool.close()
        self.lock = threading.Lock()
        self.of: dict[tuple[object, ...], Pool] = {}


_pools = PerProcess(_Pools)


def pool_of(endpoint: Endpoint) -> Pool:
    """Return this process's pool for an endpoint; a new pool if the CA file has changed.

    Each call adds one user to the pool, which `leave` removes.
    """
    pools = _pools.get()
    key: tuple[object, ...] = (endpoint, *_version_of(endpoint.ca_path))
    with pools.lock:
        pool = pools.of.get(key)
        if pool is None:
            pool = pools.of[key] = Pool(endpoint)
        pool.users += 1
        return pool


def leave(pool: Pool) -> None:
    """Remove one user of a pool, and close the pool if no user is left."""
    pools = _pools.get()
    with pools.lock:
        pool.users -= 1
        if pool.users <= 0:
            pool.close()
            for key in [key for key, each in pools.of.items() if each is pool]:
                del pools.of[key]


def _version_of(ca_path: str | None) -> tuple[int, int]:
    if ca_path is None:
        return 0, 0
    try:
        file = os.stat(ca_path)
    except OSError as error:
        raise NotSentError(str(error)) from error
    return file.st_mtime_ns, file.st_size


def _tls_context(ca_path: str | None) -> ssl.SSLContext:
    """Return a TLS context with botocore's settings, which trusts only the certificates in a file.

    `ssl.create_default_context` is stricter from Python 3.13 on, and would refuse CA certificates
    that boto3 accepts. Raises `NotSentError` if the file cannot be read.
    """
    import ssl  # Imported late: many endpoints in tests and in private networks have no TLS.

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
    if ca_path is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context.hostname_checks_common_name = False
    try:
        if os.path.isdir(ca_path):
            context.load_verify_locations(capath=ca_path)
        else:
            context.load_verify_locations(cafile=ca_path)
    except (OSError, ssl.SSLError) as error:
        raise NotSentError(str(error)) from error
    return context


def _would_block_with_tls() -> tuple[type[OSError], ...]:
    import ssl

    return BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError


def _readable(of: Any) -> bool:
    """Return whether data has arrived at a socket, or the other side has closed it."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(of, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([of], [], [], 0)[0])
