"""Conditional puts and deletes on S3, which are never retried blindly.

If a response is lost (after a reset, a time-out or a 500), one HEAD shows the current version: see
`settling`. A request that was not carried out (409, 429, SlowDown) is retried, within the client's
number of attempts. A 412 is raised as a `ConflictError`.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from cshelve._concurrency.backoff import full_jitter
from cshelve.exceptions import ConditionsNotSupportedError, ConflictError, Error
from cshelve.providers.aws_s3 import multipart
from cshelve.providers.aws_s3.bucket import NO_VERSION, TOKEN, etag_of
from cshelve.providers.aws_s3.errors import (
    Place,
    did_nothing,
    failures,
    is_absent,
    is_answer_lost,
    is_throttled,
    translated,
)
from cshelve.providers.aws_s3.sending import attempt, attempt_once
from cshelve.providers.settling import ConditionalRequest, Failure, Found, settle

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.requests import Requests

__all__ = ["delete_if", "put_if"]

# The ETags of S3, and of servers that omit the quotes. A list of ETags, or `*`, would be a weaker
# condition, and does not match.
ETAG = re.compile(r'(W/)?"[\x21\x23-\x7e]*"|[\x21\x23-\x29\x2b\x2d-\x7e]+')
# ETags that If-Match never matches: weak ones (RFC 9110, section 13.1.1), and those altered by a
# proxy, as some proxies do when they compress a response.
DOUBTFUL = re.compile(r'W/.*|.*-(gzip|br|zstd|deflate)"?')
# The longest first pause; the second constant applies if the server asks to slow down.
PAUSE_SECONDS = 0.1
THROTTLED_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 20.0


def put_if(
    requests: Requests,
    uploads: multipart.MultipartUploads,
    name: str,
    data: bytes,
    if_version: str | None,
) -> str:
    """Store data if the current version is `if_version`, and return the new version.

    With None, store the data only if the name is absent. Raises `ConflictError` if the condition
    does not hold.
    """
    in_parts = len(data) > multipart.LARGEST_PUT_BYTES
    operation = "CompleteMultipartUpload" if in_parts else "PutObject"
    place = requests.bucket.place(operation, name)
    token = secrets.token_hex(16)
    of_data = requests.parameters_of(data) or {"Metadata": {}}
    metadata = {"Metadata": {**of_data["Metadata"], TOKEN: token}}
    condition = {"IfNoneMatch": "*"}
    if if_version is not None:
        condition = {"IfMatch": _checked(place, if_version)}

    def send(by_boto3: bool) -> str:
        if in_parts:
            return uploads.put_if(name, data, metadata, condition, by_boto3=by_boto3)
        parameters = {**condition, **metadata}
        answer = attempt_once(requests, operation, name, parameters, data, by_boto3=by_boto3)
        return etag_of(answer, place)

    write = _Write(requests, place, send, if_version, token)
    return settle(write, requests.config.attempts)


def delete_if(requests: Requests, name: str, if_version: str) -> None:
    """Delete a name if its version is `if_version`.

    Raises `ConflictError` if the name has another version or is absent.
    """
    place = requests.bucket.place("DeleteObject", name)
    condition = {"IfMatch": _checked(place, if_version)}

    def send(by_boto3: bool) -> str:
        attempt_once(requests, "DeleteObject", name, condition, by_boto3=by_boto3)
        return ""

    settle(_Write(requests, place, send, if_version, None), requests.config.attempts)


class _Write(ConditionalRequest):
    """A conditional request to S3."""

    def __init__(
        self,
        requests: Requests,
        place: Place,
        send: Callable[[bool], str],
        if_version: str | None,
        token: str | None,
    ) -> None:
        """`send` sends the request once; its argument is true if boto3 has to send it."""
        super().__init__(str(place), if_version, token)
        self._requests = requests
        self._place = place
        self._send = send

    def send(self, number: int) -> str:
        if number:
            self._requests.note_sent(self._place.operation, self._place.name, number)
        # boto3 sends every retry: its errors explain more.
        return self._send(number > 0)

    def failures(self) -> tuple[type[Exception], ...]:
        return failures()

    def kind_of(self, failure: Exception) -> Failure:
        if is_answer_lost(failure):
            return Failure.LOST
        return Failure.NOTHING_DONE if did_nothing(failure) else Failure.REFUSED

    def look(self) -> Found | None:
        place = self._place._replace(operation="HeadObject")
        assert place.name is not None
        try:
            answer = attempt(self._requests, "HeadObject", place.name)
        except failures() as error:
            if is_absent(error):
                return None
            raise translated(error, place) from error
        # Servers differ in the case of header names.
        metadata = {name.lower(): value for name, value in answer.get("Metadata", {}).items()}
        return Found(str(answer.get("ETag")), metadata.get(TOKEN))

    def pause(self, number: int, failure: Exception) -> None:
        _pause(number, failure)

    def refusal(self, failure: Exception) -> Error:
        if is_absent(failure):
            # An absent object does not have the requested version.
            return ConflictError(f"{self._place}: it was deleted since it was read.")
        refusal = translated(failure, self._place._replace(conditional=True))
        version = self.if_version or ""
        if not isinstance(refusal, ConflictError) or not DOUBTFUL.fullmatch(version):
            return refusal
        found = self.look()
        if found is None or found.version != version:
            return refusal
        # The version has not changed, so If-Match never matches it.
        return ConditionsNotSupportedError(
            f"{self._place}: the server sends the ETag {version}, but If-Match does not match it "
            "although the value has not changed; is there a proxy that compresses responses? "
            "Writes without a condition do work."
        )


def _checked(place: Place, version: str) -> str:
    """Return a version that If-Match can contain; raise an error for any other.

    Raises `ConditionsNotSupportedError` if the server sent no ETag, and `ConflictError` for a text
    that is no ETag, and so cannot be the current version.
    """
    if version == NO_VERSION:
        raise ConditionsNotSupportedError(
            f"{place}: the server sent no ETag with the value, so nobody knows whether the value "
            "has changed since. Writes without a condition do work."
        )
    if not ETAG.fullmatch(version):
        raise ConflictError(f"{place}: {version!r:.100} is not a version that S3 assigns.")
    return version


def _pause(number: int, failure: Exception) -> None:
    first = THROTTLED_PAUSE_SECONDS if is_throttled(failure) else PAUSE_SECONDS
    time.sleep(full_jitter(number, first, LONGEST_PAUSE_SECONDS))
