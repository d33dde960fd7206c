"""Requests by boto3: for what is not plain, and for shelves without the direct engine.

The caller holds a permit, if nothing else is said. Each request is one call of boto3's, which
repeats what fails for a passing reason. A body that was cut short is read once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, NoReturn

from botocore import xform_name
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    IncompleteReadError,
    ResponseStreamingError,
)

from cshelve._concurrency.parallel import refuse_if_stopped
from cshelve.exceptions import KeyNotFoundError, StorageError
from cshelve.providers.aws_s3.bucket import NO_VERSION, etag_of
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
from cshelve.providers.base import Item

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.requests import Requests

__all__ = ["ByBoto3", "read_into"]

FAILURES = (ClientError, BotoCoreError)
# A body that did not arrive as it was sent. boto3 repeats requests, but not the reading of a body.
CUT_SHORT = (IncompleteReadError, ResponseStreamingError)
DAMAGED = (*CUT_SHORT, FlexibleChecksumError)
# Headers that only S3, and servers that speak its protocol, put into an answer.
OF_S3 = frozenset({"x-amz-request-id", "x-amz-id-2", "etag"})
# How much of a body is read at once, into bytes that are then copied to their place.
PIECE_BYTES = 2**20


class ByBoto3:
    """Requests by boto3's clients. Safe in many threads."""

    def __init__(self, requests: Requests, *, missing_on_forbidden: bool) -> None:
        self._requests = requests
        self._bucket = requests.bucket
        self._missing_on_forbidden = missing_on_forbidden
        self._has_answered_like_s3 = False

    def call(
        self,
        operation: str,
        name: str | None,
        parameters: Mapping[str, Any] | None = None,
        body: bytes | memoryview | None = None,
        *,
        once: bool = False,
    ) -> Mapping[str, Any]:
        """Send a request and return boto3's answer; raise boto3's errors as they are."""
        answer = self._call(operation, name, parameters, body, once=once)
        self._requests.note_done_by_boto3()
        return answer

    def send(
        self,
        operation: str,
        name: str | None,
        parameters: Mapping[str, Any] | None = None,
        body: bytes | memoryview | None = None,
    ) -> Mapping[str, Any]:
        """Send a request and return boto3's answer; raise the `Error` that its failure means."""
        try:
            return self.call(operation, name, parameters, body)
        except FAILURES as error:
            raise translated(error, self._bucket.place(operation, name)) from error

    def get(self, name: str) -> Item:
        """Read an object by one request, however large it is."""
        item = self._twice(name, lambda before: self._whole(name, is_second=before is not None))
        self._requests.note_done_by_boto3()
        return item

    def get_in_ranges(self, name: str, reads: RangedReads, replaced_etag: str | None) -> Item:
        """Read an object, in ranges if it is large. The caller holds no permit.

        `replaced_etag` is the ETag of an object that was replaced while the caller read it.
        """

        def read(before: Exception | None) -> Item:
            etag = before.etag if isinstance(before, UnfitRangeError) else replaced_etag
            return self._in_ranges(name, reads, is_second=before is not None, replaced_etag=etag)

        item = self._twice(name, read)
        self._requests.note_done_by_boto3()
        return item

    def contains(self, name: str) -> bool:
        """Ask by a HEAD, or by a GET of one byte where only its answer has a code.

        That is with `missing_on_forbidden`, and after a HEAD's 400, the answer to a key that the
        server cannot hold as well as to an expired token; and after what any server may answer.
        """
        if self._missing_on_forbidden:
            found = self._contains_by_get(name)
        else:
            found = self._contains_by_head(name)
        if found:
            self._requests.note_done_by_boto3()
        return found

    def put(self, name: str, data: bytes) -> str:
        """Store an object, and return its version."""
        answer = self.send("PutObject", name, None, data)
        return etag_of(answer, self._bucket.place("PutObject", name))

    def delete(self, name: str) -> bool | None:
        """Delete an object; return False if the server says that it was not there."""
        deleted = None
        try:
            answer = self._call("DeleteObject", name)
        except FAILURES as error:
            if not (is_absent(error) or is_key_refused(error, name)):
                raise translated(error, self._bucket.place("DeleteObject", name)) from error
            deleted = False
        else:
            if not self._is_of_s3(answer):
                self._require_s3("DeleteObject", name)
        self._requests.note_done_by_boto3()
        return deleted

    def read_range(self, buffer: memoryview, body: Any, ask: Callable[[], Any], name: str) -> None:
        """Read a body into a buffer, and what `ask` returns if the body is cut short."""
        try:
            read_into(buffer, ask() if body is None else body)
        except CUT_SHORT:
            body = ask()
            try:
                read_into(buffer, body)
            except CUT_SHORT as error:
                raise translated(error, self._bucket.place("GetObject", name)) from error

    def _call(
        self,
        operation: str,
        name: str | None,
        parameters: Mapping[str, Any] | None = None,
        body: bytes | memoryview | None = None,
        *,
        once: bool = False,
    ) -> Mapping[str, Any]:
        request = self._bucket.request(operation, name)
        if parameters:
            if "Metadata" in parameters:
                metadata = {**request.get("Metadata", {}), **parameters["Metadata"]}
                parameters = {**parameters, "Metadata": metadata}
            request.update(parameters)
        if body is not None and operation != "CompleteMultipartUpload":
            request["Body"] = bytes(body) if isinstance(body, memoryview) else body
        with self._requests.clients.client(once=once) as client:
            answer: Mapping[str, Any] = getattr(client, xform_name(operation))(**request)
        return answer

    def _twice(self, name: str, read: Callable[[Exception | None], Item]) -> Item:
        """Read, and once more, with the error, if that was damaged on its way."""
        try:
            return read(None)
        except (*DAMAGED, _CutRefusalError, UnfitRangeError) as before:
            try:
                return read(before)
            except BotoCoreError as error:
                raise translated(error, self._bucket.place("GetObject", name)) from error

    def _whole(self, name: str, *, is_second: bool) -> Item:
        answer = self._begun(name, is_second=is_second)
        return Item(self._body(name, answer), str(answer.get("ETag", NO_VERSION)))

    def _in_ranges(
        self, name: str, reads: RangedReads, *, is_second: bool, replaced_etag: str | None
    ) -> Item:
        with self._requests.permit():
            answer = self._begun(name, is_second=is_second)
            if (answer.get("ContentLength") or 0) <= reads.threshold_bytes:
                return Item(self._body(name, answer), str(answer.get("ETag", NO_VERSION)))
        first = First.of_boto3(answer)
        try:
            return Item(reads.read(name, first, replaced_etag), first.etag or NO_VERSION)
        except DAMAGED:
            raise
        except FAILURES as error:
            self._fail(error, name)

    def _body(self, name: str, answer: Mapping[str, Any]) -> bytes:
        try:
            data: bytes = answer["Body"].read()
        except DAMAGED:
            raise
        except BotoCoreError as error:
            raise translated(error, self._bucket.place("GetObject", name)) from error
        return data

    def _begun(self, name: str, *, is_second: bool) -> Mapping[str, Any]:
        """Send a GET, and return the answer with its body unread."""
        try:
            return self._call("GetObject", name)
        except FAILURES as error:
            if is_404_without_code(error) and fits_in_xml(name) and not is_second:
                raise _CutRefusalError from error
            self._fail(error, name)

    def _fail(self, error: Exception, name: str) -> NoReturn:
        """Raise what a GET's failure means."""
        if self._means_absent(error, name):
            raise KeyNotFoundError(name) from None
        raise translated(error, self._bucket.place("GetObject", name)) from error

    def _contains_by_head(self, name: str) -> bool:
        try:
            answer = self._call("HeadObject", name)
        except FAILURES as error:
            if is_absent(error) and self._is_of_s3(getattr(error, "response", {})):
                return False
            if status_of(error) in {400, 404}:
                return self._contains_by_get(name)
            raise translated(error, self._bucket.place("HeadObject", name)) from error
        if not self._is_of_s3(answer):
            self._require_s3("HeadObject", name)
        return True

    def _contains_by_get(self, name: str) -> bool:
        try:
            self._call("GetObject", name, {"Range": "bytes=0-0"})["Body"].close()
        except FAILURES as error:
            if code_of(error) == "InvalidRange" or status_of(error) == 416:
                return True  # It is there, and empty.
            if self._means_absent(error, name):
                return False
            raise translated(error, self._bucket.place("GetObject", name)) from error
        return True

    def _means_absent(self, error: Exception, name: str) -> bool:
        """Return whether a failed GET means that the key is absent."""
        if self._missing_on_forbidden and code_of(error) == "AccessDenied":
            return True
        if is_absent(error) or is_key_refused(error, name):
            return True
        if not is_404_without_code(error) or fits_in_xml(name):
            return False
        # S3's response quotes the key, which makes it invalid XML, so boto3 cannot read its code. A
        # listing shows whether the key is absent, or the bucket, or whether that was no S3 at all.
        listed = Listing(self._requests, name).page_of_boto3({"MaxKeys": 1}).objects()
        return listed is None or self._bucket.prefix + name not in listed.keys

    def _is_of_s3(self, answer: Mapping[str, Any]) -> bool:
        """Return whether this response, or an earlier one, has a header that only S3 sends."""
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        if OF_S3.intersection(headers):
            self._has_answered_like_s3 = True
        return self._has_answered_like_s3

    def _require_s3(self, operation: str, name: str) -> None:
        """Raise unless a listing shows that this is S3, as any server may give such an answer."""
        try:
            Listing(self._requests, "").page_of_boto3({"MaxKeys": 1})
        except StorageError as error:
            raise StorageError(
                f"{self._bucket.place(operation, name)}: the answer has nothing that S3's has, and "
                f"whether that is an S3 server is not known: {error}"
            ) from error
        self._has_answered_like_s3 = True


class _CutRefusalError(Exception):
    """Something is absent, and the body of the answer, which says what, did not arrive."""


def read_into(buffer: memoryview, body: Any) -> None:
    """Fill the buffer from a body of boto3's, and stop there, whatever else the body has."""
    filled = 0
    with closing(body):
        while filled < len(buffer):
            refuse_if_stopped()
            # Its `readinto`, which not all versions have, does the same.
            piece = body.read(min(PIECE_BYTES, len(buffer) - filled))
            if not piece:
                raise IncompleteReadError(actual_bytes=filled, expected_bytes=len(buffer))
            buffer[filled : filled + len(piece)] = piece
            filled += len(piece)
