"""Times of acts that take turns, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial

__all__ = ["medians", "medians_of"]


def medians(acts: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Give the median of the seconds that each act takes, their order another one each round."""
    return medians_of({name: partial(timed, act) for name, act in acts.items()}, rounds)


def medians_of(clocks: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The same for acts that tell themselves what they took."""
    seconds: dict[str, list[float]] = {name: [] for name in clocks}
    for _ in range(rounds):
        for name in random.sample(list(clocks), len(clocks)):
            seconds[name].append(clocks[name]())
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
