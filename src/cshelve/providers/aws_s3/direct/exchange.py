"""One request and its response over a non-blocking connection, for a loop over many of them."""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cshelve.providers.aws_s3.direct.answers import NotPlainError, Reader
from cshelve.providers.aws_s3.direct.engine import ONE_SEND_BYTES, SMALL_BYTES, receive

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.direct.connections import Connection
    from cshelve.providers.aws_s3.direct.templates import Request

__all__ = ["Exchange"]

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Exchange:
    """A connection registered with a selector; it carries one request after another."""

    __slots__ = (
        *("_events", "_selector", "began", "connection", "is_open", "job", "mark", "out"),
        *("reader", "sent", "until"),
    )

    def __init__(
        self, connection: Connection, selector: selectors.BaseSelector, *, is_open: bool
    ) -> None:
        connection.socket.settimeout(0)
        self.connection = connection
        self.is_open = is_open
        self.job: Any = None
        """The caller's object that the request belongs to; None while there is no request."""
        self.reader: Reader | None = None
        self.out: list[memoryview] = []
        """The parts of the request that have not been sent yet."""
        self.sent = 0
        self.mark = 0
        """The value of `moved` when the current time limit began."""
        self.began = 0.0
        """When the request began."""
        self.until = 0.0
        """The time at which the exchange is late, as `time.monotonic` counts."""
        self._selector = selector
        self._events = READ if is_open else WRITE
        selector.register(connection.socket, self._events, self)

    @property
    def moved(self) -> int:
        """The number of bytes sent and received for the current request."""
        return self.sent + (self.reader.received if self.reader else 0)

    def begin(self, job: object, request: Request) -> None:
        """Prepare a request for sending; `push` or `move` sends it."""
        self.job = job
        self.reader = Reader(request.method)
        self.mark = self.sent = 0
        head, body = request.head, request.body
        if body is None or len(body) <= SMALL_BYTES:
            self.out = [memoryview(head if body is None else head + body)]
        else:
            self.out = [memoryview(head), memoryview(body).cast("B")]

    def end(self) -> None:
        """Forget the request, so that the connection can carry another one."""
        self.job = self.reader = None
        self.out = []

    def close(self) -> None:
        """Remove the connection from the selector, and close it."""
        self._selector.unregister(self.connection.socket)
        self.connection.close()

    def move(self, events: int, place_for: Callable[[Reader], memoryview | None]) -> bool:
        """Send and receive as much as possible without waiting.

        `place_for` is called when the head has arrived, and may return a buffer for the body.
        Return whether the response is complete. Raises `OSError` and `NotPlainError`.
        """
        try:
            if not self.is_open:
                self._open()
            was_sent = not self.out
            if not was_sent:
                self.push()
            if not (events & READ and (was_sent or self.out)):
                return False
            return self._pull(place_for)
        except self.connection.would_block:
            return False

    def push(self) -> None:
        """Send as much of the request as the socket accepts without waiting."""
        try:
            while self.out:
                data = self.out[0]
                sent = self.connection.socket.send(data[:ONE_SEND_BYTES])
                self.sent += sent
                if sent == len(data):
                    self.out.pop(0)
                else:
                    self.out[0] = data[sent:]
        except self.connection.would_block:
            self._watch(READ | WRITE)
        else:
            self._watch(READ)

    def _pull(self, place_for: Callable[[Reader], memoryview | None]) -> bool:
        """Receive the bytes that have arrived; return whether the response is complete."""
        reader = self.reader
        assert reader is not None
        while True:
            had_head = reader.length is not None
            receive(self.connection, reader)
            if self.out:
                raise NotPlainError("a response before the request was sent")
            if reader.is_done:
                return True
            if not had_head and reader.length and (place := place_for(reader)):
                reader.receive_into(place)
            if not (self.connection.is_secure and self.connection.socket.pending()):
                return False

    def _open(self) -> None:
        """Continue to open the connection; raise one of `would_block` if it is not open yet."""
        connection = self.connection
        problem = connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            raise OSError(problem, os.strerror(problem))
        if not connection.is_secure:
            # TLS replaces the socket by another object with the same descriptor.
            self._selector.unregister(connection.socket)
            try:
                connection.pool.secure(connection)
            finally:
                self._selector.register(connection.socket, self._events, self)
        if connection.is_secure:
            try:
                connection.socket.do_handshake()
            except connection.would_block as error:
                self._watch(READ if "Read" in type(error).__name__ else WRITE)
                raise
        self.is_open = True

    def _watch(self, events: int) -> None:
        if self._events != events:
            self._events = events
            self._selector.modify(self.connection.socket, events, self)
