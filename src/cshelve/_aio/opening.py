"""`aopen`, which opens a shelf for asyncio."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from cshelve._aio.shelf import AsyncShelf
from cshelve._aio.threads import Threads
from cshelve._open import open, open_from_dict, open_provider
from cshelve.exceptions import ConfigurationError
from cshelve.providers.base import Provider

if TYPE_CHECKING:
    import logging

    from cshelve._shelf.shelf import CloudShelf
    from cshelve._values.serializers import Deserialize, Serialize

__all__ = ["Opening", "aopen"]

NO_WRITEBACK = (
    "writeback: a shelf for asyncio has none. Changed values would be written by a later `sync` or "
    "`close`, while tasks go on changing them. Use `await db.modify(key, function)`."
)


def aopen(
    filename: str | os.PathLike[str] | Mapping[str, Mapping[str, Any]] | Provider,
    flag: str = "c",
    protocol: int | None = 5,
    writeback: bool = False,
    *,
    provider_params: Mapping[str, Any] | None = None,
    logger: logging.Logger | None = None,
    serializer: Serialize | None = None,
    deserializer: Deserialize | None = None,
) -> Opening:
    """Open a shelf for asyncio, with the arguments of `open`.

    Instead of a name, pass a dict of sections, as to `open_from_dict`, or a provider. The result
    is an asynchronous context manager, which closes the shelf, or is awaited.

    A shelf in S3 sends its requests from the event loop, by the direct engine. Other stores are
    used in at most `concurrency` threads of the shelf. Raises the errors of `open`, and
    `ConfigurationError` for `writeback`, which a shelf for asyncio does not have.

        async def main() -> None:
            async with cshelve.aopen("aws-s3.ini") as db:
                await db.set("greeting", "hello")
    """
    if writeback:
        raise ConfigurationError(NO_WRITEBACK)
    options: dict[str, Any] = {
        "logger": logger,
        "serializer": serializer,
        "deserializer": deserializer,
    }
    if isinstance(filename, Provider):
        if provider_params is not None:
            raise ConfigurationError("provider_params: the provider exists already.")
        return Opening(partial(open_provider, filename, flag, protocol, **options))
    options["provider_params"] = provider_params
    if isinstance(filename, str | os.PathLike):
        return Opening(partial(open, filename, flag, protocol, **options))
    return Opening(partial(open_from_dict, filename, flag, protocol, **options))


class Opening:
    """A shelf that is opened by `async with` or `await`."""

    def __init__(self, opened: partial[CloudShelf[Any]]) -> None:
        self._opened = opened
        self._shelf: AsyncShelf[Any] | None = None

    def __await__(self) -> Generator[Any, None, AsyncShelf[Any]]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncShelf[Any]:
        self._shelf = await self._open()
        return self._shelf

    async def __aexit__(self, *_: object) -> None:
        if self._shelf is not None:
            await self._shelf.close()

    async def _open(self) -> AsyncShelf[Any]:
        """Open the shelf in a thread, as that reads files and sends requests."""
        threads = Threads(1)
        made: list[CloudShelf[Any]] = []
        try:
            await threads.run(lambda: made.append(self._opened()))
        except BaseException:
            for shelf in made:  # The caller was cancelled meanwhile.
                shelf.close()
            raise
        finally:
            await threads.close()
        try:
            return AsyncShelf.over(made[0])
        except BaseException:
            made[0].close()
            raise
