"""List a bucket page by page; the next page is requested while the caller uses the current one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cshelve._concurrency.parallel import refuse_if_stopped
from cshelve.exceptions import StorageError
from cshelve.providers.aws_s3.bucket import PROBE
from cshelve.providers.aws_s3.listing import Objects, Page, page_from_boto3, plain_page

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.direct.engine import Begun
    from cshelve.providers.aws_s3.requests import Requests

__all__ = ["pages_of", "require_listing"]

OPERATION = "ListObjectsV2"
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
KEYS_PER_PAGE = 1000


def require_listing(requests: Requests) -> None:
    """List one key; raise the error of a failure, such as `DBDoesNotExistsError`."""
    Listing(requests, "").page({"MaxKeys": 1}, None)


def pages_of(
    requests: Requests, prefix: str, start_after: str | None, limit: int | None
) -> Iterator[Objects]:
    """Yield the objects whose names begin with a prefix, after a name, page by page.

    The caller has to apply the limit as well: some servers send more keys than requested.
    """
    listing = Listing(requests, prefix, start_after)
    return listing.all_pages() if limit is None else listing.first_pages(limit)


class Listing:
    """A listing of the names that begin with a prefix, after a name if there is one."""

    def __init__(self, requests: Requests, prefix: str, start_after: str | None = None) -> None:
        self._requests = requests
        self._bucket = requests.bucket
        self._asked = self._bucket.listing(prefix, start_after)
        self._after = None if start_after is None else self._bucket.prefix + start_after
        self._tokens: set[str] = set()

    def all_pages(self) -> Iterator[Objects]:
        """Yield the objects of each page.

        From the third page on, each is requested ahead. The second is not, so that a caller who
        wants only a few keys does not pay for two pages.
        """
        where: dict[str, Any] = {}
        ahead = _Ahead(self._requests)
        try:
            while True:
                page = self.page(where, ahead.taken())
                position = self._position_behind(page)
                if where and position and self._requests.config.concurrency > 1:
                    ahead.begin(OPERATION, self._parameters(position))
                with ahead.paused():
                    # Reading their values may need a permit, and others may wait for ours.
                    yield self._objects_on(page, where)
                if position is None:
                    return
                where = position
        finally:
            ahead.close()

    def first_pages(self, limit: int) -> Iterator[Objects]:
        """Yield the objects of pages that have `limit` keys together, or a few more."""
        where: dict[str, Any] = {}
        while limit > 0:
            where["MaxKeys"] = min(limit, KEYS_PER_PAGE)
            page = self.page(where, None)
            objects = self._objects_on(page, where)
            yield objects
            limit -= len(objects.keys)
            position = self._position_behind(page)
            if position is None:
                return
            where = position

    def page(self, where: Mapping[str, Any], posted: Begun | None) -> Page:
        """Return the page at a position. `posted` is its request, if that was sent already."""
        with self._requests.permit():
            parameters = self._parameters(where)
            answer = self._requests.answer(OPERATION, None, parameters, posted=posted)
            page = None if answer is None else plain_page(answer.body)
            return page or self.page_of_boto3(where)

    def page_of_boto3(self, where: Mapping[str, Any]) -> Page:
        """Return the page at a position, requested by boto3; the caller holds a permit."""
        place = self._bucket.place(OPERATION)
        for _ in range(2):
            answer = self._requests.boto3.send(OPERATION, None, {**self._asked, **where})
            # An empty response, cut off on its way, is requested once more.
            if {"IsTruncated", "KeyCount", "Name"}.intersection(answer):
                page = page_from_boto3(answer)
                if page is None:
                    raise StorageError(
                        f"{place}: the server's response cannot be read (an object without a key)."
                    )
                return page
        # Otherwise any web server that responds with a page would look like an empty shelf.
        raise StorageError(
            f"{place}: the response is not a listing; is there an S3 server at [provider_params] "
            "endpoint_url?"
        )

    def _objects_on(self, page: Page, where: Mapping[str, Any]) -> Objects:
        """Return the shelf's objects on a page; boto3 parses them if their form is unusual."""
        objects = page.objects()
        if objects is None:
            self._requests.note_odd("objects of a listing")
            with self._requests.permit():
                objects = self.page_of_boto3(where).objects()
        assert objects is not None
        # Servers that don't support StartAfter list the prefix itself, which is not a key, and the
        # names before `start_after`.
        objects = objects.without(self._bucket.prefix, PROBE)
        return objects if self._after is None else objects.after(self._after)

    def _parameters(self, where: Mapping[str, Any]) -> dict[str, Any]:
        # In boto3's order.
        return {**self._asked, **where, "EncodingType": "url"}

    def _position_behind(self, page: Page) -> dict[str, Any] | None:
        """Return the parameters that request the next page; None after the last page."""
        if not page.is_truncated:
            return None
        place = self._bucket.place(OPERATION)
        if not page.token:
            raise StorageError(
                f"{place}: the server truncated the listing without a NextContinuationToken, so "
                "the list of keys is not complete."
            )
        if page.token in self._tokens:
            raise StorageError(
                f"{place}: the server sent the same NextContinuationToken twice, so the listing "
                "would never end; the list of keys is not complete."
            )
        self._tokens.add(page.token)
        return {"ContinuationToken": page.token}


class _Ahead:
    """The request for the next page, sent ahead; others may take its permit."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._permits = requests.permits
        self._posted: Begun | None = None
        self._process = os.getpid()

    def begin(self, operation: str, parameters: Mapping[str, Any]) -> None:
        """Send a request if a permit is free; otherwise do nothing."""
        refuse_if_stopped()
        if self._process == os.getpid() and self._permits.try_acquire(self, self):
            self._posted = self._requests.post(operation, parameters)
            if self._posted is None:
                self._permits.release(self)

    def taken(self) -> Begun | None:
        """Return the request and release its permit; None if no request was sent.

        The caller waits for the response with another permit.
        """
        posted, self._posted = self._posted, None
        self._permits.release(self)
        if posted is not None and self._process != os.getpid():
            posted.connection.close()  # It belongs to the parent process.
            return None
        return posted

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let others take the permit while the caller uses a page."""
        self._permits.pause(self)
        try:
            yield
        finally:
            self._permits.resume(self)

    def close(self) -> None:
        """Close the connection of a request that was sent, and release the permit."""
        try:
            posted = self.taken()
            if posted is not None:
                posted.connection.close()
        finally:
            self._permits.resume(self)
