"""Requests that fly by AWS's Common Runtime, and their signatures.

Everything here is asynchronous. Callbacks run in the few threads that the Common Runtime has for
all requests, so they do as little as can be, and never wait.
"""

from __future__ import annotations

import base64
import hashlib
import io
import threading
import time
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from awscrt.auth import (
    AwsCredentials,
    AwsCredentialsProvider,
    AwsSignatureType,
    AwsSignedBodyHeaderType,
    AwsSigningAlgorithm,
    AwsSigningConfig,
)
from awscrt.http import HttpHeaders, HttpRequest
from awscrt.s3 import S3RequestType, S3ResponseError

from cshelve.providers.aws_s3.crt_process import stay_attached
from cshelve.providers.aws_s3.reply import Failure, Reply, lower_case
from cshelve.providers.aws_s3.template import CRC32, Template

__all__ = ["Flight", "Request", "Signer", "send"]

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
# The value of S3's header for a body that is not signed, as boto3 leaves it where there is TLS.
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"


class Signer:
    """Signatures, with the credentials that boto3 has at the time of the request.

    These are asked for, and renewed, in the thread that makes the request: in the loop's thread it
    would keep all other requests waiting. Each signing is an attempt, which `count` hears of.
    """

    def __init__(self, credentials: Callable[[], Any], count: Callable[[str], None]) -> None:
        self._credentials = credentials
        self._now = _Now()
        self._count = count
        self._providers: dict[str, Any] = {}
        self._configs: dict[tuple[str, str, str], Any] = {}

    def refresh(self) -> None:
        """Take the credentials of now; raises what boto3's providers of credentials raise."""
        frozen = self._credentials().get_frozen_credentials()
        if frozen != self._now.frozen:
            made = AwsCredentials(frozen.access_key, frozen.secret_key, frozen.token)
            self._now.credentials, self._now.frozen = made, frozen

    def signing(self, template: Template, operation: str, body: bytes | None) -> Any:
        """Say how to sign a request; None if it is not to be signed."""
        if template.region is None:
            self._count(operation)
            return None
        if body is not None and template.signs_body:
            return self._config(template.region, operation, hashlib.sha256(body).hexdigest())
        signed = EMPTY_SHA256 if body is None else UNSIGNED_PAYLOAD
        known = template.region, operation, signed
        if known not in self._configs:
            self._configs[known] = self._config(*known)
        return self._configs[known]

    def _config(self, region: str, operation: str, signed: str) -> Any:
        return AwsSigningConfig(
            algorithm=AwsSigningAlgorithm.V4,
            signature_type=AwsSignatureType.HTTP_REQUEST_HEADERS,
            credentials_provider=self._provider(operation),
            region=region,
            service="s3",
            use_double_uri_encode=False,
            should_normalize_uri_path=False,
            signed_body_value=signed,
            signed_body_header_type=AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256,
        )

    def _provider(self, operation: str) -> Any:
        if operation not in self._providers:
            # Not a method of ours: the native side would keep us, and we it, for ever.
            give = partial(_counted, self._now, self._count, operation)
            self._providers[operation] = AwsCredentialsProvider.new_delegate(give)
        return self._providers[operation]


class _Now:
    """The credentials of the moment."""

    credentials: Any = None
    frozen: Any = None


def _counted(now: _Now, count: Callable[[str], None], operation: str) -> Any:
    stay_attached()
    count(operation)
    return now.credentials


class Request(NamedTuple):
    """What is sent: boto3's request for one key, and how to sign it."""

    template: Template
    path: str
    body: bytes | None
    signing: Any


class Flight:
    """One request on its way. `landed` is called with it in the loop's thread, once."""

    def __init__(
        self,
        operation: str,
        landed: Callable[[Flight], object],
        permits: threading.Semaphore,
        patience_seconds: float | None,
    ) -> None:
        self.operation = operation
        self.reply: Reply | None = None
        self.is_late = False
        """Whether it was given up before it landed."""
        self._made = Reply(operation)
        self._landed = landed
        self._permits = permits
        self._is_over = threading.Lock()
        self._request: Any = None
        self.patience_seconds = patience_seconds
        self._deadline: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """How long to wait for it, at most; None for as long as it takes."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def acquire(self, seconds: float | None = None) -> bool:
        """Wait for its permit, so many seconds at most; tell whether it has come."""
        return self._permits.acquire(timeout=seconds)

    def take_off(self, make_request: Callable[..., Any]) -> None:
        """Send the request, by a permit that was acquired."""
        if self.patience_seconds is not None:
            self._deadline = time.monotonic() + self.patience_seconds
        request = make_request(
            on_headers=self._on_headers, on_body=self._on_body, on_done=self._on_done
        )
        self._request = request
        if self.reply is not None:
            self._request = None  # It landed before; the two would keep each other for ever.

    def cancel(self) -> None:
        """Give it up, and its permit back: nobody waits for it any more."""
        self.is_late = self.reply is None
        request = self._request
        if request is not None:
            request.cancel()
        self._give_permit_back()

    def _give_permit_back(self) -> None:
        # Of landing and giving up, whichever comes first.
        if self._is_over.acquire(blocking=False):
            self._permits.release()

    def _on_headers(self, status_code: int, headers: list[tuple[str, str]], **_: object) -> None:
        stay_attached()
        self._made.status = status_code
        self._made.headers = lower_case(headers)

    def _on_body(self, chunk: bytes, offset: int, **_: object) -> None:
        stay_attached()
        self._made.body = self._made.body + chunk if offset else chunk

    def _on_done(self, error: BaseException | None = None, **_: object) -> None:
        stay_attached()
        self._give_permit_back()
        made = self._made
        if isinstance(error, S3ResponseError):
            made.status = error.status_code
            made.headers = lower_case(error.headers)
            made.body = error.body or b""
        elif error is not None:
            name = getattr(error, "name", type(error).__name__)
            made.failure = Failure(name, f"{name}: {error}")
        self.reply = made
        self._request = None
        self._landed(self)


class _Body(io.BytesIO):
    """A body that is sent, which the Common Runtime reads in a thread of its own."""

    def readinto1(self, buffer: Any) -> int:
        stay_attached()
        return super().readinto1(buffer)


def send(client: Any, flight: Flight, request: Request) -> None:
    """Let a request fly, by a client of `crt_process`."""
    template, body = request.template, request.body
    headers = list(template.headers)
    stream = None
    if body is not None:
        # Without its length an empty object would be stored, and success reported.
        headers.append(("Content-Length", str(len(body))))
        if template.has_crc32:
            crc = zlib.crc32(body).to_bytes(4, "big")
            headers.append((CRC32, base64.b64encode(crc).decode()))
        stream = _Body(body)
    flight.take_off(
        partial(
            client.make_request,
            type=S3RequestType.DEFAULT,
            operation_name=flight.operation,
            request=HttpRequest(template.method, request.path, HttpHeaders(headers), stream),
            signing_config=request.signing,
        )
    )
