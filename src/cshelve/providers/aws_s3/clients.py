"""The boto3 clients of a shelf: one that retries requests, and one that sends each request once.

They are built when boto3 is first needed. Callers that send a request hold a permit (`requests`).
Each call of a client is a `Call`, which botocore's events tell about its attempts.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import botocore.session
from botocore import UNSIGNED, xform_name
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.exceptions import (
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    ProxyConnectionError,
    SSLError,
)
from botocore.parsers import ResponseParserError
from botocore.utils import get_environ_proxies

from cshelve._concurrency.parallel import refuse_if_stopped
from cshelve._concurrency.signals import is_from_signal_handler
from cshelve.exceptions import Error, StorageError
from cshelve.providers.aws_s3.direct.engine import Report, sent_in_vain
from cshelve.providers.aws_s3.options import S3Settings
from cshelve.providers.aws_s3.session import (
    UnreadableAnswerError,
    authorities_path,
    build_client,
    build_session,
    client_config_of,
    credentials_of,
)

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

__all__ = ["Body", "Call", "Clients", "current_call"]

# The packages whose event handlers do not change requests. moto registers a handler when it is
# imported, but this does nothing until a mock begins, which `requests.interception` notices.
KNOWN_PACKAGES = ("botocore.", "boto3.", "s3transfer.", "moto.")
REDIRECTS = frozenset({301, 302, 303, 307, 308})
SIGNATURES = (UNSIGNED, "s3v4", "v4")

# Failures before anything of a request was sent.
NOTHING_SENT = (ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError, SSLError)

# The list that receives the request of this thread or greenlet instead of the server; None to send.
_kept_requests: ContextVar[list[Any] | None] = ContextVar("kept_requests", default=None)


class Call:
    """Report each attempt of one call of a client when it has ended.

    Some calls also send requests of other operations, such as HeadBucket.
    """

    def __init__(self, report: Report, operation: str, key: str | None) -> None:
        self._report = report
        self._request = operation, key
        *earlier, attempts = sent_in_vain.get()
        is_again = earlier == [operation, key]
        if is_again:
            sent_in_vain.set(("", None, 0))
        self._attempts = attempts if is_again else 0
        self.has_answer = False
        """Whether a response to the last attempt has arrived."""
        self.has_body = False
        """Whether the attempt ends with the body of the response, which is still to be read."""
        self._sent_by: str | None = None
        """The operation of an attempt that has not ended."""
        self._sent = self._status = 0
        self._began = 0.0

    def begin(self, operation: str, sent: int) -> None:
        """Record that an attempt begins, whose body has `sent` bytes."""
        self._sent_by, self._sent, self._status = operation, sent, 0
        self._attempts += operation == self._request[0]
        self._began = time.monotonic()

    def answered(self, answer: Mapping[str, Any] | None, error: BaseException | None) -> None:
        """Record the response or the error; the attempt ends, unless a body is still to be read."""
        if self._sent_by is None:
            return
        if answer is None:
            if isinstance(error, NOTHING_SENT):
                self._sent = 0
            self.end(error=error)
            return
        self._status, body = answer["status_code"], answer["body"]
        self.has_body = not isinstance(body, bytes)
        if not self.has_body:
            self.end(len(body))

    def end(self, received: int = 0, error: BaseException | None = None) -> None:
        """Report the attempt, if it has not ended yet."""
        operation, self._sent_by = self._sent_by, None
        if operation is None:
            return
        is_own = operation == self._request[0]
        self._report(
            operation,
            key=self._request[1] if is_own else None,
            status=self._status,
            sent=self._sent,
            received=received,
            seconds=time.monotonic() - self._began,
            attempt=self._attempts if is_own else 1,
            error=error,
        )

    def comes_again(self) -> None:
        """Record that the next call in this thread or greenlet sends the same request again."""
        sent_in_vain.set((*self._request, self._attempts))


# The current call of this thread or greenlet, or its last one.
current_call: ContextVar[Call | None] = ContextVar("current_call", default=None)


class Body:
    """The body of a response to boto3. The attempt ends when the body is read or closed."""

    def __init__(self, body: Any, call: Call) -> None:
        self._body = body
        self._call = call
        self._received = 0

    def read(self, most_bytes: int | None = None) -> bytes:
        """Return at most `most_bytes` bytes, or all."""
        try:
            data: bytes = self._body.read(most_bytes)
        except BaseException as error:
            self._received += _arrived_before(error)
            self._call.end(self._received, error)
            raise
        self._received += len(data)
        if most_bytes is None or not data:
            self._call.end(self._received)
        return data

    def close(self) -> None:
        """Close the connection, if there is more."""
        self._body.close()
        self._call.end(self._received)


def _arrived_before(error: BaseException | None) -> int:
    """Return how many bytes of a body http.client had received when reading it failed."""
    while error is not None:
        partial = getattr(error, "partial", None)
        if isinstance(partial, bytes):
            return len(partial)
        error = error.__context__
    return 0


class Clients:
    """Create and hold boto3's clients for the current process. Safe in many threads."""

    def __init__(self, settings: S3Settings) -> None:
        """Build the first client, so that wrong parameters show at once."""
        self._settings = settings
        own = settings.session
        self._core = botocore.session.get_session() if own is None else own._session
        self._session = build_session(settings, self._core) if own is None else own
        self._repeating = self.built()
        self.meta: Any = self._repeating.meta
        """boto3's information about the service and the endpoint."""
        self.config: Any = self.meta.config
        """botocore's Config, merged from all sources."""
        self.client_config = client_config_of(self.meta, settings)

    @cached_property
    def _sending_once(self) -> S3Client:
        """The client that never retries, created for the first conditional write."""
        return self.built(Config(retries={"mode": "standard", "total_max_attempts": 1}))

    @cached_property
    def _credentials(self) -> Any:
        return credentials_of(self._session, self._settings)

    def credentials(self) -> Any:
        """Return the credentials that the clients sign with."""
        return self._credentials

    def authorities_path(self) -> str | None:
        """Return the path of the trusted CA certificates, or None if any server is trusted."""
        return authorities_path(self._core, self._settings)

    def captured(self, operation: str, parameters: Mapping[str, Any]) -> Any:
        """Return the request that boto3 would send, without sending it; raise boto3's errors."""
        call = getattr(self._repeating, xform_name(operation))
        kept: list[Any] = []
        _kept_requests.set(kept)
        try:
            call(**parameters)
            return kept[-1]
        finally:
            _kept_requests.set(None)

    def objection(self) -> str | None:
        """Return why only boto3 can send requests; None if the direct engine can send them too."""
        config = self.config
        if config.signature_version not in SIGNATURES:
            return "config.signature_version: the direct engine signs only with SigV4"
        if getattr(config, "client_cert", None):
            return "config.client_cert: only boto3 uses client certificates"
        if getattr(config, "tcp_keepalive", None):
            return "config.tcp_keepalive: only boto3 sets this option of sockets"
        if self.client_config.attempts <= 1:
            return "a request may be sent only once, and boto3 may have to repeat it"
        if getattr(config, "proxies", None) or get_environ_proxies(self.meta.endpoint_url):
            return "a proxy, which only boto3 uses"
        if self._core.get_config_variable("csm_enabled"):
            return "csm_enabled: only boto3 reports its requests to an agent"
        if not isinstance(config.read_timeout, int | float):
            return "config.read_timeout"
        if self._has_foreign_handler():
            return "the session has event handlers of its own"
        return None

    def close(self) -> None:
        """Close the connections of both clients."""
        self._repeating.close()
        if "_sending_once" in self.__dict__:
            self._sending_once.close()

    @contextmanager
    def client(self, call: Call, *, once: bool = False) -> Iterator[S3Client]:
        """Provide the client that retries temporary failures, or with `once` the one that does not.

        `call` is the call that it is used for.

        Exceptions that are not botocore's become botocore's: for example, if a credentials program
        does not print JSON, or if a response has an invalid date.
        """
        client = self._sending_once if once else self._repeating
        current_call.set(call)
        try:
            yield client
        except (RuntimeError, ValueError, KeyError, ResponseParserError) as error:
            if isinstance(error, Error | RecursionError) or is_from_signal_handler(error):
                raise  # Neither a response nor credentials cause a RecursionError.
            what = f"{type(error).__name__}: {error}"
            if call.has_answer:
                raise UnreadableAnswerError(error=what) from error
            raise CredentialRetrievalError(provider="the configuration", error_msg=what) from error

    def _has_foreign_handler(self) -> bool:
        """Return whether the caller's session has event handlers that botocore did not register."""
        if self._settings.session is None:
            return False
        try:
            handlers = list(_handlers_of(self.meta.events))
        except (AttributeError, KeyError, TypeError):
            return True  # This version of botocore does not show them.
        return any(
            getattr(handler, "__self__", None) is not self
            and not _module_of(handler).startswith(KNOWN_PACKAGES)
            for handler in handlers
        )

    def built(self, config: Config | None = None) -> S3Client:
        """Build one more client; `config` goes before the settings."""
        client = build_client(self._session, self._settings, config)
        hook: Any = self._before_send  # The stubs do not allow a hook that returns a response.
        client.meta.events.register("before-send.s3", hook)
        # Before botocore's own handlers, of which one signs and one parses.
        client.meta.events.register_first("request-created.s3", self._note_attempt)
        client.meta.events.register_first("before-parse.s3", self._note_answer)
        client.meta.events.register_first("needs-retry.s3", self._pass_on)
        client.meta.events.register_first("response-received.s3", self._end_attempt)
        return client

    def _before_send(self, event_name: str, request: Any, **_: object) -> AWSResponse | None:
        """Keep a request that is not to be sent, and return an empty response to it.

        For any other request, record that an attempt begins, and return None: botocore sends it.
        Raises `StoppedError` if nobody waits for the request.
        """
        kept = _kept_requests.get()
        if kept is None:
            refuse_if_stopped()
            if (call := current_call.get()) is not None:
                call.begin(event_name.rpartition(".")[2], _body_bytes(request.headers))
            return None
        kept.append(request)
        return AWSResponse(request.url, 200, HTTPHeaders(), _Nothing())

    def _pass_on(self, caught_exception: BaseException | None = None, **_: object) -> None:
        """Raise an exception of the program's signal handler; botocore would retry the request."""
        while caught_exception is not None:
            if is_from_signal_handler(caught_exception):
                raise caught_exception
            caught_exception = caught_exception.__context__

    def _end_attempt(
        self,
        response_dict: Mapping[str, Any] | None = None,
        exception: BaseException | None = None,
        **_: object,
    ) -> None:
        if (call := current_call.get()) is not None and _kept_requests.get() is None:
            call.answered(response_dict, exception)

    def _note_attempt(self, **_: object) -> None:
        if (call := current_call.get()) is not None:
            call.has_answer = False

    def _note_answer(self, response_dict: Mapping[str, Any], **_: object) -> None:
        if (call := current_call.get()) is not None:
            call.has_answer = True
        if response_dict["status_code"] in REDIRECTS:
            self._refuse_redirect(response_dict)

    def _refuse_redirect(self, answer: Mapping[str, Any]) -> None:
        """Raise `StorageError` for a redirect that is not S3's: botocore would follow it forever.

        A redirect from http to https is not S3's either.
        """
        headers = answer["headers"]
        scheme, host = _target_of(headers.get("location") or "")
        endpoint = self.meta.endpoint_url
        is_to_tls = scheme == "https" and urlsplit(endpoint).scheme == "http"
        is_of_s3 = "x-amz-bucket-region" in headers or b"<Code>" in answer["body"]
        if host and (is_to_tls or not is_of_s3):
            error = StorageError(
                f"s3://{self._settings.bucket_name}: the server at {endpoint} redirects to "
                f"{scheme}://{host}; if that is where the bucket is, write it as endpoint_url."
            )
            error.about_shelf = True
            raise error


def _target_of(location: str) -> tuple[str, str]:
    """Return the scheme and the host of a redirect's target, without a user name."""
    target = urlsplit(location)  # urllib3 has refused malformed ones.
    return target.scheme, target.netloc.rpartition("@")[2]


def _body_bytes(headers: Mapping[str, Any]) -> int:
    """Return the length of a request's body, without the framing of chunks."""
    length = headers.get("X-Amz-Decoded-Content-Length") or headers.get("Content-Length") or 0
    return int(length)


class _Nothing(io.BytesIO):
    """The empty body of the response to a request that was not sent."""

    def stream(self, **_: object) -> Iterator[bytes]:
        yield b""


def _module_of(handler: object) -> str:
    return getattr(handler, "__module__", None) or type(handler).__module__


def _handlers_of(events: Any) -> Iterator[Any]:
    """Yield the handlers of a client's events, which botocore keeps in a tree."""
    emitter = getattr(events, "_emitter", events)
    nodes = [emitter._handlers._root]
    while nodes:
        node = nodes.pop()
        nodes.extend(node["children"].values())
        for handlers in node["values"] or ():
            yield from handlers
