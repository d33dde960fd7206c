"""The part of a bucket that a shelf lives in: its names, and what all requests about it have."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cshelve.exceptions import KeyNotStorableError, StorageError
from cshelve.providers.aws_s3.errors import Place

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.options import S3Settings

__all__ = ["LONGEST_KEY", "NO_VERSION", "PROBE", "TOKEN", "Bucket", "etag_of", "given_endpoint"]

# In bytes of UTF-8: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
LONGEST_KEY = 1024
# Names with this in them are used by `probe` for a moment; they are no keys of the shelf.
PROBE = ".cshelve-probe-"
# The name of a conditional put's token in the object's metadata (`conditional`), which is sent as
# `x-amz-meta-cshelve-token`. cshelve 1.x ignores it.
TOKEN = "cshelve-token"
# The version of an object if the server sends none; no later condition finds it unchanged.
NO_VERSION = '"none"'
# The operations that say what type an object has.
CREATING = frozenset({"PutObject", "CreateMultipartUpload"})


class Bucket:
    """The bucket and prefix that all requests are about. Safe in many threads."""

    def __init__(self, settings: S3Settings) -> None:
        self.name = settings.bucket_name
        self.prefix = settings.prefix
        self.location = f"s3://{self.name}/{self.prefix}".rstrip("/")
        self.parameters: Mapping[str, Mapping[str, Any]] = {}
        """The user's parameters for each operation, from `[put_params]`."""
        self.sends_checksums = True
        """Whether requests carry checksums that S3 does not insist on."""
        self._credentials = _origin_of_credentials(settings)
        self._address = given_endpoint(settings) or "the network, endpoint_url and region_name"
        self.content_type: str | None = None
        """The media type of every object, unless `[put_params]` has another."""

    def request(self, operation: str, name: str | None = None) -> dict[str, Any]:
        """Return boto3's parameters that all requests of an operation have, or all about a name."""
        parameters = {"Bucket": self.name, **self.parameters.get(operation, {})}
        if self.content_type is not None and operation in CREATING:
            parameters.setdefault("ContentType", self.content_type)
        if name is not None:
            parameters["Key"] = self.prefix + name
        return parameters

    def place(self, operation: str, name: str | None = None) -> Place:
        """Return the beginning of a message about a request."""
        return Place(
            operation,
            self.location,
            name,
            credentials=self._credentials,
            address=self._address,
            sends_checksums=self.sends_checksums,
        )

    def not_storable(self, name: str) -> KeyNotStorableError:
        """Return the error for a name that `Requests.key_of` refuses."""
        if not name:
            return KeyNotStorableError(
                f"S3 holds no empty key; nothing is sent to {self.location}."
            )
        if PROBE in name:
            return KeyNotStorableError(
                f"{name!r} in {self.location}: names with {PROBE!r} in them are the shelf's own."
            )
        return KeyNotStorableError(
            f"S3 holds keys of {LONGEST_KEY} bytes at most, the prefix included; "
            f"{name[:50]!r}… in {self.location} has {len((self.prefix + name).encode())}."
        )

    def listing(self, prefix: str) -> dict[str, Any]:
        """Return the parameters of a ListObjectsV2 of the names that begin with a prefix."""
        asked: dict[str, Any] = {}
        if self.prefix or prefix:
            asked["Prefix"] = self.prefix + prefix
        if self.prefix and not prefix:
            # The prefix itself is no key.
            asked["StartAfter"] = self.prefix
        return asked


def _origin_of_credentials(settings: S3Settings) -> str:
    """Return where the credentials come from, for a message about wrong ones."""
    if settings.auth_type == "access_key":
        return "[default] key_id and key_secret"
    if settings.auth_type == "profile":
        return f"the profile {settings.credentials['profile_name']!r} of [default] profile_name"
    if settings.session is not None:
        return "those of the boto3_session"
    if settings.client_params.get("aws_access_key_id"):
        return "[provider_params] aws_access_key_id and aws_secret_access_key"
    if "AWS_ACCESS_KEY_ID" in os.environ:
        return "the environment variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    return "the credentials that boto3 finds (~/.aws, a role)"


def given_endpoint(settings: S3Settings) -> str | None:
    """Return where the address of the server is written, for a message; None if boto3 finds it."""
    if settings.client_params.get("endpoint_url") is not None:
        return "[provider_params] endpoint_url"
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    name = next((name for name in names if os.environ.get(name)), None)
    return name and f"the environment variable {name}"


def etag_of(answer: Mapping[str, Any], place: Place) -> str:
    """Return the version in an answer to a write; raise `StorageError` if there is none."""
    if "ETag" not in answer:
        # A web server that answers anything with a page would seem to have stored it.
        raise StorageError(
            f"{place}: the answer has no ETag, as S3's has; whether the value is stored is not "
            "known."
        )
    return str(answer["ETag"])
