"""Functions that the tests of the contract share: checks, expected errors, threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from cshelve._concurrency.outcomes import finish
from cshelve.exceptions import (
    ConflictError,
    Error,
    KeyNotFoundError,
)
from cshelve.providers.base import Outcome, Provider

E = TypeVar("E", bound=BaseException)
T = TypeVar("T")


def odd_value(name: str) -> bytes:
    return b"the value of " + ascii(name).encode()


def holds(provider: Provider, name: str) -> bool:
    return provider.contains(name) and provider.get(name).data == odd_value(name)


def is_absent(provider: Provider, name: str) -> bool:
    """Return whether `get`, `contains` and `delete` all report a name as absent."""
    try:
        provider.get(name)
    except KeyNotFoundError:
        return not provider.contains(name) and not provider.delete(name)
    return False


def refusal(able: bool) -> type[Error]:
    """Return the error to expect for a false condition, from a store that is able to decide it.

    Any other store may raise any `Error`.
    """
    return ConflictError if able else Error


def is_done(able: bool, act: Callable[[], object], *refusals: type[Error]) -> bool:
    """Call `act`, and return False if it was refused.

    A store that is `able` to decide conditions may only refuse with one of `refusals`, and any
    other store with any `Error` that is not a `KeyError`. All other errors are raised.
    """
    try:
        act()
    except Error as error:
        if (able and not isinstance(error, refusals)) or isinstance(error, KeyError):
            raise
        return False
    return True


def falsy(outcome: object) -> None:
    assert not outcome


def done(outcomes: Generator[Outcome]) -> None:
    """Run an operation on many names to its end, and raise its error if a name failed."""
    finish(outcomes, "done")


def error_of(kind: type[E], act: Callable[[], object]) -> E:
    """Call `act`, and return the error of this kind; raise `AssertionError` if there is none."""
    try:
        act()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def in_threads(count: int, act: Callable[[int], T]) -> list[T]:
    """Call `act` with a number in each of `count` threads at once, and return the results."""
    ready = threading.Barrier(count)

    def begin(number: int) -> T:
        ready.wait()
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Call `act` repeatedly in another thread, at least once, until the block ends."""
    done = threading.Event()

    def repeat() -> None:
        act()
        while not done.is_set():
            act()

    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(repeat)
        try:
            yield
        finally:
            done.set()
        acting.result()
