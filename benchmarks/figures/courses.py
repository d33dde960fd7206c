"""What is measured: each course adds its measurements to the results.

Contestants take turns, in another order each round, and a measurement is the median of the rounds.
"""

from __future__ import annotations

import gc
import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.contestants.process import Contestant, Turn
from benchmarks.contestants.turns import Place
from benchmarks.figures.cold import cold_starts
from benchmarks.figures.programs import BUCKETS, LOCAL, LOOPED, PROGRAMS, place_of
from benchmarks.figures.results import Measurement
from benchmarks.rounds import Taken, medians_of
from benchmarks.simulated import simulated_server
from testbed.seaweedfs import SeaweedFS

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import ObjectIdentifierTypeDef

__all__ = [
    "FULL",
    "QUICK",
    "Extent",
    "contestants_at",
    "measure_cold_starts",
    "measure_growth",
    "measure_operations",
    "measure_sizes",
]

SINGLE = ("set", "get", "in", "modify")
BULK = ("write", "read")
LISTINGS = ("len", "list")
GROWN = ("len", "list", "in")
KEY = "key-0000000"
SUFFIX = ".pkl"  # persidict sees no other keys.
SAMPLE = 20
"""How many keys are looked up among many."""


@dataclass(frozen=True)
class Extent:
    """How much is measured, so that it takes a quarter of an hour, or less."""

    rounds: int
    single: Mapping[int, int]
    """The number of values for single operations, by the delay."""
    looped: Mapping[int, int]
    """The number of many values for contestants that loop, whose speed does not depend on it."""
    many: int
    cold_rounds: int
    sizes: Sequence[int]
    size_rounds: int
    stored_keys: Sequence[int]
    simulated_keys: Sequence[int]
    patience_seconds: float
    """A contestant that has needed longer is not asked to list ten times as many keys."""


MIB = 1 << 20
FULL = Extent(
    rounds=3,
    single={0: 100, 20: 10},
    looped={0: 300, 20: 40},
    many=1000,
    cold_rounds=9,
    sizes=(1 << 10, 16 << 10, 256 << 10, 4 * MIB, 16 * MIB, 64 * MIB),
    size_rounds=3,
    stored_keys=(100, 1000, 10_000, 100_000),
    simulated_keys=(100, 1000, 10_000, 100_000, 1_000_000),
    patience_seconds=4.0,
)
QUICK = Extent(
    rounds=3,
    single={0: 30, 20: 5},
    looped={0: 100, 20: 20},
    many=500,
    cold_rounds=3,
    sizes=(1 << 10, 256 << 10, 4 * MIB, 64 * MIB),
    size_rounds=3,
    stored_keys=(100, 1000, 10_000),
    simulated_keys=(100, 1000, 10_000, 100_000, 1_000_000),
    patience_seconds=2.0,
)


def measure_operations(
    found: list[Measurement], server: SeaweedFS, urls: Mapping[int, str], extent: Extent
) -> None:
    """Measure each operation at each delay; the first URL is that of the server itself."""
    with contestants_at(server, urls) as all_contestants:
        direct = all_contestants[0]
        for each in direct.values():
            each.turn("write", extent.many)
        for milliseconds, contestants in all_contestants.items():
            for each in contestants.values():
                each.turn("read", extent.looped[milliseconds])  # Opens the connections.
            for act in SINGLE + BULK + LISTINGS:
                _compare(found, act, milliseconds, contestants, extent)
        for bucket in BUCKETS:
            empty(server, bucket)
        direct[LOCAL].turn("clear", extent.many)
        for milliseconds, contestants in all_contestants.items():
            _compare(found, "clear", milliseconds, contestants, extent, direct)


def empty(server: SeaweedFS, bucket: str) -> None:
    client = server.client()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        objects: list[ObjectIdentifierTypeDef] = [
            {"Key": each["Key"]} for each in page.get("Contents", ())
        ]
        if objects:
            client.delete_objects(Bucket=bucket, Delete={"Objects": objects})


@contextmanager
def contestants_at(
    server: SeaweedFS, urls: Mapping[int, str]
) -> Iterator[dict[int, dict[str, Contestant]]]:
    """Run all contestants once for each delay; only the first time, also the one without server."""
    with ExitStack() as processes:
        yield {
            milliseconds: {
                name: processes.enter_context(program.running(place_of(name, server, url)))
                for name, program in PROGRAMS.items()
                if name != LOCAL or milliseconds == 0
            }
            for milliseconds, url in urls.items()
        }


def _compare(
    found: list[Measurement],
    act: str,
    milliseconds: int,
    contestants: Mapping[str, Contestant],
    extent: Extent,
    fillers: Mapping[str, Contestant] | None = None,
) -> None:
    """Let all that can do the act take turns; before each turn, let their fillers fill them."""

    def number(name: str) -> int:
        if act in SINGLE:
            return extent.single[milliseconds]
        is_looped = name in LOOPED.get(act, ())
        return extent.looped[milliseconds] if is_looped else extent.many

    def turn(name: str) -> Taken:
        if fillers is not None:
            fillers[name].turn("write", number(name))
        return contestants[name].taken_by(act, number(name))

    able = [name for name, each in contestants.items() if act in each.acts]
    # Operations on single values on this machine are short.
    rounds = extent.rounds * (2 if act in SINGLE and not milliseconds else 1)
    taken = medians_of({name: partial(turn, name) for name in able}, rounds)
    for name, each in taken.items():
        size = number(name)
        found.append(Measurement("operations", act, name, milliseconds, size, each.seconds))
    _say("operations", act, milliseconds)


def measure_sizes(
    found: list[Measurement], server: SeaweedFS, urls: Mapping[int, str], extent: Extent
) -> None:
    """Measure writing and reading a value of each size, and the memory that the largest needs."""
    for milliseconds, url in urls.items():
        with contestants_at(server, {milliseconds: url}) as all_contestants:
            contestants = all_contestants[milliseconds]
            for size in extent.sizes:
                for act in ("set", "get"):
                    turns = _turns(contestants, act, size, extent.size_rounds)
                    for name, taken in turns.items():
                        seconds = statistics.median(each.taken.seconds for each in taken)
                        found.append(Measurement("sizes", act, name, milliseconds, size, seconds))
                        if milliseconds == 0 and size == extent.sizes[-1]:
                            peak = statistics.median(each.peak_bytes for each in taken)
                            found.append(Measurement("memory", act, name, milliseconds, size, peak))
                _say("sizes", f"{size:,} bytes", milliseconds)


def _turns(
    contestants: Mapping[str, Contestant], act: str, size: int, rounds: int
) -> dict[str, list[Turn]]:
    turns: dict[str, list[Turn]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name in random.sample(list(contestants), len(contestants)):
            turn = contestants[name].turn(act, size=size)
            if number:  # The first round warms up: some import modules for large values.
                turns[name].append(turn)
    return turns


def measure_cold_starts(
    found: list[Measurement], server: SeaweedFS, urls: Mapping[int, str], file: str, extent: Extent
) -> None:
    """Measure processes that read one value and end; the file is that of the local shelf."""
    with contestants_at(server, urls) as all_contestants:
        for each in all_contestants[0].values():
            each.turn("set")
    for milliseconds, url in urls.items():
        places = {name: place_of(name, server, url) for name in PROGRAMS if name != LOCAL}
        taken = cold_starts(places, file, KEY, extent.cold_rounds)
        for name, (seconds, peak) in taken.items():
            found.append(Measurement("cold start", "get", name, milliseconds, 1, seconds))
            if milliseconds == 0:
                found.append(Measurement("cold memory", "get", name, milliseconds, 1, peak))
        _say("cold start", "get", milliseconds)


def measure_growth(found: list[Measurement], server: SeaweedFS, extent: Extent) -> None:
    """Measure listing and looking up keys among more and more of them, stored and simulated."""
    slow: set[tuple[str, str]] = set()
    for number in extent.stored_keys:
        bucket = f"with-{number}-keys"
        server.client().create_bucket(Bucket=bucket)
        fill(server, bucket, number)
        _among(found, "keys", 0, number, partial(_stored, server, bucket), slow, extent)
    slow = set()
    for number in extent.simulated_keys:
        with simulated_server(names_of(number), 20) as url:

            def simulated(name: str, url: str = url) -> Place:
                return replace(_stored(server, "simulated", name), endpoint_url=url)

            _among(found, "simulated keys", 20, number, simulated, slow, extent)


def names_of(number: int) -> list[str]:
    return [f"key-{each:07}{SUFFIX}" for each in range(number)]


def fill(server: SeaweedFS, bucket: str, number: int) -> None:
    """Write small objects with these names."""
    import cshelve

    default = {
        "provider": "aws-s3",
        "bucket_name": bucket,
        "auth_type": "access_key",
        "key_id": server.admin.access_key,
        "key_secret": server.admin.secret_key,
    }
    endpoint = {"endpoint_url": server.endpoint_url}
    with cshelve.open_from_dict({"default": default, "provider_params": endpoint}) as db:
        db.set_many((name, 1) for name in names_of(number))


def _stored(server: SeaweedFS, bucket: str, name: str) -> Place:
    place = place_of(name, server, server.endpoint_url)
    return replace(place, bucket=bucket, prefix="", suffix=SUFFIX)


def _among(
    found: list[Measurement],
    course: str,
    milliseconds: int,
    number: int,
    place: Callable[[str], Place],
    slow: set[tuple[str, str]],
    extent: Extent,
) -> None:
    """Measure all contestants in a bucket with this number of keys; note those who are slow."""
    rounds = 3 if number <= 1000 else 1
    with ExitStack() as processes:
        contestants = {
            name: processes.enter_context(program.running(place(name)))
            for name, program in PROGRAMS.items()
            if name != LOCAL
        }
        for each in contestants.values():
            if "in" in each.acts:
                each.turn("in", SAMPLE)  # Opens the connections.
        for act in GROWN:
            size = SAMPLE if act == "in" else number
            clocks = {
                name: partial(each.taken_by, act, size)
                for name, each in contestants.items()
                if act in each.acts and (name, act) not in slow
            }
            gc.collect()
            for name, taken in medians_of(clocks, rounds).items():
                seconds = taken.seconds / (SAMPLE if act == "in" else 1)
                found.append(Measurement(course, act, name, milliseconds, number, seconds))
                if act != "in" and seconds > extent.patience_seconds:
                    slow.add((name, act))
    _say(course, f"{number:,} keys", milliseconds)


def _say(course: str, what: str, milliseconds: int) -> None:
    print(f"{course}, {what}, {milliseconds} ms", flush=True)
