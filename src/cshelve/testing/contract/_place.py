"""The methods of a contract that a subclass implements for its store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

from cshelve.providers.base import Provider

__all__ = ["PlaceOfATest"]


class PlaceOfATest:
    """The providers of the tests, and access to their store without a provider."""

    unfaithful_names: frozenset[str] = frozenset()
    """Names that the tests leave out, since the server itself mangles them."""

    many = 2_100
    """The number of names in a long listing; it should fill more than two pages of the store."""

    def make_provider(self) -> Provider:
        """Return a new provider for the place of this test, which exists and is empty at first.

        A test may call this more than once; all its providers share the place.
        """
        raise NotImplementedError

    def absent_provider(self) -> Provider:
        """Return a provider for a place that does not exist."""
        raise NotImplementedError

    def raw_read(self, name: str) -> bytes | None:
        """Return the value of a name, without using the provider; None if the name is absent."""
        raise NotImplementedError

    def raw_write(self, name: str, data: bytes) -> None:
        """Store a value under an ordinary name, without using the provider."""
        raise NotImplementedError

    def raw_names(self) -> set[str]:
        """Return all names in the place of the test, without using the provider."""
        raise NotImplementedError

    def raw_write_many(self, names: Iterable[str]) -> None:
        """Store empty values under ordinary names; override this if the store has a faster way."""
        for name in names:
            self.raw_write(name, b"")

    def write_neighbours(self) -> None:
        """Store objects close to the shelf that do not belong to it; optional."""

    def neighbours_are_whole(self) -> bool:
        """Return whether everything that `write_neighbours` stored is still there."""
        return True

    @contextmanager
    def provider(self) -> Iterator[Provider]:
        """Yield a provider for the place of this test, and close it at the end."""
        with closing(self.make_provider()) as provider:
            yield provider

    @contextmanager
    def absent(self) -> Iterator[Provider]:
        """Yield a provider for a place that does not exist, and close it at the end."""
        with closing(self.absent_provider()) as provider:
            yield provider
