"""Links to one object, with which anyone can read it until they expire.

boto3 signs them with the credentials of the shelf's requests, and for the same address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.config import Config

from cshelve.exceptions import ConfigurationError, UnsupportedOperationError
from cshelve.providers.aws_s3.errors import failures, translated

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.options import S3Settings
    from cshelve.providers.aws_s3.requests import Requests

__all__ = ["presigned_url"]

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html
MOST_SECONDS = 7 * 24 * 60 * 60
# Parameters that the reader of a link would have to send as headers.
NEEDS_HEADERS = ("SSECustomerKey", "SSECustomerAlgorithm", "RequestPayer")


def presigned_url(
    requests: Requests, settings: S3Settings, name: str, expires_seconds: float
) -> str:
    """Return a link to an object; sends nothing to S3."""
    is_number = isinstance(expires_seconds, int | float) and not isinstance(expires_seconds, bool)
    if not is_number or not 1 <= expires_seconds <= MOST_SECONDS:
        raise ConfigurationError(
            f"expires_seconds: a link is valid for 1 to {MOST_SECONDS:,} seconds (7 days), not "
            f"{expires_seconds!r:.40}."
        )
    bucket = requests.bucket
    if settings.auth_type == "anonymous":
        raise UnsupportedOperationError(
            f"{bucket.location}: a link has to be signed with credentials, and with [default] "
            "auth_type = anonymous there are none."
        )
    clients = requests.clients  # Creating them checks [put_params] too.
    parameters = bucket.request("GetObject", name)
    for header in NEEDS_HEADERS:
        if header in parameters:
            raise UnsupportedOperationError(
                f"{bucket.location}: a reader would have to send [put_params] {header} as a "
                "header, which a link cannot contain."
            )
    parameters.pop("ExpectedBucketOwner", None)  # A header too, but an optional one.
    try:
        client = clients.built(_signature(clients.meta, bucket.name))
        url: str = client.generate_presigned_url(
            "get_object", Params=parameters, ExpiresIn=int(expires_seconds)
        )
    except failures() as error:
        raise translated(error, bucket.place("GetObject", name)) from error
    return url


def _signature(meta: Any, bucket_name: str) -> Config:
    """Return the settings with which boto3 signs in a way that is valid in all regions.

    By default, boto3 uses Signature Version 2 in some regions, and an address without a region,
    where buckets in newer regions are not found.
    """
    config = Config(signature_version="s3v4")
    is_at_aws = ".amazonaws.com" in meta.endpoint_url
    of_s3: Any = meta.config.s3 or {}
    is_plain_name = "." not in bucket_name and ":" not in bucket_name
    if is_at_aws and is_plain_name and of_s3.get("addressing_style", "auto") == "auto":
        of_s3 = {**of_s3, "addressing_style": "virtual"}
        config = config.merge(Config(s3=of_s3))
    return config
