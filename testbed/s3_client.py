"""A boto3 client for one caller of a server on loopback."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


@dataclass(frozen=True)
class Identity:
    """The keys that one caller signs with."""

    access_key: str
    secret_key: str


def s3_client(endpoint_url: str, identity: Identity, settings: Mapping[str, Any]) -> "S3Client":
    """Return a client with its own session; settings are passed to boto3 and take precedence."""
    # Imported late: programs that only need an address do not need boto3.
    import boto3

    defaults: dict[str, Any] = {
        "endpoint_url": endpoint_url,
        "region_name": "us-east-1",
        "aws_access_key_id": identity.access_key,
        "aws_secret_access_key": identity.secret_key,
    }
    return boto3.session.Session().client("s3", **(defaults | dict(settings)))
