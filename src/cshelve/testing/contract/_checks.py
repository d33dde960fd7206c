"""What the contract's tests have in common: how they look, fail and race."""

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
    """Tell whether every way to ask says that a name is not there."""
    try:
        provider.get(name)
    except KeyNotFoundError:
        return not provider.contains(name) and not provider.delete(name)
    return False


def refusal(able: bool) -> type[Error]:
    """Give the error of a condition that does not hold; a store that can't tell may refuse it."""
    return ConflictError if able else Error


def is_done(able: bool, act: Callable[[], object], *refusals: type[Error]) -> bool:
    """Act, and tell whether it was done; only a store that isn't able may refuse outright."""
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
    """Run an operation on many names to its end, and raise what its failures amount to."""
    finish(outcomes, "done")


def error_of(kind: type[E], act: Callable[[], object]) -> E:
    """Act, and give the error of this kind that it has to end in."""
    try:
        act()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def in_threads(count: int, act: Callable[[int], T]) -> list[T]:
    """Act in as many threads, which all begin at once."""
    ready = threading.Barrier(count)

    def begin(number: int) -> T:
        ready.wait()
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Act again and again in another thread, once at least, until the block is left."""
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
