"""The part of a bucket that a shelf lives in: names, and what every request is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cshelve.exceptions import KeyNotStorableError, StorageError
from cshelve.providers.aws_s3.errors import Place

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.options import S3Settings

__all__ = ["PROBE", "TOKEN", "Bucket", "etag_of"]

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html: bytes of UTF-8.
LONGEST_KEY = 1024
# How the names begin (behind a prefix) that `probe` uses for a moment; they are no keys.
PROBE = ".cshelve-probe-"
# Metadata's name for the token of a conditional put (`conditional`), which is sent as
# `x-amz-meta-cshelve-token`. cshelve 1.x ignores it.
TOKEN = "cshelve-token"


class Bucket:
    """The bucket and prefix that all requests are about. Safe in many threads."""

    def __init__(self, settings: S3Settings) -> None:
        self.name = settings.bucket_name
        self.prefix = settings.prefix
        self.location = f"s3://{self.name}/{self.prefix}".rstrip("/")
        self.parameters: Mapping[str, Mapping[str, Any]] = {}
        """What the user gives for each operation, in `[put_params]`."""

    def key(self, name: str) -> str:
        """Return the key of a name's object."""
        return self.prefix + name

    def can_hold(self, name: str) -> bool:
        """Return whether S3 can hold a key of that length, and it may be one; sends nothing."""
        key = self.prefix + name
        is_short = len(key) * 4 <= LONGEST_KEY or len(key.encode()) <= LONGEST_KEY
        return bool(name) and is_short and PROBE not in name

    def request(self, operation: str, name: str | None = None) -> dict[str, Any]:
        """Return the parameters of a request that do not depend on what it is for."""
        parameters = {"Bucket": self.name, **self.parameters.get(operation, {})}
        if name is not None:
            parameters["Key"] = self.key(name)
        return parameters

    def place(self, operation: str, name: str | None = None) -> Place:
        """Say which request it is, for a message."""
        return Place(operation, self.location, name)

    def refuse_unless_held(self, name: str) -> None:
        """Raise `KeyNotStorableError` for a key that S3 cannot hold."""
        if not name:
            raise KeyNotStorableError(f"S3 holds no empty key; nothing is sent to {self.location}.")
        if PROBE in name:
            raise KeyNotStorableError(
                f"{name!r} in {self.location}: names with {PROBE!r} in them are the shelf's own."
            )
        if not self.can_hold(name):
            raise KeyNotStorableError(
                f"S3 holds keys of {LONGEST_KEY} bytes at most, the prefix included; "
                f"{name[:50]!r}… in {self.location} has {len(self.key(name).encode())}."
            )

    def listing(self, prefix: str) -> dict[str, Any]:
        """Return what a ListObjectsV2 has to say to list the names that begin so."""
        asked: dict[str, Any] = {}
        if self.prefix or prefix:
            asked["Prefix"] = self.prefix + prefix
        if self.prefix and not prefix:
            # The prefix itself is no key.
            asked["StartAfter"] = self.prefix
        return asked


def etag_of(answer: Mapping[str, Any], bucket: Bucket, name: str) -> str:
    """Return the version in the answer to a put, or refuse an answer that is none of S3's."""
    if "ETag" not in answer:
        # A web server that answers anything with a page would seem to have stored it.
        raise StorageError(
            f"{bucket.place('PutObject', name)}: the answer has no ETag, as S3's has; "
            "whether the value is stored is not known."
        )
    return str(answer["ETag"])
