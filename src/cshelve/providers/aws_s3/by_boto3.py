"""Objects read, looked for, stored and deleted by boto3: the authority for what is not plain.

The caller holds a permit; each is one call of boto3's, which repeats what fails for a passing
reason. A body that was cut short is read once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    IncompleteReadError,
    ResponseStreamingError,
)

from cshelve.exceptions import KeyNotFoundError, StorageError
from cshelve.providers.aws_s3.bucket import etag_of
from cshelve.providers.aws_s3.errors import (
    code_of,
    fits_in_xml,
    is_404_without_code,
    is_absent,
    is_key_refused,
    status_of,
    translated,
)
from cshelve.providers.aws_s3.pages import Listing
from cshelve.providers.aws_s3.ranged_reads import First, RangedReads, UnfitRangeError
from cshelve.providers.aws_s3.tasks import NO_VERSION
from cshelve.providers.base import Item

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.requests import Requests

__all__ = ["ByBoto3"]

# A body that did not arrive as it was sent. boto3 repeats requests but not the reading of a body.
DAMAGED_ON_THE_WAY = (IncompleteReadError, ResponseStreamingError, FlexibleChecksumError)
# What only S3, and what speaks like it, puts into an answer.
OF_S3 = frozenset({"x-amz-request-id", "x-amz-id-2", "etag"})


class ByBoto3:
    """Requests about one object each. Safe in many threads."""

    def __init__(
        self, requests: Requests, ranged_reads: RangedReads, *, missing_on_forbidden: bool
    ) -> None:
        self._requests = requests
        self._bucket = requests.bucket
        self._ranged_reads = ranged_reads
        self._missing_on_forbidden = missing_on_forbidden
        self._has_answered_like_s3 = False

    def get(self, name: str) -> Item:
        """Read an object by one request, however large it is."""
        return self._twice(name, lambda before: self._whole(name, is_second=before is not None))

    def get_in_ranges(self, name: str, replaced_etag: str | None = None) -> Item:
        """Read an object, in ranges if it is large. The caller holds no permit.

        Takes the ETag of an object that was replaced while the caller read it.
        """

        def read(before: Exception | None) -> Item:
            etag = before.etag if isinstance(before, UnfitRangeError) else replaced_etag
            return self._in_ranges(name, is_second=before is not None, replaced_etag=etag)

        return self._twice(name, read)

    def contains(self, name: str) -> bool:
        """Ask by a HEAD, or by a GET of one byte where only its answer has a code.

        That is with `missing_on_forbidden`, and after a HEAD's 400, which a key that the server
        cannot hold gets as well as an expired token; and after an answer that any server may give.
        """
        if self._missing_on_forbidden:
            return self._contains_by_get(name)
        try:
            with self._requests.clients.client() as client:
                answer = client.head_object(**self._bucket.request("HeadObject", name))
        except (ClientError, BotoCoreError) as error:
            if is_absent(error) and self._is_of_s3(getattr(error, "response", {})):
                return False
            if status_of(error) in {400, 404}:
                return self._contains_by_get(name)
            raise translated(error, self._bucket.place("HeadObject", name)) from error
        if not self._is_of_s3(answer):
            self._require_s3("HeadObject", name)
        return True

    def put(self, name: str, data: bytes) -> str:
        """Store an object, and return its version."""
        request = self._bucket.request("PutObject", name)
        try:
            with self._requests.clients.client() as client:
                answer = client.put_object(**request, Body=data)
        except (ClientError, BotoCoreError) as error:
            raise translated(error, self._bucket.place("PutObject", name)) from error
        return etag_of(answer, self._bucket, name)

    def delete(self, name: str) -> bool | None:
        """Delete an object; False if the server says that it was not there."""
        try:
            with self._requests.clients.client() as client:
                answer = client.delete_object(**self._bucket.request("DeleteObject", name))
        except (ClientError, BotoCoreError) as error:
            if is_absent(error) or is_key_refused(error, name):
                return False
            raise translated(error, self._bucket.place("DeleteObject", name)) from error
        if not self._is_of_s3(answer):
            self._require_s3("DeleteObject", name)
        return None

    def _twice(self, name: str, read: Callable[[Exception | None], Item]) -> Item:
        """Read, and once more if that was damaged on its way, which `read` is told then."""
        try:
            return read(None)
        except (*DAMAGED_ON_THE_WAY, _CutRefusalError, UnfitRangeError) as before:
            try:
                return read(before)
            except BotoCoreError as error:
                raise translated(error, self._bucket.place("GetObject", name)) from error

    def _whole(self, name: str, *, is_second: bool) -> Item:
        answer = self._begun(name, is_second=is_second)
        return Item(self._body(name, answer), str(answer.get("ETag", NO_VERSION)))

    def _in_ranges(self, name: str, *, is_second: bool, replaced_etag: str | None) -> Item:
        with self._requests.permit():
            answer = self._begun(name, is_second=is_second)
            first = First.of_boto3(answer)
            if first.size <= self._ranged_reads.threshold_bytes:
                return Item(self._body(name, answer), str(answer.get("ETag", NO_VERSION)))
        try:
            return Item(
                self._ranged_reads.read(name, first, replaced_etag), first.etag or NO_VERSION
            )
        except DAMAGED_ON_THE_WAY:
            raise
        except (ClientError, BotoCoreError) as error:
            self._fail(error, name)

    def _body(self, name: str, answer: Mapping[str, Any]) -> bytes:
        try:
            data: bytes = answer["Body"].read()
        except DAMAGED_ON_THE_WAY:
            raise
        except BotoCoreError as error:
            raise translated(error, self._bucket.place("GetObject", name)) from error
        return data

    def _begun(self, name: str, *, is_second: bool) -> Mapping[str, Any]:
        """Send a GET, and return the answer with its body unread."""
        try:
            with self._requests.clients.client() as client:
                return client.get_object(**self._bucket.request("GetObject", name))
        except (ClientError, BotoCoreError) as error:
            if is_404_without_code(error) and fits_in_xml(name) and not is_second:
                raise _CutRefusalError from error
            self._fail(error, name)

    def _fail(self, error: Exception, name: str) -> NoReturn:
        """Raise what a GET's failure means."""
        if self._means_absent(error, name):
            raise KeyNotFoundError(name) from None
        raise translated(error, self._bucket.place("GetObject", name)) from error

    def _contains_by_get(self, name: str) -> bool:
        try:
            with self._requests.clients.client() as client:
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
        """Return whether a GET's failure says that the key is not there."""
        if self._missing_on_forbidden and code_of(error) == "AccessDenied":
            return True
        if is_absent(error) or is_key_refused(error, name):
            return True
        if not is_404_without_code(error) or fits_in_xml(name):
            return False
        # S3's answer quotes the key, which makes it no XML, and boto3 lose its code: was it the key
        # that is absent, or the bucket, or was that no S3 at all? A listing knows.
        listed = Listing(self._requests, name).page_of_boto3({"MaxKeys": 1}).objects()
        return listed is None or self._bucket.key(name) not in listed.keys

    def _is_of_s3(self, answer: Mapping[str, Any]) -> bool:
        """Return whether an answer, or one before it, has what only S3's have."""
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        if OF_S3.intersection(headers):
            self._has_answered_like_s3 = True
        return self._has_answered_like_s3

    def _require_s3(self, operation: str, name: str) -> None:
        """Find out by a listing whether that was S3, as an answer to anything may be anybody's."""
        try:
            Listing(self._requests, "").page_of_boto3({"MaxKeys": 1})
        except StorageError as error:
            raise StorageError(
                f"{self._bucket.place(operation, name)}: the answer has nothing that S3's has, and "
                f"whether that is an S3 server is not known: {error}"
            ) from error
        self._has_answered_like_s3 = True


class _CutRefusalError(Exception):
    """Something is not there, and the answer's body, which says what, did not arrive."""
