"""The requests of one shelf: the client of each process, permits, attempts, and their errors."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from cshelve._concurrency.backoff import full_jitter
from cshelve._concurrency.parallel import refuse_if_stopped
from cshelve._concurrency.per_process import PerProcess
from cshelve._concurrency.permits import Permit, Permits
from cshelve.exceptions import Error

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient, ContainerClient

    from cshelve.providers.azure_blob.errors import Place
    from cshelve.providers.azure_blob.options import AzureSettings
    from cshelve.providers.azure_blob.transport import CountingTransport
    from cshelve.providers.base import Stats

__all__ = ["Requests"]

T = TypeVar("T")

PAUSE_SECONDS = 0.1
THROTTLED_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 20.0


class Clients(NamedTuple):
    """Azure's client of one process."""

    service: Any
    container: ContainerClient
    transport: CountingTransport


class Requests:
    """Send a shelf's requests. Safe in many threads; a forked child gets its own connections.

    Azure's client sends each request once. It is sent again here, because the client would also
    repeat conditional requests, and sleep although the operation has ended.
    """

    def __init__(self, settings: AzureSettings, location: str, stats: Stats) -> None:
        self.settings = settings
        self.location = location
        self.stats = stats
        self.content_type: str | None = None
        self._permits = PerProcess(lambda: Permits(settings.concurrency))
        self._clients: PerProcess[Clients] = PerProcess(self._built)

    @property
    def clients(self) -> Clients:
        return self._clients.get()

    def blob(self, name: str) -> BlobClient:
        """Return the client of a name's blob."""
        return self.clients.container.get_blob_client(self.settings.prefix + name)

    def place(self, operation: str, name: str | None = None) -> Place:
        """Return the operation, name and location that begin every message about a request."""
        from cshelve.providers.azure_blob.errors import Place

        settings = self.settings
        return Place(operation, self.location, name, settings.origin_of_secret, settings.auth_type)

    def error(self, failure: Exception, operation: str, name: str | None = None) -> Error:
        """Return cshelve's error for a failure of `send`; the caller raises it."""
        from cshelve.providers.azure_blob.errors import AzureError, translated

        assert isinstance(failure, AzureError)
        return translated(failure, self.place(operation, name))

    def send_once(
        self, operation: str, name: str | None, call: Callable[[], T], number: int = 0
    ) -> T:
        """Call the client once; `number` counts the attempts from 0. Raises the client's errors."""
        from cshelve.providers.azure_blob.errors import UNREADABLE, UnreadableError
        from cshelve.providers.azure_blob.transport import Sending

        blob = None if name is None else self.settings.prefix + name
        with Permit(self._permits.get()):
            refuse_if_stopped()
            self.clients.transport.now_sending(Sending(operation, blob, number + 1))
            try:
                return call()
            except Error:
                raise
            except UNREADABLE as error:
                raise UnreadableError(f"{type(error).__name__}: {error}") from error

    def send(self, operation: str, name: str | None, call: Callable[[], T]) -> T:
        """Call the client until it succeeds or fails for good; raise the client's last error.

        `call` may be called several times, so the request must not have a condition.
        """
        from cshelve.providers.azure_blob.errors import AzureError, is_transient

        number = 0
        while True:
            try:
                return self.send_once(operation, name, call, number)
            except AzureError as error:
                if number + 1 >= self.settings.attempts or not is_transient(error):
                    error.attempts = number + 1  # type: ignore[attr-defined]  # for `delete`
                    raise
                self.pause(number, error)
            number += 1

    def pause(self, number: int, failure: BaseException) -> None:
        """Wait before the next attempt; `number` counts the attempts from 0."""
        from cshelve.providers.azure_blob.errors import is_throttled

        first = THROTTLED_PAUSE_SECONDS if is_throttled(failure) else PAUSE_SECONDS
        time.sleep(full_jitter(number, first, LONGEST_PAUSE_SECONDS))

    def close(self) -> None:
        """Close the connections of this process."""
        clients = self._clients.drop()
        if clients is not None:
            clients.service.close()
            clients.transport.close()

    def _built(self) -> Clients:
        from cshelve.providers.azure_blob.clients import build_clients

        return Clients(*build_clients(self.settings, self.stats))
