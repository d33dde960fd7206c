"""Rewriting values, and deleting expired ones, for every key while the shelf is in use.

Keys are processed in parallel, each of them atomically. If the store does not honour conditions,
the first response that shows it ends the operation, unless it is `exclusive`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing

from cshelve._concurrency.outcomes import Outcome, Outcomes, outcome_of
from cshelve._concurrency.parallel import map_in_order
from cshelve._shelf.atomic import Atomic, finished
from cshelve._values.values import Values
from cshelve.exceptions import ConditionsNotSupportedError

__all__ = ["expire_all", "rewrite_all"]


def rewrite_all(values: Values, atomic: Atomic, outcomes: Outcomes, *, exclusive: bool) -> int:
    """Rewrite every value that is out of date, and return the number of values written."""

    def rewrite(key: str) -> int:
        return finished(atomic.rewrite(values, key, exclusive=exclusive))

    values.refuse_if_read_only("rewrite")
    if not exclusive and not values.provider.capabilities.conditional_put:
        raise _no_conditions(values, "rewrite")
    written = 0
    with outcomes, closing(_each(values, rewrite, "rewrite")) as rewritten:
        for outcome in rewritten:
            written += outcome.size_bytes > 0
            outcomes.add(outcome)
    return written


def expire_all(values: Values, atomic: Atomic, outcomes: Outcomes, *, exclusive: bool) -> int:
    """Delete every value that has expired, and return the number of values deleted."""
    deleted: list[str] = []

    def expire(key: str) -> int:
        if finished(atomic.expire(values, key, exclusive=exclusive)):
            deleted.append(key)
        return 0

    values.refuse_if_read_only("expire keys of")
    if not exclusive and not values.provider.capabilities.conditional_delete:
        raise _no_conditions(values, "expire")
    if not values.codec.reads_records:
        return 0
    with outcomes:
        outcomes.add_all(_each(values, expire, "expire"))
    return len(deleted)


def _each(values: Values, act: Callable[[str], int], method: str) -> Generator[Outcome]:
    """Call `act` for each key as outcomes are iterated over; it returns the bytes it stored."""

    def outcome(key: str) -> Outcome:
        size_bytes = 0

        def act_once() -> None:
            nonlocal size_bytes
            try:
                size_bytes = act(key)
            except ConditionsNotSupportedError as error:
                raise _needs_conditions(str(error), method) from error

        return outcome_of(key, values.location, act_once)._replace(size_bytes=size_bytes)

    concurrency = values.provider.concurrency
    done = map_in_order(outcome, values.list_keys(), concurrency, is_last=Outcome.ends_all)
    yield from (each for _, each in done)


def _no_conditions(values: Values, method: str) -> ConditionsNotSupportedError:
    return _needs_conditions(f"{values.location}: this store does not honour conditions", method)


def _needs_conditions(problem: str, method: str) -> ConditionsNotSupportedError:
    error = ConditionsNotSupportedError(
        f"{problem}. If nobody else writes to the shelf meanwhile, call {method}(exclusive=True)."
    )
    error.about_shelf = True
    return error
