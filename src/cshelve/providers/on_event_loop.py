"""The interface between a shelf for asyncio and a provider that sends its requests natively."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cshelve.providers.base import Item

__all__ = ["OnEventLoop"]


class OnEventLoop(ABC):
    """A provider's requests about one name, for the coroutines of one event loop.

    Cancelling a coroutine cancels its request. A write that was cancelled is done as a whole or not
    at all. The methods raise the errors of those of `Provider`.
    """

    @abstractmethod
    async def get(self, name: str) -> Item | None:
        """Return the item of a name; None if the name is absent."""

    @abstractmethod
    async def expires_at(self, name: str) -> float | None:
        """Return what `Provider.expires_at` does."""

    @abstractmethod
    async def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        """Store data as `Provider.put` does; return the version if there was a condition."""

    @abstractmethod
    async def delete(self, name: str, *, if_version: str | None = None) -> bool | None:
        """Delete a name as `Provider.delete` does."""

    @abstractmethod
    async def close(self) -> None:
        """Wait for the requests in flight, and close what only this object needs."""
