"""Times of acts that take turns, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping

__all__ = ["medians"]


def medians(acts: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Give the median of the seconds that each act takes, their order another one each round."""
    seconds: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(rounds):
        for name in random.sample(list(acts), len(acts)):
            began = time.perf_counter()
            acts[name]()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(taken) for name, taken in seconds.items()}
