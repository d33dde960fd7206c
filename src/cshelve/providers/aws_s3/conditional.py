"""Conditional writes and deletes: sent once each, and settled when their answer is lost.

A client that repeats a conditional request by itself would take the answer to its second sending
for the outcome: "somebody else was first", when it was itself. So these are sent once, and what
happened is found out here: a put carries a random token as metadata of the
object, and one HEAD shows whether that lies there now.
"""

from __future__ import annotations

import random
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from cshelve.exceptions import (
    ConditionsNotSupportedError,
    ConflictError,
    Error,
    OutcomeUnknownError,
)
from cshelve.providers.aws_s3.bucket import TOKEN, etag_of
from cshelve.providers.aws_s3.errors import (
    did_nothing,
    failures,
    is_absent,
    is_answer_lost,
    is_throttled,
    translated,
)
from cshelve.providers.aws_s3.tasks import NO_VERSION

if TYPE_CHECKING:
    from cshelve.providers.aws_s3.multipart import MultipartUploads
    from cshelve.providers.aws_s3.requests import Requests

__all__ = ["ConditionalWrites"]

# What S3 gives for a version, and what servers give that leave the quotes out. A list of them, or
# `*`, would be a weaker condition.
ETAG = re.compile(r'(W/)?"[\x21\x23-\x7e]*"|[\x21\x23-\x29\x2b\x2d-\x7e]+')
# What If-Match never matches: a weak ETag (RFC 9110, section 13.1.1), and one that a proxy has
# altered, as some do where they compress.
DOUBTFUL = re.compile(r'W/.*|.*-(gzip|br|zstd|deflate)"?')
# How long the first pause may be; it doubles. A server that says to slow down gets more of it.
PAUSE_SECONDS = 0.1
THROTTLED_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 20.0


class _Seen(NamedTuple):
    """What lies under a name, as a HEAD shows it."""

    version: str
    token: str | None


class _Attempt(NamedTuple):
    """A conditional request, and how to tell from what lies there whether it was done."""

    operation: str
    name: str
    send: Callable[[bool], str]
    """Sends it once and returns the new version, by boto3 if it is told to."""
    done: Callable[[_Seen | None], bool]
    """Whether what lies there shows that it was."""
    if_version: str | None
    """Which version it asks for; None if nothing is to be there."""
    undone: Callable[[_Seen | None], bool]
    """Whether what lies there is what the condition asks for, so that it was not, so far."""


class ConditionalWrites:
    """Puts and deletes that depend on what is there. One request each; safe in many threads.

    A lost answer (a reset, a time-out, a 500) costs a HEAD more: if our token is there it was
    done; if the old version is, the same request is sent again; else it is an
    `OutcomeUnknownError`. Answers that say that nothing was done (409, 429, SlowDown) are tried
    again, within the client's number of attempts; a 412 is a `ConflictError`.
    """

    def __init__(self, requests: Requests, uploads: MultipartUploads) -> None:
        self._requests = requests
        self._bucket = requests.bucket
        self._uploads = uploads

    def put(self, name: str, data: bytes, if_version: str | None) -> str:
        """Store data if what is there is still that version, or with None if nothing is."""
        token = secrets.token_hex(16)
        condition = {"IfNoneMatch": "*"}
        if if_version is not None:
            condition = {"IfMatch": self._checked("PutObject", name, if_version)}
        in_parts = self._uploads.alone_take(len(data))
        send = self._uploads.put_if if in_parts else self._send
        return self._settled(
            _Attempt(
                "CompleteMultipartUpload" if in_parts else "PutObject",
                name,
                lambda by_boto3: send(name, data, {TOKEN: token}, condition, by_boto3=by_boto3),
                done=lambda seen: seen is not None and seen.token == token,
                if_version=if_version,
                undone=lambda seen: (seen.version if seen else None) == if_version,
            )
        )

    def delete(self, name: str, if_version: str) -> None:
        """Delete what is there if it is still that version; what is absent is a conflict."""
        condition = {"IfMatch": self._checked("DeleteObject", name, if_version)}

        def send(by_boto3: bool) -> str:
            self._requests.send_once("DeleteObject", name, condition, by_boto3=by_boto3)
            return ""

        self._settled(
            _Attempt(
                "DeleteObject",
                name,
                send,
                # That it is gone now does not show who deleted it.
                done=lambda _: False,
                if_version=if_version,
                undone=lambda seen: seen is not None and seen.version == if_version,
            )
        )

    def _send(
        self,
        name: str,
        data: bytes,
        metadata: Mapping[str, str],
        condition: Mapping[str, str],
        *,
        by_boto3: bool,
    ) -> str:
        parameters = {**condition, "Metadata": metadata}
        answer = self._requests.send_once("PutObject", name, parameters, data, by_boto3=by_boto3)
        return etag_of(answer, self._bucket, name)

    def _settled(self, attempt: _Attempt) -> str:
        """Send a request until its outcome is known; give the new version, if it has one."""
        lost: Exception | None = None
        attempts = self._requests.config.attempts
        for number in range(attempts):
            try:
                # Once something was odd, boto3 sends it, and says what it is.
                return attempt.send(number > 0)
            except failures() as error:
                failure = error
            if is_answer_lost(failure):
                lost = failure
            elif not did_nothing(failure) and lost is None:
                refusal = self._refusal(attempt, failure)
                self._refuse_doubtful(attempt, refusal)
                raise refusal from failure
            # Once an answer was lost, a refusal may be the answer to our own first sending.
            if lost is not None and not did_nothing(failure):
                seen = self._look(attempt, lost)
                if attempt.done(seen):
                    return seen.version if seen else ""
                if not attempt.undone(seen):
                    raise self._unknown(attempt, "others have written since") from lost
                if failure is not lost:
                    raise self._refusal(attempt, failure) from failure
            if number < attempts - 1:
                _pause(number, failure)
        if lost is not None:
            raise self._unknown(attempt, "it was not done so far, in any attempt") from lost
        raise self._refusal(attempt, failure) from failure

    def _look(self, attempt: _Attempt, lost: Exception) -> _Seen | None:
        """Ask what lies under the name; if that cannot be told either, nobody knows."""
        try:
            answer = self._requests.send("HeadObject", attempt.name)
        except failures() as error:
            if is_absent(error):
                return None
            failure = translated(error, self._bucket.place("HeadObject", attempt.name))
            raise self._unknown(attempt, f"what is there cannot be told ({failure})") from lost
        # Servers differ in the case in which they write a header's name.
        metadata = {name.lower(): value for name, value in answer.get("Metadata", {}).items()}
        return _Seen(str(answer.get("ETag")), metadata.get(TOKEN))

    def _checked(self, operation: str, name: str, version: str) -> str:
        """Refuse a version that no object has, which the header would take for something else."""
        place = self._bucket.place(operation, name)
        if version == NO_VERSION:
            raise ConditionsNotSupportedError(
                f"{place}: the server gave no ETag with the value, so it cannot be told whether it "
                "has changed since. Writes without a condition do work."
            )
        if not ETAG.fullmatch(version):
            raise ConflictError(f"{place}: {version!r:.100} is no version that S3 gives.")
        return version

    def _refuse_doubtful(self, attempt: _Attempt, refusal: Error) -> None:
        """Tell a conflict from a version that never matches, of which nobody has to be at fault.

        Where the ETag is of a kind that may not match, and is still the same, nobody has written.
        """
        version = attempt.if_version
        if version is None or not isinstance(refusal, ConflictError):
            return
        if not DOUBTFUL.fullmatch(version):
            return
        seen = self._look(attempt, refusal)
        if seen is not None and seen.version == version:
            place = self._bucket.place(attempt.operation, attempt.name)
            raise ConditionsNotSupportedError(
                f"{place}: the server gives the ETag {version}, and If-Match does not match it "
                "although nobody has written; is there a proxy that compresses answers? Writes "
                "without a condition do work."
            ) from refusal

    def _refusal(self, attempt: _Attempt, error: Exception) -> Error:
        """Say what an answer means; an absent object is not the version that was asked for."""
        of = self._bucket.place(attempt.operation, attempt.name)
        place = of._replace(conditional=True)
        if is_absent(error):
            return ConflictError(f"{place}: it was deleted since it was read.")
        return translated(error, place)

    def _unknown(self, attempt: _Attempt, why: str) -> OutcomeUnknownError:
        place = self._bucket.place(attempt.operation, attempt.name)
        return OutcomeUnknownError(
            f"{place}: the answer was lost, and {why}: whether it was done is not known. Read the "
            "key to see what is there now."
        )


def _pause(number: int, failure: Exception) -> None:
    """Wait before another attempt, for a random time up to a bound that doubles (full jitter)."""
    first = THROTTLED_PAUSE_SECONDS if is_throttled(failure) else PAUSE_SECONDS
    time.sleep(random.uniform(0, min(first * 2**number, LONGEST_PAUSE_SECONDS)))
