"""Threads and processes that each do their part at the same moment as the others."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

import pytest

from tests.forks import FORKS
from tests.threads import PATIENCE_SECONDS

T = TypeVar("T")

PROCESSES = 4

IN_THIS_PROCESS = ["in-memory", "filesystem", pytest.param("aws-s3", marks=pytest.mark.s3)]
shared_by_processes = pytest.mark.parametrize("place", IN_THIS_PROCESS[1:], indirect=True)


class Crowd:
    """Some processes that each do their part at the same moment as the others."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._pool = ProcessPoolExecutor(
            number, FORKS, initializer=_join, initargs=(FORKS.Barrier(number),)
        )

    def each(self, function: Callable[..., T], *arguments: Any) -> list[T]:
        """Have a function called in each process, with its number, and give what they returned."""
        parts = [self._pool.submit(_part, function, n, *arguments) for n in range(self._number)]
        return [part.result(PATIENCE_SECONDS) for part in parts]

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


_start: Any = None


def _join(start: Any) -> None:
    global _start
    _start = start


def _part(function: Callable[..., T], number: int, *arguments: Any) -> T:
    # Nobody gets a second part before everybody has got one.
    _start.wait(PATIENCE_SECONDS)
    return function(number, *arguments)
