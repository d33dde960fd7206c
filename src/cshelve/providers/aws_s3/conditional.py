"""Conditional puts and deletes on S3, which are never retried blindly.

If a response is lost (after a reset, a time-out or a 500), one HEAD shows the current version: see
`settling`. A request that was not carried out (409, 429, SlowDown) is retried, within the client's
number of attempts. A 412 is raised as a `ConflictError`.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

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

__all__ = ["ConditionalWrite", "delete_if", "delete_of", "put_if", "put_of"]

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
    if len(data) <= multipart.LARGEST_PUT_BYTES:
        return put_of(requests, name, data, if_version).outcome()
    place = requests.bucket.place("CompleteMultipartUpload", name)
    metadata, token = _marked(requests, data)
    condition = _condition(place, if_version)

    def send(by_boto3: bool) -> str:
        return uploads.put_if(name, data, metadata, condition, by_boto3=by_boto3)

    return settle(_Write(requests, place, send, if_version, token), requests.config.attempts)


def delete_if(requests: Requests, name: str, if_version: str) -> None:
    """Delete a name if its version is `if_version`.

    Raises `ConflictError` if the name has another version or is absent.
    """
    delete_of(requests, name, if_version).outcome()


def put_of(requests: Requests, name: str, data: bytes, if_version: str | None) -> ConditionalWrite:
    """Return the request that `put_if` sends for data that one request can store."""
    place = requests.bucket.place("PutObject", name)
    metadata, token = _marked(requests, data)
    parameters = {**_condition(place, if_version), **metadata}
    return ConditionalWrite(requests, place, parameters, data, if_version, token)


def delete_of(requests: Requests, name: str, if_version: str) -> ConditionalWrite:
    """Return the request that `delete_if` sends."""
    place = requests.bucket.place("DeleteObject", name)
    condition = _condition(place, if_version)
    return ConditionalWrite(requests, place, condition, None, if_version, None)


class ConditionalWrite:
    """A conditional request that was not sent yet: `outcome` sends it.

    An event loop sends it itself, and calls `outcome` only if the response is not a plain success.
    """

    def __init__(
        self,
        requests: Requests,
        place: Place,
        parameters: Mapping[str, Any],
        body: bytes | None,
        if_version: str | None,
        token: str | None,
    ) -> None:
        self.place = place
        self.parameters = parameters
        self.body = body
        self.failure: Exception | None = None
        """The failure of the first attempt, one of `errors.failures`, if there was an attempt."""
        self._requests = requests
        self._if_version = if_version
        self._token = token

    def version_in(self, answer: Mapping[str, Any]) -> str:
        """Return the new version in the response to the request; empty for a delete."""
        return "" if self.body is None else etag_of(answer, self.place)

    def outcome(self) -> str:
        """Send the request until its outcome is known, and return the new version."""
        write = _Write(self._requests, self.place, self._send, self._if_version, self._token)
        return settle(write, self._requests.config.attempts)

    def _send(self, by_boto3: bool) -> str:
        if self.failure is not None and not by_boto3:
            raise self.failure
        operation, name = self.place.operation, self.place.name
        assert name is not None
        answer = attempt_once(
            self._requests, operation, name, self.parameters, self.body, by_boto3=by_boto3
        )
        return self.version_in(answer)


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


def _marked(requests: Requests, data: bytes) -> tuple[dict[str, dict[str, str]], str]:
    """Return the parameters of a put with a new token, and the token."""
    token = secrets.token_hex(16)
    of_data = requests.parameters_of(data) or {"Metadata": {}}
    return {"Metadata": {**of_data["Metadata"], TOKEN: token}}, token


def _condition(place: Place, if_version: str | None) -> dict[str, str]:
    if if_version is None:
        return {"IfNoneMatch": "*"}
    return {"IfMatch": _checked(place, if_version)}


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
