"""The part of a bucket that a shelf lives in: what every request is made of, and its listing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from cshelve.exceptions import KeyNotStorableError, StorageError
from cshelve.providers.aws_s3.client import attempts_of, checked_put_params, shared_params
from cshelve.providers.aws_s3.errors import Place, translated

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.connections import Connections
    from cshelve.providers.aws_s3.options import S3Settings

__all__ = ["PROBE", "Bucket", "etag_of"]

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html: bytes of UTF-8.
LONGEST_KEY = 1024
# How the names begin (behind a prefix) that `probe` uses for a moment; they are no keys.
PROBE = ".cshelve-probe-"


class Bucket:
    """Connections, and the bucket and prefix that all requests are about. Safe in many threads."""

    def __init__(self, settings: S3Settings, connections: Connections) -> None:
        self.connections = connections
        self.name = settings.bucket_name
        self.prefix = settings.prefix
        self.location = f"s3://{self.name}/{self.prefix}".rstrip("/")
        model = connections.meta.service_model
        put_params = checked_put_params(settings, model)
        self._shared = shared_params(put_params, model) | {"PutObject": put_params}

    @property
    def attempts(self) -> int:
        """Tell how often the client tries a request, the first time included."""
        return attempts_of(self.connections.config)

    def key(self, name: str) -> str:
        """Give the key of a name's object."""
        return self.prefix + name

    def can_hold(self, name: str) -> bool:
        """Tell without asking whether S3 can hold a key of that length, and it may be one."""
        is_short = len(self.key(name).encode()) <= LONGEST_KEY
        return bool(name) and is_short and PROBE not in name

    def request(self, operation: str, name: str | None = None) -> dict[str, Any]:
        """Give the parameters of a request that do not depend on what it is for."""
        parameters = {"Bucket": self.name, **self._shared.get(operation, {})}
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

    @contextmanager
    def translating(self, operation: str, name: str | None = None) -> Iterator[None]:
        """Raise what boto3 raises as an error of ours."""
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            raise translated(error, self.place(operation, name)) from error

    def page(self, prefix: str = "", **parameters: Any) -> Mapping[str, Any]:
        """Send one ListObjectsV2 for the names that begin so, the prefix itself left out."""
        request = self.listing(prefix, **parameters)
        for _ in range(2):
            with self.translating("ListObjectsV2"), self.connections.client() as client:
                answer = client.list_objects_v2(**request)
            # One that was cut to nothing on its way is asked for once more.
            if {"IsTruncated", "KeyCount", "Name"}.intersection(answer):
                return answer
        # Else a web server that answers anything with a page would be an empty shelf.
        raise StorageError(
            f"{self.place('ListObjectsV2')}: the answer is no listing; is that an S3 server at "
            "[provider_params] endpoint_url?"
        )

    def listing(self, prefix: str, **parameters: Any) -> dict[str, Any]:
        """Give the parameters of a ListObjectsV2 for the names that begin so."""
        request = self.request("ListObjectsV2")
        if self.prefix or prefix:
            request["Prefix"] = self.prefix + prefix
        if self.prefix and not prefix:
            request["StartAfter"] = self.prefix
        return {**request, **parameters}


def etag_of(answer: Mapping[str, Any], bucket: Bucket, name: str) -> str:
    """Give the version in the answer to a put, or refuse an answer that is none of S3's."""
    if "ETag" not in answer:
        # A web server that answers anything with a page would seem to have stored it.
        raise StorageError(
            f"{bucket.place('PutObject', name)}: the answer has no ETag, as S3's has; "
            "whether the value is stored is not known."
        )
    return str(answer["ETag"])
