"""A listing, page after page: a page is asked for while the caller has the one before."""

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
    """Ask for a listing of one key; raise what its failure means, such as an absent bucket."""
    Listing(requests, "").page({"MaxKeys": 1}, None)


def pages_of(requests: Requests, prefix: str, limit: int | None) -> Iterator[Objects]:
    """Yield the objects whose names begin with a prefix, page by page.

    The caller has to apply a limit as well: some servers send more than they are asked for.
    """
    listing = Listing(requests, prefix)
    return listing.all_pages() if limit is None else listing.first_pages(limit)


class Listing:
    """A listing of the names that begin with a prefix."""

    def __init__(self, requests: Requests, prefix: str) -> None:
        self._requests = requests
        self._bucket = requests.bucket
        self._asked = self._bucket.listing(prefix)
        self._tokens: set[str] = set()

    def all_pages(self) -> Iterator[Objects]:
        """Yield all pages, from the third on asked for ahead: one key does not cost two pages."""
        where: dict[str, Any] = {}
        ahead = _Ahead(self._requests)
        try:
            while True:
                page = self.page(where, ahead.taken())
                position = self._position_behind(page)
                if where and position and self._requests.config.concurrency > 1:
                    ahead.begin(OPERATION, self._parameters(position))
                with ahead.paused():
                    # To read them may need a permit, and others may wait for ours.
                    yield self._objects_on(page, where)
                if position is None:
                    return
                where = position
        finally:
            ahead.close()

    def first_pages(self, limit: int) -> Iterator[Objects]:
        """Yield pages of no more than so many keys."""
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
        """Return the page of a position, which may have been asked for already."""
        with self._requests.permit():
            parameters = self._parameters(where)
            answer = self._requests.answer(OPERATION, None, parameters, posted=posted)
            page = None if answer is None else plain_page(answer.body)
            return page or self.page_of_boto3(where)

    def page_of_boto3(self, where: Mapping[str, Any]) -> Page:
        """Ask for a page by boto3; the caller holds a permit."""
        place = self._bucket.place(OPERATION)
        for _ in range(2):
            answer = self._requests.boto3.send(OPERATION, None, {**self._asked, **where})
            # An answer that was cut to nothing on its way is asked for once more.
            if {"IsTruncated", "KeyCount", "Name"}.intersection(answer):
                page = page_from_boto3(answer)
                if page is None:
                    raise StorageError(
                        f"{place}: the server's answer cannot be read (an object without a key)."
                    )
                return page
        # Otherwise a web server that answers anything with a page would be an empty shelf.
        raise StorageError(
            f"{place}: the answer is no listing; is that an S3 server at [provider_params] "
            "endpoint_url?"
        )

    def _objects_on(self, page: Page, where: Mapping[str, Any]) -> Objects:
        """Return the shelf's objects on a page, which boto3 reads if they are odd."""
        objects = page.objects()
        if objects is None:
            self._requests.note_odd("objects of a listing")
            with self._requests.permit():
                objects = self.page_of_boto3(where).objects()
        assert objects is not None
        # The prefix itself is no key; servers that don't know StartAfter list it.
        return objects.without(self._bucket.prefix, PROBE)

    def _parameters(self, where: Mapping[str, Any]) -> dict[str, Any]:
        # In the order in which boto3 has them.
        return {**self._asked, **where, "EncodingType": "url"}

    def _position_behind(self, page: Page) -> dict[str, Any] | None:
        """Return the parameters that ask for the page after this one; None if there is none."""
        if not page.is_truncated:
            return None
        place = self._bucket.place(OPERATION)
        if not page.token:
            raise StorageError(
                f"{place}: the server cuts the listing short and does not say how to go on."
            )
        if page.token in self._tokens:
            raise StorageError(
                f"{place}: the server gives the same NextContinuationToken twice, so the listing "
                "would never end; the list of keys is not complete."
            )
        self._tokens.add(page.token)
        return {"ContinuationToken": page.token}


class _Ahead:
    """A request that was sent ahead, with a permit that others may take."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._permits = requests.permits
        self._posted: Begun | None = None
        self._process = os.getpid()

    def begin(self, operation: str, parameters: Mapping[str, Any]) -> None:
        """Send a request, if there is a permit for it."""
        refuse_if_stopped()
        if self._process == os.getpid() and self._permits.try_acquire(self, self):
            self._posted = self._requests.post(operation, parameters)
            if self._posted is None:
                self._permits.release(self)

    def taken(self) -> Begun | None:
        """Return the request, for a caller who waits for its answer with another permit."""
        posted, self._posted = self._posted, None
        self._permits.release(self)
        if posted is not None and self._process != os.getpid():
            posted.connection.close()  # The parent's.
            return None
        return posted

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While the caller has a page, others may take the permit."""
        self._permits.pause(self)
        try:
            yield
        finally:
            self._permits.resume(self)

    def close(self) -> None:
        """Close the connection of what was sent."""
        try:
            posted = self.taken()
            if posted is not None:
                posted.connection.close()
        finally:
            self._permits.resume(self)
