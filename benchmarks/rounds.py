"""Time acts that take turns, so that other load on the machine affects all of them alike."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

__all__ = ["Taken", "medians", "medians_of", "taken_by"]


class Taken(NamedTuple):
    """The time that an act took."""

    seconds: float
    processor_seconds: float
    """The processor time of all threads of this process."""


def medians(acts: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Taken]:
    """Return the median times of each act; the acts run in a random order each round."""
    return medians_of({name: partial(taken_by, act) for name, act in acts.items()}, rounds)


def medians_of(clocks: Mapping[str, Callable[[], Taken]], rounds: int) -> dict[str, Taken]:
    """Return the median times of acts that measure themselves, as `medians` does."""
    all_taken: dict[str, list[Taken]] = {name: [] for name in clocks}
    for _ in range(rounds):
        for name in random.sample(list(clocks), len(clocks)):
            all_taken[name].append(clocks[name]())
    return {
        name: Taken(*map(statistics.median, zip(*taken, strict=True)))
        for name, taken in all_taken.items()
    }


def taken_by(act: Callable[[], object]) -> Taken:
    began, processor_began = time.perf_counter(), time.process_time()
    act()
    return Taken(time.perf_counter() - began, time.process_time() - processor_began)
