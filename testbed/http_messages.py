"""HTTP/1.1 messages as they are on the wire, to be passed on unchanged.

``http.client`` and ``http.server`` reorder and add headers, and change their case. Signed requests,
and tests that compare bytes, do not allow that.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from http import HTTPStatus
from io import BufferedReader

from testbed.s3_operations import bucket_and_key, operation_of

_LINE_BYTES = 65536


class BrokenMessageError(Exception):
    """Raised if the peer closed the connection within a message, or did not send HTTP."""


class Headers(Mapping[str, str]):
    """Header fields by case-insensitive name; ``pairs`` has all of them as sent."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.pairs = tuple(pairs)
        self._by_name = {name.lower(): value for name, value in reversed(self.pairs)}

    def __getitem__(self, name: str) -> str:
        return self._by_name[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return f"Headers({list(self.pairs)!r})"


@dataclass(frozen=True)
class Request:
    """A request as received; ``path`` and ``query`` are raw, ``body`` has no chunk framing."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    # The bytes to pass on: the lines of the head, and the body with its chunks and trailers.
    head: tuple[bytes, ...]
    wire_body: bytes

    @cached_property
    def operation(self) -> str:
        return operation_of(self.method, self.path, self.query, self.headers)

    @cached_property
    def key(self) -> str:
        return bucket_and_key(self.path)[1]

    @property
    def keeps_alive(self) -> bool:
        connection = self.headers.get("Connection", "").lower()
        if self.head[0].rstrip().endswith(b"HTTP/1.0"):
            return "keep-alive" in connection
        return "close" not in connection

    def encode(self) -> bytes:
        """Return the received bytes without ``Expect``, which the proxy answers itself."""
        head = (line for line in self.head if not line.lower().startswith(b"expect:"))
        return b"".join(head) + b"\r\n" + self.wire_body


@dataclass(frozen=True)
class Response:
    """A response; ``body`` has no chunk framing, and the headers say how it is framed."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    version: str = "HTTP/1.1"

    def header(self, name: str) -> str | None:
        """Return the first value of a header, by case-insensitive name."""
        wanted = name.lower()
        return next((value for name, value in self.headers if name.lower() == wanted), None)

    @property
    def is_chunked(self) -> bool:
        return "chunked" in (self.header("Transfer-Encoding") or "").lower()

    @property
    def closes(self) -> bool:
        """Return whether the connection cannot be used after this response."""
        connection = (self.header("Connection") or "").lower()
        if self.version == "HTTP/1.0":
            return "keep-alive" not in connection
        return "close" in connection

    def without_framing(self) -> "Response":
        """Return a copy without headers that say where the body ends."""
        framing = ("content-length", "transfer-encoding")
        kept = [pair for pair in self.headers if pair[0].lower() not in framing]
        return replace(self, headers=kept)

    def with_length(self) -> "Response":
        """Return a copy with the Content-Length of its body instead of any other framing."""
        unframed = self.without_framing()
        length = ("Content-Length", str(len(self.body)))
        return replace(unframed, headers=[*unframed.headers, length])

    def encode_head(self) -> bytes:
        fields = "".join(f"{name}: {value}\r\n" for name, value in self.headers)
        return f"{self.version} {self.status} {self.reason}\r\n{fields}\r\n".encode("latin-1")


def made_response(status: int, headers: Iterable[tuple[str, str]], body: bytes) -> Response:
    """Return a response made by the proxy, with the usual reason and its length."""
    known = status in HTTPStatus._value2member_map_
    reason = HTTPStatus(status).phrase if known else "Made Up"
    return Response(status, reason, list(headers), body).with_length()


def has_body(method: str, status: int) -> bool:
    """Return whether a response to this method with this status may have a body."""
    return method != "HEAD" and status >= 200 and status not in (204, 304)


def read_request(stream: BufferedReader, proceed: Callable[[], None]) -> Request | None:
    """Read a whole request, and call proceed before a body that waits for 100 Continue."""
    head = _read_head(stream)
    if head is None:
        return None
    try:
        method, target, _ = head[0].decode("latin-1").split()
    except ValueError:
        raise BrokenMessageError(f"not a request line: {head[0]!r}") from None
    path, _, query = target.partition("?")
    headers = Headers(_fields(head))
    if "100-continue" in headers.get("Expect", "").lower():
        proceed()
    if "chunked" in headers.get("Transfer-Encoding", "").lower():
        body, wire_body = _read_chunked(stream)
    else:
        body = wire_body = _read_exactly(stream, _number(headers.get("Content-Length", "0"), 10))
    return Request(method, path, query, headers, body, tuple(head), wire_body)


def read_response(stream: BufferedReader, method: str) -> Response | None:
    """Read the whole final response to a request of this method."""
    head = _read_head(stream)
    while head is not None and head[0].split()[1].startswith(b"1"):
        head = _read_head(stream)
    if head is None:
        return None
    version, _, rest = head[0].decode("latin-1").rstrip("\r\n").partition(" ")
    code, _, reason = rest.partition(" ")
    response = Response(_number(code, 10), reason, list(_fields(head)), version=version)
    if not has_body(method, response.status):
        return response
    if response.is_chunked:
        return replace(response, body=_read_chunked(stream)[0])
    length = response.header("Content-Length")
    if length is not None:
        return replace(response, body=_read_exactly(stream, _number(length, 10)))
    # The body ends with the connection, which has to be so for the client too.
    ending = [*response.headers, ("Connection", "close")]
    return replace(response, headers=ending, body=stream.read())


def _read_head(stream: BufferedReader) -> list[bytes] | None:
    first = stream.readline(_LINE_BYTES)
    if not first:
        return None
    lines = [first]
    while (line := stream.readline(_LINE_BYTES)) not in (b"\r\n", b"\n"):
        if not line.endswith(b"\n"):
            raise BrokenMessageError("closed within the headers")
        lines.append(line)
    if len(first.split()) < 2:
        raise BrokenMessageError(f"not HTTP: {first!r}")
    return lines


def _fields(head: list[bytes]) -> Iterator[tuple[str, str]]:
    for line in head[1:]:
        name, _, value = line.decode("latin-1").partition(":")
        yield name, value.strip(" \t\r\n")


def _read_exactly(stream: BufferedReader, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise BrokenMessageError(f"closed after {len(data)} of {size} bytes")
    return data


def _read_chunked(stream: BufferedReader) -> tuple[bytes, bytes]:
    """Return the body without its framing, and the body as it was on the wire."""
    parts: list[bytes] = []
    wire: list[bytes] = []
    while True:
        line = stream.readline(_LINE_BYTES)
        wire.append(line)
        size = _number(line.partition(b";")[0].decode("latin-1"), 16)
        if size == 0:
            break
        chunk = _read_exactly(stream, size + 2)
        wire.append(chunk)
        parts.append(chunk[:size])
    while wire[-1] not in (b"\r\n", b"\n"):
        trailer = stream.readline(_LINE_BYTES)
        if not trailer:
            raise BrokenMessageError("closed within the trailers")
        wire.append(trailer)
    return b"".join(parts), b"".join(wire)


def _number(text: str, base: int) -> int:
    try:
        return int(text, base)
    except ValueError:
        raise BrokenMessageError(f"not a number: {text!r}") from None
