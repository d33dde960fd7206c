"""The transport of Azure's client: counts each request, and reads whole responses.

Azure's client would otherwise read bodies piece by piece, and request those that are cut off again
by itself, unseen. Here such a body is a failure of its request, which `requests` sends again.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import requests
from azure.core.pipeline.transport import HttpTransport, RequestsTransport
from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cshelve.providers.base import Stats

__all__ = ["CountingTransport", "Sending"]


class Sending(NamedTuple):
    """What a thread is sending: the operation, the blob and the number of the attempt."""

    operation: str
    blob: str | None
    attempt: int


class CountingTransport(HttpTransport[Any, Any]):
    """Passes requests on to another transport, and counts them in a shelf's statistics."""

    def __init__(self, inner: HttpTransport[Any, Any], stats: Stats) -> None:
        self._inner = inner
        self._stats = stats
        self._of_thread = threading.local()

    def now_sending(self, sending: Sending) -> None:
        """Tell what this thread sends next."""
        self._of_thread.sending = sending

    def send(self, request: Any, **kwargs: Any) -> Any:
        sending = getattr(self._of_thread, "sending", Sending(request.method, None, 1))
        body = request.body if isinstance(getattr(request, "body", None), bytes) else b""
        started = time.perf_counter()
        status, received = 0, 0
        failure: BaseException | None = None
        try:
            response = self._inner.send(request, **{**kwargs, "stream": False})
            status = response.status_code
            received = len(response.body())
            return response
        except BaseException as error:
            failure = error
            raise
        finally:
            self._stats.count(
                sending.operation,
                key=sending.blob,
                status=status,
                sent=len(body),
                received=received,
                seconds=time.perf_counter() - started,
                attempt=sending.attempt,
                error=failure,
            )

    def open(self) -> None:
        self._inner.open()

    def close(self) -> None:
        self._inner.close()

    def __exit__(self, *_: object) -> None:
        self.close()


def transport_for(params: Mapping[str, Any], concurrency: int) -> HttpTransport[Any, Any]:
    """Return a transport with a connection for each request that may be in flight."""
    session = requests.Session()
    adapter = HTTPAdapter(pool_connections=4, pool_maxsize=concurrency)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    transport: HttpTransport[Any, Any] = RequestsTransport(session=session, **params)
    return transport
