"""A contestant's side: told an act and a number of values, it answers with the seconds it took.

This is for every environment, hence needs no package.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

__all__ = ["Acts", "Place", "Turns", "Values"]

Values = dict[str, bytes]
Acts = dict[str, Callable[[Values], object]]
"""By name. One that reads gives what it read, or how many it found; others give None."""

MOST = 2000
_SEED = random.Random(0)
# The same in each process: another one may read what this one wrote. They don't compress.
_VALUES = {f"key-{number:05}": _SEED.randbytes(1000) for number in range(MOST)}


@dataclass(frozen=True)
class Place:
    """Where a contestant keeps its values, and how many requests may fly at once."""

    endpoint_url: str
    access_key: str
    secret_key: str
    bucket: str
    prefix: str
    concurrency: int


class Turns:
    """The conversation with the contest, over this process's stdin and stdout."""

    def __init__(self) -> None:
        # What anything prints must not come between the answers.
        self._answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        self.place = Place(**json.loads(sys.stdin.readline()))

    def take(self, acts: Acts, versions: str) -> None:
        """Say what this is and can do, and do what is asked until nobody asks any more."""
        self._answer({"versions": versions, "acts": list(acts)})
        for line in sys.stdin:
            name, count = line.split()
            self._answer(seconds_of(acts[name], dict(islice(_VALUES.items(), int(count)))))

    def _answer(self, answer: object) -> None:
        print(json.dumps(answer), file=self._answers, flush=True)


def seconds_of(act: Callable[[Values], object], values: Values) -> float:
    began = time.perf_counter()
    result = act(values)
    seconds = time.perf_counter() - began
    if result is not None and result != values and result != len(values):
        raise AssertionError("it read something else than it wrote")
    return seconds
