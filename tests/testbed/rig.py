"""What tests of the testbed share: clients that give up at once, and looks at what they got."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

ONCE = Config(retries={"max_attempts": 0}, read_timeout=5, max_pool_connections=32)


def code_of(call: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def eventually(check: Callable[[], object]) -> bool:
    deadline = time.monotonic() + 5
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def body_of(client: S3Client, key: str) -> bytes:
    return client.get_object(Bucket="bucket", Key=key)["Body"].read()
