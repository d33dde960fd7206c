"""A listing, page after page: a page is asked for while the caller has the one before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from cshelve._parallel import Ahead
from cshelve.exceptions import StorageError
from cshelve.providers.aws_s3.bucket import PROBE
from cshelve.providers.aws_s3.listing import Objects, read_page

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.bucket import Bucket

__all__ = ["pages_of"]

OPERATION = "ListObjectsV2"
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
KEYS_PER_PAGE = 1000


def pages_of(bucket: Bucket, prefix: str, limit: int | None) -> Iterator[Objects]:
    """Go through the objects whose names begin so.

    A limit is a matter of the caller's too: the last page may go past it, where a server gives more
    than it is asked for.
    """
    return _all_pages(bucket, prefix) if limit is None else _first_pages(bucket, prefix, limit)


def _all_pages(bucket: Bucket, prefix: str) -> Iterator[Objects]:
    """Ask for a page ahead from the third on: who wants one key has not to pay for two pages."""

    def ask(where: dict[str, Any]) -> Mapping[str, Any]:
        return bucket.page(prefix, **where)

    where: dict[str, Any] = {}
    with Ahead(ask) as answers:
        while True:
            answer = answers.get(where)
            if where and bucket.connections.concurrency > 1 and (behind := _position(answer)):
                answers.begin(behind)
            answer, objects = _read(bucket, answer, prefix, where)
            yield objects
            if not answer.get("IsTruncated"):
                return
            where = _position_or_error(answer, bucket)


def _first_pages(bucket: Bucket, prefix: str, limit: int) -> Iterator[Objects]:
    where: dict[str, Any] = {}
    while limit > 0:
        where["MaxKeys"] = min(limit, KEYS_PER_PAGE)
        answer, objects = _read(bucket, bucket.page(prefix, **where), prefix, where)
        yield objects
        limit -= len(objects.keys)
        if not answer.get("IsTruncated"):
            return
        where = _position_or_error(answer, bucket)


def _position(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Give the parameters that ask for the page after this one; none if there is none."""
    token = answer.get("NextContinuationToken") if answer.get("IsTruncated") else None
    return {"ContinuationToken": token} if token else {}


def _position_or_error(answer: Mapping[str, Any], bucket: Bucket) -> dict[str, Any]:
    position = _position(answer)
    if not position:
        raise StorageError(
            f"{bucket.place(OPERATION)}: the server cuts the listing short and does not say how "
            "to go on."
        )
    return position


def _read(
    bucket: Bucket, answer: Mapping[str, Any], prefix: str, where: Mapping[str, Any]
) -> tuple[Mapping[str, Any], Objects]:
    """Give the answer, as whoever could read it has read it, and the shelf's objects on it."""

    def read_again(page: bytes) -> Any:
        return bucket.connections.read_again(OPERATION, bucket.listing(prefix, **where), page)

    try:
        answer, objects = read_page(answer, read_again)
    except (ClientError, BotoCoreError):
        # Damaged on its way. boto3 would have asked again.
        with bucket.translating(OPERATION):
            answer, objects = read_page(bucket.page(prefix, **where), read_again)
    # The prefix itself is no key; servers that don't know StartAfter list it.
    return answer, objects.without(bucket.prefix, PROBE)
