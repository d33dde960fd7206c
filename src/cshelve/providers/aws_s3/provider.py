"""`aws-s3`: a shelf in an Amazon S3 bucket, or in one of a server that speaks its protocol.

A key's object is named `key_prefix/key`. What may be configured is in `options`; boto3's
clients are built in `client` and kept in `connections`; `bucket` makes requests,
`pages` lists and `listing` reads a page, `bulk_delete` deletes many keys,
`by_boto3` moves values by boto3 and `crt_transport` by AWS's Common Runtime, as
`engine` decides, `multipart` and `ranged_reads` move large values, `conditional`
writes where a condition holds, which `probe` finds out whether the server knows; what boto3's
errors mean is in `errors`.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from cshelve._parallel import refuse_if_stopped
from cshelve.exceptions import (
    AuthError,
    CanNotCreateDBError,
    DBDoesNotExistsError,
    Error,
    StorageError,
)
from cshelve.providers.aws_s3.bucket import Bucket
from cshelve.providers.aws_s3.bulk_delete import BulkDelete
from cshelve.providers.aws_s3.by_boto3 import Boto3Transport, Bulk, Transport
from cshelve.providers.aws_s3.conditional import ConditionalWrites
from cshelve.providers.aws_s3.connections import Connections
from cshelve.providers.aws_s3.engine import chosen
from cshelve.providers.aws_s3.errors import code_of, translated
from cshelve.providers.aws_s3.listing import Objects
from cshelve.providers.aws_s3.multipart import MultipartUploads
from cshelve.providers.aws_s3.options import S3Settings, settings_from
from cshelve.providers.aws_s3.pages import pages_of
from cshelve.providers.aws_s3.probe import Condition, Probe
from cshelve.providers.aws_s3.ranged_reads import RangedReads
from cshelve.providers.base import Capabilities, Entry, Item, Outcome, Provider

if TYPE_CHECKING:
    from cshelve._config import Sections

__all__ = ["AwsS3"]

# Regions that CreateBucket takes no LocationConstraint for: S3's first, and names that are none.
REGIONS_WITHOUT_CONSTRAINT = frozenset({"", "us-east-1", "aws-global", "auto"})


class AwsS3(Provider):
    """Objects in a bucket. Each method is one request unless it says otherwise; a large value is
    one for each of its chunks, and two more when it is written.

    Requests are repeated by boto3, and by nobody else, but for those with a condition and for a
    body that was cut short on its way, which is asked for once more. S3 stores and deletes an
    object as a whole or not at all.
    """

    capabilities = Capabilities(conditional_put=True, conditional_delete=True, delete_reports=False)

    engine: str
    """Which engine moves values: `boto3`, or `crt` with boto3 beside it."""

    def __init__(self, settings: S3Settings, logger: logging.Logger) -> None:
        super().__init__(concurrency=settings.concurrency)
        self._settings = settings
        self._connections = Connections(settings, self._before_attempt)
        self.concurrency = self._connections.concurrency
        self._bucket = Bucket(settings, self._connections)
        self._bulk_delete = BulkDelete(self._bucket, super().deleting)
        sizes = (settings.multipart_threshold_bytes, settings.multipart_chunk_bytes)
        self._uploads = MultipartUploads(self._bucket, *sizes)
        self._ranged_reads = RangedReads(self._bucket, *sizes)
        self._conditional = ConditionalWrites(self._bucket, self._uploads)
        self._probe = Probe(self._bucket)
        self._transport = self._transport_of(settings, logger)

    @classmethod
    def from_config(cls, config: Sections) -> Self:
        """Take what options.md lists for aws-s3, and build the client; sends nothing."""
        return cls(settings_from(config), config.logger)

    @property
    def location(self) -> str:
        return self._bucket.location

    def exists(self) -> bool:
        """Ask by a listing of one key; by nothing at all, and True, without `check_bucket`."""
        if not self._settings.check_bucket:
            return True
        try:
            self._bucket.page(MaxKeys=1)
        except DBDoesNotExistsError:
            return False
        return True

    def create(self) -> None:
        """Create the bucket, in the client's region."""
        region = self._connections.meta.region_name or ""
        where: dict[str, Any] = {}
        if region not in REGIONS_WITHOUT_CONSTRAINT:
            where["CreateBucketConfiguration"] = {"LocationConstraint": region}
        try:
            with self._connections.client() as client:
                client.create_bucket(Bucket=self._bucket.name, **where)
        except (ClientError, BotoCoreError) as error:
            # Somebody may have created it since we looked; whether it is ours, a listing tells.
            taken = code_of(error) in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}
            if taken and self._is_ours():
                return
            failure = translated(error, self._bucket.place("CreateBucket"))
            if isinstance(failure, AuthError | CanNotCreateDBError):
                raise failure from error
            raise CanNotCreateDBError(str(failure)) from error

    def close(self) -> None:
        self._transport.close()
        self._connections.close()

    def get(self, name: str) -> Item:
        return self._transport.get(name)

    def contains(self, name: str) -> bool:
        """Ask by a HEAD; by a GET of one byte where only its answer has a code."""
        return self._transport.contains(name)

    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        """Store an object; with a condition, find out once whether the server honours it."""
        if not if_absent and if_version is None:
            return self._transport.put(name, data)
        self._bucket.refuse_unless_held(name)
        self._probe.require(Condition.ABSENT if if_absent else Condition.UNCHANGED)
        version = self._conditional.put(name, data, None if if_absent else if_version)
        self.stats.add_bytes(sent=len(data))
        return version

    def delete(self, name: str, *, if_version: str | None = None) -> bool | None:
        if if_version is None:
            return self._transport.delete(name)
        if not self._bucket.can_hold(name):
            return False
        self._probe.require(Condition.DELETE_UNCHANGED)
        self._conditional.delete(name, if_version)
        return True

    def entries(self, prefix: str = "", *, limit: int | None = None) -> Iterator[Entry]:
        """List the objects: one request for each 1,000."""
        pages = pages_of(self._bucket, prefix, limit)
        return islice(chain.from_iterable(map(self._entries, pages)), limit)

    def names(self, prefix: str = "", *, limit: int | None = None) -> Iterator[str]:
        pages = pages_of(self._bucket, prefix, limit)
        return islice(chain.from_iterable(map(self._names, pages)), limit)

    def get_many(self, names: Iterable[str]) -> Iterator[tuple[str, Item]]:
        return self._transport.get_many(names)

    def putting(self, items: Iterable[tuple[str, bytes]]) -> Generator[Outcome]:
        return self._transport.putting(items)

    def deleting(self, names: Iterable[str]) -> Generator[Outcome]:
        """Delete 1,000 keys a request, or singly where the server can't.

        What fails for a passing reason inside an answer is tried again.
        """
        return self._bulk_delete.outcomes(names)

    def _names(self, page: Objects) -> list[str]:
        """Give the names on a page, after their sizes have been taken note of."""
        prefix = self._bucket.prefix
        names = [key.removeprefix(prefix) for key in page.keys]
        self._transport.note_listed(names, page.sizes)
        return names

    def _entries(self, page: Objects) -> Iterator[Entry]:
        for name, size, date in zip(self._names(page), page.sizes, page.dates, strict=True):
            if size is None or date is None:
                raise StorageError(
                    f"{self._bucket.place('ListObjectsV2', name)}: the listing does not say how "
                    "large it is, or of when."
                )
            yield Entry(name, size, date)

    def _transport_of(self, settings: S3Settings, logger: logging.Logger) -> Transport:
        """Choose once how values travel, and say so."""
        self.engine, reason = chosen(settings, self._connections)
        logger.info("%s: engine %s (%s)", self.location, self.engine, reason)
        boto3 = Boto3Transport(
            self._bucket,
            self.stats,
            Bulk(super().get_many, super().putting),
            self._uploads,
            self._ranged_reads,
            missing_on_forbidden=settings.missing_on_forbidden,
        )
        if self.engine == "boto3":
            return boto3
        # Not at the top: it needs awscrt, which is not there everywhere.
        from cshelve.providers.aws_s3.crt_transport import CrtTransport

        return CrtTransport(
            boto3,
            self._bucket,
            self.stats,
            self._outcome_of_put,
            logger,
            most_bytes=settings.multipart_threshold_bytes,  # Larger ones go in parts.
            must=settings.engine == "crt",
        )

    def _is_ours(self) -> bool:
        """Tell whether a bucket of that name is one that we may list."""
        try:
            self._bucket.page(MaxKeys=1)
        except Error:
            return False
        return True

    def _before_attempt(self, event_name: str) -> None:
        """Count what boto3 is about to send, unless nobody waits for it any more."""
        refuse_if_stopped()
        self.stats.count(event_name.rpartition(".")[2])
