"""Measure how fast a million keys behind 20 ms are counted and deleted, in parts and not.

    python -m benchmarks.counting [keys]

The server is simulated: a process of its own that answers ListObjectsV2 from a sorted list of
names, 20 ms after it has received the request. It answers DeleteObjects in the same way, and
deletes nothing.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import re
import sys
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from multiprocessing.connection import Connection
from urllib.parse import parse_qs, urlsplit

import cshelve
from benchmarks.machine import described
from cshelve.providers import AwsS3

DELAY_SECONDS = 0.020
ROUNDS = 3
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

LENGTH = re.compile(rb"(?i)\r\ncontent-length: (\d+)")
KEYS = re.compile(rb"<Key>.*?</Key>")
DELETED = (
    b'<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Deleted>%s</Deleted>'
    b"</DeleteResult>"
)


def main(keys: int = 1_000_000) -> None:
    print(described("cshelve"))
    milliseconds = DELAY_SECONDS * 1000
    print(f"\n{keys:,} keys, simulated server, {milliseconds:.0f} ms, best of {ROUNDS} rounds\n")
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(theirs, keys), daemon=True)
    server.start()
    provider = AwsS3(
        "simulated",
        endpoint_url=f"http://127.0.0.1:{ours.recv()}",
        auth_type="access_key",
        key_id="simulated",
        key_secret="simulated",
        region_name="us-east-1",
        concurrency=64,
    )
    with cshelve.open_provider(provider) as db:
        acts: dict[str, Callable[[], int]] = {
            "page after page": lambda: sum(1 for _ in provider.names()),
            "`len(db)`": lambda: len(db),
            "`for key in db`": lambda: sum(1 for _ in db),
            "deleted page after page": lambda: sum(1 for _ in provider.purge()),
            "`db.clear()`": lambda: cleared(db),
        }
        print("| | time | processor time | requests | times as fast |")
        print("|---|---|---|---|---|")
        slowest = 0.0
        for name, act in acts.items():
            seconds = float("inf")
            is_slow = name.endswith("page after page")
            for _ in range(1 if is_slow else ROUNDS):
                before = db.stats.requests.total()
                begin, processor_begin = time.perf_counter(), time.process_time()
                assert act() == keys
                seconds = min(seconds, time.perf_counter() - begin)
                processor = time.process_time() - processor_begin
                requests = db.stats.requests.total() - before
            slowest = seconds if is_slow else slowest
            times = f"{seconds:.2f} s | {processor:.2f} s"
            print(f"| {name} | {times} | {requests:,} | {slowest / seconds:.1f} |")
    server.terminate()
    server.join()


def cleared(db: cshelve.CloudShelf[object]) -> int:
    """Clear a shelf, and return the number of keys that it had."""
    counts = [0]
    db.clear(progress=lambda progress: counts.append(progress.done))
    return counts[-1]


def serve(port: Connection, keys: int) -> None:
    """Answer requests until the process ends; send the port first."""
    asyncio.run(Simulated(keys).serve(port))


class Simulated:
    """The pages of a listing, written in advance, so that a response takes no time of its own."""

    def __init__(self, keys: int) -> None:
        chance = random.Random(1)
        self._names = sorted(f"{chance.getrandbits(128):032x}" for _ in range(keys))
        self._objects = "".join(map(OBJECT.format, self._names)).encode()
        self._object_bytes = len(self._objects) // keys

    async def serve(self, port: Connection) -> None:
        server = await asyncio.start_server(self._handle, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                body = await self._body(head, reader)
                await asyncio.sleep(DELAY_SECONDS)
                length = len(body)
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n"
                    b"Content-Length: %d\r\n\r\n" % length
                )
                writer.write(body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _body(self, head: bytes, reader: asyncio.StreamReader) -> bytes:
        method, target, _ = head.decode().split(" ", 2)
        if method == "GET":
            return self._page(target)
        body = await reader.readexactly(int(LENGTH.findall(head)[0]))
        return DELETED % b"</Deleted><Deleted>".join(KEYS.findall(body))

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


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
