"""A TCP relay that delays each request, or refuses some of them.

    python -m benchmarks.relay HOST PORT MILLISECONDS REFUSED

prints its port, and relays until it is terminated. One in REFUSED of the requests without a body is
answered with 503, as by an overloaded server; 0 means none. Opening a connection adds no delay, and
the bandwidth is not limited. The relay is a separate process, so that it does not compete for the
interpreter with the program that is measured.
"""

from __future__ import annotations

import selectors
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

__all__ = ["relay"]

_BODY = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
_REFUSAL = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nx-amz-request-id: RELAY\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


@contextmanager
def relay(endpoint_url: str, milliseconds: int = 0, refused: int = 0) -> Iterator[str]:
    """Run a relay to this server, and yield the URL to use instead of the server's."""
    address = urlsplit(endpoint_url)
    arguments = [str(address.hostname), str(address.port), str(milliseconds), str(refused)]
    command = [sys.executable, "-m", "benchmarks.relay", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


class Relay:
    """Relays all connections in one thread."""

    def __init__(self, server: tuple[str, int], seconds: float, refused: int) -> None:
        self._server = server
        self._seconds = seconds
        self._refused = refused
        self._requests = 0
        self._waiting: deque[tuple[float, socket.socket, bytes]] = deque()
        self._servers: dict[socket.socket, socket.socket] = {}
        self._clients: dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def serve(self) -> None:
        print(self._listener.getsockname()[1], flush=True)
        while True:
            first = self._waiting[0][0] if self._waiting else None
            seconds = None if first is None else max(0.0, first - time.monotonic())
            for key, _ in self._selector.select(seconds):
                key.data(key.fileobj)
            now = time.monotonic()
            while self._waiting and self._waiting[0][0] <= now:
                _, target, data = self._waiting.popleft()
                with suppress(OSError):
                    target.sendall(data)

    def _accept(self, _: socket.socket) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(self._server)
        self._servers[client], self._clients[server] = server, client
        for each, act in ((client, self._from_client), (server, self._from_server)):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(each, selectors.EVENT_READ, act)

    def _from_client(self, client: socket.socket) -> None:
        # Of several events received together, an earlier one may have ended the connection.
        server = self._servers.get(client)
        if server is None:
            return
        data = received(client)
        if not data:
            self._end(client, server)
            return
        is_request = data.startswith((b"GET ", b"HEAD ", b"DELETE ")) and data.endswith(b"\r\n\r\n")
        self._requests += is_request
        is_refused = self._refused and is_request and not self._requests % self._refused
        what = (client, _REFUSAL) if is_refused else (server, data)
        self._waiting.append((time.monotonic() + self._seconds, *what))

    def _from_server(self, server: socket.socket) -> None:
        client = self._clients.get(server)
        if client is None:
            return
        data = received(server)
        if not data:
            self._end(client, server)
            return
        with suppress(OSError):
            client.sendall(data)

    def _end(self, client: socket.socket, server: socket.socket) -> None:
        del self._servers[client], self._clients[server]
        for each in (client, server):
            self._selector.unregister(each)
            each.close()


def received(source: socket.socket) -> bytes:
    try:
        return source.recv(1 << 16)
    except OSError:
        return b""


if __name__ == "__main__":
    Relay((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]) / 1000, int(sys.argv[4])).serve()
