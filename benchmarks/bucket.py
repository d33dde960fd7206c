"""A SeaweedFS of the benchmark's own, with a bucket and a shelf in it, and bare requests beside."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.config import Config

import cshelve
from testbed.seaweedfs import SeaweedFS

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

__all__ = ["BUCKET", "PREFIX", "Rig", "medians", "rig"]

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


def medians(acts: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Give the median of the seconds that each act takes, their order another one each round."""
    seconds: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(rounds):
        for name in random.sample(list(acts), len(acts)):
            began = time.perf_counter()
            acts[name]()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(taken) for name, taken in seconds.items()}
