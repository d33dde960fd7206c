"""Copies inside an account, by Copy Blob From URL, without transferring the value.

This is the copy that ends before Azure responds: the other one, Copy Blob, may continue after that,
and meanwhile readers would see an empty value. Azure reads the source itself, so the request
contains a permission to read it. The copy keeps metadata and content type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions

from cshelve.exceptions import KeyNotFoundError
from cshelve.providers.azure_blob.conditional import unquoted
from cshelve.providers.azure_blob.errors import AzureError, is_absent, is_conflict
from cshelve.providers.azure_blob.links import READ_SECONDS, bearer_token, readable_url

if TYPE_CHECKING:
    from cshelve.providers.azure_blob.requests import Requests

__all__ = ["copy_blob"]

OPERATION = "CopyBlob"


def copy_blob(
    requests: Requests, origin: Requests, source: str, target: str, if_version: str | None
) -> bool:
    """Copy a blob from the container of `origin`; return False if Azure cannot do that.

    Azure copies up to 256 MiB so. Raises `KeyNotFoundError`, and `ConflictError` if the source has
    another version by now.
    """
    options: dict[str, Any] = {"requires_sync": True}
    if if_version is not None:
        options["source_etag"] = f'"{if_version}"'
        options["source_match_condition"] = MatchConditions.IfNotModified
    blob = requests.blob(target)
    try:
        url = readable_url(origin, source, READ_SECONDS)
        if (token := bearer_token(origin)) is not None:
            options["source_authorization"] = f"Bearer {token}"
        copied = requests.send(OPERATION, target, lambda: blob.start_copy_from_url(url, **options))
    except AzureError as error:
        if is_absent(error):
            raise KeyNotFoundError(source) from None
        if is_conflict(error):
            raise origin.error(error, OPERATION, source) from error
        return False  # Reading and writing shows what is wrong, if anything is.
    return copied.get("copy_status") == "success" and bool(unquoted(copied.get("etag", "")))
