"""The contest's side of a contestant, which is a program in its own environment."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import IO, Any, NamedTuple

from benchmarks.contestants.turns import Place
from benchmarks.rounds import Taken
from testbed.environments import ROOT, own_surroundings, python_in

__all__ = ["Contestant", "Program", "Turn"]


@dataclass(frozen=True)
class Program:
    """A module of this package, its arguments, and its environment, unless it is this one."""

    module: str
    arguments: tuple[str, ...] = ()
    environment: str | None = None

    @property
    def command(self) -> list[str]:
        python = sys.executable
        if self.environment is not None:
            python = str(python_in(self.environment))
        return [python, "-m", f"benchmarks.contestants.{self.module}", *self.arguments]

    @contextmanager
    def running(self, place: Place) -> Iterator[Contestant]:
        """Run the program with its values in this place, and yield it; it ends with the block."""
        with subprocess.Popen(
            self.command,
            cwd=ROOT,
            # In this environment, PYTHONPATH may say where cshelve's modules are.
            env=own_surroundings(*([] if self.environment else ["PYTHONPATH"])),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                yield Contestant(process.stdin, process.stdout, place)
            except BaseException:
                process.kill()
                raise


class Turn(NamedTuple):
    """What an act took."""

    taken: Taken
    peak_bytes: int
    """The most memory in use during an act with a large value, beyond what was in use before."""


class Contestant:
    """A running program: its versions, and the acts that it supports."""

    def __init__(self, requests: IO[str], answers: IO[str], place: Place) -> None:
        self._requests = requests
        self._answers = answers
        hello = self._ask(json.dumps(asdict(place)))
        self.versions: str = hello["versions"]
        self.acts: list[str] = hello["acts"]

    def taken_by(self, act: str, values: int) -> Taken:
        """Let the program do the act with this number of values, and return the time it took."""
        return self.turn(act, values).taken

    def turn(self, act: str, values: int = 1, size: int = 0) -> Turn:
        """Let the program do the act with this number of small values, or one large value."""
        *taken, peak_bytes = self._ask(f"{act} {values} {size}")
        return Turn(Taken(*taken), peak_bytes)

    def _ask(self, line: str) -> Any:
        print(line, file=self._requests, flush=True)
        answer = self._answers.readline()
        if not answer:
            raise RuntimeError("a contestant ended: its reason is above")
        return json.loads(answer)
