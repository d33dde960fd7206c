"""The transport of Azure's client: it counts each request, and reads whole responses.

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
from requests.utils import select_proxy
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.util import Timeout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from urllib3 import BaseHTTPResponse, HTTPConnectionPool

    from cshelve.providers.base import Stats

__all__ = ["CountingTransport", "Sending", "transport_for"]


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
        """Set what this thread sends next."""
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


class PlainSession(requests.Session):
    """A session that sends each request straight to urllib3.

    For each request, requests itself looks for proxies, cookies and passwords, which takes as long
    as the rest of Azure's client. This is done once for each server here. Anything unusual is left
    to requests: a proxy, or a body that is no bytes.
    """

    def __init__(self, concurrency: int) -> None:
        super().__init__()
        adapter = HTTPAdapter(pool_connections=4, pool_maxsize=concurrency)
        self.mount("https://", adapter)
        self.mount("http://", adapter)
        self._pools: dict[tuple[object, ...], HTTPConnectionPool | None] = {}

    def request(  # type: ignore[override]  # the arguments of RequestsTransport
        self, method: str, url: str, *, headers: Any, data: Any = None, **kwargs: Any
    ) -> requests.Response:
        origin, slash, path = _split(url)
        pool = self._pool(origin, kwargs)
        if pool is None or not (data is None or isinstance(data, bytes)):
            return super().request(method, url, headers=headers, data=data, **kwargs)
        connect, read = kwargs["timeout"]
        try:
            raw = pool.urlopen(
                method,
                f"{slash}{path}",
                body=data,
                headers=headers,
                timeout=Timeout(connect=connect, read=read),
                retries=False,
                redirect=False,
                decode_content=False,
                enforce_content_length=True,
            )
        except (NewConnectionError, ConnectTimeoutError):
            raise  # As RequestsTransport expects them.
        except ReadTimeoutError as error:
            raise requests.exceptions.ReadTimeout(error) from error
        except SSLError as error:
            raise requests.exceptions.SSLError(error) from error
        except HTTPError as error:
            raise requests.exceptions.ConnectionError(error) from error
        return _response(raw, url)

    def close(self) -> None:
        self._pools.clear()
        super().close()

    def _pool(self, origin: str, kwargs: Mapping[str, Any]) -> HTTPConnectionPool | None:
        """Return the connections to a server; None if there is a proxy."""
        verify, cert, proxies = (kwargs.get(name) for name in ("verify", "cert", "proxies"))
        key = (origin, verify, cert, repr(proxies))
        if key not in self._pools:
            found = self.merge_environment_settings(origin, proxies or {}, False, verify, cert)
            prepared = self.prepare_request(requests.Request("GET", f"{origin}/"))
            pool = None
            if select_proxy(origin, found["proxies"]) is None:
                adapter = self.get_adapter(origin)
                assert isinstance(adapter, HTTPAdapter)
                pool = adapter.get_connection_with_tls_context(
                    prepared, found["verify"], cert=found["cert"]
                )
                adapter.cert_verify(pool, origin, found["verify"], found["cert"])
            self._pools.setdefault(key, pool)
        return self._pools[key]


def transport_for(params: Mapping[str, Any], concurrency: int) -> HttpTransport[Any, Any]:
    """Return a transport with a connection for each request that may be in flight."""
    transport: HttpTransport[Any, Any] = RequestsTransport(
        session=PlainSession(concurrency), **params
    )
    return transport


def _split(url: str) -> tuple[str, str, str]:
    """Split a URL into scheme and host, the first slash, and the rest."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}", slash or "/", path


def _response(raw: BaseHTTPResponse, url: str) -> requests.Response:
    response = requests.Response()
    response.status_code = raw.status
    response.reason = raw.reason or ""
    response.headers = requests.structures.CaseInsensitiveDict(raw.headers)
    response.url = url
    response.raw = raw
    response._content = raw.data  # As `requests.Session.send` does without `stream`.
    response._content_consumed = True
    return response
