"""Servers of their own for the tests of the testbed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from testbed.fault_proxy import FaultProxy
from testbed.moto import Moto
from testbed.seaweedfs import IdentitySpec, SeaweedFS, allow

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

WRITER_OF_B = IdentitySpec(
    "writer-of-b",
    policies=[("write-b", allow({"Action": ["s3:PutObject"], "Resource": ["arn:aws:s3:::*/b/*"]}))],
)


@pytest.fixture(scope="package")
def weed() -> Iterator[SeaweedFS]:
    with SeaweedFS(identities=[WRITER_OF_B]) as server:
        server.client().create_bucket(Bucket="bucket")
        yield server


@pytest.fixture(scope="package")
def moto() -> Iterator[Moto]:
    with Moto() as server:
        server.client().create_bucket(Bucket="bucket")
        yield server


@pytest.fixture(scope="package")
def shared_proxy(weed: SeaweedFS) -> Iterator[FaultProxy]:
    with FaultProxy(weed.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
def proxy(shared_proxy: FaultProxy) -> Iterator[FaultProxy]:
    yield shared_proxy
    shared_proxy.clear()


@pytest.fixture(scope="package")
def s3(weed: SeaweedFS, shared_proxy: FaultProxy) -> Iterator[S3Client]:
    """A client that signs for real, through the proxy."""
    from tests.testbed.rig import ONCE  # Which needs boto3: tests without it have this file too.

    client = weed.client(endpoint_url=shared_proxy.endpoint_url, config=ONCE)
    yield client
    client.close()
