"""Large values on their way to S3: in parts, several at once, and as a whole or not at all.

What is there stays until the last request, which makes an object of the parts; that request is
the one that a condition goes with.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from cshelve._parallel import map_in_order, unstoppable
from cshelve.exceptions import StorageError
from cshelve.providers.aws_s3.bucket import Bucket, etag_of
from cshelve.providers.aws_s3.errors import code_of

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

__all__ = ["MultipartUploads"]

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
MOST_PARTS = 10_000
LARGEST_PUT_BYTES = 5 * 2**30
# A part is in memory once more while it is sent.
MOST_AT_ONCE = 12
# What boto3 sends with a put and with a part, but does not ask for when an upload begins:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
CHECKSUM = "CRC32"


class MultipartUploads:
    """Puts of values that are longer than `threshold_bytes`: two requests and one for each chunk.

    Parts fly together as far as other operations leave permits, and each carries its own checksum.
    An upload that fails, or that nobody waits for any more, is aborted, so that no parts stay.
    Safe in many threads.
    """

    def __init__(self, bucket: Bucket, threshold_bytes: int, chunk_bytes: int) -> None:
        self._bucket = bucket
        self._threshold_bytes = threshold_bytes
        self._chunk_bytes = chunk_bytes
        self._logger = logging.getLogger("cshelve")

    def take(self, size: int) -> bool:
        """Tell whether values of this size go in parts."""
        return size > self._threshold_bytes or self.alone_take(size)

    def alone_take(self, size: int) -> bool:
        """Tell whether S3 takes values of this size in no other way."""
        return size > LARGEST_PUT_BYTES

    def put(self, name: str, data: bytes) -> str:
        """Store data and give the version."""
        operation = "CompleteMultipartUpload"
        with (
            self._bucket.translating(operation, name),
            self._bucket.connections.client() as client,
        ):
            return self.put_by(client, name, data, {}, {})

    def put_by(
        self,
        client: S3Client,
        name: str,
        data: bytes,
        metadata: Mapping[str, str],
        condition: Mapping[str, str],
    ) -> str:
        """Store data; this client, whose permit the caller holds, sends the last request.

        That one raises boto3's errors, for whoever has to know whether it was done; the others
        raise ours.
        """
        wanted = min(-(-len(data) // self._chunk_bytes), MOST_AT_ONCE)
        with self._bucket.connections.more(wanted - 1) as (repeating, at_once):
            upload = self._begun(repeating, name, data, metadata)
            try:
                parts = upload.parts(at_once)
                answer = upload.completed(client, parts, condition)
                return etag_of(answer, self._bucket, name)
            except BaseException:
                self._abort(upload)
                raise

    def _begun(
        self, client: S3Client, name: str, data: bytes, metadata: Mapping[str, str]
    ) -> _Upload:
        request = self._bucket.request("CreateMultipartUpload", name)
        if metadata:
            request["Metadata"] = {**request.get("Metadata", {}), **metadata}
        of_part = self._bucket.request("UploadPart", name)
        if self._bucket.connections.config.request_checksum_calculation == "when_supported":
            request.setdefault("ChecksumAlgorithm", CHECKSUM)
            of_part.setdefault("ChecksumAlgorithm", CHECKSUM)
        with self._bucket.translating("CreateMultipartUpload", name):
            answer = client.create_multipart_upload(**request)
        if "UploadId" not in answer:
            raise StorageError(
                f"{self._bucket.place('CreateMultipartUpload', name)}: the answer has no UploadId, "
                "as S3's has; nothing is stored."
            )
        chunk_bytes = max(self._chunk_bytes, -(-len(data) // MOST_PARTS))
        return _Upload(self._bucket, client, name, data, answer["UploadId"], chunk_bytes, of_part)

    def _abort(self, upload: _Upload) -> None:
        """Remove what was stored of an upload; whatever ended it goes on to the caller."""
        try:
            with unstoppable():
                upload.aborted()
        except (ClientError, BotoCoreError) as error:
            if code_of(error) == "NoSuchUpload":
                return  # It was completed after all, and only the answer was lost.
            self._logger.warning(
                "%s: parts of an upload that failed may be left, as they cannot be removed: %s",
                self._bucket.place("AbortMultipartUpload", upload.name),
                error,
            )


class _Upload(NamedTuple):
    """An upload that has begun."""

    bucket: Bucket
    client: S3Client
    name: str
    data: bytes
    id: str
    chunk_bytes: int
    of_part: Mapping[str, Any]
    """The parameters of UploadPart that are the same for all."""

    def parts(self, at_once: int) -> list[dict[str, Any]]:
        """Send the parts, and give what the last request has to say of them."""
        numbers = range(1, -(-len(self.data) // self.chunk_bytes) + 1)
        return [part for _, part in map_in_order(self._sent, numbers, at_once)]

    def completed(
        self, client: S3Client, parts: list[dict[str, Any]], condition: Mapping[str, str]
    ) -> Mapping[str, Any]:
        request = self.bucket.request("CompleteMultipartUpload", self.name) | dict(condition)
        together: Any = {"Parts": parts}
        return client.complete_multipart_upload(
            **request, UploadId=self.id, MultipartUpload=together
        )

    def aborted(self) -> None:
        request = self.bucket.request("AbortMultipartUpload", self.name)
        self.client.abort_multipart_upload(**request, UploadId=self.id)

    def _sent(self, number: int) -> dict[str, Any]:
        start = (number - 1) * self.chunk_bytes
        body = self.data[start : start + self.chunk_bytes]
        with self.bucket.translating("UploadPart", self.name):
            answer: Mapping[str, Any] = self.client.upload_part(
                **self.of_part, UploadId=self.id, PartNumber=number, Body=body
            )
        if "ETag" not in answer:
            raise StorageError(
                f"{self.bucket.place('UploadPart', self.name)}: the answer has no ETag, as S3's "
                "has; nothing is stored."
            )
        algorithm = self.of_part.get("ChecksumAlgorithm")
        of_answer = {f"Checksum{algorithm}", "ETag"}.intersection(answer)
        return {"PartNumber": number, **{name: answer[name] for name in of_answer}}
