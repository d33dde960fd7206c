"""The bucket and prefix of a shelf, and the parameters that all requests about them share."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cshelve.exceptions import KeyNotStorableError, StorageError
from cshelve.providers.aws_s3.errors import Place

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.options import S3Settings

__all__ = [
    *("EXPIRES", "LONGEST_KEY", "NO_VERSION", "PROBE", "TOKEN"),
    *("Bucket", "address_variable", "etag_of", "expiry_in", "given_endpoint", "only_if_not"),
    "origin_of_credentials",
]

# In bytes of UTF-8: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
LONGEST_KEY = 1024
# `probe` briefly creates objects whose names contain this. They are not keys of the shelf.
PROBE = ".cshelve-probe-"
# The metadata name of a conditional put's token (see `conditional`), sent as
# `x-amz-meta-cshelve-token`. cshelve 1.x ignores it.
TOKEN = "cshelve-token"
# The metadata name of the time when an object expires, in milliseconds since 1970. A HEAD shows it.
EXPIRES = "cshelve-expires"
MILLISECONDS = re.compile("[0-9]{1,20}")
# The version of an object if the server sends no ETag. No later condition matches it.
NO_VERSION = '"none"'
ADDRESSES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
# The operations that set an object's media type.
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
        """Whether requests carry checksums that S3 does not require."""
        self._credentials = origin_of_credentials(settings)
        self._address = given_endpoint(settings) or "the network, endpoint_url and region_name"
        self.content_type: str | None = None
        """The media type of every object, unless `[put_params]` sets another one."""

    def request(self, operation: str, name: str | None = None) -> dict[str, Any]:
        """Return the parameters, as boto3 names them, that every request of an operation has.

        With a name, they include the key of its object.
        """
        parameters = {"Bucket": self.name, **self.parameters.get(operation, {})}
        if self.content_type is not None and operation in CREATING:
            parameters.setdefault("ContentType", self.content_type)
        if name is not None:
            parameters["Key"] = self.prefix + name
        return parameters

    def place(self, operation: str, name: str | None = None) -> Place:
        """Return the operation, name and location that begin every message about a request."""
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
                f"S3 cannot hold an empty key; nothing was sent to {self.location}."
            )
        if PROBE in name:
            return KeyNotStorableError(
                f"{name!r} in {self.location}: names with {PROBE!r} in them are the shelf's own."
            )
        return KeyNotStorableError(
            f"S3 holds keys of {LONGEST_KEY} bytes at most, the prefix included; "
            f"{name[:50]!r}… in {self.location} has {len((self.prefix + name).encode())}."
        )

    def listing(self, prefix: str, start_after: str | None = None) -> dict[str, Any]:
        """Return the parameters of a ListObjectsV2 of names with a prefix, after a name."""
        asked: dict[str, Any] = {}
        if self.prefix or prefix:
            asked["Prefix"] = self.prefix + prefix
        if start_after:
            # Cut to the length of a key: no key lies between that and the whole name.
            behind = (self.prefix + start_after).encode()[:LONGEST_KEY]
            asked["StartAfter"] = behind.decode(errors="ignore")
        elif self.prefix and not prefix:
            # An object named like the prefix itself is not a key of the shelf.
            asked["StartAfter"] = self.prefix
        return asked


def origin_of_credentials(settings: S3Settings) -> str:
    """Return where the credentials come from, for messages about wrong credentials."""
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
    """Return where the user has set the server's address, for messages; None if nowhere."""
    if settings.client_params.get("endpoint_url") is not None:
        return "[provider_params] endpoint_url"
    name = next((name for name in ADDRESSES if os.environ.get(name)), None)
    return name and f"the environment variable {name}"


def address_variable() -> str | None:
    """Return the server's address in the environment; None if it is not there."""
    return next(filter(None, map(os.environ.get, ADDRESSES)), None)


def etag_of(answer: Mapping[str, Any], place: Place) -> str:
    """Return the ETag in the response to a write; raise `StorageError` if there is none."""
    if "ETag" not in answer:
        # Any web server that responds with a page would otherwise seem to have stored the value.
        raise StorageError(
            f"{place}: the response has no ETag, unlike S3's; it is not known whether the value "
            "is stored."
        )
    return str(answer["ETag"])


def expiry_in(written: str | None) -> float:
    """Return when an object expires, by what its metadata has under `EXPIRES`: inf if never."""
    if written is None or not MILLISECONDS.fullmatch(written):
        return math.inf
    return int(written) / 1000


def only_if_not(version: str | None) -> dict[str, str] | None:
    """Return the parameters of a GET that sends no data if the object has this version.

    None if there is no version to compare.
    """
    return None if version is None or version == NO_VERSION else {"IfNoneMatch": version}
