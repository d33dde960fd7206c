"""`aws-s3`: a shelf in an Amazon S3 bucket, or in one of a server that speaks its protocol.

A key's object is named `key_prefix/key`. What may be configured is in `_s3_settings`; boto3's
clients are built in `_s3_client` and kept in `_s3_connections`; `_s3_bucket` makes requests and
lists, `_s3_bulk_delete` deletes many keys, `_s3_multipart` and `_s3_ranged_reads` move large
values, `_s3_conditional` writes where a condition holds, which `_s3_probe` finds out whether the
server knows; what boto3's errors mean is in `_s3_errors`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    IncompleteReadError,
    ResponseStreamingError,
)

from cshelve._parallel import refuse_if_stopped
from cshelve.exceptions import (
    AuthError,
    CanNotCreateDBError,
    DBDoesNotExistsError,
    Error,
    KeyNotFoundError,
)
from cshelve.providers._s3_bucket import Bucket, etag_of
from cshelve.providers._s3_bulk_delete import BulkDelete
from cshelve.providers._s3_conditional import ConditionalWrites
from cshelve.providers._s3_connections import Connections
from cshelve.providers._s3_errors import (
    code_of,
    fits_in_xml,
    is_404_without_code,
    is_absent,
    is_key_refused,
    status_of,
    translated,
)
from cshelve.providers._s3_multipart import MultipartUploads
from cshelve.providers._s3_probe import Condition, Probe
from cshelve.providers._s3_ranged_reads import RangedReads, UnfitRangeError
from cshelve.providers._s3_settings import S3Settings, settings_from
from cshelve.providers.base import Capabilities, Entry, Item, Outcome, Provider

if TYPE_CHECKING:
    from cshelve._config import Sections

__all__ = ["AwsS3"]

# Regions that CreateBucket takes no LocationConstraint for: S3's first, and names that are none.
REGIONS_WITHOUT_CONSTRAINT = frozenset({"", "us-east-1", "aws-global", "auto"})
# A body that did not arrive as it was sent. boto3 repeats requests but not the reading of a body.
DAMAGED_ON_THE_WAY = (IncompleteReadError, ResponseStreamingError, FlexibleChecksumError)

# The version of what a server gives none for: one that no later condition finds unchanged.
NO_VERSION = '"none"'


class AwsS3(Provider):
    """Objects in a bucket. Each method is one request unless it says otherwise; a large value is
    one for each of its chunks, and two more when it is written.

    Requests are repeated by boto3, and by nobody else, but for those with a condition and for a
    body that was cut short on its way, which is asked for once more. S3 stores and deletes an
    object as a whole or not at all.
    """

    capabilities = Capabilities(conditional_put=True, conditional_delete=True, delete_reports=False)

    def __init__(self, settings: S3Settings) -> None:
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

    @classmethod
    def from_config(cls, config: Sections) -> Self:
        """Take what options.md lists for aws-s3, and build the client; sends nothing."""
        return cls(settings_from(config))

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
        self._connections.close()

    def get(self, name: str) -> Item:
        try:
            return self._read(name)
        except (*DAMAGED_ON_THE_WAY, _CutRefusalError, UnfitRangeError):
            with self._bucket.translating("GetObject", name):
                return self._read(name, is_second=True)

    def contains(self, name: str) -> bool:
        """Ask by a HEAD, or by a GET of one byte where only its answer has a code.

        That is with `missing_on_forbidden`, and after a HEAD's 400, which a key that the server
        cannot hold gets as well as an expired token.
        """
        if not self._bucket.can_hold(name):
            return False
        if self._settings.missing_on_forbidden:
            return self._contains_by_get(name)
        try:
            with self._connections.client() as client:
                client.head_object(**self._bucket.request("HeadObject", name))
        except (ClientError, BotoCoreError) as error:
            if is_absent(error):
                return False
            if status_of(error) == 400:
                return self._contains_by_get(name)
            raise translated(error, self._bucket.place("HeadObject", name)) from error
        return True

    def put(
        self, name: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        """Store an object; with a condition, find out once whether the server honours it."""
        self._bucket.refuse_unless_held(name)
        if if_absent or if_version is not None:
            self._probe.require(Condition.ABSENT if if_absent else Condition.UNCHANGED)
            version = self._conditional.put(name, data, None if if_absent else if_version)
        else:
            version = self._put(name, data)
        self.stats.add_bytes(sent=len(data))
        return version

    def delete(self, name: str, *, if_version: str | None = None) -> bool | None:
        if not self._bucket.can_hold(name):
            return False
        if if_version is not None:
            self._probe.require(Condition.DELETE_UNCHANGED)
            self._conditional.delete(name, if_version)
            return True
        try:
            with self._connections.client() as client:
                client.delete_object(**self._bucket.request("DeleteObject", name))
        except (ClientError, BotoCoreError) as error:
            if is_absent(error) or is_key_refused(error, name):
                return False
            raise translated(error, self._bucket.place("DeleteObject", name)) from error
        return None

    def entries(self, prefix: str = "", *, limit: int | None = None) -> Iterator[Entry]:
        """List the objects: one request for each 1,000."""
        for found in self._bucket.objects(prefix, limit):
            name = found["Key"].removeprefix(self._bucket.prefix)
            yield Entry(name, found["Size"], found["LastModified"])

    def names(self, prefix: str = "", *, limit: int | None = None) -> Iterator[str]:
        for found in self._bucket.objects(prefix, limit):
            yield found["Key"].removeprefix(self._bucket.prefix)

    def deleting(self, names: Iterable[str]) -> Generator[Outcome]:
        """Delete 1,000 keys a request, or singly where the server can't.

        What fails for a passing reason inside an answer is tried again.
        """
        return self._bulk_delete.outcomes(names)

    def _put(self, name: str, data: bytes) -> str:
        if self._uploads.take(len(data)):
            return self._uploads.put(name, data)
        request = self._bucket.request("PutObject", name)
        try:
            with self._connections.client() as client:
                answer = client.put_object(**request, Body=data)
        except (ClientError, BotoCoreError) as error:
            raise translated(error, self._bucket.place("PutObject", name)) from error
        return etag_of(answer, self._bucket, name)

    def _read(self, name: str, *, is_second: bool = False) -> Item:
        """Send one GET and read its body; a body that is damaged is boto3's error."""
        if not self._bucket.can_hold(name):
            raise KeyNotFoundError(name)
        try:
            with self._connections.client() as client:
                answer = client.get_object(**self._bucket.request("GetObject", name))
                data = self._ranged_reads.data_of(name, answer)
        except DAMAGED_ON_THE_WAY:
            raise
        except (ClientError, BotoCoreError) as error:
            if is_404_without_code(error) and fits_in_xml(name) and not is_second:
                raise _CutRefusalError from error
            if self._means_absent(error, name):
                raise KeyNotFoundError(name) from None
            raise translated(error, self._bucket.place("GetObject", name)) from error
        self.stats.add_bytes(received=len(data))
        return Item(data, str(answer.get("ETag", NO_VERSION)))

    def _contains_by_get(self, name: str) -> bool:
        try:
            with self._connections.client() as client:
                answer = client.get_object(
                    **self._bucket.request("GetObject", name), Range="bytes=0-0"
                )
                answer["Body"].close()
        except (ClientError, BotoCoreError) as error:
            if code_of(error) == "InvalidRange" or status_of(error) == 416:
                return True  # It is there, and empty.
            if self._means_absent(error, name):
                return False
            raise translated(error, self._bucket.place("GetObject", name)) from error
        return True

    def _means_absent(self, error: Exception, name: str) -> bool:
        """Tell whether a GET's failure says that the key is not there."""
        if self._settings.missing_on_forbidden and code_of(error) == "AccessDenied":
            return True
        if is_absent(error) or is_key_refused(error, name):
            return True
        if not is_404_without_code(error) or fits_in_xml(name):
            return False
        # S3's answer quotes the key, which makes it no XML, and boto3 lose its code: was it the key
        # that is absent, or the bucket, or was that no S3 at all? A listing knows.
        listed = self._bucket.page(name, MaxKeys=1).get("Contents", ())
        return not any(found["Key"] == self._bucket.key(name) for found in listed)

    def _is_ours(self) -> bool:
        """Tell whether a bucket of that name is one that we may list."""
        try:
            self._bucket.page(MaxKeys=1)
        except Error:
            return False
        return True

    def _before_attempt(self, event_name: str, **_: object) -> None:
        """Count what boto3 is about to send, unless nobody waits for it any more."""
        refuse_if_stopped()
        self.stats.count(event_name.rpartition(".")[2])


class _CutRefusalError(Exception):
    """Something is not there, and the answer's body, which says what, did not arrive."""
