"""Readers to compare with: `http.client`, and one that knows nothing but the grammar."""

from __future__ import annotations

import http.client
import io
import re
from typing import Any, NamedTuple

# Of the grammar of RFC 9112, for all of an answer; with white space that is nothing but blanks.
TEXT = rb"[ \x21-\x7e\xa1-\xac\xae-\xff]*"
FIELD = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:" + TEXT + rb"\r\n"
REST = rb"(?: " + TEXT + rb")?\r\n((?:" + FIELD + rb")*)\r\n"
CONTINUE = re.compile(rb"HTTP/1\.1 100" + REST)
HEAD = re.compile(rb"HTTP/1\.1 ([1-9][0-9]{2})" + REST)
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})\r\n")


class Taken(NamedTuple):
    """What is read out of an answer."""

    status: int
    body: bytes


def by_grammar(data: bytes, method: str) -> Taken | None:
    """Read an answer that has nothing behind it; None if it is not one."""
    interim = CONTINUE.match(data)
    data = data[interim.end() :] if interim else data
    found = HEAD.match(data)
    if found is None:
        return None
    status, body = int(found[1]), data[found.end() :]
    fields: dict[bytes, list[bytes]] = {}
    for line in found[2].split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        fields.setdefault(name.lower(), []).append(value.strip(b" "))
    alone = (b"content-length", b"transfer-encoding", b"etag", b"content-range", b"location")
    if any(len(fields.get(name, [])) > 1 for name in alone) or 100 <= status < 200:
        return None
    length, coding = fields.get(b"content-length"), fields.get(b"transfer-encoding")
    if length is not None and not re.fullmatch(rb"[0-9]{1,18}", length[0]):
        return None
    if status == 204 and (coding or length not in (None, [b"0"])):
        return None
    if method == "HEAD" or status in (204, 304):
        return None if body else Taken(status, b"")
    if coding is not None:
        is_plain = coding[0].lower() == b"chunked" and length is None
        decoded = dechunked(body) if is_plain else None
        return None if decoded is None else Taken(status, decoded)
    if length is None or int(length[0]) != len(body):
        return None
    return Taken(status, body)


def dechunked(data: bytes) -> bytes | None:
    decoded = b""
    while True:
        found = CHUNK.match(data)
        if found is None:
            return None
        size = int(found[1], 16)
        data = data[found.end() :]
        if data[size : size + 2] != b"\r\n":
            return None
        decoded, data = decoded + data[:size], data[size + 2 :]
        if not size:
            return None if data else decoded


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(self._data)


def by_http_client(data: bytes, method: str) -> Taken:
    # Blanks after a value are none of it (RFC 9112, section 5); http.client takes them for a part.
    data = re.sub(rb"(?im)^(transfer-encoding:[^\r\n]*?)[ \t]+\r\n", rb"\1\r\n", data)
    of_socket: Any = _Socket(data)
    with http.client.HTTPResponse(of_socket, method=method) as response:
        response.begin()
        return Taken(response.status, response.read())
