"""The results of all courses: one file that the tables and plots are made from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from testbed.environments import ROOT

__all__ = ["FILE", "Measurement", "Results", "Run"]

FILE = ROOT / "benchmarks" / "figures" / "results.json"


@dataclass(frozen=True)
class Measurement:
    """The median of one contestant's act in one place."""

    course: str
    act: str
    contestant: str
    milliseconds: int
    """The delay of each request."""
    size: int
    """The number of values or keys or, for large values, of bytes."""
    amount: float
    """Seconds for the whole act or, for memory, bytes."""


@dataclass(frozen=True)
class Run:
    """What the measurements of a course were made with."""

    machine: str
    date: str
    is_quick: bool
    versions: dict[str, str]


@dataclass
class Results:
    """All measurements, and the run of each course."""

    runs: dict[str, Run] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)

    def replace(self, run: Run, measurements: Iterable[Measurement]) -> None:
        """Put these in the place of what there is of the same courses."""
        new = list(measurements)
        courses = {each.course for each in new}
        self.runs |= dict.fromkeys(sorted(courses), run)
        old = [each for each in self.measurements if each.course not in courses]
        self.measurements = old + new

    def amounts(self, course: str, act: str, milliseconds: int, size: int = 0) -> dict[str, float]:
        """Return the amounts of all contestants; without a size, those of the only size."""
        return {
            each.contestant: each.amount
            for each in self.of(course, act, milliseconds)
            if each.size == size or not size
        }

    def rates(self, course: str, act: str, milliseconds: int) -> dict[str, float]:
        """Return the values a second of all contestants, whose numbers of values may differ."""
        found = self.of(course, act, milliseconds)
        return {each.contestant: each.size / each.amount for each in found}

    def of(self, course: str, act: str, milliseconds: int) -> list[Measurement]:
        wanted = (course, act, milliseconds)
        return [
            each
            for each in self.measurements
            if (each.course, each.act, each.milliseconds) == wanted
        ]

    def save(self, file: Path = FILE) -> None:
        """Write the results, one measurement a line, so that a change of a few is a small one."""
        top: dict[str, Any] = asdict(self)
        lines = _lines(top.pop("measurements"))
        text = json.dumps(top, indent=1, ensure_ascii=False)
        file.write_text(f'{text[:-2]},\n "measurements": [\n{lines}\n ]\n}}\n', "utf-8")

    @classmethod
    def load(cls, file: Path = FILE) -> Results:
        top = json.loads(file.read_text("utf-8"))
        runs = {course: Run(**run) for course, run in top["runs"].items()}
        return cls(runs, [Measurement(**each) for each in top["measurements"]])


def _lines(measurements: Iterable[dict[str, Any]]) -> str:
    return ",\n".join(f"  {json.dumps(each)}" for each in measurements)
