"""The boto3 clients of a shelf: one that retries requests, and one that sends each request once.

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
from botocore.config import Config
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

# The packages whose event handlers do not change requests. moto registers a handler when it is
# imported, but this does nothing until a mock begins, which `requests.interception` notices.
KNOWN_PACKAGES = ("botocore.", "boto3.", "s3transfer.", "moto.")
REDIRECTS = frozenset({301, 302, 303, 307, 308})
SIGNATURES = (UNSIGNED, "s3v4", "v4")

# Whether a response has arrived for the request of this thread or greenlet.
_has_answer: ContextVar[bool] = ContextVar("has_answer", default=False)
# The list that receives the request of this thread or greenlet instead of the server; None to send.
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
    def client(self, *, once: bool = False) -> Iterator[S3Client]:
        """Provide the client that retries temporary failures, or with `once` the one that does not.

        Exceptions that are not botocore's become botocore's: for example, if a credentials program
        does not print JSON, or if a response has an invalid date.
        """
        client = self._sending_once if once else self._repeating
        _has_answer.set(False)
        try:
            yield client
        except (RuntimeError, ValueError, KeyError, ResponseParserError) as error:
            if isinstance(error, Error | RecursionError) or is_from_signal_handler(error):
                raise  # Neither a response nor credentials cause a RecursionError.
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

    def built(self, config: Config | None = None) -> S3Client:
        """Build one more client; `config` goes before the settings."""
        client = build_client(self._session, self._settings, config)
        hook: Any = self._before_send  # The stubs do not allow a hook that returns a response.
        client.meta.events.register("before-send.s3", hook)
        # Before botocore's own handlers, of which one signs and one parses.
        client.meta.events.register_first("request-created.s3", self._note_attempt)
        client.meta.events.register_first("before-parse.s3", self._note_answer)
        client.meta.events.register_first("needs-retry.s3", self._pass_on)
        return client

    def _before_send(self, event_name: str, request: Any, **_: object) -> AWSResponse | None:
        """Keep a request that is not to be sent, and return an empty response to it.

        For any other request, call `before_attempt` and return None: then botocore sends it.
        """
        kept = _kept_requests.get()
        if kept is None:
            self._before_attempt(event_name)
            return None
        kept.append(request)
        return AWSResponse(request.url, 200, HTTPHeaders(), _Nothing())

    def _pass_on(self, caught_exception: BaseException | None = None, **_: object) -> None:
        """Raise an exception of the program's signal handler; botocore would retry the request."""
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
