"""The contestant's side: do an act with a number of values on request, and report what it took.

This module runs in every environment, so it needs no packages.
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.rounds import taken_by

__all__ = ["MOST", "PROTOCOL", "Acts", "Place", "Turns", "Values", "values_of"]

Values = dict[str, dict[str, Any]]
Acts = dict[str, Callable[[Values], object]]
"""Acts by name. Acts that read return the values, or the number found; others return None.

`len` and `list` are given one value for each key that they have to find, but with another key.
"""

MOST = 2000
PROTOCOL = 5
"""The pickle protocol, the same as that of a shelf."""


def values_of(count: int) -> Values:
    """Return this number of values, each of which is about 1 kB when pickled."""
    return {
        f"key-{number:07}": {"id": number, "name": "n" * 800, "tags": list(range(60))}
        for number in range(count)
    }


def large_value(size: int) -> Values:
    """Return one value with this number of random bytes."""
    return {f"large-{size}": {"data": random.Random(size).randbytes(size)}}


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
    suffix: str = ""
    """What is appended to each key."""


class Turns:
    """The conversation with the contest, over this process's stdin and stdout."""

    def __init__(self) -> None:
        # Keeps other output out of the responses.
        self._answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        self.place = Place(**json.loads(sys.stdin.readline()))

    def take(self, acts: Acts, versions: str) -> None:
        """Announce the versions and acts, and serve requests until the input ends."""
        all_values = {key + self.place.suffix: value for key, value in values_of(MOST).items()}
        self._answer({"versions": versions, "acts": list(acts)})
        for line in sys.stdin:
            name, count, size = line.split()
            if int(size):
                values = large_value(int(size))
            elif int(count) <= MOST:
                values = dict(islice(all_values.items(), int(count)))
            else:
                values = {str(number): {} for number in range(int(count))}
            results: list[object] = []
            before = _memory_before(bool(int(size)))
            taken = taken_by(lambda: results.append(acts[name](values)))  # noqa: B023
            self._answer([*taken, _in_status("VmHWM") - before])
            if results[0] not in (None, values, len(values)):
                raise AssertionError("it read something else than it wrote")

    def _answer(self, answer: object) -> None:
        print(json.dumps(answer), file=self._answers, flush=True)


def _memory_before(is_measured: bool) -> int:
    """Return the memory in use; if it is to be measured, forget the peak until now."""
    if is_measured:
        Path("/proc/self/clear_refs").write_text("5")  # Resets the peak: man 5 proc.
    return _in_status("VmRSS")


def _in_status(name: str) -> int:
    """Return a size in bytes from Linux's status of this process, or 0 on other systems."""
    status = Path("/proc/self/status")
    found = status.exists() and re.search(
        rf"^{name}:\s+(\d+) kB$", status.read_text(), re.MULTILINE
    )
    return int(found[1]) * 1024 if found else 0
