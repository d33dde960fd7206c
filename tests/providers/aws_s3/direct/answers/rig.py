"""Answers that are whole, and a reader that is fed them in pieces."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import strategies as st

from cshelve.providers.aws_s3.direct.answers import Answer, Reader

OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"Content-Length: 4\r\nETag: x\r\n\r\nbody"

INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


def read(data: bytes, method: str = "GET", cuts: list[int] | None = None) -> Answer | None:
    """Feed an answer in pieces of these lengths, over and over; None if it is not whole."""
    reader = Reader(method)
    for piece in pieces(data, cuts or [max(len(data), 1)]):
        reader.feed(piece)
    return reader.answer() if reader.is_done else None


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    at = number = 0
    while at < len(data):
        size = cuts[number % len(cuts)]
        yield data[at : at + size]
        at, number = at + size, number + 1


CUTS = st.lists(st.integers(1, 40), min_size=1, max_size=8)


def headed(*lines: bytes, body: bytes = b"") -> bytes:
    return OK + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def chunked(body: bytes) -> bytes:
    return headed(b"Transfer-Encoding: chunked", body=body)
