"""List the blobs of a shelf, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cshelve.providers.azure_blob.conditional import unquoted
from cshelve.providers.azure_blob.errors import AzureError
from cshelve.providers.base import Entry

if TYPE_CHECKING:
    from cshelve.providers.azure_blob.requests import Requests

__all__ = ["pages_of"]

BLOBS_PER_PAGE = 5000


def pages_of(requests: Requests, prefix: str, limit: int | None) -> Iterator[list[Entry]]:
    """Yield pages of entries whose names begin with a prefix; `limit` makes the pages smaller."""
    if limit is not None and limit <= 0:
        return
    own = requests.settings.prefix
    # A blob named like the prefix of the shelf itself is not a key, but it may be in the listing.
    size = BLOBS_PER_PAGE if limit is None else min(limit + 1, BLOBS_PER_PAGE)
    token: str | None = None
    while True:
        found, token = _page(requests, own + prefix, size, token)
        yield [entry for entry in found if entry.name]
        if not token:
            return


def _page(
    requests: Requests, prefix: str, size: int, token: str | None
) -> tuple[list[Entry], str | None]:
    own = len(requests.settings.prefix)
    container = requests.clients.container

    def fetch() -> tuple[list[Entry], str | None]:
        listing = container.list_blobs(name_starts_with=prefix or None, results_per_page=size)
        pages = listing.by_page(continuation_token=token)
        entries = [
            Entry(blob.name[own:], blob.size, blob.last_modified, unquoted(blob.etag))
            for blob in next(pages)
        ]
        return entries, getattr(pages, "continuation_token", None)

    try:
        return requests.send("ListBlobs", None, fetch)
    except AzureError as error:
        raise requests.error(error, "ListBlobs") from error
