"""Store all values again in the current format, to migrate or change keys during use."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from cshelve._concurrency.outcomes import Outcome, Outcomes, outcome_of
from cshelve._concurrency.parallel import map_in_order
from cshelve._shelf.atomic import Atomic
from cshelve._values.values import Values
from cshelve.exceptions import ConditionsNotSupportedError

__all__ = ["rewrite_all"]


def rewrite_all(values: Values, atomic: Atomic, outcomes: Outcomes, *, exclusive: bool) -> int:
    """Rewrite all values in parallel, and return the number of values that were written.

    Without `exclusive`, nothing is written to a store that does not support conditions: the first
    such response ends the operation.
    """
    written = 0
    with outcomes, closing(_rewriting(values, atomic, exclusive=exclusive)) as rewritten:
        for outcome in rewritten:
            written += outcome.size_bytes > 0
            outcomes.add(outcome)
    return written


def _rewriting(values: Values, atomic: Atomic, *, exclusive: bool) -> Generator[Outcome]:
    """Rewrite values while the caller iterates over the outcomes.

    An outcome has a size only if its value was written.
    """
    values.refuse_if_read_only("rewrite")
    if not exclusive and not values.provider.capabilities.conditional_put:
        raise _needs_conditions(f"{values.location}: this store does not support conditions")

    def rewrite(key: str) -> Outcome:
        size_bytes = 0

        def act() -> None:
            nonlocal size_bytes
            try:
                size_bytes = atomic.rewrite(values, key, exclusive=exclusive)
            except ConditionsNotSupportedError as error:
                raise _needs_conditions(str(error)) from error

        return outcome_of(key, values.location, act)._replace(size_bytes=size_bytes)

    concurrency = values.provider.concurrency
    done = map_in_order(rewrite, values.list_keys(), concurrency, is_last=Outcome.ends_all)
    yield from (outcome for _, outcome in done)


def _needs_conditions(problem: str) -> ConditionsNotSupportedError:
    error = ConditionsNotSupportedError(
        f"{problem}. If nobody else writes to the shelf meanwhile, use rewrite(exclusive=True)."
    )
    error.about_shelf = True
    return error
