"""What the tests of `gcs` on the emulator share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testbed.fault_proxy import Seen
from tests.rigs import GcsRig

LIST, GET, DATA, INSERT = "list", "get", "data", "insert"
DELETE, REWRITE, CREATE, CHUNK = "delete", "rewrite", "create", "chunk"


def operation_of(request: Seen) -> str:
    """Return what a request does; `data` is a `get` of the data of an object, or of a range."""
    _, _, rest = request.path.partition("/b/")
    if request.path.endswith("/b"):
        return CREATE
    if "/rewriteTo/" in rest:
        return REWRITE
    if request.path.startswith("/upload/"):
        return INSERT if request.method == "POST" else CHUNK
    if request.path.startswith("/download/"):
        return DATA
    if request.method == "DELETE":
        return DELETE
    return GET if "/o/" in rest else LIST


def requests_of(gcs: GcsRig, act: Callable[[], Any]) -> list[str]:
    """Return the requests that an action sends."""
    with gcs.proxy.counting() as seen:
        act()
    return [operation_of(request) for request in seen.requests]
