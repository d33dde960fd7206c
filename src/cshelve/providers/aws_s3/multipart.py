"""Store large values in S3: parts are sent at the same time, and stored as a whole or not at all.

The old value stays until the last request, which turns the parts into an object. A condition is
sent with that request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import closing
from html import escape
from typing import TYPE_CHECKING, Any

from cshelve._concurrency.parallel import unstoppable
from cshelve.exceptions import StorageError
from cshelve.providers.aws_s3.bucket import etag_of
from cshelve.providers.aws_s3.errors import code_of, failures
from cshelve.providers.aws_s3.sending import attempt, attempt_once, send
from cshelve.providers.aws_s3.tasks import BucketTask

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.direct.answers import Answer
    from cshelve.providers.aws_s3.direct.templates import Request
    from cshelve.providers.aws_s3.requests import Requests

__all__ = ["LARGEST_PUT_BYTES", "MultipartUploads"]

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
MOST_PARTS = 10_000
LARGEST_PUT_BYTES = 5 * 2**30
"""The size of the largest value that S3 stores by one request."""
MOST_AT_ONCE = 12
# The fields that the last request has for each part, in boto3's order.
ORDER = ("PartNumber", "ETag", "ChecksumCRC32")


class MultipartUploads:
    """Store large values: two requests, and one for each chunk.

    Parts are sent at the same time, each with its own checksum. An upload that fails, or whose
    caller is interrupted, is aborted, so that no parts stay. Safe in many threads; the caller holds
    no permit.
    """

    def __init__(self, requests: Requests, chunk_bytes: int) -> None:
        self._requests = requests
        self._bucket = requests.bucket
        self._chunk_bytes = chunk_bytes

    def put(self, name: str, data: bytes) -> str:
        """Store data, and return its version."""

        def complete(parameters: Mapping[str, Any], document: bytes) -> Mapping[str, Any]:
            return send(self._requests, "CompleteMultipartUpload", name, parameters, document)

        return self._put(name, data, self._requests.parameters_of(data) or {}, complete)

    def put_if(
        self,
        name: str,
        data: bytes,
        metadata: Mapping[str, Mapping[str, str]],
        condition: Mapping[str, str],
        *,
        by_boto3: bool,
    ) -> str:
        """Store data if a condition holds, and return its version.

        The last request contains the condition and is sent only once. It raises what
        `sending.attempt_once` raises, since the caller has to know whether it was carried out.
        """

        def complete(parameters: Mapping[str, Any], document: bytes) -> Mapping[str, Any]:
            operation, parameters = "CompleteMultipartUpload", {**parameters, **condition}
            return attempt_once(
                self._requests, operation, name, parameters, document, by_boto3=by_boto3
            )

        return self._put(name, data, metadata, complete)

    def _put(
        self,
        name: str,
        data: bytes,
        metadata: Mapping[str, Any],
        complete: Callable[[Mapping[str, Any], bytes], Mapping[str, Any]],
    ) -> str:
        operation = "CreateMultipartUpload"
        answer = send(self._requests, operation, name, metadata)
        if "UploadId" not in answer:
            raise StorageError(
                f"{self._bucket.place(operation, name)}: the response has no UploadId, unlike "
                "S3's; nothing is stored."
            )
        upload = str(answer["UploadId"])
        try:
            parts = self._sent(name, data, upload)
            parameters = {"UploadId": upload, "MultipartUpload": {"Parts": parts}}
            answer = complete(parameters, _document(parts))
            return etag_of(answer, self._bucket.place("CompleteMultipartUpload", name))
        except BaseException:
            self._abort(name, upload)
            raise

    def _sent(self, name: str, data: bytes, upload: str) -> list[dict[str, Any]]:
        """Send the parts, and return the fields of each that the last request needs."""
        chunk_bytes = max(self._chunk_bytes, -(-len(data) // MOST_PARTS))
        numbers = range(1, -(-len(data) // chunk_bytes) + 1)
        most = min(MOST_AT_ONCE, self._requests.most_of_one)
        task = _Parts(self._requests, name, data, upload, chunk_bytes)
        with closing(task.results(numbers, most)) as sent:
            return [part for _, part in sent]

    def _abort(self, name: str, upload: str) -> None:
        """Remove the parts of a failed upload; log a warning if that fails as well."""
        try:
            with unstoppable():
                attempt(self._requests, "AbortMultipartUpload", name, {"UploadId": upload})
        except failures() as error:
            if code_of(error) == "NoSuchUpload":
                return  # The upload was completed after all, and only the response was lost.
            logging.getLogger("cshelve").warning(
                "%s: parts of a failed upload may be left, as they could not be removed: %s",
                self._bucket.place("AbortMultipartUpload", name),
                error,
            )


class _Parts(BucketTask[int, dict[str, Any]]):
    """The task that sends the parts of a value, by their numbers, without copying them."""

    is_worth_an_end = False  # If the loop ends early, the upload is aborted.

    def __init__(
        self, requests: Requests, name: str, data: bytes, upload: str, chunk_bytes: int
    ) -> None:
        super().__init__(requests)
        self._name = name
        self._key = requests.bucket.prefix + name
        self._data = memoryview(data)
        self._upload = upload
        self._chunk_bytes = chunk_bytes

    def request(self, number: int) -> Request | None:
        return self.made("UploadPart", self._key, self._parameters(number), self._body(number))

    def result(self, number: int, answer: Answer) -> dict[str, Any]:
        headers = self._requests.judged("UploadPart", answer).headers
        part: dict[str, Any] = {"PartNumber": number, "ETag": headers["etag"]}
        if self._requests.config.sends_checksums and "x-amz-checksum-crc32" in headers:
            part["ChecksumCRC32"] = headers["x-amz-checksum-crc32"]
        return part

    def by_boto3(self, number: int) -> dict[str, Any]:
        place = self._requests.bucket.place("UploadPart", self._name)
        answer = self._requests.boto3.send(
            "UploadPart", self._name, self._parameters(number), self._body(number)
        )
        if "ETag" not in answer:
            raise StorageError(f"{place}: the response has no ETag, so nothing is stored.")
        algorithm = self._requests.bucket.parameters.get("UploadPart", {}).get("ChecksumAlgorithm")
        of_answer = {f"Checksum{algorithm}", "ETag"}.intersection(answer)
        return {"PartNumber": number, **{name: answer[name] for name in of_answer}}

    def _parameters(self, number: int) -> dict[str, Any]:
        return {"UploadId": self._upload, "PartNumber": number}

    def _body(self, number: int) -> memoryview:
        start = (number - 1) * self._chunk_bytes
        return self._data[start : start + self._chunk_bytes]


def _document(parts: list[dict[str, Any]]) -> bytes:
    """Return the body of CompleteMultipartUpload, written as boto3 writes it."""
    of_parts = "".join(
        "<Part>"
        + "".join(
            f"<{name}>{escape(str(part[name]), quote=False)}</{name}>"
            for name in ORDER
            if name in part
        )
        + "</Part>"
        for part in parts
    )
    return (
        '<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"{of_parts}</CompleteMultipartUpload>"
    ).encode()
