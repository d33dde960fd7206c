"""Encoding again what is stored: to migrate, or to rotate keys, while the shelf is in use."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from cshelve._concurrency.outcomes import Outcome, Tally, failure_of
from cshelve._concurrency.parallel import map_in_order
from cshelve._shelf.atomic import Atomic
from cshelve._values.values import Objects
from cshelve.exceptions import ConditionsNotSupportedError

__all__ = ["rewrite_all"]


def rewrite_all(objects: Objects, atomic: Atomic, tally: Tally, *, exclusive: bool) -> int:
    """Rewrite every value, in parallel, and tell how many of them were written.

    Unless it is `exclusive`, nothing is written to a store that does not honour conditions: the
    first such answer ends it.
    """
    written = 0
    with tally, closing(_rewriting(objects, atomic, exclusive=exclusive)) as outcomes:
        for outcome in outcomes:
            written += outcome.size_bytes > 0
            tally.add(outcome)
    return written


def _rewriting(objects: Objects, atomic: Atomic, *, exclusive: bool) -> Generator[Outcome]:
    """Rewrite while the outcomes are gone through; one has a size if something was written."""
    records = objects.records
    records.refuse_if_read_only("rewrite")
    if not exclusive and not records.provider.capabilities.conditional_put:
        raise _needs_conditions(f"{records.location}: this store does not honour conditions")

    def rewrite(key: str) -> Outcome:
        size = 0

        def act() -> None:
            nonlocal size
            try:
                size = atomic.rewrite(objects, key, exclusive=exclusive)
            except ConditionsNotSupportedError as error:
                raise _needs_conditions(str(error)) from error

        return Outcome(key, failure_of(f"{key!r} in {records.location}", act), size)

    rewritten = map_in_order(
        rewrite, records.names(), records.provider.concurrency, is_last=Outcome.ends_all
    )
    yield from (outcome for _, outcome in rewritten)


def _needs_conditions(problem: str) -> ConditionsNotSupportedError:
    error = ConditionsNotSupportedError(
        f"{problem}. If nobody else writes to the shelf meanwhile, rewrite(exclusive=True) does it."
    )
    error.about_shelf = True
    return error
