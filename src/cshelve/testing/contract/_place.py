"""The place of a test, which whoever tests a provider describes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

from cshelve.providers.base import Provider

__all__ = ["PlaceOfATest"]


class PlaceOfATest:
    """What a subclass of a contract says: how to make providers, and how to go round them."""

    unfaithful_names: frozenset[str] = frozenset()
    """Names that the server of the tests mangles whoever writes them; they are not tried."""

    many = 2_100
    """How many names a long listing has: more than two pages of the store's."""

    def make_provider(self) -> Provider:
        """Make a new provider on this test's place, which exists and is empty at first."""
        raise NotImplementedError

    def absent_provider(self) -> Provider:
        """Make a provider on a place that does not exist."""
        raise NotImplementedError

    def raw_read(self, name: str) -> bytes | None:
        """Read what the store has under a name, None for nothing, without the provider."""
        raise NotImplementedError

    def raw_write(self, name: str, data: bytes) -> None:
        """Write under an ordinary name, without the provider."""
        raise NotImplementedError

    def raw_names(self) -> set[str]:
        """List what is in the place, without the provider."""
        raise NotImplementedError

    def raw_write_many(self, names: Iterable[str]) -> None:
        """Write empty values under ordinary names; override it where that can be done faster."""
        for name in names:
            self.raw_write(name, b"")

    def write_neighbours(self) -> None:
        """Write things that lie close beside the shelf in the store and are none of it."""

    def neighbours_are_whole(self) -> bool:
        """Tell whether all that `write_neighbours` wrote is still there."""
        return True

    @contextmanager
    def provider(self) -> Iterator[Provider]:
        """Make a provider on this test's place and close it in the end."""
        with closing(self.make_provider()) as provider:
            yield provider

    @contextmanager
    def absent(self) -> Iterator[Provider]:
        """Make a provider on a place that does not exist and close it in the end."""
        with closing(self.absent_provider()) as provider:
            yield provider
