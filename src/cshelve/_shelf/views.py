"""`items()` and `values()` of a shelf: lazy and in parallel."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, ValuesView
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cshelve._shelf.shelf import CloudShelf

__all__ = ["Items", "Values"]


class Items(ItemsView[str, Any]):
    _mapping: CloudShelf

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return self._mapping._pairs()


class Values(ValuesView[Any]):
    _mapping: CloudShelf

    def __iter__(self) -> Iterator[Any]:
        return _Seconds(self._mapping._pairs())

    def __contains__(self, value: object) -> bool:
        return any(each is value or each == value for each in self)


class _Seconds(Iterator[Any]):
    """The second of each pair; a class, so that it goes on behind an error."""

    def __init__(self, pairs: Iterator[tuple[str, Any]]) -> None:
        self._pairs = pairs

    def __next__(self) -> Any:
        return next(self._pairs)[1]
