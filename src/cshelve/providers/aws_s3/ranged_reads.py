"""Read large values from S3 in ranges, several at the same time.

The size of a value is not known beforehand, so the first request is a plain GET, whose response has
the size. If the value is large, the beginning of that response serves as the first range, and other
requests ask for the rest. Their If-Match makes sure that they read the same object.
"""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from cshelve.exceptions import StorageError
from cshelve.providers.aws_s3.bucket import NO_VERSION
from cshelve.providers.aws_s3.direct.answers import Answer, NotPlainError, Reader
from cshelve.providers.aws_s3.direct.engine import Begun
from cshelve.providers.aws_s3.errors import failures, status_of
from cshelve.providers.aws_s3.tasks import BucketTask
from cshelve.providers.base import Item

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.direct.templates import Request
    from cshelve.providers.aws_s3.requests import Requests

__all__ = ["First", "RangedReads", "Ranges", "UnfitRangeError", "length_of"]

R = TypeVar("R")

# Each range costs a request and a connection, and twelve at 50 MB/s are more than a process can
# receive.
MOST_RANGES = 12
# After this many unchanged values whose ETag did not match, values are read as a whole.
MOST_UNMATCHED = 3


class UnfitRangeError(StorageError):
    """Raised for a range that is not of the same object as the first response: read again."""

    etag: str | None = None
    """The ETag of the first response, if the object was replaced since."""


class First(NamedTuple):
    """The response to the GET of a large value before its body is read."""

    size: int
    etag: str
    crc32: str
    """The checksum of the whole value; empty if the server sends none."""
    body: Any
    """The body: the engine's `Begun`, or boto3's stream."""

    @classmethod
    def of_engine(cls, begun: Begun) -> First:
        headers = begun.reader.headers
        crc32 = headers.get("x-amz-checksum-crc32", "")
        return cls(begun.reader.length or 0, headers.get("etag", ""), crc32, begun)

    @classmethod
    def of_boto3(cls, answer: Mapping[str, Any]) -> First:
        size, etag = answer.get("ContentLength") or 0, answer.get("ETag", "")
        return cls(size, etag, answer.get("ChecksumCRC32", ""), answer["Body"])


class RangedReads:
    """Read values larger than `threshold_bytes`, by a request for each chunk, but at most twelve.

    Safe in many threads.
    """

    def __init__(self, requests: Requests, threshold_bytes: int, chunk_bytes: int) -> None:
        self._requests = requests
        self._bucket = requests.bucket
        self.threshold_bytes = threshold_bytes
        self._chunk_bytes = chunk_bytes
        self.has_ranges = True
        """Whether the server supports ranges, as far as is known."""
        self._unmatched = 0

    def item(self, name: str, begun: Begun | None) -> Item:
        """Read the rest of a large value, and return the value as an item.

        `begun` is the direct engine's response; with None, or after a failure, boto3 reads the
        whole value. The caller holds no permit.
        """
        replaced_etag = None
        if begun is not None:
            first = First.of_engine(begun)
            try:
                return Item(self.read(name, first), first.etag or NO_VERSION)
            except UnfitRangeError as error:
                replaced_etag = error.etag
            except (OSError, NotPlainError) as error:
                self._requests.note_failure(error, begun.request)
            except failures() as error:
                self._requests.note_failure(error, begun.request)
        return self._requests.boto3.get_in_ranges(name, self, replaced_etag)

    def read(self, name: str, first: First, replaced_etag: str | None = None) -> bytes:
        """Return the value of which `first` is the beginning. The caller holds no permit.

        `replaced_etag` is the ETag of the object that the previous attempt found replaced, if there
        was one. Raises `UnfitRangeError` if the value is replaced meanwhile, and never returns a
        mix of two values. Raises boto3's errors for a body that is cut short or damaged.
        """
        is_unchanged = first.etag == replaced_etag
        if self.has_ranges and is_unchanged:
            # The value has not changed, but its ETag does not match. A proxy that compresses
            # responses may have altered the ETag.
            self._unmatched += 1
            if self._unmatched >= MOST_UNMATCHED:
                self._without_ranges("the server's ETags do not match in If-Match")
        at_once = min(MOST_RANGES, self._requests.most_of_one)
        # A weak ETag never matches in If-Match: RFC 9110, section 13.1.1.
        if is_unchanged or not self.has_ranges or not first.etag.startswith('"') or at_once == 1:
            data = self._to_its_end(first)
        else:
            data = self._in_ranges(name, first, at_once)
        if self._requests.config.checks_checksums:
            self._check(name, data, first)
        return data

    def _in_ranges(self, name: str, first: First, at_once: int) -> bytes:
        chunks = -(-first.size // self._chunk_bytes)
        range_bytes = self._chunk_bytes * -(-chunks // MOST_RANGES)
        begun = first.body if isinstance(first.body, Begun) else None
        starts = range(0 if begun is None else range_bytes, first.size, range_bytes)
        reading = _Reading(self._requests, self, name, first, range_bytes)
        try:
            done = reading.results(starts, at_once, begun=None if begun is None else (0, begun))
            with closing(done):
                for _ in done:
                    pass
        finally:
            # The connection cannot be reused: the rest of the first response is still to come.
            if begun is None:
                first.body.close()
            else:
                begun.give_up()
        return reading.data.getvalue()

    def no_ranges(self, name: str) -> UnfitRangeError:
        """Return the error for a response that is not the requested range; stop using ranges."""
        self._without_ranges("the server does not send the requested ranges")
        return UnfitRangeError(
            f"{self._bucket.place('GetObject', name)}: the server did not send the requested range."
        )

    def replaced(self, name: str, etag: str) -> UnfitRangeError:
        """Return the error for a value that was replaced while it was read."""
        error = UnfitRangeError(
            f"{self._bucket.place('GetObject', name)}: another writer replaced the value while it "
            "was read, twice; read it again later, or raise [default] multipart_threshold_bytes, "
            "up to which a value is read by one request."
        )
        error.etag = etag
        return error

    def _without_ranges(self, why: str) -> None:
        """Read values as a whole from now on, and log a warning, since that takes longer."""
        self.has_ranges = False
        self._requests.warn(f"large values are read by one request each from now on: {why}")

    def _to_its_end(self, first: First) -> bytes:
        with self._requests.permit():
            if isinstance(first.body, Begun):
                return self._requests.rest_of(first.body).body
            data: bytes = first.body.read()
            return data

    def _check(self, name: str, data: bytes, first: First) -> None:
        """Verify the server's checksum of the whole value; raise `UnfitRangeError` if it differs.

        A value that was stored in parts has only a checksum of the parts' checksums (with a dash),
        which is not verified.
        """
        if not first.crc32 or "-" in first.crc32:
            return
        if base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode() != first.crc32:
            raise UnfitRangeError(
                f"{self._bucket.place('GetObject', name)}: the value was damaged on its way, twice."
            )


class Ranges(BucketTask[int, R]):
    """Requests for ranges of one object, by where they start: each of the same version of it."""

    def __init__(
        self, requests: Requests, reads: RangedReads, name: str, first: First, range_bytes: int
    ) -> None:
        super().__init__(requests)
        self._reads = reads
        self._name = name
        self._key = requests.bucket.prefix + name
        self._first = first
        self._range_bytes = range_bytes

    def request(self, start: int) -> Request | None:
        return self.made("GetObject", self._key, self._parameters(start))

    def asked_of_boto3(self, start: int) -> Any:
        """Request a range by boto3, and return its body; raise `UnfitRangeError` if it is wrong."""
        try:
            answer = self._requests.boto3.call("GetObject", self._name, self._parameters(start))
        except failures() as error:
            if status_of(error) == 412:
                raise self._reads.replaced(self._name, self._first.etag) from error
            raise
        if answer.get("ETag") != self._first.etag:
            answer["Body"].close()
            raise self._reads.replaced(self._name, self._first.etag)
        if answer.get("ContentRange") != self._content_range(start):
            answer["Body"].close()
            raise self._reads.no_ranges(self._name)
        return answer["Body"]

    def refuse_other(
        self, start: int, status: int, headers: Mapping[str, str], length: int | None
    ) -> None:
        """Raise `NotPlainError` for a response that is not the requested range."""
        is_it = (
            status == 206
            and headers.get("content-range") == self._content_range(start)
            and length == self.stop(start) - start
            and headers.get("etag") == self._first.etag
        )
        if not is_it:
            raise NotPlainError("not the range that was asked for", status)

    def _parameters(self, start: int) -> dict[str, str]:
        # In boto3's order.
        return {"Range": f"bytes={start}-{self.stop(start) - 1}", "IfMatch": self._first.etag}

    def _content_range(self, start: int) -> str:
        return f"bytes {start}-{self.stop(start) - 1}/{self._first.size}"

    def stop(self, start: int) -> int:
        """Return where a range ends."""
        return min(start + self._range_bytes, self._first.size)


class _Reading(Ranges[None]):
    """The task that reads the ranges of a value into one buffer, which becomes the value."""

    def __init__(
        self, requests: Requests, reads: RangedReads, name: str, first: First, range_bytes: int
    ) -> None:
        super().__init__(requests, reads, name, first, range_bytes)
        # BytesIO takes over bytes that nothing else refers to, and `getvalue` returns them, both
        # without a copy. (A bytearray would have to be copied to become bytes.) The system provides
        # the memory only as it is filled.
        self.data = io.BytesIO(bytes(first.size))

    def request(self, start: int) -> Request | None:
        if not start:
            return None  # boto3 has already sent the first request.
        return super().request(start)

    def body_buffer(self, start: int, reader: Reader) -> memoryview | None:
        if start:
            self.refuse_other(start, reader.status, reader.headers, reader.length)
        return self._view(start)

    def result(self, start: int, answer: Answer) -> None:
        if start:
            self.refuse_other(start, answer.status, answer.headers, length_of(answer))
        elif answer.status != 200:
            raise NotPlainError("a refusal", answer.status)
        if answer.body:  # The body came in one piece with the head, so not into the buffer.
            self._view(start)[:] = answer.body

    def by_boto3(self, start: int) -> None:
        is_first = not start and not isinstance(self._first.body, Begun)
        body = self._first.body if is_first else None
        with self._view(start) as buffer:
            boto3 = self._requests.boto3
            boto3.read_range(buffer, body, lambda: self.asked_of_boto3(start), self._name)

    def _view(self, start: int) -> memoryview:
        return self.data.getbuffer()[start : self.stop(start)]


def length_of(answer: Answer) -> int:
    """Return the length of a body that has arrived, in the response or in its own buffer."""
    return len(answer.body) or int(answer.headers.get("content-length", 0))
