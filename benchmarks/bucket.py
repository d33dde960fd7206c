"""A SeaweedFS of the benchmark's own, with a bucket and a shelf in it, and bare requests beside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.config import Config

import cshelve
from testbed.seaweedfs import SeaweedFS

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

__all__ = ["BUCKET", "PREFIX", "Rig", "rig"]

BUCKET = "benchmark"
PREFIX = "shelf/"


@dataclass
class Rig:
    """A shelf in a bucket of a server on this machine, and plain boto3 to the same bucket."""

    db: cshelve.CloudShelf
    client: S3Client


@contextmanager
def rig() -> Iterator[Rig]:
    """Start the server, and stop it in the end."""
    with SeaweedFS() as server:
        # Version 2, which boto3 would sign URLs by, this server does not know.
        client = server.client(config=Config(signature_version="s3v4"))
        client.create_bucket(Bucket=BUCKET)
        config = {
            "default": {
                "provider": "aws-s3",
                "bucket_name": BUCKET,
                "key_prefix": PREFIX,
                "auth_type": "access_key",
                "key_id": server.admin.access_key,
                "key_secret": server.admin.secret_key,
            },
            "provider_params": {"endpoint_url": server.endpoint_url},
        }
        with cshelve.open_from_dict(config) as db:
            yield Rig(db, client)
