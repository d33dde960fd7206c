"""Conditional puts and deletes, which are never retried blindly: see `settling`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions

from cshelve.exceptions import ConflictError, Error
from cshelve.providers.azure_blob.errors import (
    BLOCKS_REMOVED,
    AzureError,
    code_of,
    did_nothing,
    is_absent,
    is_answer_lost,
    translated,
)
from cshelve.providers.settling import ConditionalRequest, Failure, Found

if TYPE_CHECKING:
    from cshelve.providers.azure_blob.errors import Place
    from cshelve.providers.azure_blob.requests import Requests

__all__ = ["TOKEN", "ConditionalWrite", "condition_on", "unquoted"]

# The metadata name of a conditional put's token, which is an identifier, as Azure demands.
TOKEN = "cshelve_token"
ETAG = re.compile(r"[\x21\x23-\x29\x2b\x2d-\x7e]+")


def unquoted(etag: object) -> str:
    """Return an ETag without quotes: Azure writes them in headers, but not in listings.

    Raises `ValueError` if there is none: then it is not known whether a value is stored.
    """
    if not etag:
        raise ValueError("the response has no ETag")
    return str(etag).strip('"')


def condition_on(place: Place, if_version: str | None) -> Mapping[str, Any]:
    """Return the client's arguments for a condition: a version, or None for an absent blob."""
    if if_version is None:
        return {"match_condition": MatchConditions.IfMissing}
    if not ETAG.fullmatch(if_version):
        raise ConflictError(f"{place}: {if_version!r:.100} is not a version that Azure assigns.")
    return {"etag": f'"{if_version}"', "match_condition": MatchConditions.IfNotModified}


class ConditionalWrite(ConditionalRequest):
    """A conditional request to Azure."""

    def __init__(
        self,
        requests: Requests,
        place: Place,
        call: Callable[[], str],
        if_version: str | None,
        token: str | None,
    ) -> None:
        """`call` sends the request once, and returns the new version; empty for a delete."""
        super().__init__(str(place), if_version, token)
        self._requests = requests
        self._place = place
        self._call = call

    def send(self, number: int) -> str:
        place = self._place
        return self._requests.send_once(place.operation, place.name, self._call, number)

    def failures(self) -> tuple[type[Exception], ...]:
        return (AzureError,)

    def kind_of(self, failure: Exception) -> Failure:
        if is_answer_lost(failure):
            return Failure.LOST
        return Failure.NOTHING_DONE if did_nothing(failure) else Failure.REFUSED

    def look(self) -> Found | None:
        name, operation = self._place.name, "GetBlobProperties"
        assert name is not None
        blob = self._requests.blob(name)
        try:
            found = self._requests.send(operation, name, blob.get_blob_properties)
        except AzureError as error:
            if is_absent(error):
                return None
            raise self._requests.error(error, operation, name) from error
        # Servers and proxies differ in the case of header names.
        metadata = {key.lower(): value for key, value in found.metadata.items()}
        return Found(unquoted(found.etag), metadata.get(TOKEN))

    def pause(self, number: int, failure: Exception) -> None:
        self._requests.pause(number, failure)

    def refusal(self, failure: Exception) -> Error:
        assert isinstance(failure, AzureError)
        if is_absent(failure):
            return ConflictError(f"{self._place}: it was deleted since it was read.")
        refusal = translated(failure, self._place)
        if code_of(failure) == BLOCKS_REMOVED:
            # Somebody has written since the first block was sent, so after the version was read.
            return ConflictError(str(refusal))
        return refusal
