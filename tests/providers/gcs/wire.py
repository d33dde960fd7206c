"""A server that records requests and answers them as the API of Google Cloud Storage is documented.

https://cloud.google.com/storage/docs/json_api/v1
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

import pytest

from cshelve.providers import Gcs
from testbed.scripted_server import Answer, ScriptedRequest, ScriptedServer

NO_OBJECT = "No such object: bucket/app/k"
NO_BUCKET = "The specified bucket does not exist."
NOT_HELD = "At least one of the pre-conditions you specified did not hold."
FORBIDDEN = (
    "reader@example.org does not have storage.objects.get access to the Google Cloud Storage "
    "object. Permission 'storage.objects.get' denied on resource (or it may not exist)."
)


class Asked(NamedTuple):
    """What a request asks for."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def properties(self) -> dict[str, Any]:
        """The JSON in the first part of an upload's body."""
        _, _, rest = self.body.partition(b"\r\n\r\n")
        found: dict[str, Any] = json.loads(rest.partition(b"\r\n--")[0])
        return found


def asked_by(request: ScriptedRequest) -> Asked:
    path, _, query = request.target.partition("?")
    return Asked(
        request.method,
        unquote(path),
        {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()},
        {name.lower(): value for name, value in request.headers},
        request.body,
    )


def response(
    status: int, body: bytes | Mapping[str, Any] = b"", headers: Mapping[str, str] | None = None
) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"Content-Length": str(len(data)), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} -\r\n{lines}\r\n".encode() + data


def error(status: int, message: str) -> bytes:
    return response(status, {"error": {"code": status, "message": message, "errors": []}})


def written(generation: int) -> bytes:
    return response(200, {"generation": str(generation)})


def media(
    data: bytes, generation: int = 7, status: int = 200, headers: Mapping[str, str] | None = None
) -> bytes:
    known = {
        "Content-Type": "application/octet-stream",
        "Last-Modified": "Sun, 29 Nov 2026 00:44:25 GMT",
        "X-Goog-Generation": str(generation),
        **(headers or {}),
    }
    return response(status, data, known)


class Wire:
    """The server, and a provider that uses it."""

    def __init__(self, server: ScriptedServer, provider: Gcs) -> None:
        self.server = server
        self.provider = provider

    def answers(self, *script: Answer) -> None:
        self.server.answers(*script)

    @property
    def asked(self) -> list[Asked]:
        return [asked_by(request) for request in self.server.requests]

    @property
    def methods(self) -> list[str]:
        return [asked.method for asked in self.asked]


@contextmanager
def wire(
    script: Callable[[int, ScriptedRequest], Answer] | None = None, **options: Any
) -> Iterator[Wire]:
    """Provide a server, and a provider with the prefix `app`, which pauses only briefly."""
    with ScriptedServer(script or ()) as server, pytest.MonkeyPatch.context() as patch:
        quick(patch)
        settings = {"auth_type": "anonymous", "key_prefix": "app", **options}
        provider = Gcs("bucket", api_endpoint=server.endpoint_url, **settings)
        try:
            yield Wire(server, provider)
        finally:
            provider.close()


def quick(patch: pytest.MonkeyPatch) -> None:
    """Retry without long pauses."""
    for name in ("PAUSE_SECONDS", "THROTTLED_PAUSE_SECONDS"):
        patch.setattr(f"cshelve.providers.gcs.requests.{name}", 0.001)
