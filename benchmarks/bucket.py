"""A SeaweedFS server with a bucket, shelves in the bucket, and presigned requests for keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.config import Config

import cshelve
from benchmarks.raw import get
from testbed.s3_client import s3_client
from testbed.seaweedfs import SeaweedFS

__all__ = ["BUCKET", "PREFIX", "config_in", "raw_gets", "server_with_bucket", "shelf_in"]

BUCKET = "benchmark"
PREFIX = "shelf/"
# By default boto3 signs URLs with version 2, which this server does not support.
SIGNATURE = Config(signature_version="s3v4")


@contextmanager
def server_with_bucket() -> Iterator[SeaweedFS]:
    """Start the server, create the bucket, and stop the server at the end of the block."""
    with SeaweedFS() as server:
        server.client().create_bucket(Bucket=BUCKET)
        yield server


def config_in(server: SeaweedFS, endpoint_url: str = "", **options: Any) -> dict[str, Any]:
    """Return the configuration of a shelf with these options in its `[default]` section."""
    default = {
        "provider": "aws-s3",
        "bucket_name": BUCKET,
        "key_prefix": PREFIX,
        "auth_type": "access_key",
        "key_id": server.admin.access_key,
        "key_secret": server.admin.secret_key,
        **options,
    }
    endpoint = {"endpoint_url": endpoint_url or server.endpoint_url}
    return {"default": default, "provider_params": endpoint}


def shelf_in(server: SeaweedFS, endpoint_url: str = "", **options: Any) -> cshelve.CloudShelf:
    return cshelve.open_from_dict(config_in(server, endpoint_url, **options))


def raw_gets(server: SeaweedFS, endpoint_url: str, keys: Iterable[str]) -> list[bytes]:
    """Return a presigned GET request for each of a shelf's keys."""
    client = s3_client(endpoint_url, server.admin, {"config": SIGNATURE})
    return [
        get(client.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": PREFIX + key}))
        for key in keys
    ]
