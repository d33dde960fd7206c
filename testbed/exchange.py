"""One request and its response, between a client's connection and the upstream server."""

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from threading import Event

from testbed.http_messages import (
    BrokenMessageError,
    Request,
    Response,
    has_body,
    read_request,
    read_response,
)

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 60.0


class UpstreamError(Exception):
    """Raised if the upstream server can't be reached, or broke off its response."""


class Connection:
    """A socket and its buffered reading side, closed together."""

    def __init__(self, raw: socket.socket) -> None:
        self.socket = raw
        self.stream = raw.makefile("rb")
        # Nagle's algorithm would delay the second packet of a response by 40 ms.
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read_request(self) -> Request | None:
        return read_request(
            self.stream, lambda: self.socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        )

    def is_stale(self) -> bool:
        """Return whether the peer has closed an idle connection, or sent data without a request."""
        timeout = self.socket.gettimeout()
        self.socket.setblocking(False)
        try:
            self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self.socket.settimeout(timeout)
        return True

    def shut_down(self) -> None:
        """End the connection from another thread; the thread that waits on it then closes it."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        # The socket stays open until the stream is closed.
        with suppress(OSError):
            self.stream.close()
        self.socket.close()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        linger = struct.pack("ii", 1, 0)
        with suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close()


class Upstream:
    """The persistent connection to the upstream server, for one client connection."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._connection: Connection | None = None

    def exchange(self, request: Request) -> Response:
        """Send the request and return the whole response; raise UpstreamError on failure."""
        try:
            reused = self._connection is not None and not self._connection.is_stale()
            response = self._attempt(request, self._connection if reused else None)
            if response is None and reused:
                # The server closed the connection before it saw the request.
                response = self._attempt(request, None)
        except (OSError, BrokenMessageError) as error:
            self.close()
            raise UpstreamError(f"{type(error).__name__}: {error}") from error
        if response is None:
            self.close()
            raise UpstreamError("closed without a response")
        if response.closes:
            self.close()
        return response

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _attempt(self, request: Request, connection: Connection | None) -> Response | None:
        if connection is None:
            self.close()
            connection = Connection(socket.create_connection(self._address, _CONNECT_SECONDS))
            connection.socket.settimeout(_ANSWER_SECONDS)
            self._connection = connection
        # A server may refuse a long body and close before its end: its response still counts.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.socket.sendall(request.encode())
        try:
            return read_response(connection.stream, request.method)
        except ConnectionResetError:
            return None


class Exchange:
    """The argument of a fault: the request, and methods to reach the server and the client.

    If a fault neither sends nor resets, the client gets no response, and its connection is
    closed.
    """

    def __init__(
        self,
        request: Request,
        client: Connection,
        upstream: Upstream,
        answered: Callable[[int, int], None],
        released: Event,
    ) -> None:
        self.request = request
        self.client = client
        self._upstream = upstream
        self._answered = answered
        self._released = released
        self.keeps_alive = False

    def forward(self) -> Response:
        """Pass the request to the server and return its response; the client gets nothing yet."""
        return self._upstream.exchange(self.request)

    def send(self, response: Response) -> None:
        """Send a response to the client; keep the connection open if both sides want that."""
        self._send(response, response.body)
        self.keeps_alive = self.request.keeps_alive and not response.closes

    def send_cut(self, response: Response, after_bytes: int) -> None:
        """Send the original headers and the beginning of the body, and close."""
        self._send(response, response.body[:after_bytes], complete=False)

    def wait(self, seconds: float | None = None) -> None:
        """Wait that long, or forever, until the rule is removed or the proxy ends."""
        self._released.wait(seconds)

    def reset(self) -> None:
        """Close the client's connection with RST."""
        self.client.reset()

    def _send(self, response: Response, body: bytes, complete: bool = True) -> None:
        may_have_body = has_body(self.request.method, response.status)
        body = body if may_have_body else b""
        self._answered(response.status, len(body))
        if may_have_body and response.is_chunked:
            body = _one_chunk(body, len(response.body), complete)
        self.client.socket.sendall(response.encode_head() + body)


def _one_chunk(body: bytes, announced: int, complete: bool) -> bytes:
    if not announced:
        return b"0\r\n\r\n"
    return b"%x\r\n" % announced + body + (b"\r\n0\r\n\r\n" if complete else b"")
