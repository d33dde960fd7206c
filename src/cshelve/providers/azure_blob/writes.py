"""Write and delete one blob, with and without a condition."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cshelve.exceptions import ConflictError, StorageError
from cshelve.providers.azure_blob.blocks import (
    MOST_AT_ONCE,
    block_bytes,
    commit,
    pieces_of,
    put_blocks,
    send_blocks,
)
from cshelve.providers.azure_blob.conditional import (
    TOKEN,
    ConditionalWrite,
    condition_on,
    unquoted,
)
from cshelve.providers.azure_blob.errors import BLOCKS_REMOVED, AzureError, code_of, is_absent
from cshelve.providers.settling import settle

if TYPE_CHECKING:
    from cshelve.providers.azure_blob.requests import Requests

__all__ = ["delete", "delete_if", "put", "put_if"]


def put(requests: Requests, name: str, data: bytes, properties: Mapping[str, Any]) -> str:
    """Store data under a name, and return the new version; `properties` are the client's."""
    settings = requests.settings
    if len(data) > settings.single_put_bytes:
        return _put_large(requests, name, data, properties)
    try:
        return requests.send("PutBlob", name, lambda: _put_once(requests, name, data, properties))
    except AzureError as error:
        raise requests.error(error, "PutBlob", name) from error


def _put_large(requests: Requests, name: str, data: bytes, properties: Mapping[str, Any]) -> str:
    """Store data in blocks; again from the first one if another writer made Azure remove them."""
    settings = requests.settings
    for number in range(settings.attempts):
        pieces = pieces_of(data, block_bytes(settings.block_bytes, len(data)))
        try:
            return put_blocks(requests, name, pieces, properties)
        except StorageError as error:
            if code_of(error.__cause__) != BLOCKS_REMOVED or number + 1 == settings.attempts:
                raise
    raise AssertionError("there is at least one attempt")


def put_if(
    requests: Requests,
    name: str,
    data: bytes,
    properties: Mapping[str, Any],
    if_version: str | None,
) -> str:
    """Store data if the current version is `if_version`, and return the new version.

    With None, store the data only if the name is absent. Raises `ConflictError` if the condition
    does not hold.
    """
    settings = requests.settings
    in_blocks = len(data) > settings.single_put_bytes
    place = requests.place("PutBlockList" if in_blocks else "PutBlob", name)
    token = secrets.token_hex(16)
    options = {**properties, **condition_on(place, if_version), "metadata": {TOKEN: token}}
    if in_blocks:
        pieces = pieces_of(data, block_bytes(settings.block_bytes, len(data)))
        try:
            blocks = send_blocks(requests, name, pieces, MOST_AT_ONCE)
        except AzureError as error:
            raise requests.error(error, "PutBlock", name) from error

    def call() -> str:
        if in_blocks:
            return commit(requests, name, blocks, options)
        return _put_once(requests, name, data, options)

    return settle(ConditionalWrite(requests, place, call, if_version, token), settings.attempts)


def delete(requests: Requests, name: str) -> bool | None:
    """Delete a blob, and return whether it existed; None if a response was lost."""
    blob = requests.blob(name)
    try:
        requests.send("DeleteBlob", name, blob.delete_blob)
    except AzureError as error:
        if is_absent(error):
            # An earlier attempt may have deleted it.
            return None if getattr(error, "attempts", 1) > 1 else False
        raise requests.error(error, "DeleteBlob", name) from error
    return True


def delete_if(requests: Requests, name: str, if_version: str) -> bool:
    """Delete a blob if its version is `if_version`; return False if it is absent.

    Raises `ConflictError` if the blob has another version. Azure's response is the same for both,
    so another request finds out which it is.
    """
    place = requests.place("DeleteBlob", name)
    options = condition_on(place, if_version)
    blob = requests.blob(name)

    def call() -> str:
        blob.delete_blob(**options)
        return ""

    write = ConditionalWrite(requests, place, call, if_version, None)
    try:
        settle(write, requests.settings.attempts)
    except ConflictError:
        if write.look() is None:
            return False
        raise
    return True


def _put_once(requests: Requests, name: str, data: bytes, options: Mapping[str, Any]) -> str:
    blob = requests.blob(name)
    answer = blob.upload_blob(data, length=len(data), overwrite=True, **options)
    return unquoted(answer["etag"])
