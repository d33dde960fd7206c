"""A simulated S3 server, with as many keys as a benchmark asks for; it stores nothing.

It is a process of its own that answers ListObjectsV2 and HeadObject from a sorted list of names,
some milliseconds after it has received the request. A response takes it almost no time of its own.
It answers DeleteObjects in the same way, and deletes nothing.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from urllib.parse import parse_qs, unquote, urlsplit

__all__ = ["simulated_server"]

OBJECT = (
    "<Contents><Key>{}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    "<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>100</Size>"
    "<StorageClass>STANDARD</StorageClass></Contents>"
)
PAGE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>simulated</Name>'
    "<Prefix>{prefix}</Prefix><KeyCount>{count}</KeyCount><MaxKeys>{most}</MaxKeys>"
    "<EncodingType>url</EncodingType><IsTruncated>{truncated}</IsTruncated>OBJECTS{token}"
    "</ListBucketResult>"
)
FOUND = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
    b'ETag: "d41d8cd98f00b204e9800998ecf8427e"\r\n\r\n'
)
LENGTH = re.compile(rb"(?i)\r\ncontent-length: (\d+)")
KEYS = re.compile(rb"<Key>.*?</Key>")
DELETED = (
    b'<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Deleted>%s</Deleted>'
    b"</DeleteResult>"
)
ABSENT = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
SENT = b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n"


@contextmanager
def simulated_server(names: Sequence[str], milliseconds: int) -> Iterator[str]:
    """Serve these names, which have the same length, in every bucket; yield the server's URL."""
    ours, theirs = multiprocessing.Pipe()
    arguments = (theirs, names, milliseconds)
    server = multiprocessing.Process(target=_serve, args=arguments, daemon=True)
    server.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        server.terminate()
        server.join()


def _serve(port: Connection, names: Sequence[str], milliseconds: int) -> None:
    """Answer requests until the process ends; send the port first."""
    asyncio.run(Simulated(names, milliseconds / 1000).serve(port))


class Simulated:
    """The pages of a listing, written in advance, so that a response takes no time of its own."""

    def __init__(self, names: Sequence[str], seconds: float) -> None:
        self._names = sorted(names)
        self._seconds = seconds
        self._objects = "".join(map(OBJECT.format, self._names)).encode()
        self._object_bytes = len(self._objects) // len(names)

    async def serve(self, port: Connection) -> None:
        server = await asyncio.start_server(self._handle, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                answer = await self._answer(head, reader)
                await asyncio.sleep(self._seconds)
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _answer(self, head: bytes, reader: asyncio.StreamReader) -> bytes:
        method, target, _ = head.decode().split(" ", 2)
        if method == "HEAD":
            return self._head(target)
        if method == "GET":
            body = self._page(target)
        else:
            asked = await reader.readexactly(int(LENGTH.findall(head)[0]))
            body = DELETED % b"</Deleted><Deleted>".join(KEYS.findall(asked))
        return SENT % len(body) + body

    def _head(self, target: str) -> bytes:
        """Answer for an object, or for a bucket: every bucket exists."""
        _, _, name = unquote(urlsplit(target).path).removeprefix("/").partition("/")
        place = bisect_left(self._names, name)
        return FOUND if not name or self._names[place : place + 1] == [name] else ABSENT

    def _page(self, target: str) -> bytes:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        prefix, most = asked.get("prefix", ""), int(asked.get("max-keys", 1000))
        after = asked.get("continuation-token", asked.get("start-after", ""))
        start = max(bisect_right(self._names, after), bisect_left(self._names, prefix))
        end = min(start + most, bisect_left(self._names, prefix + "\U0010ffff"))
        is_truncated = end == start + most < len(self._names)
        token = f"<NextContinuationToken>{self._names[end - 1]}</NextContinuationToken>"
        before, behind = PAGE.format(
            prefix=prefix,
            count=max(0, end - start),
            most=most,
            truncated=str(is_truncated).lower(),
            token=token if is_truncated else "",
        ).split("OBJECTS")
        objects = self._objects[start * self._object_bytes : max(start, end) * self._object_bytes]
        return before.encode() + objects + behind.encode()
