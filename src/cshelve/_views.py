"""`items()` and `values()` of a shelf: lazy, in parallel, and able to go on behind a bad record."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, ValuesView
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cshelve._shelf import CloudShelf

__all__ = ["Items", "Values"]


class Pairs(Iterator[tuple[str, Any]]):
    """The pairs of a shelf, one after the other.

    A class and no generator, so that after a `RecordError` it goes on with the next key.
    """

    def __init__(self, shelf: CloudShelf) -> None:
        self._shelf = shelf
        self._records = shelf._records.get_many(shelf._records.provider.names())

    def __next__(self) -> tuple[str, Any]:
        shelf = self._shelf
        shelf._refuse_if_closed()
        name, record = next(self._records)
        if name in shelf.cache:
            return name, shelf.cache[name]
        value = shelf._loaded(name, shelf._records.decode(name, record))
        return name, shelf._cached(name, value)


class Items(ItemsView[str, Any]):
    _mapping: CloudShelf

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return Pairs(self._mapping)


class Values(ValuesView[Any]):
    _mapping: CloudShelf

    def __iter__(self) -> Iterator[Any]:
        return _SecondOfPairs(self._mapping)

    def __contains__(self, value: object) -> bool:
        return any(each is value or each == value for each in self)


class _SecondOfPairs(Iterator[Any]):
    def __init__(self, shelf: CloudShelf) -> None:
        self._pairs = Pairs(shelf)

    def __next__(self) -> Any:
        return next(self._pairs)[1]
