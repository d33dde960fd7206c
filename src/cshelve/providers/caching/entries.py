"""What a cache keeps, and the interface of the places that keep it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, NamedTuple, TypeVar

from cshelve.providers.base import Item

__all__ = ["Entries", "Entry"]

P = TypeVar("P")


class Entry(NamedTuple):
    """An item that a cache has, and when it was known to be up to date."""

    item: Item
    asked_at: float
    """When the store was last asked for the item, in seconds since 1970."""
    identity: Any = None
    """What its place recognizes it by."""


class Entries(ABC, Generic[P]):
    """A place for the entries of one shelf, by name. Safe in many threads.

    Nothing here raises an error of the place: an entry that cannot be read is none, and one that
    cannot be kept is not kept.
    """

    @abstractmethod
    def read(self, name: str) -> Entry | None:
        """Return the entry of a name, which counts as a use; None if there is none."""

    @abstractmethod
    def prepare(self, name: str, item: Item, asked_at: float) -> P | None:
        """Do whatever takes time before an entry can be kept; None if it cannot.

        Pass the result to `keep` or `discard`.
        """

    @abstractmethod
    def keep(self, prepared: P) -> None:
        """Make a prepared entry the one of its name. This is quick."""

    @abstractmethod
    def discard(self, prepared: P) -> None:
        """Throw a prepared entry away."""

    @abstractmethod
    def renew(self, name: str, entry: Entry, asked_at: float) -> None:
        """Record that the store was asked again, and the item is up to date."""

    @abstractmethod
    def drop(self, name: str) -> None:
        """Remove the entry of a name, if there is one."""

    @abstractmethod
    def clear(self) -> None:
        """Remove all entries of the shelf."""
