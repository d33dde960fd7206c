"""An HTTP server that responds with exactly the bytes a test gives it.

::

    with ScriptedServer([OK, [b"HTTP/1.1 200 OK\\r\\nContent-Le", 0.1, RESET]]) as server:
        ...  # talk to server.endpoint_url
    assert server.requests[0].headers[0] == ("Host", "…")

The first response is for the first request, over whichever connection it arrives, and so on.
Requests after the last response are never answered. If a list is not enough, the script can be a
function.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from io import BufferedReader
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Self

_PATIENCE_SECONDS = 60.0


class Step(Enum):
    """What a response can do besides sending bytes and pausing."""

    READ_BODY = "read the rest of the request, where the server does not do that by itself"
    CLOSE = "close: FIN (but RST if the client sent what was not read); over TLS no close_notify"
    RESET = "close with RST, which also throws away what the client has not read yet"
    SILENCE = "send nothing more, read nothing more, and keep the connection open"


READ_BODY, CLOSE, RESET, SILENCE = Step
# A number is a pause in seconds, which ends early when the server ends.
Answer = bytes | Iterable[bytes | float | Step]


@dataclass
class ScriptedRequest:
    """A request as it arrived; ``body`` is as on the wire, including the framing of chunks.

    ``connection`` counts from 0. ``headers`` keep their order and case; ``head`` is raw.
    """

    method: str
    target: str
    headers: list[tuple[str, str]]
    head: bytes
    connection: int
    body: bytes = b""
    is_complete: bool = False

    def header(self, name: str) -> str:
        """Return the first value of a header, by case-insensitive name, or an empty string."""
        return next((value for each, value in self.headers if each.lower() == name.lower()), "")


Script = Sequence[Answer] | Callable[[int, ScriptedRequest], Answer]


def drip(data: bytes, seconds: float = 0.001) -> Iterator[bytes | float]:
    """Send one byte at a time, with a pause after each."""
    for at in range(len(data)):
        yield data[at : at + 1]
        yield seconds


class ScriptedServer:
    """Listens on 127.0.0.1, with TLS if there is a certificate; a context manager.

    The certificate comes from ``testbed.tls_front.write_certificate``. With ``reads_bodies`` off,
    a response begins as soon as the head has arrived, for example with 100 Continue or a refusal.
    The rest of the body is read after the response, so that the next request is found.
    """

    def __init__(
        self, script: Script = (), certificate: Path | None = None, *, reads_bodies: bool = True
    ) -> None:
        self.requests: list[ScriptedRequest] = []
        self.connections = 0
        self._script = script
        self._reads_bodies = reads_bodies
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate, certificate.with_suffix(".key"))
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._lock = Lock()
        self._open: set[socket.socket] = set()
        self._ended = Event()

    @property
    def endpoint_url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def answers(self, *script: Answer) -> None:
        """Answer the next requests with these responses, and forget earlier requests."""
        with self._lock:
            self.requests, self._script = [], script

    def __enter__(self) -> Self:
        Thread(target=self._accept, name="scripted-server", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with self._lock:
            for each in (self._listener, *self._open):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                raw, _ = self._listener.accept()
                with self._lock:
                    number, self.connections = self.connections, self.connections + 1
                Thread(target=self._serve, args=(raw, number), daemon=True).start()

    def _serve(self, raw: socket.socket, number: int) -> None:
        # A client that disconnects, or rejects the certificate, is not an error.
        with suppress(OSError), raw:
            raw.settimeout(_PATIENCE_SECONDS)
            # Send each piece as a separate packet.
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = self._tls.wrap_socket(raw, server_side=True) if self._tls else raw
            with self._lock:
                self._open.add(client)
            try:
                with client, client.makefile("rb") as stream:
                    while self._answer_one(client, stream, number):
                        pass
            finally:
                with self._lock:
                    self._open.discard(client)

    def _answer_one(self, client: socket.socket, stream: BufferedReader, number: int) -> bool:
        """Read a request and respond to it; return whether another one may follow."""
        request = _read_head(stream, number)
        if request is None:
            return False
        with self._lock:
            index = len(self.requests)
            self.requests.append(request)
            script = self._script
        if self._reads_bodies:
            if request.header("Expect").lower() == "100-continue":
                # As servers do; boto3 waits a second for it.
                client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            _read_body(stream, request)
        if callable(script):
            answer = script(index, request)
        else:
            answer = script[index] if index < len(script) else [SILENCE]
        for step in [answer] if isinstance(answer, bytes) else answer:
            match step:
                case bytes():
                    client.sendall(step)
                case int() | float():
                    self._ended.wait(step)
                case Step.READ_BODY:
                    _read_body(stream, request)
                case Step.SILENCE:
                    self._ended.wait()
                case Step.RESET:
                    linger = struct.pack("ii", 1, 0)
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    return False
                case Step.CLOSE:
                    return False
            if self._ended.is_set():
                return False
        _read_body(stream, request)
        return request.is_complete


def _read_head(stream: BufferedReader, connection: int) -> ScriptedRequest | None:
    lines: list[bytes] = []
    while (line := stream.readline()) != b"\r\n":
        if not line.endswith(b"\n"):
            return None
        lines.append(line)
    first, *fields = [line.decode("latin-1").rstrip("\r\n") for line in lines]
    method, target, *_ = [*first.split(" "), ""]
    pairs = [line.partition(":")[::2] for line in fields]
    headers = [(name, value.strip()) for name, value in pairs]
    return ScriptedRequest(method, target, headers, b"".join(lines) + b"\r\n", connection)


def _read_body(stream: BufferedReader, request: ScriptedRequest) -> None:
    """Read the rest of the body; it stays incomplete if the client disconnects."""
    if request.is_complete:
        return
    if request.header("Transfer-Encoding").lower() != "chunked":
        length = int(request.header("Content-Length") or 0)
        request.body += stream.read(length)
        request.is_complete = len(request.body) == length
        return
    size = -1
    while size:
        line = stream.readline()
        size = int(line.partition(b";")[0] or b"0", 16)
        request.body += line + (stream.read(size + 2) if size else b"")
    while line not in (b"\r\n", b""):
        line = stream.readline()
        request.body += line
    request.is_complete = line == b"\r\n"
