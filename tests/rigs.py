"""Places for a shelf to live in while it is tested: memory, a folder, and a real S3 server."""

from __future__ import annotations

import ast
import importlib
import itertools
import json
import os
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

import cshelve
from cshelve._concurrency import outcomes as _outcomes
from cshelve.providers import Outcome
from cshelve.providers.aws_s3.bucket import Bucket
from cshelve.providers.in_memory import InMemory
from cshelve.testing import shelf_over

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from testbed.fake_gcs import FakeGcs, GcsProxy
    from testbed.fault_proxy import FaultProxy
    from testbed.openssh import OpenSSH
    from testbed.seaweedfs import Identity, SeaweedFS

BUCKET = "cshelve-tests"
# In the order in which Python prefers them. It always has the last one; the others depend on its
# version, and on what it was built with.
DBM_BACKENDS = ("dbm.sqlite3", "dbm.gnu", "dbm.ndbm", "dbm.dumb")
# Which engine the shelves in S3 have; `make test` runs them with each.
ENGINE = os.environ.get("CSHELVE_TEST_ENGINE", "auto")

# A refusal of a request without a condition is asked of boto3 too, which has the words for it.
SENT_IF_REFUSED = 1 if ENGINE == "boto3" else 2

_unique: Iterator[int] = itertools.count()


def unique_name() -> str:
    """Name something that no other test of this run uses."""
    return f"test-{next(_unique)}"


def provider_of(shelf: cshelve.CloudShelf) -> Any:
    """Return the provider of a shelf, whatever it is: tests look at what only one store has."""
    return shelf.provider


def prefix_of(shelf: cshelve.CloudShelf) -> str:
    """Return what a view puts before its keys, which its `repr` tells; "" of a whole shelf."""
    _, is_view, prefix = repr(shelf).removesuffix(">").partition(", under ")
    return str(ast.literal_eval(prefix)) if is_view else ""


def object_of(shelf: cshelve.CloudShelf, key: str = "k") -> str:
    """Return the name in the bucket of the object of a key, prefixes and all."""
    _, _, key_prefix = provider_of(shelf).location.removeprefix("s3://").partition("/")
    return f"{key_prefix}/{prefix_of(shelf)}{key}"


def record_of(value: Any) -> bytes:
    """Return what a shelf without options stores for a value."""
    with shelf_over(store := InMemory(exists=True)) as shelf:
        shelf["k"] = value
        return store.get("k").data


def value_of(record: bytes) -> Any:
    """Return the value that a shelf without options reads from a record."""
    with shelf_over(store := InMemory(exists=True)) as shelf:
        store.put("k", record)
        return shelf["k"]


@dataclass
class Place:
    """Where one test's shelf lives; opened as often as the test likes."""

    config: dict[str, dict[str, Any]]
    opened: list[cshelve.CloudShelf] = field(default_factory=list)

    def open(self, flag: str = "c", **options: Any) -> cshelve.CloudShelf:
        """Open the shelf; the fixture closes it."""
        shelf = cshelve.open_from_dict(self.config, flag, **options)
        self.opened.append(shelf)
        return shelf

    def close(self) -> None:
        for shelf in self.opened:
            # What a test left unwritten it left on purpose.
            shelf.cache.clear()
            shelf.close()


def memory_config() -> dict[str, dict[str, Any]]:
    return {"default": {"provider": "in-memory", "persist-key": unique_name()}}


def folder_config(folder: Path | str) -> dict[str, dict[str, Any]]:
    return {"default": {"provider": "filesystem", "folder_path": str(folder)}}


def sftp_config(server: OpenSSH, **default: Any) -> dict[str, dict[str, Any]]:
    """Write the configuration of a shelf on a server, in a folder of its own."""
    options = {
        "provider": "sftp",
        "hostname": server.hostname,
        "port": server.port,
        "username": server.username,
        "auth_type": "key_filename",
        "key_filename": str(server.key),
        "known_hosts": str(server.known_hosts),
        **default,
    }
    options.setdefault("remote_path", str(server.new_folder() / "new"))
    return {"default": options}


def local_config(path: Path) -> dict[str, dict[str, Any]]:
    return {"default": {"provider": "dbm", "path": str(path)}}


def dbm_backends() -> list[str]:
    """Return the backends of `dbm` that this Python has, the one that it prefers first."""
    return [name for name in DBM_BACKENDS if _can_be_imported(name)]


def _can_be_imported(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def small_pages(patch: pytest.MonkeyPatch, keys: int) -> None:
    """Let S3 list so many keys at a time, so that a shelf of some keys has many pages."""
    listing = Bucket.listing

    def listing_of_few(bucket: Bucket, *where: Any) -> dict[str, Any]:
        return {**listing(bucket, *where), "MaxKeys": keys}

    patch.setattr(Bucket, "listing", listing_of_few)


def s3_config(who: Identity, endpoint_url: str, **default: Any) -> dict[str, dict[str, Any]]:
    """Write the configuration of a shelf on a server, under a prefix of its own.

    An option that is None is left out.
    """
    options = {
        "provider": "aws-s3",
        "bucket_name": BUCKET,
        "auth_type": "access_key",
        "key_id": who.access_key,
        "key_secret": who.secret_key,
        "key_prefix": unique_name(),
        "engine": ENGINE,
        **default,
    }
    return {
        "default": {name: value for name, value in options.items() if value is not None},
        "provider_params": {"endpoint_url": endpoint_url},
    }


@dataclass
class S3Rig:
    """One bucket of a running server, seen through the proxy that counts and injects faults."""

    server: SeaweedFS
    proxy: FaultProxy
    client: S3Client
    """Plain boto3, straight to the server: round the code under test and round the proxy."""
    bucket: str = BUCKET

    def config(self, identity: Identity | None = None, **default: Any) -> dict[str, dict[str, Any]]:
        """Write the configuration of a shelf under a prefix of its own, behind the proxy."""
        who = identity or self.server.admin
        return s3_config(who, self.proxy.endpoint_url, **default)

    def config_past_the_proxy(self) -> dict[str, dict[str, Any]]:
        """Write the configuration of a shelf that nobody watches, whose requests are quicker."""
        return s3_config(self.server.admin, self.server.endpoint_url)


@dataclass
class GcsRig:
    """One bucket of the emulator of Google Cloud Storage, seen through the proxy."""

    server: FakeGcs
    proxy: GcsProxy
    bucket: str = BUCKET

    def config(self, **default: Any) -> dict[str, dict[str, Any]]:
        """Write the configuration of a shelf under a prefix of its own, behind the proxy."""
        options = {
            "provider": "gcs",
            "bucket_name": self.bucket,
            "auth_type": "anonymous",
            "key_prefix": unique_name(),
            **default,
        }
        return {
            "default": {name: value for name, value in options.items() if value is not None},
            "provider_params": {
                "client_options.api_endpoint": self.proxy.endpoint_url,
                "project": "tests",
            },
        }

    def create_bucket(self) -> None:
        self.request("POST", "/storage/v1/b?project=tests", json.dumps({"name": self.bucket}))

    def request(self, method: str, path: str, body: str | bytes = b"") -> tuple[int, bytes]:
        """Send a request to the emulator itself: round the code under test and the proxy."""
        with closing(HTTPConnection(urlsplit(self.server.endpoint_url).netloc)) as connection:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()


def finish(outcomes: Generator[Outcome]) -> None:
    """Run an operation of a provider on many names to its end, and raise its error."""
    _outcomes.finish(outcomes, "done")


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread or process is about to do; the bound is for what never ends."""
    event = threading.Event()
    for _ in range(6000):
        if condition():
            return
        event.wait(0.01)
    pytest.fail("that never happened")
