"""Measure how fast a million keys behind 20 ms are counted and deleted, in parts and not.

    python -m benchmarks.counting [keys]

The server is simulated; it answers 20 ms after it has received a request, and deletes nothing.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable

import cshelve
from benchmarks.machine import described
from benchmarks.simulated import simulated_server
from cshelve.providers import AwsS3

MILLISECONDS = 20
ROUNDS = 3


def main(keys: int = 1_000_000) -> None:
    print(described("cshelve"))
    print(f"\n{keys:,} keys, simulated server, {MILLISECONDS} ms, best of {ROUNDS} rounds\n")
    chance = random.Random(1)
    names = [f"{chance.getrandbits(128):032x}" for _ in range(keys)]
    with simulated_server(names, MILLISECONDS) as url:
        measure(url, keys)


def measure(endpoint_url: str, keys: int) -> None:
    provider = AwsS3(
        "simulated",
        endpoint_url=endpoint_url,
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


def cleared(db: cshelve.CloudShelf[object]) -> int:
    """Clear a shelf, and return the number of keys that it had."""
    counts = [0]
    db.clear(progress=lambda progress: counts.append(progress.done))
    return counts[-1]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
