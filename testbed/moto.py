"""Moto as the S3 server: exact listing order and any key; it trusts all callers unless told."""

import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.ports import free_ports
from testbed.s3_client import Identity, s3_client
from testbed.server_process import LocalServer, ServerProcess, answers_ok

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_READY_SECONDS = 20.0


class Moto(LocalServer):
    """A separate server with its buckets in memory.

    Use this and never ``mock_aws``: clients other than botocore would bypass the mock and send
    requests to the real AWS.
    """

    def __init__(self) -> None:
        super().__init__()
        self._port = 0

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def admin(self) -> Identity:
        """Return the keys to use; Moto accepts any."""
        return Identity("moto-access-key", "moto-secret-key")

    def client(self, identity: Identity | None = None, **settings: Any) -> "S3Client":
        """Return a boto3 client; settings are passed to boto3."""
        return s3_client(self.endpoint_url, identity or self.admin, settings)

    def enforce_policies(self) -> None:
        """From now on, check signatures and the policies of IAM's users, which have to exist."""
        url = f"{self.endpoint_url}/moto-api/reset-auth"
        # The number of requests that are still let through. As a form, it would not arrive.
        request = urllib.request.Request(url, b"0", {"Content-Type": "text/plain"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.open(request, timeout=_READY_SECONDS).close()

    def _launch(self, directory: Path) -> ServerProcess:
        [self._port] = free_ports(1)
        return ServerProcess(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._port)],
            directory / "moto.log",
        )

    def _wait_until_ready(self, process: ServerProcess) -> None:
        status = f"{self.endpoint_url}/moto-api/data.json"
        process.wait_until(lambda: answers_ok(status), _READY_SECONDS)
