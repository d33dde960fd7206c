"""Shelves whose values travel in parts.

The limits are as low as S3 allows. What the store has is read by plain boto3, round the proxy.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import cshelve
from testbed.faults import Fault
from tests.rigs import S3Rig

MIB = 2**20
CHUNK = 5 * MIB
# The size of a range where values are only read.
RANGE = MIB // 4
ATTEMPTS = 2
OPTIONS: dict[str, Any] = {
    "multipart_threshold_bytes": CHUNK,
    "multipart_chunk_bytes": CHUNK,
    "total_max_attempts": ATTEMPTS,
    # By the other engine a value is read whole for as long as the shelf has met no large one, as it
    # cannot know before; all others, and all that these tests are about, is boto3's.
    "engine": "boto3",
    # The objects are the values alone, so that sizes are exact.
    "use_pickle": False,
    "use_versioning": False,
}
GET, PUT, HEAD = "GetObject", "PutObject", "HeadObject"
CREATE, PART, COMPLETE = "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"
ABORT = "AbortMultipartUpload"
IN_2_PARTS = [CREATE, PART, PART, COMPLETE]

_random = random.Random(5)


def value_of(size: int) -> bytes:
    """Make a value whose parts are all different."""
    return _random.randbytes(size)


# Two parts each; the last one is short.
SMALL, OLD, NEW = b"small", value_of(CHUNK + 1), value_of(CHUNK + 100)


@dataclass
class Case:
    """A shelf, and the way round everything to what the store has."""

    s3: S3Rig
    config: dict[str, dict[str, Any]]
    db: cshelve.CloudShelf
    opened: list[cshelve.CloudShelf] = field(default_factory=list)

    def open(self, **options: Any) -> cshelve.CloudShelf:
        """Open another shelf in the same place, which is closed after the test."""
        config = {**self.config, "default": {**self.config["default"], **options}}
        self.opened.append(cshelve.open_from_dict(config))
        return self.opened[-1]

    @property
    def bucket(self) -> str:
        return self.s3.bucket

    def name(self, key: str) -> str:
        return f"{self.config['default']['key_prefix']}/{key}"

    def store(self, key: str, value: bytes) -> None:
        """Write round the shelf and the proxy, in one request."""
        self.s3.client.put_object(Bucket=self.bucket, Key=self.name(key), Body=value)

    def stored(self, key: str) -> bytes:
        answer = self.s3.client.get_object(Bucket=self.bucket, Key=self.name(key))
        return answer["Body"].read()

    def uploads(self) -> list[str]:
        """List the uploads under the shelf's prefix that were begun and not ended."""
        prefix = self.name("")
        answer = self.s3.client.list_multipart_uploads(Bucket=self.bucket, Prefix=prefix)
        return [upload["Key"] for upload in answer.get("Uploads", ())]

    def operations(self, operation: Callable[[], Any]) -> list[str]:
        with self.s3.proxy.counting() as seen:
            operation()
        return seen.operations

    def inject(self, fault: Fault, operation: str, **where: Any) -> Any:
        """Have a fault wait for some requests of one kind."""
        return self.s3.proxy.inject(fault, operation=operation, **where)


def write_unless_stopped(db: cshelve.CloudShelf, value: bytes = NEW) -> None:
    with suppress(cshelve.StorageError):
        db["k"] = value
