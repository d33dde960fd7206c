"""Other threads, which begin at the same moment, or go on for as long as something takes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

# For what has to happen soon, on a machine that may be busy.
PATIENCE_SECONDS = 60
# How many threads write a key at once under a condition. SeaweedFS may let each of them wait a
# second for the one before it.
CONTENDERS = 6


def in_threads(number: int, function: Callable[[int], T]) -> list[T]:
    """Call a function in so many threads at the same moment and give what they returned."""
    start = threading.Barrier(number)
    results: dict[int, T] = {}
    errors: list[BaseException] = []

    def run(which: int) -> None:
        try:
            start.wait(PATIENCE_SECONDS)
            results[which] = function(which)
        except BaseException as error:  # noqa: BLE001  # for whoever waits for the thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(number)]
    with switching_often():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    if errors:
        raise errors[0]
    return [results[which] for which in range(number)]


@contextmanager
def switching_often() -> Iterator[None]:
    """Let Python go from thread to thread so often that what is not guarded goes wrong."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(0.00005)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


@contextmanager
def meanwhile(function: Callable[[int], None], number: int = 1) -> Iterator[None]:
    """Call a function in so many other threads again and again for as long as the block takes.

    It gets the number of its thread, and has been called once in each before the block begins.
    """
    over = threading.Event()
    have_begun = threading.Barrier(number + 1)
    errors: list[BaseException] = []

    def run(which: int) -> None:
        try:
            function(which)
            have_begun.wait(PATIENCE_SECONDS)
            while not over.is_set():
                function(which)
        except BaseException as error:  # noqa: BLE001  # for whoever waits for the thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(number)]
    for thread in threads:
        thread.start()
    try:
        have_begun.wait(PATIENCE_SECONDS)
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
    assert not any(thread.is_alive() for thread in threads), "another thread hangs"
    if errors:
        raise errors[0]
