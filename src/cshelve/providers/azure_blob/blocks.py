"""Large values, stored in blocks: several are sent at once, and the last request commits them.

Readers see the old value until then. Blocks that are never committed appear in no listing, and
Azure removes them after a week, or with the next write of the blob.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from azure.storage.blob import BlobBlock

from cshelve._concurrency.parallel import map_in_order
from cshelve.exceptions import UnsupportedOperationError
from cshelve.providers.azure_blob.conditional import unquoted
from cshelve.providers.azure_blob.errors import AzureError

if TYPE_CHECKING:
    from cshelve.providers.azure_blob.requests import Requests

__all__ = ["MOST_AT_ONCE", "block_bytes", "pieces_of", "send_blocks"]

MOST_BLOCKS = 50_000
# The number of blocks of one value that are in flight at once, and that an upload has in memory.
MOST_AT_ONCE = 12
MOST_IN_MEMORY = 3

Data = bytes | memoryview


def block_bytes(least: int, size_bytes: int | None) -> int:
    """Return the size of the blocks of a value, so that there are not too many."""
    return max(least, -(-(size_bytes or 0) // MOST_BLOCKS))


def pieces_of(data: bytes, size_bytes: int) -> Iterator[Data]:
    """Yield views of data, without copying."""
    view = memoryview(data)
    for start in range(0, len(view), size_bytes):
        yield view[start : start + size_bytes]


def send_blocks(
    requests: Requests,
    name: str,
    pieces: Iterable[Data],
    most: int = MOST_AT_ONCE,
    stored: Callable[[int], object] = lambda _: None,
) -> list[BlobBlock]:
    """Send the blocks of a value, and return what commits them.

    Raises the client's error of the first that fails.
    """
    blob = requests.blob(name)
    # All ids of a blob need the same length, and other writers' blocks must not be mixed in.
    upload = secrets.token_hex(16)

    def stage(numbered: tuple[str, Data]) -> int:
        block, data = numbered
        body = bytes(data)
        requests.send("PutBlock", name, lambda: blob.stage_block(block, body, len(body)))
        return len(body)

    def numbered() -> Iterator[tuple[str, Data]]:
        for number, piece in enumerate(pieces):
            if number >= MOST_BLOCKS:
                raise UnsupportedOperationError(
                    f"{requests.place('PutBlock', name)}: Azure accepts {MOST_BLOCKS:,} blocks, "
                    "and the length of the file was not known beforehand. Pass the path of a file, "
                    "or increase [provider_params] max_block_size."
                )
            yield f"{upload}{number:08d}", piece

    ids = []
    most = min(most, requests.settings.concurrency)
    with closing(map_in_order(stage, numbered(), most)) as sent:
        for (block, _), size in sent:
            ids.append(BlobBlock(block))
            stored(size)
    return ids


def commit(
    requests: Requests, name: str, blocks: list[BlobBlock], options: Mapping[str, Any]
) -> str:
    """Send the request that makes the blocks the value, once; return the new version."""
    return unquoted(requests.blob(name).commit_block_list(blocks, **options)["etag"])


def put_blocks(
    requests: Requests,
    name: str,
    pieces: Iterable[Data],
    options: Mapping[str, Any],
    most: int = MOST_AT_ONCE,
    stored: Callable[[int], object] = lambda _: None,
) -> str:
    """Store a value in blocks, and return the new version."""
    operation = "PutBlock"
    try:
        blocks = send_blocks(requests, name, pieces, most, stored)
        operation = "PutBlockList"
        return requests.send(operation, name, lambda: commit(requests, name, blocks, options))
    except AzureError as error:
        raise requests.error(error, operation, name) from error
