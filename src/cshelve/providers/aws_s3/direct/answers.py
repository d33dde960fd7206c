"""Parse an HTTP/1.1 response strictly and without I/O: feed a `Reader` until it is done.

Anything unusual (another HTTP version, two lengths or none, a byte too many, a header that spans
several lines, a chunk with an extension) raises `NotPlainError`, and boto3 sends the request again.
https://www.rfc-editor.org/rfc/rfc9112
"""

from __future__ import annotations

import io
import re
from typing import NamedTuple

__all__ = ["Answer", "NotPlainError", "Reader"]

MOST_HEAD_BYTES = 64 * 1024
MOST_HEAD_LINES = 100
# The most that one call receives of a small body. malloc would map and unmap a larger buffer for
# each response.
PIECE_BYTES = 64 * 1024
LARGE_PIECE_BYTES = 1024 * 1024

STATUS_LINE = re.compile(r"HTTP/1\.1 [1-9][0-9]{2}(?: .*)?")
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
LENGTH = re.compile("[0-9]{1,18}")
CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
# Headers that may come only once, since it would be unclear which of two counts. Servers do repeat
# other headers, such as Vary.
ONCE = frozenset({"content-length", "transfer-encoding", "etag", "content-range", "location"})


class NotPlainError(Exception):
    """Raised for a response that is left to boto3; the message says why."""

    def __init__(self, why: str, status: int = 0, code: str = "") -> None:
        super().__init__(why)
        self.code = code
        """S3's error code in the response; empty if there is none."""
        self.status = status
        """The HTTP status, if it is the reason for the error; otherwise 0."""


class Answer(NamedTuple):
    """A complete response, with header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


class Reader:
    """A response while it arrives.

    Memory for the body grows with the bytes that arrive, whatever length the server declares,
    unless the caller provides a buffer (`receive_into`).
    """

    __slots__ = (
        *("_chunk_left", "_has_begun", "_has_continued", "_has_no_body", "_head_bytes"),
        *("_is_cut", "_is_last_chunk", "_left", "_pieces", "_rest"),
        *("headers", "is_done", "length", "place", "received", "status"),
    )

    def __init__(self, method: str) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.length: int | None = None
        """The length of the body, once the head has arrived; None if the body comes in chunks."""
        self.received = 0
        """The number of bytes of the response that have arrived."""
        self.place: memoryview | None = None
        """The unfilled rest of the caller's buffer; None if there is no buffer, or it is full."""
        self.is_done = False
        self._has_no_body = method == "HEAD"
        self._has_begun = False
        self._has_continued = False
        self._head_bytes = 0
        self._rest = b""
        self._left = 0
        self._is_cut = False
        self._chunk_left = 0
        self._is_last_chunk = False
        self._pieces: io.BytesIO | None = None

    @property
    def closes(self) -> bool:
        """Whether the connection cannot be reused after this response."""
        return self._is_cut or "close" in self.headers.get("connection", "").lower()

    @property
    def body_bytes(self) -> int:
        """The number of bytes of the body that have arrived, without the framing of chunks."""
        if not self._has_begun:
            return 0
        if self.length is None:
            return self._pieces.tell() if self._pieces is not None else 0
        return self.received - self._head_bytes

    @property
    def wanted_bytes(self) -> int:
        """The number of bytes to receive in the next call."""
        left = self._left
        return PIECE_BYTES if left <= PIECE_BYTES else min(left, LARGE_PIECE_BYTES)

    def filled(self, count: int) -> None:
        """Record that `count` bytes of the body were written into `place`."""
        assert self.place is not None
        self.received += count
        self._left -= count
        self.place = self.place[count:] if self._left else None
        self.is_done = not self._left

    def receive_into(self, buffer: memoryview) -> None:
        """Use a buffer for the body, and treat the response as complete when the buffer is full.

        Call this once the head has arrived. The part of the body that is already here is copied
        into the buffer. If the body is longer than the buffer, the connection cannot be reused.
        """
        arrived = self._pieces.getvalue() if self._pieces is not None else b""
        count = min(len(arrived), len(buffer))
        buffer[:count] = arrived[:count]
        self._pieces = None
        self._is_cut = self.length != len(buffer)
        self._left = len(buffer) - count
        self.place = buffer[count:] if self._left else None
        self.is_done = not self._left

    def answer(self) -> Answer:
        """Return the response; call this only when `is_done` is true."""
        body = self._pieces.getvalue() if self._pieces is not None else self._rest
        return Answer(self.status, self.headers, body)

    def feed(self, data: bytes) -> bool:
        """Add bytes that have arrived; return whether the response is complete.

        Raises `NotPlainError` for anything unusual.
        """
        if self.is_done:
            raise NotPlainError("more than the response")
        self.received += len(data)
        if not self._has_begun:
            data = self._rest + data if self._rest else data
            end = data.find(b"\r\n\r\n")
            if end < 0 or end > MOST_HEAD_BYTES:
                if len(data) > MOST_HEAD_BYTES:
                    raise NotPlainError("headers without end")
                self._rest = data
                return False
            self._rest = b""
            self._read_head(data[:end].decode("latin-1"))
            data = data[end + 4 :]
            if self.status == 100:
                # An interim response, for requests that wait for one, which ours never do.
                if self._has_continued:
                    raise NotPlainError("status 100 twice")
                self._has_continued = True
                self.status = 0
                self.received -= len(data)  # `feed` counts them again.
                return self.feed(data) if data else False
            self._has_begun = True
            self._head_bytes = self.received - len(data)
            if self.length == len(data):
                # A small response that arrived in one piece needs no further copy.
                self._rest = data
                self.is_done = True
                return True
            self._pieces = io.BytesIO()
        if self.length is None:
            self._add_chunks(data)
        else:
            self._add(data)
        return self.is_done

    def _add(self, data: bytes) -> None:
        if len(data) > self._left:
            raise NotPlainError("more than the response")
        if self.place is not None:
            self.place[: len(data)] = data
            self.received -= len(data)  # `filled` counts them.
            self.filled(len(data))
            return
        assert self._pieces is not None
        self._pieces.write(data)
        self._left -= len(data)
        self.is_done = not self._left

    def _add_chunks(self, data: bytes) -> None:
        """Add bytes of a chunked body; raise `NotPlainError` for bytes after the last chunk."""
        assert self._pieces is not None
        rest = self._rest + data if self._rest else data
        at = 0
        while at < len(rest) and not self.is_done:
            if self._chunk_left > 2:
                piece = rest[at : at + self._chunk_left - 2]
                self._pieces.write(piece)
                self._chunk_left -= len(piece)
                at += len(piece)
            elif self._chunk_left:
                if len(rest) - at < 2:
                    break
                if rest[at : at + 2] != b"\r\n":
                    raise NotPlainError("a chunk that does not end")
                at += 2
                self._chunk_left = 0
                self.is_done = self._is_last_chunk
            else:
                end = rest.find(b"\r\n", at, at + 18)
                if end < 0 and len(rest) - at < 18:
                    break
                if not CHUNK_SIZE.fullmatch(rest, at, max(end, at)):
                    raise NotPlainError("a chunk without a plain size")
                size = int(rest[at:end], 16)
                at = end + 2
                self._chunk_left = size + 2
                self._is_last_chunk = not size
        self._rest = rest[at:]
        if self.is_done and self._rest:
            raise NotPlainError("more than the response")

    def _read_head(self, text: str) -> None:
        lines = text.split("\r\n")
        first = lines[0]
        if not STATUS_LINE.fullmatch(first):
            raise NotPlainError(f"no HTTP/1.1: {first:.20}")
        if len(lines) > MOST_HEAD_LINES or not "".join(lines).isprintable():
            raise NotPlainError("headers that are no plain text")
        self.status = int(first[9:12])
        if 100 < self.status < 200:
            raise NotPlainError(f"status {self.status}")
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            name = name.lower()
            if not colon or not name or (name in headers and name in ONCE):
                raise NotPlainError(f"the header {name:.20}")
            headers[name] = value.strip(" ")
        if headers and not TOKEN.fullmatch("".join(headers)):
            raise NotPlainError("names of headers that are none")
        self.headers = headers
        if self.status != 100:
            self._frame(headers)

    def _frame(self, headers: dict[str, str]) -> None:
        """Set the length of the body from the headers; raise `NotPlainError` if it is unclear."""
        length, coding = headers.get("content-length"), headers.get("transfer-encoding")
        if length is not None and not LENGTH.fullmatch(length):
            raise NotPlainError("a length that is no number")
        if self.status == 204 and (coding is not None or length not in {None, "0"}):
            raise NotPlainError("a body where there is none")
        if self._has_no_body or self.status in {204, 304}:
            self.length = 0
        elif coding is not None:
            if coding.lower() != "chunked" or length is not None:
                raise NotPlainError("a body whose end is declared twice, or in an unknown way")
        elif length is None:
            raise NotPlainError("a response without a length")
        else:
            self.length = self._left = int(length)
