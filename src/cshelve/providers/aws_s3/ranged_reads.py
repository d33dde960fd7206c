"""Large values on their way from S3: in ranges of one object, several at once.

Nobody knows beforehand how large a value is, so the first request is a plain GET, and its answer
tells. If that is large, its beginning is the first range and the rest is asked for in others, all
of them of the very object that the first answer began (If-Match).
"""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from cshelve._concurrency.parallel import refuse_if_stopped
from cshelve.exceptions import StorageError
from cshelve.providers.aws_s3.direct.answers import Answer, NotPlainError, Reader
from cshelve.providers.aws_s3.direct.engine import Begun
from cshelve.providers.aws_s3.errors import failures, status_of, translated
from cshelve.providers.aws_s3.tasks import EngineTask

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.direct.templates import Request
    from cshelve.providers.aws_s3.requests import Requests

__all__ = ["First", "RangedReads", "UnfitRangeError"]

# Each costs a request and a connection; twelve of 50 MB/s are more than a process takes in.
MOST_RANGES = 12
# After so many values whose ETag did not match although they stayed, no more ranges are asked for.
MOST_IN_VAIN = 3
# How much boto3 is asked for at once, into bytes of its own that are then copied to their place.
PIECE_BYTES = 2**20


class UnfitRangeError(StorageError):
    """A range was not given of the object that the first answer began; a second reading may be."""

    etag: str | None = None
    """The ETag of the object, if it was replaced."""


class First(NamedTuple):
    """The answer to the GET of a large value, whose body has not been read yet."""

    size: int
    etag: str
    crc32: str
    """The checksum of the whole, where the server gives one."""
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
    """Reads of values that are longer than `threshold_bytes`: one request for each chunk.

    Where that would be more than twelve, a range is as many chunks as it takes. Safe in many
    threads.
    """

    def __init__(self, requests: Requests, threshold_bytes: int, chunk_bytes: int) -> None:
        self._requests = requests
        self._bucket = requests.bucket
        self.threshold_bytes = threshold_bytes
        self._chunk_bytes = chunk_bytes
        self._has_ranges = True
        self._in_vain = 0

    def read(self, name: str, first: First, replaced_etag: str | None = None) -> bytes:
        """Read the value whose GET was answered so. The caller holds no permit.

        Takes the ETag of what a reading just before found replaced.
        Raises `UnfitRangeError` if the value is replaced meanwhile, never giving a mix of two, and
        what boto3 raises for a body that is cut short or damaged.
        """
        is_unchanged = first.etag == replaced_etag
        if self._has_ranges and is_unchanged:
            # It is not the value that changed: its ETag did not match, since a proxy that
            # compresses alters it, say.
            self._in_vain += 1
            if self._in_vain >= MOST_IN_VAIN:
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
            done = self._requests.together(
                reading, starts, at_once, begun=None if begun is None else (0, begun)
            )
            with closing(done):
                for _ in done:
                    pass
        finally:
            # What comes after the first range would be in the way of the next answer.
            if begun is None:
                first.body.close()
            else:
                begun.connection.close()
        return reading.data.getvalue()

    def no_ranges(self, name: str) -> UnfitRangeError:
        """Say that a server gave something else than the range that it was asked for."""
        self._without_ranges("it does not give the ranges that it is asked for")
        return UnfitRangeError(
            f"{self._bucket.place('GetObject', name)}: the server does not give the range that it "
            "is asked for."
        )

    def replaced(self, name: str, etag: str) -> UnfitRangeError:
        """Say that a value was replaced while it was read."""
        error = UnfitRangeError(
            f"{self._bucket.place('GetObject', name)}: others replaced the value while it was "
            "read, twice; read it again when they pause, or raise [default] "
            "multipart_threshold_bytes, up to which a value is read by one request."
        )
        error.etag = etag
        return error

    def _without_ranges(self, why: str) -> None:
        """Read values as a whole from now on, which takes longer, and say so."""
        self._has_ranges = False
        self._requests.warn(f"large values are read by one request each from now on: {why}")

    def _to_its_end(self, first: First) -> bytes:
        with self._requests.permit():
            if isinstance(first.body, Begun):
                return self._requests.rest_of(first.body)
            data: bytes = first.body.read()
            return data

    def _check(self, name: str, data: bytes, first: First) -> None:
        """Compare the checksum that the server gave of the whole, as boto3 does at its end.

        It gives one where the value was stored by one request, else one of checksums.
        """
        if not first.crc32 or "-" in first.crc32:
            return
        if base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode() != first.crc32:
            raise UnfitRangeError(
                f"{self._bucket.place('GetObject', name)}: the value was damaged on its way, twice."
            )


class _Reading(EngineTask[int, None]):
    """A value that is being read into one buffer, which becomes the value without a copy."""

    def __init__(
        self, requests: Requests, reads: RangedReads, name: str, first: First, range_bytes: int
    ) -> None:
        super().__init__(requests)
        self._reads = reads
        self._name = name
        self._first = first
        self._range_bytes = range_bytes
        # It takes over bytes that nobody else refers to, and `getvalue` gives them back: neither
        # copies them (a bytearray would have to be, to become bytes). The system gives the memory
        # only as it is filled.
        self.data = io.BytesIO(bytes(first.size))

    def request(self, start: int) -> Request | None:
        if not start:
            return None  # boto3 has the answer of that.
        return self.made("GetObject", self._name, self._parameters(start))

    def place(self, start: int, reader: Reader) -> memoryview | None:
        if start:
            stop = self._stop(start)
            told = reader.headers.get("content-range"), reader.headers.get("etag")
            wanted = f"bytes {start}-{stop - 1}/{self._first.size}", self._first.etag
            if reader.status != 206 or told != wanted or reader.length != stop - start:
                raise NotPlainError("not the range that was asked for", reader.status)
        return self._view(start)

    def result(self, start: int, answer: Answer) -> None:
        if answer.body:  # It came in one piece with its head.
            reader = Reader("GET")
            reader.status, reader.headers = answer.status, answer.headers
            reader.length = len(answer.body)
            place = self.place(start, reader)
            assert place is not None
            place[:] = answer.body
            return
        told = answer.headers.get("content-range"), answer.headers.get("content-length")
        if start and (answer.status != 206 or told != self._told_of(start)):
            raise NotPlainError("not the range that was asked for", answer.status)
        if not start and answer.status != 200:
            raise NotPlainError("a refusal", answer.status)

    def by_boto3(self, start: int) -> None:
        """Read the range that begins there, and once more if it is cut short."""
        from botocore.exceptions import IncompleteReadError, ResponseStreamingError

        cut_short = IncompleteReadError, ResponseStreamingError
        is_first = not start and not isinstance(self._first.body, Begun)
        with self._view(start) as buffer:
            try:
                _read_into(buffer, self._first.body if is_first else self._asked_for(start))
            except cut_short:
                body = self._asked_for(start)
                try:
                    _read_into(buffer, body)
                except cut_short as error:
                    place = self._requests.bucket.place("GetObject", self._name)
                    raise translated(error, place) from error

    def _asked_for(self, start: int) -> Any:
        """Ask for a range of the object, and make sure that it is what the answer gives."""
        try:
            answer = self._requests.by_boto3("GetObject", self._name, self._parameters(start))
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

    def _told_of(self, start: int) -> tuple[str, str]:
        stop = self._stop(start)
        return f"bytes {start}-{stop - 1}/{self._first.size}", str(stop - start)

    def _stop(self, start: int) -> int:
        return min(start + self._range_bytes, self._first.size)

    def _view(self, start: int) -> memoryview:
        return self.data.getbuffer()[start : self._stop(start)]


def _read_into(buffer: memoryview, body: Any) -> None:
    """Fill the buffer, and stop there, whatever else the body has."""
    from botocore.exceptions import IncompleteReadError

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
