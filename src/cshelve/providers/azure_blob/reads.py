"""Read values: small ones with one request, large ones in ranges of one version, several at once.

A range of an empty blob is refused, so an empty value takes a second request.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from azure.core import MatchConditions

from cshelve._concurrency.parallel import map_in_order
from cshelve.exceptions import ConflictError, Error, KeyNotFoundError, StorageError
from cshelve.providers.azure_blob.conditional import unquoted
from cshelve.providers.azure_blob.errors import AzureError, is_absent, is_conflict, status_of
from cshelve.providers.base import Details, Item

if TYPE_CHECKING:
    from azure.storage.blob import BlobProperties

    from cshelve.providers.azure_blob.requests import Requests
    from cshelve.providers.streams import Target

__all__ = ["beginning", "download", "inspected", "item", "properties_of"]

RANGE = re.compile("bytes 0-([0-9]+)/([0-9]+)")
# A value may be replaced while it is read.
ATTEMPTS = 3
MOST_AT_ONCE = 12
MOST_IN_MEMORY = 3


class Beginning(NamedTuple):
    """The first bytes of a blob, with its properties and its size."""

    data: bytes
    size: int
    properties: BlobProperties

    @property
    def version(self) -> str:
        return unquoted(self.properties.etag)


class ReplacedError(Exception):
    """Raised if a blob was replaced or deleted while it was read."""


def beginning(requests: Requests, name: str, most_bytes: int) -> Beginning:
    """Return the first bytes of a blob, at most `most_bytes`. Raises `KeyNotFoundError`."""
    blob = requests.blob(name)

    def get() -> Beginning:
        stream = blob.download_blob(0, most_bytes)
        found = RANGE.fullmatch(stream.properties.content_range or "")
        if found is None:
            # Its length would be taken for that of the blob.
            raise StorageError(
                f"{requests.place('GetBlob', name)}: the response has no range, or another one "
                "than was asked for."
            )
        return Beginning(stream.readall(), int(found[2]), stream.properties)

    for _ in range(ATTEMPTS):
        try:
            return requests.send("GetBlob", name, get)
        except AzureError as error:
            if status_of(error) != 416:
                raise _failure(requests, error, "GetBlob", name) from error
        properties = properties_of(requests, name)
        if not properties.size:
            return Beginning(b"", 0, properties)
    raise StorageError(
        f"{requests.place('GetBlob', name)}: the server refuses a range of the blob's first bytes, "
        "although the blob is not empty."
    )


def properties_of(requests: Requests, name: str) -> BlobProperties:
    """Return the properties of a blob. Raises `KeyNotFoundError`."""
    operation = "GetBlobProperties"
    try:
        return requests.send(operation, name, requests.blob(name).get_blob_properties)
    except AzureError as error:
        raise _failure(requests, error, operation, name) from error


def inspected(requests: Requests, name: str, head_bytes: int) -> Details:
    """Return the details of a blob. Raises `KeyNotFoundError`."""
    found = beginning(requests, name, max(head_bytes, 1))  # There is no range of no bytes.
    properties = found.properties
    return Details(
        name,
        found.size,
        properties.last_modified,
        found.version,
        found.data[:head_bytes],
        properties.content_settings.content_type,
        dict(properties.metadata),
    )


def item(requests: Requests, name: str) -> Item:
    """Return the data of a blob and its version. Raises `KeyNotFoundError`."""
    settings = requests.settings
    for _ in range(ATTEMPTS):
        found = beginning(requests, name, settings.single_get_bytes)
        begun = len(found.data)
        if begun == found.size:
            return Item(found.data, found.version)
        data = bytearray(found.size)
        data[:begun] = found.data
        try:
            with closing(_rest(requests, name, found, begun, MOST_AT_ONCE)) as rest:
                for start, piece in rest:
                    data[start : start + len(piece)] = piece
        except ReplacedError:
            continue
        return Item(bytes(data), found.version)
    raise StorageError(
        f"{requests.place('GetBlob', name)}: others replaced the value during each of {ATTEMPTS} "
        "attempts to read it."
    )


def download(requests: Requests, name: str, target: Target) -> None:
    """Write a blob to a file, with only a few ranges in memory. Raises `KeyNotFoundError`."""
    found = beginning(requests, name, requests.settings.range_bytes)
    target.begun(found.size)
    target.write(found.data)
    begun = len(found.data)
    found = found._replace(data=b"")  # Otherwise it would stay in memory until the end.
    try:
        with closing(_rest(requests, name, found, begun, MOST_IN_MEMORY)) as rest:
            for _, piece in rest:
                target.write(piece)
    except ReplacedError as error:
        raise ConflictError(
            f"{requests.place('GetBlob', name)}: others replaced or deleted the value while it was "
            "downloaded; download it again."
        ) from error


def _rest(
    requests: Requests, name: str, found: Beginning, begun: int, most: int
) -> Generator[tuple[int, bytes]]:
    """Yield the start and the data of each range after the beginning, in order."""
    blob, size = requests.blob(name), requests.settings.range_bytes
    condition: dict[str, Any] = {
        "etag": found.properties.etag,
        "match_condition": MatchConditions.IfNotModified,
    }

    def read(start: int) -> bytes:
        length = min(size, found.size - start)
        try:
            data: bytes = requests.send(
                "GetBlob", name, lambda: blob.download_blob(start, length, **condition).readall()
            )
        except AzureError as error:
            if is_conflict(error) or is_absent(error):
                raise ReplacedError from error
            raise requests.error(error, "GetBlob", name) from error
        if len(data) != length:
            raise StorageError(
                f"{requests.place('GetBlob', name)}: the server sent {len(data)} bytes instead of "
                f"a range of {length}."
            )
        return data

    starts = range(begun, found.size, size)
    return map_in_order(read, starts, min(most, requests.settings.concurrency))


def _failure(requests: Requests, error: AzureError, operation: str, name: str) -> Error:
    return KeyNotFoundError(name) if is_absent(error) else requests.error(error, operation, name)
