"""Presigned requests over plain sockets, whose responses are received and discarded.

The time is that of the server, with next to no work in the client.
"""

from __future__ import annotations

import re
import selectors
import socket
from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlsplit

__all__ = ["Raw", "get"]

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_END_OF_CHUNKS = b"0\r\n\r\n"
_PIECE_BYTES = 1 << 18


def get(url: str) -> bytes:
    """Return the bytes of a GET request for a presigned URL."""
    parts = urlsplit(url)
    return f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()


class Raw:
    """Persistent connections to a server."""

    def __init__(self, endpoint_url: str, connections: int = 1) -> None:
        address = urlsplit(endpoint_url)
        self._selector = selectors.DefaultSelector()
        self._all = [
            socket.create_connection((str(address.hostname), int(address.port or 80)))
            for _ in range(connections)
        ]
        for each in self._all:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(each, selectors.EVENT_READ, Answer())

    def close(self) -> None:
        self._selector.close()
        for each in self._all:
            each.close()

    def fetch(self, requests: Iterable[bytes]) -> None:
        """Send all requests, each over a free connection, and wait for the responses."""
        left = iter(requests)
        flying = 0
        with suppress(StopIteration):
            for each in self._all:
                each.sendall(next(left))
                flying += 1
        while flying:
            for key, _ in self._selector.select():
                source = key.fileobj
                assert isinstance(source, socket.socket)
                if key.data.is_whole_with(source.recv(_PIECE_BYTES)):
                    flying -= 1
                    with suppress(StopIteration):
                        source.sendall(next(left))
                        flying += 1


class Answer:
    """Tracks how much of a response is still missing; after its end, of the next response."""

    def __init__(self) -> None:
        self._head: bytes | None = b""
        self._left: int | None = None
        self._tail = b""

    def is_whole_with(self, data: bytes) -> bool:
        if not data:
            raise ConnectionResetError("the server ended a connection")
        if self._head is not None:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return False
            if head[9:12] != b"200":
                raise RuntimeError(f"the server says {head.decode('latin-1', 'replace')}")
            length = _LENGTH.search(head + b"\r\n")
            self._head, self._tail = None, b""
            self._left = int(length[1]) if length else None
        if self._left is None:
            self._tail = (self._tail + data)[-len(_END_OF_CHUNKS) :]
            is_whole = self._tail == _END_OF_CHUNKS
        else:
            self._left -= len(data)
            is_whole = not self._left
        if is_whole:
            self._head = b""
        return is_whole
