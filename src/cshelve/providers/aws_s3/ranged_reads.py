"""Large values on their way from S3: in ranges of one object, several at once.

The size of a value is not known beforehand, so the first request is a plain GET, and its answer has
it. If that is large, its beginning is the first range, and other requests ask for the rest, all of
the very object that the first answer began (If-Match).
"""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

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

__all__ = ["First", "RangedReads", "UnfitRangeError"]

# Each costs a request and a connection; twelve at 50 MB/s are more than a process receives.
MOST_RANGES = 12
# After so many unchanged values whose ETag did not match, values are read as a whole.
MOST_UNMATCHED = 3


class UnfitRangeError(StorageError):
    """A range was not of the object that the first answer began; worth a second reading."""

    etag: str | None = None
    """The ETag of the object, if it was replaced."""


class First(NamedTuple):
    """The answer to the GET of a large value, whose body has not been read yet."""

    size: int
    etag: str
    crc32: str
    """The checksum of the whole, if the server sends one."""
    body: Any
    """The rest of it: the engine's `Begun`, or boto3's stream."""

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
    """Reads of values longer than `threshold_bytes`: a request for each chunk, or at most twelve.

    Safe in many threads.
    """

    def __init__(self, requests: Requests, threshold_bytes: int, chunk_bytes: int) -> None:
        self._requests = requests
        self._bucket = requests.bucket
        self.threshold_bytes = threshold_bytes
        self._chunk_bytes = chunk_bytes
        self._has_ranges = True
        self._unmatched = 0

    def item(self, name: str, begun: Begun | None) -> Item:
        """Read a large value whose beginning the direct engine has; None is read by boto3.

        The caller holds no permit.
        """
        replaced_etag = None
        if begun is not None:
            first = First.of_engine(begun)
            try:
                return Item(self.read(name, first), first.etag or NO_VERSION)
            except UnfitRangeError as error:
                replaced_etag = error.etag
            except (OSError, NotPlainError) as error:
                self._requests.note_failure(error)
            except failures() as error:
                self._requests.note_failure(error)
        return self._requests.boto3.get_in_ranges(name, self, replaced_etag)

    def read(self, name: str, first: First, replaced_etag: str | None = None) -> bytes:
        """Read the value that an answer to a GET begins. The caller holds no permit.

        `replaced_etag` is the ETag of what a reading just before found replaced. Raises
        `UnfitRangeError` if the value is replaced meanwhile, and never returns a mix of two; and
        what boto3 raises for a body that is cut short or damaged.
        """
        is_unchanged = first.etag == replaced_etag
        if self._has_ranges and is_unchanged:
            # The value has not changed: its ETag does not match, as when a proxy that compresses
            # alters it.
            self._unmatched += 1
            if self._unmatched >= MOST_UNMATCHED:
                self._without_ranges("no ETag of its answers is what If-Match asks for")
        at_once = min(MOST_RANGES, self._requests.most_of_one)
        # A weak ETag is never that of an If-Match: RFC 9110, section 13.1.1.
        if is_unchanged or not self._has_ranges or not first.etag.startswith('"') or at_once == 1:
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
            # The rest of the first answer would precede the next one.
            if begun is None:
                first.body.close()
            else:
                begun.connection.close()
        return reading.data.getvalue()

    def no_ranges(self, name: str) -> UnfitRangeError:
        """Return the error for a server that answers with something else than the range."""
        self._without_ranges("it does not give the ranges that it is asked for")
        return UnfitRangeError(
            f"{self._bucket.place('GetObject', name)}: the server does not give the range that it "
            "is asked for."
        )

    def replaced(self, name: str, etag: str) -> UnfitRangeError:
        """Return the error for a value that was replaced while it was read."""
        error = UnfitRangeError(
            f"{self._bucket.place('GetObject', name)}: others replaced the value while it was "
            "read, twice; read it again when they pause, or raise [default] "
            "multipart_threshold_bytes, up to which a value is read by one request."
        )
        error.etag = etag
        return error

    def _without_ranges(self, why: str) -> None:
        """Read values as a whole from now on, which takes longer, and warn of it."""
        self._has_ranges = False
        self._requests.warn(f"large values are read by one request each from now on: {why}")

    def _to_its_end(self, first: First) -> bytes:
        with self._requests.permit():
            if isinstance(first.body, Begun):
                return self._requests.rest_of(first.body).body
            data: bytes = first.body.read()
            return data

    def _check(self, name: str, data: bytes, first: First) -> None:
        """Compare the server's checksum of the whole, as boto3 does at the end.

        There is one if the value was stored by one request; else it is one of checksums.
        """
        if not first.crc32 or "-" in first.crc32:
            return
        if base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode() != first.crc32:
            raise UnfitRangeError(
                f"{self._bucket.place('GetObject', name)}: the value was damaged on its way, twice."
            )


class _Reading(BucketTask[int, None]):
    """The ranges of a value, read into one buffer, which becomes the value without a copy."""

    def __init__(
        self, requests: Requests, reads: RangedReads, name: str, first: First, range_bytes: int
    ) -> None:
        super().__init__(requests)
        self._reads = reads
        self._name = name
        self._key = requests.bucket.prefix + name
        self._first = first
        self._range_bytes = range_bytes
        # It takes over bytes that nobody else refers to, and `getvalue` returns them: neither
        # copies them (a bytearray would have to be, to become bytes). The system provides the
        # memory only as it is filled.
        self.data = io.BytesIO(bytes(first.size))

    def request(self, start: int) -> Request | None:
        if not start:
            return None  # boto3 has the answer of that.
        return self.made("GetObject", self._key, self._parameters(start))

    def body_buffer(self, start: int, reader: Reader) -> memoryview | None:
        if start:
            stop = self._stop(start)
            found = reader.headers.get("content-range"), reader.headers.get("etag")
            wanted = f"bytes {start}-{stop - 1}/{self._first.size}", self._first.etag
            if reader.status != 206 or found != wanted or reader.length != stop - start:
                raise NotPlainError("not the range that was asked for", reader.status)
        return self._view(start)

    def result(self, start: int, answer: Answer) -> None:
        if answer.body:  # It came in one piece with its head.
            reader = Reader("GET")
            reader.status, reader.headers = answer.status, answer.headers
            reader.length = len(answer.body)
            place = self.body_buffer(start, reader)
            assert place is not None
            place[:] = answer.body
            return
        found = answer.headers.get("content-range"), answer.headers.get("content-length")
        if start and (answer.status != 206 or found != self._expected(start)):
            raise NotPlainError("not the range that was asked for", answer.status)
        if not start and answer.status != 200:
            raise NotPlainError("a refusal", answer.status)

    def by_boto3(self, start: int) -> None:
        is_first = not start and not isinstance(self._first.body, Begun)
        body = self._first.body if is_first else None
        with self._view(start) as buffer:
            boto3 = self._requests.boto3
            boto3.read_range(buffer, body, lambda: self._asked_for(start), self._name)

    def _asked_for(self, start: int) -> Any:
        """Ask boto3 for a range of the object, and return its body if it is that."""
        try:
            answer = self._requests.boto3.call("GetObject", self._name, self._parameters(start))
        except failures() as error:
            if status_of(error) == 412:
                raise self._reads.replaced(self._name, self._first.etag) from error
            raise
        if answer.get("ETag") != self._first.etag:
            answer["Body"].close()
            raise self._reads.replaced(self._name, self._first.etag)
        stop = self._stop(start)
        if answer.get("ContentRange") != f"bytes {start}-{stop - 1}/{self._first.size}":
            answer["Body"].close()
            raise self._reads.no_ranges(self._name)
        return answer["Body"]

    def _parameters(self, start: int) -> dict[str, str]:
        # In the order in which boto3 has them.
        return {"Range": f"bytes={start}-{self._stop(start) - 1}", "IfMatch": self._first.etag}

    def _expected(self, start: int) -> tuple[str, str]:
        stop = self._stop(start)
        return f"bytes {start}-{stop - 1}/{self._first.size}", str(stop - start)

    def _stop(self, start: int) -> int:
        return min(start + self._range_bytes, self._first.size)

    def _view(self, start: int) -> memoryview:
        return self.data.getbuffer()[start : self._stop(start)]
