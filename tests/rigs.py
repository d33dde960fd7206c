"""Places for a shelf to live in while it is tested: memory, a folder, and a real S3 server."""

from __future__ import annotations

import importlib
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import cshelve

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from testbed.fault_proxy import FaultProxy
    from testbed.seaweedfs import Identity, SeaweedFS

BUCKET = "cshelve-tests"
# Which engine the shelves in S3 have; `make test` runs them with each.
ENGINE = os.environ.get("CSHELVE_TEST_ENGINE", "auto")

# A refusal of a request without a condition is asked of boto3 too, which has the words for it.
SENT_IF_REFUSED = 1 if ENGINE == "boto3" else 2

_unique: Iterator[int] = itertools.count()


def unique_name() -> str:
    """Name something that no other test of this run uses."""
    return f"test-{next(_unique)}"


def engine_of(shelf: cshelve.CloudShelf) -> str:
    """Tell which engine a shelf in S3 was opened with."""
    provider: Any = shelf._objects.records.provider
    return str(provider.engine)


def rely_again_on_its_engine(shelf: cshelve.CloudShelf) -> None:
    """Let a shelf that left everything to boto3, after odd answers, take its own engine again."""
    provider: Any = shelf._objects.records.provider
    provider._requests._in_vain = 0


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


def folder_config(folder: Path) -> dict[str, dict[str, Any]]:
    return {"default": {"provider": "filesystem", "folder_path": str(folder)}}


def local_config(path: Path) -> dict[str, dict[str, Any]]:
    return {"default": {"provider": "dbm", "path": str(path)}}


def dbm_backends() -> list[str]:
    """Name the backends of `dbm` that this Python has, the one that it prefers first."""
    names = ("dbm.sqlite3", "dbm.gnu", "dbm.ndbm", "dbm.dumb")
    return [name for name in names if _can_be_imported(name)]


def _can_be_imported(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


@dataclass
class S3Rig:
    """One bucket of a running server, seen through the proxy that counts and injects faults."""

    server: SeaweedFS
    proxy: FaultProxy
    client: S3Client
    """Plain boto3, straight to the server: round the code under test and round the proxy."""
    bucket: str = BUCKET

    def config(self, identity: Identity | None = None, **default: Any) -> dict[str, dict[str, Any]]:
        """Write the configuration of a shelf under a prefix of its own."""
        who = identity or self.server.admin
        options = {
            "provider": "aws-s3",
            "bucket_name": self.bucket,
            "auth_type": "access_key",
            "key_id": who.access_key,
            "key_secret": who.secret_key,
            "key_prefix": unique_name(),
            "engine": ENGINE,
            **default,
        }
        return {
            "default": {name: value for name, value in options.items() if value is not None},
            "provider_params": {"endpoint_url": self.proxy.endpoint_url},
        }


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread or process is about to do; the bound is for what never ends."""
    event = threading.Event()
    for _ in range(6000):
        if condition():
            return
        event.wait(0.01)
    pytest.fail("that never happened")
