"""`aws-s3`: a shelf in an Amazon S3 bucket, or in one of a server that speaks its protocol.

A key's object is named `key_prefix/key`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from functools import cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Self

from cshelve.exceptions import (
    AuthError,
    CanNotCreateDBError,
    DBDoesNotExistsError,
    Error,
    KeyNotFoundError,
    StorageError,
)
from cshelve.providers.aws_s3.bucket import Bucket
from cshelve.providers.aws_s3.bulk_delete import BulkDelete
from cshelve.providers.aws_s3.conditional import ConditionalWrites
from cshelve.providers.aws_s3.direct.answers import Answer, NotPlainError
from cshelve.providers.aws_s3.errors import code_of, failures, translated
from cshelve.providers.aws_s3.listing import Objects
from cshelve.providers.aws_s3.multipart import MultipartUploads
from cshelve.providers.aws_s3.options import OPTIONS, S3Settings, settings_from
from cshelve.providers.aws_s3.pages import pages_of, require_listing
from cshelve.providers.aws_s3.probe import Condition, Probe
from cshelve.providers.aws_s3.ranged_reads import First, RangedReads, UnfitRangeError
from cshelve.providers.aws_s3.requests import Requests
from cshelve.providers.aws_s3.tasks import NO_VERSION, ReadMany, WriteMany, item_of
from cshelve.providers.base import Capabilities, Entry, Item, Outcome, Provider
from cshelve.providers.bulk import delete_each, get_each

if TYPE_CHECKING:
    import logging

    from cshelve._config.sections import Sections
    from cshelve.providers.aws_s3.by_boto3 import ByBoto3
    from cshelve.providers.aws_s3.direct.engine import Begun

__all__ = ["AwsS3"]

# Regions that CreateBucket takes no LocationConstraint for: S3's first, and names that are none.
REGIONS_WITHOUT_CONSTRAINT = frozenset({"", "us-east-1", "aws-global", "auto"})


class AwsS3(Provider):
    """Objects in a bucket. Each method is one request unless it says otherwise; a large value is
    one for each of its chunks, and two more when it is written.

    A request goes by the direct engine, and by boto3 where that cannot or may not send it. Requests
    are repeated by boto3, and by nobody else, but for those with a condition and for a body that
    was cut short on its way, which is asked for once more. S3 stores and deletes an object as a
    whole or not at all.
    """

    options = OPTIONS
    capabilities = Capabilities(conditional_put=True, conditional_delete=True, delete_reports=False)

    def __init__(self, settings: S3Settings, logger: logging.Logger) -> None:
        super().__init__(concurrency=settings.concurrency)
        self._settings = settings
        self._bucket = Bucket(settings)
        self._requests = Requests(settings, self._bucket, self.stats, logger)
        self.concurrency = self._requests.config.concurrency
        # The caller's session is in no configuration.
        self.can_be_reopened = settings.session is None
        sizes = (settings.multipart_threshold_bytes, settings.multipart_chunk_bytes)
        self._uploads = MultipartUploads(self._requests, *sizes)
        self._ranged_reads = RangedReads(self._requests, *sizes)
        self._bulk_delete = BulkDelete(self._requests, lambda names: delete_each(self, names))
        self._conditional = ConditionalWrites(self._requests, self._uploads)
        self._probe = Probe(self._requests)
        self._logger = logger
        logger.info("%s: engine %s (%s)", self.location, self.engine, self._requests.reason)

    @classmethod
    def from_config(cls, config: Sections) -> Self:
        return cls(settings_from(config), config.logger)

    @property
    def engine(self) -> str:
        """Which engine sends requests now: `direct`, with boto3 beside it, or `boto3`."""
        return self._requests.engine

    @property
    def location(self) -> str:
        return self._bucket.location

    def exists(self) -> bool:
        """Ask by a listing of one key; by nothing at all, and True, without `check_bucket`."""
        if not self._settings.check_bucket:
            return True
        try:
            require_listing(self._requests)
        except DBDoesNotExistsError:
            return False
        return True

    def create(self) -> None:
        """Create the bucket, in the client's region."""
        region = self._requests.clients.meta.region_name or ""
        where: dict[str, Any] = {}
        if region not in REGIONS_WITHOUT_CONSTRAINT:
            where["CreateBucketConfiguration"] = {"LocationConstraint": region}
        try:
            with self._requests.permit(), self._requests.clients.client() as client:
                client.create_bucket(Bucket=self._bucket.name, **where)
        except failures() as error:
            # Somebody may have created it since we looked; whether it is ours, a listing tells.
            taken = code_of(error) in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}
            if taken and self._is_ours():
                return
            failure = translated(error, self._bucket.place("CreateBucket"))
            if isinstance(failure, AuthError | CanNotCreateDBError):
                raise failure from error
            raise CanNotCreateDBError(str(failure)) from error
        # Mostly its name is misspelt.
        self._logger.warning("%s: the bucket did not exist, and was created", self.location)

    def close(self) -> None:
        self._requests.close()

    def get(self, name: str) -> Item:
        if not self._bucket.can_hold(name):
            raise KeyNotFoundError(name)
        with self._requests.permit():
            answer = self._requests.begin(name, self._ranged_reads.threshold_bytes)
        if isinstance(answer, Answer):
            if answer.status == 404:
                raise KeyNotFoundError(name)
            return item_of(answer, self._requests)
        item = self._large_item(name, answer)
        self.stats.add_bytes(received=len(item.data))
        return item

    def contains(self, name: str) -> bool:
        """Ask by a HEAD; by a GET of one byte where only its answer has a code."""
        if not self._bucket.can_hold(name):
            return False
        with self._requests.permit():
            answer = self._requests.answer("HeadObject", name)
            if answer is not None:
                return answer.status != 404
            found = self._by_boto3.contains(name)
            if found:
                self._requests.note_done_by_boto3()
            return found

    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        """Store an object; with a condition, find out once whether the server honours it."""
        self._bucket.refuse_unless_held(name)
        if if_absent or if_version is not None:
            self._probe.require(Condition.ABSENT if if_absent else Condition.UNCHANGED)
            version = self._conditional.put(name, data, None if if_absent else if_version)
        elif self._uploads.take(len(data)):
            version = self._uploads.put(name, data)
        else:
            version = self._put_whole(name, data)
        self.stats.add_bytes(sent=len(data))
        return version

    def delete(self, name: str, *, if_version: str | None = None) -> bool | None:
        if not self._bucket.can_hold(name):
            return False
        if if_version is not None:
            self._probe.require(Condition.DELETE_UNCHANGED)
            self._conditional.delete(name, if_version)
            return True
        with self._requests.permit():
            answer = self._requests.answer("DeleteObject", name)
            if answer is not None:
                return False if answer.status == 404 else None
            deleted = self._by_boto3.delete(name)
            self._requests.note_done_by_boto3()
            return deleted

    def entries(self, prefix: str = "", *, limit: int | None = None) -> Iterator[Entry]:
        """List the objects: one request for each 1,000."""
        pages = pages_of(self._requests, prefix, limit)
        return islice(chain.from_iterable(map(self._entries, pages)), limit)

    def names(self, prefix: str = "", *, limit: int | None = None) -> Iterator[str]:
        pages = pages_of(self._requests, prefix, limit)
        return islice(chain.from_iterable(map(self._names, pages)), limit)

    def get_many(self, names: Iterable[str]) -> Iterator[tuple[str, Item | None]]:
        if self._requests.direct() is None:
            return get_each(self, names)
        reading = ReadMany(self._requests, lambda name: self._by_boto3.get(name))
        return self._requests.together(reading, names, self.concurrency)

    def put_many(self, items: Iterable[tuple[str, bytes]]) -> Generator[Outcome]:
        writing = WriteMany(
            self._requests,
            put=self.put,
            put_by_boto3=lambda name, data: self._by_boto3.put(name, data),
            is_large=self._uploads.take,
        )
        written = self._requests.together(
            writing, items, self.concurrency, key_of=lambda item: item[0]
        )
        with closing(written):
            for _, outcome in written:
                yield outcome

    def delete_many(self, names: Iterable[str]) -> Generator[Outcome]:
        """Delete 1,000 keys a request, or singly where the server can't.

        What fails for a passing reason inside an answer is tried again.
        """
        return self._bulk_delete.outcomes(names)

    def purge(self) -> Generator[Outcome]:
        """Delete every object of the shelf; that of a whole bucket is told at the end."""
        deleting = super().purge()
        if self._bucket.prefix:
            yield from deleting
            return
        deleted = 0
        try:
            for outcome in deleting:
                deleted += outcome.failure is None
                yield outcome
        finally:
            deleting.close()
            if deleted:
                objects = "1 object was" if deleted == 1 else f"{deleted} objects were"
                self._logger.warning(
                    "%s: the shelf is the whole bucket, and %s deleted from it; key_prefix limits "
                    "a shelf to a part of one",
                    self.location,
                    objects,
                )

    @cached_property
    def _by_boto3(self) -> ByBoto3:
        """How boto3 does what the engine cannot; boto3 is imported only here."""
        from cshelve.providers.aws_s3.by_boto3 import ByBoto3

        return ByBoto3(
            self._requests,
            self._ranged_reads,
            missing_on_forbidden=self._settings.missing_on_forbidden,
        )

    def _large_item(self, name: str, begun: Begun | None) -> Item:
        """Read a value whose beginning has arrived, or all of it by boto3."""
        replaced_etag = None
        if begun is not None:
            first = First.of_engine(begun)
            try:
                return Item(self._ranged_reads.read(name, first), first.etag or NO_VERSION)
            except UnfitRangeError as error:
                replaced_etag = error.etag
            except (OSError, NotPlainError) as error:
                self._requests.note_failure(error)
            except failures() as error:
                self._requests.note_failure(error)
        item = self._by_boto3.get_in_ranges(name, replaced_etag)
        self._requests.note_done_by_boto3()
        return item

    def _put_whole(self, name: str, data: bytes) -> str:
        with self._requests.permit():
            answer = self._requests.answer("PutObject", name, None, data)
            if answer is not None:
                return answer.headers["etag"]
            version = self._by_boto3.put(name, data)
            self._requests.note_done_by_boto3()
            return version

    def _names(self, page: Objects) -> list[str]:
        prefix = self._bucket.prefix
        return [key.removeprefix(prefix) for key in page.keys] if prefix else page.keys

    def _entries(self, page: Objects) -> Iterator[Entry]:
        prefix = self._bucket.prefix
        place = self._bucket.place("ListObjectsV2")
        try:
            rows = list(page.rows())
        except ValueError as error:  # A date that there is not.
            raise StorageError(f"{place}: the server's answer cannot be read ({error}).") from error
        for key, size, date in rows:
            name = key.removeprefix(prefix)
            if size is None or date is None:
                raise StorageError(
                    f"{place._replace(name=name)}: the listing does not say how large it is, or of "
                    "when."
                )
            yield Entry(name, size, date)

    def _is_ours(self) -> bool:
        """Return whether a bucket of that name is one that we may list."""
        try:
            require_listing(self._requests)
        except Error:
            return False
        return True
