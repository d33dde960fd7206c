"""Operations on many names by one request for each: the defaults of `Provider`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, TypeVar

from cshelve._concurrency.outcomes import Outcome, outcome_of
from cshelve._concurrency.parallel import map_in_order
from cshelve.exceptions import KeyNotFoundError

if TYPE_CHECKING:
    import logging

    from cshelve.providers.base import Item, Provider

__all__ = ["delete_each", "get_each", "put_each", "warn_of_whole_bucket"]

T = TypeVar("T")


def get_each(provider: Provider, names: Iterable[str]) -> Generator[tuple[str, Item | None]]:
    """Yield each name with its item, in the order of the names; None for an absent name."""

    def read(name: str) -> Item | None:
        try:
            return provider.get(name)
        except KeyNotFoundError:
            return None

    return map_in_order(read, names, provider.concurrency)


def put_each(provider: Provider, items: Iterable[tuple[str, bytes]]) -> Generator[Outcome]:
    """Store items in parallel, but those of the same name in turn, and yield the outcomes."""

    def write(item: tuple[str, bytes]) -> Outcome:
        name, data = item
        return outcome_of(name, provider.location, lambda: provider.put(name, data), len(data))

    return _outcomes(write, items, provider.concurrency, apart=lambda item: item[0])


def delete_each(provider: Provider, names: Iterable[str]) -> Generator[Outcome]:
    """Delete names in parallel, and yield the outcomes."""

    def remove(name: str) -> Outcome:
        return outcome_of(name, provider.location, lambda: provider.delete(name))

    return _outcomes(remove, names, provider.concurrency)


def warn_of_whole_bucket(
    deleting: Generator[Outcome], logger: logging.Logger, location: str
) -> Generator[Outcome]:
    """Yield the outcomes of deleting all objects of a bucket, and log a warning at the end."""
    deleted = 0
    try:
        for outcome in deleting:
            deleted += outcome.failure is None
            yield outcome
    finally:
        deleting.close()
        if deleted:
            objects = "1 object was" if deleted == 1 else f"{deleted} objects were"
            logger.warning(
                "%s: the shelf is the whole bucket, and %s deleted from it; key_prefix limits "
                "a shelf to a part of a bucket",
                location,
                objects,
            )


def _outcomes(
    act: Callable[[T], Outcome],
    items: Iterable[T],
    concurrency: int,
    apart: Callable[[T], object] | None = None,
) -> Generator[Outcome]:
    """Act on items in parallel; begin no more after a failure that all others would share."""
    done = map_in_order(act, items, concurrency, apart=apart, is_last=Outcome.ends_all)
    yield from (outcome for _, outcome in done)
