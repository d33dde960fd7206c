"""Store large values in S3: parts are sent at the same time, and stored as a whole or not at all.

The old value stays until the last request, which turns the parts into an object. A condition is
sent with that request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

from cshelve._concurrency.parallel import unstoppable
from cshelve.exceptions import StorageError, UnsupportedOperationError
from cshelve.providers.aws_s3.bucket import etag_of
from cshelve.providers.aws_s3.errors import code_of, failures
from cshelve.providers.aws_s3.sending import attempt, attempt_once, send
from cshelve.providers.aws_s3.tasks import BucketTask

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.direct.answers import Answer
    from cshelve.providers.aws_s3.direct.templates import Request
    from cshelve.providers.aws_s3.requests import Requests

    Data = bytes | memoryview

__all__ = ["LARGEST_PUT_BYTES", "MultipartUploads"]

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
MOST_PARTS = 10_000
LARGEST_PUT_BYTES = 5 * 2**30
"""The size of the largest value that S3 stores by one request."""
MOST_AT_ONCE = 12
# The number of parts of an uploaded file that are in memory at once, each of the configured size.
MOST_IN_MEMORY = 3
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

        complete = partial(self._complete, name)
        parameters = self._requests.parameters_of(data) or {}
        return self._put(name, self._parts_of(data), parameters, complete, MOST_AT_ONCE)

    def part_bytes(self, size_bytes: int | None) -> int:
        """Return how large the parts of a value are; all but the last one have this size."""
        return max(self._chunk_bytes, -(-(size_bytes or 0) // MOST_PARTS))

    def put_parts(
        self, name: str, parts: Iterable[Data], part_bytes: int, stored: Callable[[int], object]
    ) -> str:
        """Store parts of `part_bytes` as they come, and return the version.

        `stored` is called with the number of bytes of each. What `parts` raises aborts the upload.
        """
        most = max(1, MOST_IN_MEMORY * self._chunk_bytes // part_bytes)
        return self._put(name, parts, {}, partial(self._complete, name), most, stored)

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

        return self._put(name, self._parts_of(data), metadata, complete, MOST_AT_ONCE)

    def _complete(
        self, name: str, parameters: Mapping[str, Any], document: bytes
    ) -> Mapping[str, Any]:
        return send(self._requests, "CompleteMultipartUpload", name, parameters, document)

    def _parts_of(self, data: bytes) -> Iterator[Data]:
        return parts_of(data, self.part_bytes(len(data)))

    def _put(
        self,
        name: str,
        parts: Iterable[Data],
        metadata: Mapping[str, Any],
        complete: Callable[[Mapping[str, Any], bytes], Mapping[str, Any]],
        most: int,
        stored: Callable[[int], object] = lambda _: None,
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
            sent = self._sent(name, parts, upload, most, stored)
            parameters = {"UploadId": upload, "MultipartUpload": {"Parts": sent}}
            answer = complete(parameters, _document(sent))
            return etag_of(answer, self._bucket.place("CompleteMultipartUpload", name))
        except BaseException:
            self._abort(name, upload)
            raise

    def _sent(
        self,
        name: str,
        parts: Iterable[Data],
        upload: str,
        most: int,
        stored: Callable[[int], object],
    ) -> list[dict[str, Any]]:
        """Send the parts, and return the fields of each that the last request needs."""
        task = _Parts(self._requests, name, upload)
        done: list[dict[str, Any]] = []
        most = min(most, MOST_AT_ONCE, self._requests.most_of_one)
        with closing(task.results(self._numbered(name, parts), most)) as sent:
            for (_, data), part in sent:
                done.append(part)
                stored(len(data))
        return done

    def _numbered(self, name: str, parts: Iterable[Data]) -> Iterator[tuple[int, Data]]:
        for number, part in enumerate(parts, 1):
            if number > MOST_PARTS:
                raise UnsupportedOperationError(
                    f"{self._bucket.place('UploadPart', name)}: S3 accepts {MOST_PARTS:,} parts, "
                    "and the length of the file was not known beforehand. Pass the path of a file, "
                    "or increase [default] multipart_chunk_bytes."
                )
            yield number, part

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


class _Parts(BucketTask["tuple[int, Data]", dict[str, Any]]):
    """The parts of a value, each with its number."""

    is_worth_an_end = False  # If the loop ends early, the upload is aborted.

    def __init__(self, requests: Requests, name: str, upload: str) -> None:
        super().__init__(requests)
        self._name = name
        self._key = requests.bucket.prefix + name
        self._upload = upload

    def request(self, part: tuple[int, Data]) -> Request | None:
        number, data = part
        return self.made("UploadPart", self._key, self._parameters(number), data)

    def result(self, part: tuple[int, Data], answer: Answer) -> dict[str, Any]:
        headers = self._requests.judged("UploadPart", answer).headers
        made: dict[str, Any] = {"PartNumber": part[0], "ETag": headers["etag"]}
        if self._requests.config.sends_checksums and "x-amz-checksum-crc32" in headers:
            made["ChecksumCRC32"] = headers["x-amz-checksum-crc32"]
        return made

    def by_boto3(self, part: tuple[int, Data]) -> dict[str, Any]:
        number, data = part
        place = self._requests.bucket.place("UploadPart", self._name)
        answer = self._requests.boto3.send("UploadPart", self._name, self._parameters(number), data)
        if "ETag" not in answer:
            raise StorageError(f"{place}: the response has no ETag, so nothing is stored.")
        algorithm = self._requests.bucket.parameters.get("UploadPart", {}).get("ChecksumAlgorithm")
        of_answer = {f"Checksum{algorithm}", "ETag"}.intersection(answer)
        return {"PartNumber": number, **{name: answer[name] for name in of_answer}}

    def _parameters(self, number: int) -> dict[str, Any]:
        return {"UploadId": self._upload, "PartNumber": number}


def parts_of(data: bytes, part_bytes: int) -> Iterator[Data]:
    """Yield views of data, without copying."""
    view = memoryview(data)
    for start in range(0, len(view), part_bytes):
        yield view[start : start + part_bytes]


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
