"""The boto3 clients of a shelf: one that repeats requests, and one that sends each once.

They are built when boto3 is first needed. Callers that send a request hold a permit (`requests`).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import botocore.session
from botocore import UNSIGNED, xform_name
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import CredentialRetrievalError
from botocore.parsers import ResponseParserError
from botocore.utils import get_environ_proxies

from cshelve._concurrency.signals import is_from_signal_handler
from cshelve.exceptions import Error, StorageError
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

__all__ = ["Clients"]

# The packages whose handlers of events change nothing of what is sent. moto registers one when it
# is imported, which does nothing until a mock begins; `requests.interception` sees that.
KNOWN_PACKAGES = ("botocore.", "boto3.", "s3transfer.", "moto.")
REDIRECTS = frozenset({301, 302, 303, 307, 308})
SIGNATURES = (UNSIGNED, "s3v4", "v4")

# Whether the request that this thread, or greenlet, sends has had an answer.
_has_answer: ContextVar[bool] = ContextVar("has_answer", default=False)
# Where to keep the request that this thread, or greenlet, makes, if it is not to be sent.
_kept_requests: ContextVar[list[Any] | None] = ContextVar("kept_requests", default=None)


class Clients:
    """Create and hold boto3's clients for the current process. Safe in many threads."""

    def __init__(self, settings: S3Settings, before_attempt: Callable[[str], None]) -> None:
        """Build the first client, so that wrong parameters show at once."""
        self._settings = settings
        self._before_attempt = before_attempt
        own = settings.session
        self._core = botocore.session.get_session() if own is None else own._session
        self._session = build_session(settings, self._core) if own is None else own
        self._repeating = self._built()
        self.meta: Any = self._repeating.meta
        """What boto3 knows about the service and the endpoint."""
        self.config: Any = self.meta.config
        """botocore's Config, as merged."""
        self.client_config = client_config_of(self.meta, settings)

    @cached_property
    def _sending_once(self) -> S3Client:
        """The client that never retries, created for the first conditional write."""
        return self._built(sends_once=True)

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
        """Return the request that boto3 would send, without sending it; raise what boto3 raises."""
        call = getattr(self._repeating, xform_name(operation))
        kept: list[Any] = []
        _kept_requests.set(kept)
        try:
            call(**parameters)
            return kept[-1]
        finally:
            _kept_requests.set(None)

    def objection(self) -> str | None:
        """Return why only boto3 can send the requests, or None if the direct engine can, too."""
        config = self.config
        if config.signature_version not in SIGNATURES:
            return "it signs by SigV4 only"
        if getattr(config, "client_cert", None):
            return "config.client_cert: client certificates are boto3's"
        if getattr(config, "tcp_keepalive", None):
            return "config.tcp_keepalive: it does not set options of sockets"
        if self.client_config.attempts <= 1:
            return "a request may be sent once only"
        if getattr(config, "proxies", None) or get_environ_proxies(self.meta.endpoint_url):
            return "a proxy, which boto3 goes by"
        if self._core.get_config_variable("csm_enabled"):
            return "csm_enabled: an agent is told of each of boto3's requests"
        if not isinstance(config.read_timeout, int | float):
            return "config.read_timeout"
        if self._has_foreign_handler():
            return "the session has handlers of events of its own"
        return None

    def close(self) -> None:
        """Close the connections."""
        self._repeating.close()
        if "_sending_once" in self.__dict__:
            self._sending_once.close()

    @contextmanager
    def client(self, *, once: bool = False) -> Iterator[S3Client]:
        """Provide the client that retries after temporary failures, or with `once` the other one.

        Other exceptions while botocore signs or parses become errors of botocore: if a credentials
        program does not print JSON, for example, or if a response has an invalid date.
        """
        client = self._sending_once if once else self._repeating
        _has_answer.set(False)
        try:
            yield client
        except (RuntimeError, ValueError, KeyError, ResponseParserError) as error:
            if isinstance(error, Error | RecursionError) or is_from_signal_handler(error):
                raise  # A RecursionError is about no answer, and about no credentials.
            what = f"{type(error).__name__}: {error}"
            if _has_answer.get():
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

    def _built(self, *, sends_once: bool = False) -> S3Client:
        client = build_client(self._session, self._settings, sends_once=sends_once)
        hook: Any = self._before_send  # The stubs know of no hook that answers.
        client.meta.events.register("before-send.s3", hook)
        # Written like these, they come before botocore's own, of which one signs and one parses.
        client.meta.events.register_first("request-created.s3", self._note_attempt)
        client.meta.events.register_first("before-parse.s3", self._note_answer)
        client.meta.events.register_first("needs-retry.s3", self._pass_on)
        return client

    def _before_send(self, event_name: str, request: Any, **_: object) -> AWSResponse | None:
        """Keep a request that is not to be sent, and answer it; note any other."""
        kept = _kept_requests.get()
        if kept is None:
            self._before_attempt(event_name)
            return None
        kept.append(request)
        return AWSResponse(request.url, 200, HTTPHeaders(), _Nothing())

    def _pass_on(self, caught_exception: BaseException | None = None, **_: object) -> None:
        """Raise what a signal handler of the program has raised; botocore would try again."""
        while caught_exception is not None:
            if is_from_signal_handler(caught_exception):
                raise caught_exception
            caught_exception = caught_exception.__context__

    def _note_attempt(self, **_: object) -> None:
        _has_answer.set(False)

    def _note_answer(self, response_dict: Mapping[str, Any], **_: object) -> None:
        _has_answer.set(True)
        if response_dict["status_code"] in REDIRECTS:
            self._refuse_redirect(response_dict)

    def _refuse_redirect(self, answer: Mapping[str, Any]) -> None:
        """Raise an error for a redirect that is not S3's, which botocore would follow for ever."""
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
    target = urlsplit(location)  # One that is malformed is refused by urllib3.
    return target.scheme, target.netloc.rpartition("@")[2]


class _Nothing(io.BytesIO):
    """The body of the answer to a request that was not sent."""

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
