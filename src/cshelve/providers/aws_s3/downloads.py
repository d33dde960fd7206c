"""Downloads to a file: a few ranges of an object are read at once, and written in order.

The first response has the object's length and version; If-Match makes sure that the others are of
the same version. An object that fits into one range takes one request.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from cshelve.exceptions import ConflictError
from cshelve.providers.aws_s3.bucket import NO_VERSION
from cshelve.providers.aws_s3.errors import failures, is_absent, translated
from cshelve.providers.aws_s3.inspecting import inspected
from cshelve.providers.aws_s3.ranged_reads import (
    First,
    RangedReads,
    Ranges,
    UnfitRangeError,
    length_of,
)

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.direct.answers import Answer, Reader
    from cshelve.providers.aws_s3.requests import Requests
    from cshelve.providers.streams import Target

__all__ = ["download"]

# The number of ranges that are in memory.
MOST_AT_ONCE = 3

Data = bytes | bytearray


def download(
    requests: Requests, reads: RangedReads, name: str, target: Target, range_bytes: int
) -> None:
    """Write an object to a file. Raises `KeyNotFoundError`."""
    found = inspected(requests, name, range_bytes)
    assert found.version is not None  # S3 always has one.
    first = First(found.size_bytes, found.version, "", None)
    begun = len(found.head)
    # A weak ETag never matches in If-Match: RFC 9110, section 13.1.1.
    can_match = first.etag.startswith('"') and first.etag != NO_VERSION
    if begun < first.size and not (can_match and reads.has_ranges):
        data = reads.item(name, None).data
        target.begun(len(data))
        target.write(data)
        return
    target.begun(first.size)
    target.write(found.head)
    del found  # Otherwise the beginning would stay in memory until the end.
    if begun < first.size:
        ranges = _Arriving(requests, reads, name, first, range_bytes)
        begun = _write_ranges(requests, ranges, name, target, range(begun, first.size, range_bytes))
    if begun < first.size:
        item = reads.item(name, None)
        if item.version != first.etag:
            raise _replaced(requests, name)
        target.write(memoryview(item.data)[begun:])


def _write_ranges(
    requests: Requests, ranges: _Arriving, name: str, target: Target, starts: range
) -> int:
    """Write the rest in ranges; return the position reached, the end if there are ranges."""
    place, begun = requests.bucket.place("GetObject", name), starts.start
    try:
        with closing(ranges.results(starts, min(MOST_AT_ONCE, requests.most_of_one))) as arrived:
            for start, data in arrived:
                target.write(data)
                begun = start + len(data)
    except UnfitRangeError as error:
        if error.etag is not None:
            raise _replaced(requests, name) from error
    except failures() as error:
        if is_absent(error):
            raise _replaced(requests, name) from error
        raise translated(error, place) from error
    return begun


def _replaced(requests: Requests, name: str) -> ConflictError:
    return ConflictError(
        f"{requests.bucket.place('GetObject', name)}: others replaced or deleted the value while "
        "it was downloaded; download it again."
    )


class _Arriving(Ranges[Data]):
    """The task that reads each range into its own buffer, which is kept until it is written."""

    def __init__(
        self, requests: Requests, reads: RangedReads, name: str, first: First, range_bytes: int
    ) -> None:
        super().__init__(requests, reads, name, first, range_bytes)
        self._buffers: dict[int, bytearray] = {}

    def body_buffer(self, start: int, reader: Reader) -> memoryview | None:
        self.refuse_other(start, reader.status, reader.headers, reader.length)
        buffer = self._buffers[start] = bytearray(self.stop(start) - start)
        return memoryview(buffer)

    def result(self, start: int, answer: Answer) -> Data:
        buffer = self._buffers.pop(start, b"")
        self.refuse_other(start, answer.status, answer.headers, length_of(answer))
        return answer.body or buffer

    def by_boto3(self, start: int) -> Data:
        self._buffers.pop(start, None)
        buffer = bytearray(self.stop(start) - start)
        with memoryview(buffer) as view:
            boto3 = self._requests.boto3
            boto3.read_range(view, None, lambda: self.asked_of_boto3(start), self._name)
        return buffer
