"""A proxy in front of an S3 server that counts requests and injects faults."""

import itertools
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from testbed.exchange import Connection, Exchange, Upstream, UpstreamError
from testbed.faults import Fault, error_response, pass_on
from testbed.http_messages import BrokenMessageError, Headers, Request


@dataclass(frozen=True)
class Seen:
    """A request as it arrived; ``status`` is None until its response is on its way.

    ``connection`` numbers the client's connections: requests with the same number shared one.
    ``bytes_received`` and ``bytes_sent`` are of the whole bodies of the request and the response.
    """

    operation: str
    method: str
    path: str
    key: str
    query: str
    headers: Headers
    body: bytes
    connection: int
    bytes_received: int = 0
    bytes_sent: int = 0
    status: int | None = None


class Count:
    """The requests that arrived between its creation and the end of its block."""

    def __init__(self, seen: list[Seen], lock: Lock) -> None:
        self._seen = seen
        self._lock = lock
        self._first = len(seen)
        self._last: int | None = None

    @property
    def requests(self) -> list[Seen]:
        with self._lock:
            return self._seen[self._first : self._last]

    @property
    def operations(self) -> list[str]:
        """Return the operations' names in order of arrival."""
        return [request.operation for request in self.requests]

    @property
    def total(self) -> int:
        return len(self.requests)

    def stop(self) -> None:
        """Ignore requests that arrive from now on."""
        with self._lock:
            self._last = len(self._seen)


class Rule:
    """A fault for certain requests; a context manager that removes it at the end."""

    def __init__(
        self,
        fault: Fault,
        operation: str | None,
        key: str | None,
        method: str | None,
        times: int | None,
        after: int,
    ) -> None:
        self.fault = fault
        self.hits = 0
        self.released = Event()
        self._wanted = (operation, key, method)
        self._left = times
        self._to_spare = after

    def takes(self, request: Request) -> bool:
        """Return whether the fault acts on this request, and count it if so."""
        traits = (request.operation, request.key, request.method)
        fits = all(
            wanted is None or wanted == trait
            for wanted, trait in zip(self._wanted, traits, strict=True)
        )
        if not fits or self._left == 0 or self.released.is_set():
            return False
        if self._to_spare:
            self._to_spare -= 1
            return False
        if self._left is not None:
            self._left -= 1
        self.hits += 1
        return True

    def remove(self) -> None:
        """Stop injecting the fault, and release requests that hang or are delayed because of it."""
        self.released.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()


class FaultProxy:
    """Listens on loopback and passes requests on unchanged, except those that a rule takes.

    Uses one thread and one upstream connection for each client connection. Holds whole messages
    in memory. ``keep_body_bytes`` limits how much of each body ``requests`` keeps.
    """

    def __init__(self, upstream_url: str, *, keep_body_bytes: int = 65536) -> None:
        upstream = urlsplit(upstream_url)
        self._upstream_address = (upstream.hostname or "127.0.0.1", upstream.port or 80)
        self._keep_body_bytes = keep_body_bytes
        self._lock = Lock()
        self._seen: list[Seen] = []
        self._rules: list[Rule] = []
        self._connections: dict[int, Connection] = {}
        self._closed = False
        self._listener: socket.socket | None = None
        self._port = 0

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def requests(self) -> list[Seen]:
        """Return every request since the start or the last `clear`, in order of arrival.

        A request is included before the server or the client sees any effect of it, and its
        status is set before the first byte of the response is sent.
        """
        with self._lock:
            return list(self._seen)

    @contextmanager
    def counting(self) -> Iterator[Count]:
        """Count the requests that arrive within the block."""
        with self._lock:
            count = Count(self._seen, self._lock)
        try:
            yield count
        finally:
            count.stop()

    def inject(
        self,
        fault: Fault,
        *,
        operation: str | None = None,
        key: str | None = None,
        method: str | None = None,
        times: int | None = 1,
        after: int = 0,
    ) -> Rule:
        """Apply the fault to the next ``times`` matching requests (None: to all of them).

        The first ``after`` of them are skipped. If several rules match, the oldest one that has
        hits left applies.
        """
        rule = Rule(fault, operation, key, method, times, after)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Remove all rules, and forget the requests so far."""
        with self._lock:
            rules, self._rules = self._rules, []
            self._seen = []
        for rule in rules:
            rule.remove()

    def drop_connections(self) -> None:
        """Close the clients' open connections, as a server does after an idle timeout."""
        with self._lock:
            connections = list(self._connections.values())
        for connection in connections:
            connection.shut_down()

    def start(self) -> Self:
        """Start to listen; clients may connect when this returns."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._port = listener.getsockname()[1]
        self._listener = listener
        Thread(target=self._accept, args=(listener,), name="fault-proxy", daemon=True).start()
        return self

    def close(self) -> None:
        """Stop listening, remove all rules and close all connections."""
        with self._lock:
            self._closed = True
            connections = list(self._connections.values())
        if self._listener is not None:
            # close() alone wouldn't wake the thread that accepts.
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self.clear()
        for connection in connections:
            connection.shut_down()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def new_upstream(self) -> Upstream:
        """Return a connection to the server, for one client connection."""
        return Upstream(self._upstream_address)

    def _accept(self, listener: socket.socket) -> None:
        for number in itertools.count(1):
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            name = f"fault-proxy-{number}"
            Thread(target=self._serve, args=(raw, number), name=name, daemon=True).start()

    def _serve(self, raw: socket.socket, number: int) -> None:
        client = Connection(raw)
        upstream = self.new_upstream()
        with self._lock:
            self._connections[number] = client
            closed = self._closed
        try:
            # Clients that go away, and the end of the proxy, are not errors.
            with suppress(OSError, BrokenMessageError):
                while not closed and self._serve_one(client, upstream, number):
                    pass
        finally:
            with self._lock:
                del self._connections[number]
            client.close()
            upstream.close()

    def _serve_one(self, client: Connection, upstream: Upstream, number: int) -> bool:
        """Handle the next request; return whether another one may follow."""
        request = client.read_request()
        if request is None:
            return False
        log, index, rule = self._arrived(request, number)

        def answered(status: int, bytes_sent: int) -> None:
            with self._lock:
                log[index] = replace(log[index], status=status, bytes_sent=bytes_sent)

        released = rule.released if rule else Event()
        exchange = Exchange(request, client, upstream, answered, released)
        try:
            (rule.fault if rule else pass_on)(exchange)
        except UpstreamError as error:
            exchange.send(error_response(502, "BadGateway", str(error), request.path))
        return exchange.keeps_alive

    def _arrived(self, request: Request, number: int) -> tuple[list[Seen], int, Rule | None]:
        seen = Seen(
            operation=request.operation,
            method=request.method,
            path=request.path,
            key=request.key,
            query=request.query,
            headers=request.headers,
            body=request.body[: self._keep_body_bytes],
            connection=number,
            bytes_received=len(request.body),
        )
        with self._lock:
            self._seen.append(seen)
            rule = next((rule for rule in self._rules if rule.takes(request)), None)
            return self._seen, len(self._seen) - 1, rule
