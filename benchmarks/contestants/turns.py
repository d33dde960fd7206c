"""The contestant's side: do an act with a number of values on request, and report the time.

This module runs in every environment, so it needs no packages.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from benchmarks.rounds import taken_by

__all__ = ["MOST", "PROTOCOL", "Acts", "Place", "Turns", "Values", "values_of"]

Values = dict[str, dict[str, Any]]
Acts = dict[str, Callable[[Values], object]]
"""Acts by name. Acts that read return the values, or the number found; others return None."""

MOST = 2000
PROTOCOL = 5
"""The pickle protocol, the same as that of a shelf."""


def values_of(count: int) -> Values:
    """Return this number of values, each of which is about 1 kB when pickled."""
    return {
        f"key-{number:05}": {"id": number, "name": "n" * 800, "tags": list(range(60))}
        for number in range(count)
    }


@dataclass(frozen=True)
class Place:
    """Where a contestant stores its values, and how many requests may be in flight."""

    endpoint_url: str
    access_key: str
    secret_key: str
    bucket: str
    prefix: str
    concurrency: int
    ca_file: str = ""
    """The file of the CA certificate to trust; empty without TLS."""


class Turns:
    """The conversation with the contest, over this process's stdin and stdout."""

    def __init__(self) -> None:
        # Keeps other output out of the responses.
        self._answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        self.place = Place(**json.loads(sys.stdin.readline()))

    def take(self, acts: Acts, versions: str) -> None:
        """Announce the versions and acts, and serve requests until the input ends."""
        all_values = values_of(MOST)
        self._answer({"versions": versions, "acts": list(acts)})
        for line in sys.stdin:
            name, count = line.split()
            values = dict(islice(all_values.items(), int(count)))
            results: list[object] = []
            self._answer(taken_by(lambda: results.append(acts[name](values))))  # noqa: B023
            if results[0] not in (None, values, len(values)):
                raise AssertionError("it read something else than it wrote")

    def _answer(self, answer: object) -> None:
        print(json.dumps(answer), file=self._answers, flush=True)
