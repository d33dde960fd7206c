"""Requests that boto3 sends: those that the direct engine cannot send, or all if there is none.

The caller holds a permit unless a docstring says otherwise. Each request is one call of boto3,
which retries temporary failures. A body that was cut short is read once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

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
from cshelve.providers.aws_s3.bucket import EXPIRES, NO_VERSION, etag_of, expiry_in
from cshelve.providers.aws_s3.clients import Body, Call, current_call
from cshelve.providers.aws_s3.errors import (
    UnchangedError,
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

T = TypeVar("T")

FAILURES = (ClientError, BotoCoreError)
# Raised for a body that did not arrive as it was sent. boto3 retries requests, but not the reading
# of a body.
CUT_SHORT = (IncompleteReadError, ResponseStreamingError)
DAMAGED = (*CUT_SHORT, FlexibleChecksumError)
READS = frozenset({"GetObject", "HeadObject"})
# Response headers that only S3, and servers that speak its protocol, send.
OF_S3 = frozenset({"x-amz-request-id", "x-amz-id-2", "etag"})
# The number of bytes of a body that are read at a time, and then copied into the buffer.
PIECE_BYTES = 2**20


class ByBoto3:
    """Send requests by boto3's clients. Safe in many threads."""

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
        """Send a request and return boto3's response; raise boto3's own errors."""
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
        """Send a request and return boto3's response; translate a failure to cshelve's errors."""
        try:
            return self.call(operation, name, parameters, body)
        except FAILURES as error:
            raise translated(error, self._bucket.place(operation, name)) from error

    def get(self, name: str, condition: Mapping[str, str] | None = None) -> Item:
        """Read an object by one request, whatever its size.

        Raises `KeyNotFoundError`, and `UnchangedError` if the condition of `only_if_not` does not
        hold.
        """
        item = self._twice(
            name, lambda before: self._whole(name, condition, is_second=before is not None)
        )
        self._requests.note_done_by_boto3()
        return item

    def get_in_ranges(
        self,
        name: str,
        reads: RangedReads,
        replaced_etag: str | None,
        condition: Mapping[str, str] | None = None,
    ) -> Item:
        """Read an object, in ranges if it is large. The caller holds no permit.

        `replaced_etag` is the ETag of an object that was replaced while the caller read it, if
        there was one. Raises the errors of `get`.
        """

        def read(before: Exception | None) -> Item:
            etag = before.etag if isinstance(before, UnfitRangeError) else replaced_etag
            is_second = before is not None
            return self._in_ranges(name, reads, condition, is_second=is_second, replaced_etag=etag)

        item = self._twice(name, read)
        self._requests.note_done_by_boto3()
        return item

    def beginning(self, name: str, most_bytes: int) -> tuple[Mapping[str, Any], bytes] | None:
        """Return the response to a GET of the first bytes, and these; None if there are none."""
        wanted = {"Range": f"bytes=0-{most_bytes - 1}"}

        def read(before: Exception | None) -> tuple[Mapping[str, Any], bytes]:
            answer = self._begun(name, wanted, is_second=before is not None)
            # A server without ranges sends the whole object.
            size = min(answer.get("ContentLength") or 0, most_bytes)
            head = bytearray(size)
            read_into(memoryview(head), answer["Body"])
            return answer, bytes(head)

        try:
            found = self._twice(name, read)
        except _NoRangeError:
            return None
        self._requests.note_done_by_boto3()
        return found

    def expires_at(self, name: str) -> float | None:
        """Return when an object expires: by a HEAD, or by a GET of one byte. None if it is absent.

        The response to a HEAD has no error code. So a GET follows a HEAD's 400, which may mean a
        key that the server cannot hold or an expired token, and a 404 that any web server might
        send. `missing_on_forbidden` needs the code too: then there is no HEAD.
        """
        if self._missing_on_forbidden:
            answer = self._looked_at_by_get(name)
        else:
            answer = self._looked_at_by_head(name)
        if answer is None:
            return None
        self._requests.note_done_by_boto3()
        # Servers differ in the case in which they write a header's name.
        metadata = {each.lower(): value for each, value in answer.get("Metadata", {}).items()}
        return expiry_in(metadata.get(EXPIRES))

    def put(self, name: str, data: bytes) -> str:
        """Store an object, and return its version (the ETag)."""
        answer = self.send("PutObject", name, self._requests.parameters_of(data), data)
        return etag_of(answer, self._bucket.place("PutObject", name))

    def delete(self, name: str) -> bool | None:
        """Delete an object; return False if the server says that it was absent, else None."""
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
            self.repeat()
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
        call = Call(self._requests.stats.count, operation, request.get("Key"))
        try:
            with self._requests.clients.client(call, once=once) as client:
                answer: dict[str, Any] = getattr(client, xform_name(operation))(**request)
        except BaseException as error:
            call.end(error=error)
            raise
        if call.has_body:
            answer["Body"] = Body(answer["Body"], call)
        if operation in READS:
            self._refuse_no_content(operation, name, answer)
        return answer

    def _refuse_no_content(
        self, operation: str, name: str | None, answer: Mapping[str, Any]
    ) -> None:
        """Raise `StorageError` for a status that says that there is no content.

        S3 never answers a read with one, and boto3 takes it for an empty object.
        """
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        if status in {204, 205}:
            if "Body" in answer:
                answer["Body"].close()
            raise StorageError(
                f"{self._bucket.place(operation, name)}: the server answered with status {status}, "
                "which S3 never does; nothing was read. Check whether endpoint_url is an S3 server."
            )

    def repeat(self) -> None:
        """Record that the next call in this thread sends the request of the last one again."""
        if (call := current_call.get()) is not None:
            call.comes_again()

    def _twice(self, name: str, read: Callable[[Exception | None], T]) -> T:
        """Call `read(None)`, and if the value was damaged on its way, `read(error)` once more."""
        try:
            return read(None)
        except (*DAMAGED, _CutRefusalError, UnfitRangeError) as before:
            self.repeat()
            try:
                return read(before)
            except BotoCoreError as error:
                raise translated(error, self._bucket.place("GetObject", name)) from error

    def _whole(self, name: str, condition: Mapping[str, str] | None, *, is_second: bool) -> Item:
        answer = self._begun(name, condition, is_second=is_second)
        return Item(self._body(name, answer), str(answer.get("ETag", NO_VERSION)))

    def _in_ranges(
        self,
        name: str,
        reads: RangedReads,
        condition: Mapping[str, str] | None,
        *,
        is_second: bool,
        replaced_etag: str | None,
    ) -> Item:
        with self._requests.permit():
            answer = self._begun(name, condition, is_second=is_second)
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

    def _begun(
        self, name: str, parameters: Mapping[str, Any] | None = None, *, is_second: bool
    ) -> Mapping[str, Any]:
        """Send a GET, and return the response before its body is read."""
        try:
            return self._call("GetObject", name, parameters)
        except FAILURES as error:
            if parameters is not None and status_of(error) == 416:
                raise _NoRangeError from error
            if parameters is not None and status_of(error) == 304:
                self._requests.note_done_by_boto3()
                raise UnchangedError from None
            if is_404_without_code(error) and fits_in_xml(name) and not is_second:
                raise _CutRefusalError from error
            self._fail(error, name)

    def _fail(self, error: Exception, name: str) -> NoReturn:
        """Raise `KeyNotFoundError` if a failed GET means that, else the translated error."""
        if self._means_absent(error, name):
            raise KeyNotFoundError(name) from None
        raise translated(error, self._bucket.place("GetObject", name)) from error

    def _looked_at_by_head(self, name: str) -> Mapping[str, Any] | None:
        try:
            answer = self._call("HeadObject", name)
        except FAILURES as error:
            if is_absent(error) and self._is_of_s3(getattr(error, "response", {})):
                return None
            if status_of(error) in {400, 404}:
                return self._looked_at_by_get(name)
            raise translated(error, self._bucket.place("HeadObject", name)) from error
        if not self._is_of_s3(answer):
            self._require_s3("HeadObject", name)
        return answer

    def _looked_at_by_get(self, name: str) -> Mapping[str, Any] | None:
        try:
            answer = self._call("GetObject", name, {"Range": "bytes=0-0"})
            answer["Body"].close()
        except FAILURES as error:
            if code_of(error) == "InvalidRange" or status_of(error) == 416:
                return {}  # The object exists, and is empty.
            if self._means_absent(error, name):
                return None
            raise translated(error, self._bucket.place("GetObject", name)) from error
        return answer

    def _means_absent(self, error: Exception, name: str) -> bool:
        """Return whether a failed GET means that the key is absent."""
        if self._missing_on_forbidden and code_of(error) == "AccessDenied":
            return True
        if is_absent(error) or is_key_refused(error, name):
            return True
        if not is_404_without_code(error) or fits_in_xml(name):
            return False
        # S3's response quotes the key, which makes the XML invalid, so boto3 finds no code in it. A
        # listing shows whether the key or the bucket is absent, or the server is not S3 at all.
        listed = Listing(self._requests, name).page_of_boto3({"MaxKeys": 1}).objects()
        return listed is None or self._bucket.prefix + name not in listed.keys

    def _is_of_s3(self, answer: Mapping[str, Any]) -> bool:
        """Return whether this response, or an earlier one, has a header that only S3 sends."""
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        if OF_S3.intersection(headers):
            self._has_answered_like_s3 = True
        return self._has_answered_like_s3

    def _require_s3(self, operation: str, name: str) -> None:
        """Raise `StorageError` unless a listing shows that the server is S3.

        Any web server may send a response like the one that has just arrived.
        """
        try:
            Listing(self._requests, "").page_of_boto3({"MaxKeys": 1})
        except StorageError as error:
            raise StorageError(
                f"{self._bucket.place(operation, name)}: the response has no header of S3's, and a "
                f"listing does not show that the server is S3: {error}"
            ) from error
        self._has_answered_like_s3 = True


class _NoRangeError(Exception):
    """The range that was asked for is not in the object: it is empty."""


class _CutRefusalError(Exception):
    """Raised for a 404 whose body, which names what is absent, did not arrive."""


def read_into(buffer: memoryview, body: Any) -> None:
    """Fill a buffer from boto3's stream, close the stream, and ignore what is left in it.

    Raises `IncompleteReadError` if the stream ends before the buffer is full.
    """
    filled = 0
    with closing(body):
        while filled < len(buffer):
            refuse_if_stopped()
            # `readinto` would do the same, but not all versions of boto3 have it.
            piece = body.read(min(PIECE_BYTES, len(buffer) - filled))
            if not piece:
                raise IncompleteReadError(actual_bytes=filled, expected_bytes=len(buffer))
            buffer[filled : filled + len(piece)] = piece
            filled += len(piece)
