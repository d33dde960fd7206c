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
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    ClientError,
    FlexibleChecksumError,
    IncompleteReadError,
    ResponseStreamingError,
)

from cshelve._parallel import map_in_order, refuse_if_stopped
from cshelve.exceptions import StorageError
from cshelve.providers.aws_s3.bucket import Bucket
from cshelve.providers.aws_s3.errors import status_of, translated

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from types_boto3_s3 import S3Client

__all__ = ["RangedReads", "UnfitRangeError"]

# Each costs a request and a connection; twelve of 50 MB/s are more than a process takes in.
MOST_RANGES = 12
# How much is read at once, into bytes of its own that are then copied to their place.
PIECE_BYTES = 2**20
CUT_SHORT = (IncompleteReadError, ResponseStreamingError)


class UnfitRangeError(StorageError):
    """A range was not given of the object that the first answer began; a second reading may be."""


class RangedReads:
    """Reads of values that are longer than `threshold_bytes`: one request for each chunk.

    Where that would be more than twelve, a range is as many chunks as it takes. Ranges fly
    together as far as other operations leave permits; if they leave none, the answer is read to its
    end, as that of a small value. Safe in many threads.
    """

    def __init__(self, bucket: Bucket, threshold_bytes: int, chunk_bytes: int) -> None:
        self._bucket = bucket
        self._threshold_bytes = threshold_bytes
        self._chunk_bytes = chunk_bytes
        self._has_ranges = True

    def data_of(self, name: str, answer: Mapping[str, Any]) -> bytes:
        """Read the value whose GET was answered so; the caller holds the permit of that.

        Raises `UnfitRangeError` if the value is replaced meanwhile, never giving a mix of two, and
        what boto3 raises for a body that is cut short or damaged.
        """
        size = answer.get("ContentLength") or 0
        etag = answer.get("ETag", "")
        # A weak ETag is never that of an If-Match: RFC 9110, section 13.1.1.
        if size <= self._threshold_bytes or not etag.startswith('"') or not self._has_ranges:
            return _to_its_end(answer)
        chunks = -(-size // self._chunk_bytes)
        range_bytes = self._chunk_bytes * -(-chunks // MOST_RANGES)
        starts = range(0, size, range_bytes)
        with self._bucket.connections.more(len(starts) - 1) as (client, at_once):
            if at_once == 1:
                return _to_its_end(answer)
            read = _Read(client, name, size, range_bytes, etag, answer["Body"])
            try:
                for _ in map_in_order(lambda start: self._fill(read, start), starts, at_once):
                    pass
            finally:
                # What comes after the first range would be in the way of the next answer.
                read.first.close()
        data = read.data.getvalue()
        if self._bucket.connections.config.response_checksum_validation == "when_supported":
            _check(data, answer)
        return data

    def _fill(self, read: _Read, start: int) -> None:
        """Read the range that begins there, and once more if it is cut short."""
        stop = min(start + read.range_bytes, read.size)
        with read.data.getbuffer() as all_of_it, all_of_it[start:stop] as buffer:
            try:
                _read_into(buffer, self._asked_for(read, start, stop) if start else read.first)
            except CUT_SHORT:
                body = self._asked_for(read, start, stop)
                try:
                    _read_into(buffer, body)
                except CUT_SHORT as error:
                    raise translated(error, self._bucket.place("GetObject", read.name)) from error

    def _asked_for(self, read: _Read, start: int, stop: int) -> StreamingBody:
        """Ask for a range of the object, and make sure that it is what the answer gives."""
        request = self._bucket.request("GetObject", read.name)
        try:
            answer = read.client.get_object(
                **request, Range=f"bytes={start}-{stop - 1}", IfMatch=read.etag
            )
        except ClientError as error:
            if status_of(error) == 412:
                raise self._replaced(read) from error
            raise
        if answer.get("ETag") != read.etag:
            answer["Body"].close()
            raise self._replaced(read)
        if answer.get("ContentRange") != f"bytes {start}-{stop - 1}/{read.size}":
            answer["Body"].close()
            # From now on, values are read as a whole.
            self._has_ranges = False
            raise UnfitRangeError(
                f"{self._bucket.place('GetObject', read.name)}: the server does not give the range "
                "that it is asked for."
            )
        return answer["Body"]

    def _replaced(self, read: _Read) -> UnfitRangeError:
        return UnfitRangeError(
            f"{self._bucket.place('GetObject', read.name)}: others replaced the value while it was "
            "read, twice; read it again when they pause, or raise [default] "
            "multipart_threshold_bytes, up to which a value is read by one request."
        )


class _Read:
    """A value that is being read into one buffer, which becomes the value without a copy."""

    def __init__(
        self,
        client: S3Client,
        name: str,
        size: int,
        range_bytes: int,
        etag: str,
        first: StreamingBody,
    ) -> None:
        self.client = client
        self.name = name
        self.size = size
        self.range_bytes = range_bytes
        self.etag = etag
        self.first = first
        """The body of the plain GET's answer."""
        # It takes over bytes that nobody else refers to, and `getvalue` gives them back: neither
        # copies them (a bytearray would have to be, to become bytes).
        self.data = io.BytesIO(bytes(size))


def _to_its_end(answer: Mapping[str, Any]) -> bytes:
    data: bytes = answer["Body"].read()
    return data


def _read_into(buffer: memoryview, body: StreamingBody) -> None:
    """Fill the buffer, and stop there, whatever else the body has."""
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


def _check(data: bytes, answer: Mapping[str, Any]) -> None:
    """Do what boto3 does at the end of an answer: compare the checksum that the server gave.

    It gives one of the whole where the value was stored by one request, else one of checksums.
    """
    expected = answer.get("ChecksumCRC32", "")
    if not expected or "-" in expected:
        return
    found = base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
    if found != expected:
        raise FlexibleChecksumError(
            error_msg=f"Expected checksum {expected} did not match calculated checksum: {found}"
        )
