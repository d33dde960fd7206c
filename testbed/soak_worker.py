"""One process of the soak: threads do a random mix of operations on a shelf and judge each one."""

from __future__ import annotations

import faulthandler
import itertools
import logging
import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, MutableSequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from threading import Event, Thread
from typing import Any

import cshelve
from testbed.loopback import refuse_other_hosts
from testbed.soak_ledger import FIELDS, Ledger, Possible, WrongError, make_value, number_of

NAMES = [f"k{number:02}" for number in range(20)]
COUNTERS = [f"counter/{number}" for number in range(6)]
SIZES = [0, 10, 300, 5_000, 60_000]
LARGE_BYTES = (17 << 20, 20 << 20)
LARGE_EVERY_SECONDS = 30.0
"""The least time between two large values of a thread, so that they do not fill the disk."""
BOUND_SECONDS = 120.0
"""The time after which an operation counts as hanging."""


def keys_of(owner: str) -> list[str]:
    return [*(f"{owner}/{name}" for name in NAMES), f"large/{owner}"]


def all_keys(owners: list[str]) -> list[str]:
    return [key for owner in owners for key in keys_of(owner)]


def array_size(owners: list[str]) -> int:
    return FIELDS * len(all_keys(owners))


@dataclass
class Report:
    """The results; ``failures`` are pairs of a key, a prefix or an empty string, and a text."""

    operations: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)
    slowest: dict[str, float] = field(default_factory=dict)
    increments: Counter[str] = field(default_factory=Counter)
    unknown_increments: Counter[str] = field(default_factory=Counter)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, other: Report) -> None:
        self.operations += other.operations
        self.errors += other.errors
        self.failures += other.failures
        self.increments += other.increments
        self.unknown_increments += other.unknown_increments
        for kind, seconds in other.slowest.items():
            self.slowest[kind] = max(seconds, self.slowest.get(kind, 0.0))


class Actor:
    """One thread's operations; ``owner`` says which keys only it writes."""

    def __init__(
        self, db: cshelve.CloudShelf, ledger: Ledger, owners: list[str], owner: str
    ) -> None:
        self.report = Report()
        self.doing: tuple[str, float] | None = None
        self.owner = owner
        self._db = db
        self._ledger = ledger
        self._owners = owners
        self._own = keys_of(owner)[:-1]
        self._large = keys_of(owner)[-1]
        self._numbers = itertools.count(1)
        self._random = random.Random(owner)
        self._last_counts: Counter[str] = Counter()
        self._mix: list[tuple[Callable[[], None], int]] = [
            (self.set_one, 20),
            (self.get, 25),
            (self.contains, 8),
            (self.delete, 6),
            (self.pop, 6),
            (self.setdefault, 6),
            (self.modify, 6),
            (self.update, 3),
            (self.get_many, 4),
            (self.items, 2),
            (self.list_keys, 3),
            (self.length, 3),
            (self.delete_many, 2),
        ]

    def run(self, stop: Event, seconds: float) -> None:
        """Do operations until told to stop, which is expected after this number of seconds."""
        operations, weights = zip(*self._mix, strict=True)
        large_every = min(LARGE_EVERY_SECONDS, seconds / 6)
        next_large = time.monotonic() + self._random.uniform(0, large_every)
        while not stop.is_set():
            if time.monotonic() > next_large:
                self.do(self._random.choice([self.set_large, self.set_large, self.get_large]))
                next_large = time.monotonic() + large_every * self._random.uniform(0.5, 1.5)
            else:
                self.do(self._random.choices(operations, weights)[0])

    def do(self, operation: Callable[[], None]) -> None:
        """Do one operation, and judge its result."""
        kind = operation.__name__
        began = time.monotonic()
        self.doing = kind, began
        report = self.report
        failed = True
        try:
            operation()
            failed = False
        except WrongError as wrong:
            report.failures.append((wrong.key, f"{kind}: {wrong}"))
        except cshelve.BulkError as error:
            report.errors[f"{kind}: BulkError"] += 1
            for key, reason in error.failures.items():
                if not isinstance(reason, cshelve.StorageError):
                    report.failures.append((key, f"{kind}: {reason!r} in a BulkError"))
        except cshelve.StorageError as error:
            report.errors[f"{kind}: {type(error).__name__}"] += 1
        except Exception:  # noqa: BLE001 - the soak looks for all others.
            report.failures.append(("", f"{kind}: {traceback.format_exc()}"))
        seconds = time.monotonic() - began
        self.doing = None
        if failed:
            # As a program would; otherwise most operations would happen while the server is down.
            time.sleep(self._random.uniform(0, 1))
        report.operations[kind] += 1
        report.slowest[kind] = max(seconds, report.slowest.get(kind, 0.0))

    def set_one(self) -> None:
        self._set(self._random.choice(self._own), self._random.choice(SIZES))

    def set_large(self) -> None:
        self._set(self._large, self._random.randint(*LARGE_BYTES))

    def get(self) -> None:
        self._get(self._anybodys())

    def get_large(self) -> None:
        self._get(f"large/{self._random.choice(self._owners)}")

    def contains(self) -> None:
        key = self._anybodys()
        floor = self._ledger.floor(key)
        present = key in self._db
        self._ledger.possible(key, floor).check_presence(present)

    def delete(self) -> None:
        key = self._random.choice([*self._own, self._large])
        number, before = self._begin(key, is_set=False)
        try:
            del self._db[key]
        except cshelve.KeyNotFoundError:
            before.check(None)
        else:
            before.check_presence(True)
        self._ledger.done(key, number)

    def pop(self) -> None:
        key = self._random.choice(self._own)
        number, before = self._begin(key, is_set=False)
        try:
            before.check(number_of(key, self._db.pop(key)))
        except cshelve.KeyNotFoundError:
            before.check(None)
        except cshelve.OutcomeUnknownError:
            raise
        except cshelve.StorageError:
            # docs/when-things-fail.md says that it did nothing.
            self._ledger.not_done(before)
            raise
        self._ledger.done(key, number)

    def setdefault(self) -> None:
        key = self._random.choice(self._own)
        number, before = self._begin(key, is_set=True)
        found = number_of(key, self._db.setdefault(key, make_value(key, number, 300)))
        if found == number:
            before.check(None)
            self._ledger.done(key, number)
        else:
            before.check(found)
            self._ledger.not_done(before)
            self._ledger.seen(key, found)

    def modify(self) -> None:
        key = self._random.choice(COUNTERS)
        try:
            count = self._db.modify(key, lambda count: count + 1, default=0)
        except cshelve.OutcomeUnknownError:
            # After every other error nothing was done, according to docs/when-things-fail.md.
            self.report.unknown_increments[key] += 1
            raise
        self.report.increments[key] += 1
        if count <= self._last_counts[key]:
            raise WrongError(key, f"went from {self._last_counts[key]} to {count}")
        self._last_counts[key] = count

    def update(self) -> None:
        begun = {key: self._begin(key, is_set=True)[0] for key in self._random.sample(self._own, 8)}
        values = {key: make_value(key, number, 1000) for key, number in begun.items()}
        self._do_many(begun, lambda: self._db.update(values))

    def delete_many(self) -> None:
        begun = {
            key: self._begin(key, is_set=False)[0] for key in self._random.sample(self._own, 5)
        }
        self._do_many(begun, lambda: self._db.delete_many(list(begun)))

    def get_many(self) -> None:
        keys = list({self._anybodys() for _ in range(10)})
        floors = {key: self._ledger.floor(key) for key in keys}
        found = [(key, number_of(key, value)) for key, value in self._db.get_many(keys)]
        if [key for key, _ in found] != [key for key in keys if key in dict(found)]:
            raise WrongError("", f"get_many of {keys} gave {found}")
        self._check_all(floors, dict(found))

    def items(self) -> None:
        owner = self._random.choice(self._owners)
        floors = {key: self._ledger.floor(key) for key in keys_of(owner)[:-1]}
        view = self._db.prefix(f"{owner}/")
        found = {f"{owner}/{name}": value for name, value in view.items()}
        self._check_all(floors, {key: number_of(key, value) for key, value in found.items()})

    def list_keys(self) -> None:
        owner = self._random.choice(self._owners)
        floors = {key: self._ledger.floor(key) for key in keys_of(owner)[:-1]}
        listed = [f"{owner}/{name}" for name in self._db.prefix(f"{owner}/")]
        if len(set(listed)) < len(listed) or not floors.keys() >= set(listed):
            raise WrongError(f"{owner}/", f"listed {listed}")
        for key, floor in floors.items():
            self._ledger.possible(key, floor).check_presence(key in listed)

    def length(self) -> None:
        owner = self._random.choice(self._owners)
        floors = {key: self._ledger.floor(key) for key in keys_of(owner)[:-1]}
        length = len(self._db.prefix(f"{owner}/"))
        possible = [self._ledger.possible(key, floor) for key, floor in floors.items()]
        least = sum(not each.absent for each in possible)
        most = sum(each.present for each in possible)
        if not least <= length <= most:
            raise WrongError(f"{owner}/", f"has {length} keys, and not {least} to {most}")

    def verify(self) -> None:
        """Read and check everything, after all writes have ended."""
        keys = [key for owner in self._owners for key in keys_of(owner)]
        floors = {key: self._ledger.floor(key) for key in keys}
        # One by one, so that the large values are not in memory together.
        found = {key: number_of(key, value) for key, value in self._db.get_many(keys)}
        for key in keys:
            try:
                self._ledger.possible(key, floors[key]).check(found.get(key))
                self._ledger.possible(key, floors[key]).check_presence(key in self._db)
            except WrongError as wrong:
                self.report.failures.append((key, f"in the end: {wrong}"))
        if strangers := set(self._db) - set(keys) - set(COUNTERS):
            raise WrongError("", f"in the end there are {strangers}")
        self.report.counts = {key: self._db.get(key, 0) for key in COUNTERS}

    def _anybodys(self) -> str:
        return f"{self._random.choice(self._owners)}/{self._random.choice(NAMES)}"

    def _begin(self, key: str, *, is_set: bool) -> tuple[int, Possible]:
        number = next(self._numbers)
        return number, self._ledger.begin(key, number, is_set=is_set)

    def _set(self, key: str, size: int) -> None:
        number, _ = self._begin(key, is_set=True)
        self._db[key] = make_value(key, number, size)
        self._ledger.done(key, number)

    def _get(self, key: str) -> None:
        floor = self._ledger.floor(key)
        try:
            found = number_of(key, self._db[key])
        except cshelve.KeyNotFoundError:
            found = None
        self._ledger.possible(key, floor).check(found)
        if key in self._own:
            self._ledger.seen(key, found)

    def _do_many(self, begun: dict[str, int], operation: Callable[[], None]) -> None:
        failed: set[str] = set()
        try:
            operation()
        except cshelve.BulkError as error:
            failed = set(error.failures)
            raise
        except BaseException:
            failed = set(begun)
            raise
        finally:
            for key in begun.keys() - failed:
                self._ledger.done(key, begun[key])

    def _check_all(self, floors: dict[str, int], found: dict[str, int]) -> None:
        if strangers := found.keys() - floors.keys():
            raise WrongError("", f"nobody writes {strangers}")
        for key, floor in floors.items():
            self._ledger.possible(key, floor).check(found.get(key))


def work(
    config: dict[str, dict[str, Any]],
    owners: list[str],
    mine: list[str],
    numbers: MutableSequence[int],
    seconds: float,
    parent: Connection,
) -> None:
    """Run in a separate process: do operations for a time, report it, and verify on request."""
    faulthandler.enable()
    # Its warnings are about the faults that the soak injects.
    logging.getLogger("cshelve").setLevel(logging.ERROR)
    with refuse_other_hosts():
        db = _open(config)
        actors = [Actor(db, Ledger(all_keys(owners), numbers), owners, owner) for owner in mine]
        stop = Event()
        threads = [
            Thread(target=each.run, args=(stop, seconds), name=each.owner) for each in actors
        ]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + seconds
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.5)
            if time.monotonic() > deadline:
                stop.set()
            _end_if_one_hangs(actors, parent)
        parent.send(None)
        parent.recv()
        faulthandler.dump_traceback_later(BOUND_SECONDS, exit=True)
        actors[0].do(actors[0].verify)
        faulthandler.cancel_dump_traceback_later()
        db.close()
    report = Report()
    for actor in actors:
        report.add(actor.report)
    report.counts = actors[0].report.counts
    parent.send(report)


def _open(config: dict[str, dict[str, Any]]) -> cshelve.CloudShelf:
    """Open the shelf, and try again if its requests meet faults."""
    for _ in range(5):
        try:
            return cshelve.open_from_dict(config, "w")
        except cshelve.StorageError as error:
            print("opening:", error, file=sys.stderr)
    return cshelve.open_from_dict(config, "w")


def _end_if_one_hangs(actors: list[Actor], parent: Connection) -> None:
    now = time.monotonic()
    hanging = [each.doing for each in actors if each.doing and now - each.doing[1] > BOUND_SECONDS]
    if hanging:
        faulthandler.dump_traceback(all_threads=True)
        report = Report()
        for actor in actors:
            report.add(actor.report)
        report.failures += [("", f"{kind} hangs: see where above") for kind, _ in hanging]
        parent.send(report)
        # The hanging thread would keep the process alive.
        os._exit(1)
