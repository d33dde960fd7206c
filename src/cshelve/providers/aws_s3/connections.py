"""The boto3 clients of a shelf: one that repeats requests, one that sends once, for each process.

Each request is made within a permit. There are as many as the pool has connections, so that a
program with more threads than that waits here, where the pool would drop connections and warn.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore import xform_name
from botocore.exceptions import ClientError, CredentialRetrievalError
from botocore.parsers import ResponseParserError

from cshelve._forks import PerProcess
from cshelve.exceptions import Error
from cshelve.providers.aws_s3.capture import Capture
from cshelve.providers.aws_s3.client import (
    authorities_path,
    build_client,
    build_session,
    credentials_of,
)
from cshelve.providers.aws_s3.errors import UnreadableAnswerError
from cshelve.providers.aws_s3.listing import PAGE_ARRIVED, put_objects_aside

if TYPE_CHECKING:
    from botocore.awsrequest import AWSResponse
    from types_boto3_s3 import S3Client

    from cshelve.providers.aws_s3.options import S3Settings

__all__ = ["Connections"]


class Connections:
    """What requests are sent by. Safe in many threads; a forked child gets its own at first use."""

    def __init__(self, settings: S3Settings, before_attempt: Callable[[str], None]) -> None:
        """Build this process's first client, so that wrong parameters show at once."""
        self._settings = settings
        self._before_attempt = before_attempt
        self._of_processes = PerProcess(self._of_this_process)
        self.concurrency = min(settings.concurrency, self.config.max_pool_connections)

    @contextmanager
    def client(self) -> Iterator[S3Client]:
        """Wait for a permit and give the client that repeats what fails for a passing reason."""
        ours = self._of_processes.get()
        with ours.permits, ours.errors_of_botocores():
            try:
                yield ours.repeating
            except ClientError:
                ours.has_answered = True
                raise
            ours.has_answered = True

    @contextmanager
    def client_that_sends_once(self) -> Iterator[S3Client]:
        """Wait for a permit and give the client that never repeats a request."""
        ours = self._of_processes.get()
        with ours.permits, ours.errors_of_botocores():
            yield ours.sending_once

    @contextmanager
    def more(self, wanted: int) -> Iterator[tuple[S3Client, int]]:
        """Within a permit, take up to so many more, as far as they are free, without waiting.

        Gives the client that repeats, and how many requests may fly by it in all. Half of all
        permits at most are taken so, by all callers together: else whoever wants one would wait for
        the end of large values.
        """
        ours = self._of_processes.get()
        taken = ours.take_more(wanted)
        try:
            yield ours.repeating, 1 + taken
        finally:
            ours.give_back(taken)

    @property
    def permits(self) -> threading.BoundedSemaphore:
        """Give this process's permits, for who makes requests by other means than boto3."""
        return self._of_processes.get().permits

    @property
    def has_answered(self) -> bool:
        """Tell whether the server has answered boto3 in this process."""
        return self._of_processes.get().has_answered

    def captured(self, operation: str, parameters: Mapping[str, Any]) -> Any:
        """Give the request that boto3 would send, without sending it; raises what boto3 raises."""
        return self._of_processes.get().captured(operation, parameters)

    def read_again(self, operation: str, parameters: Mapping[str, Any], body: bytes) -> Any:
        """Give what boto3 makes of the body of an answer; nothing is sent."""
        return self._of_processes.get().read_again(operation, parameters, body)

    def credentials(self) -> Any:
        """Give the credentials that this process's clients sign with."""
        return self._of_processes.get().credentials

    def authorities_path(self) -> str | None:
        """Give the file of the authorities that are trusted; None if anybody is."""
        return self._of_processes.get().authorities_path()

    @property
    def meta(self) -> Any:
        """Give what boto3 knows about the service and the endpoint."""
        return self._of_processes.get().repeating.meta

    @property
    def config(self) -> Any:
        """Give botocore's Config as it came to be."""
        return self.meta.config

    def close(self) -> None:
        """Close this process's connections, if it has any."""
        ours = self._of_processes.made()
        if ours is not None:
            ours.close()

    def _of_this_process(self) -> _Clients:
        return _Clients(self._settings, self._before_attempt)


class _Clients:
    """The clients of one process, and its permits."""

    def __init__(self, settings: S3Settings, before_attempt: Callable[[str], None]) -> None:
        self._settings = settings
        self._before_attempt = before_attempt
        self._core = botocore.session.get_session()
        self._session = build_session(settings, self._core)
        self._capture = Capture()
        self._of_this_thread = threading.local()
        self.has_answered = False
        self.repeating = self._built()
        pool_size: int = getattr(self.repeating.meta.config, "max_pool_connections", 10)
        most = min(settings.concurrency, pool_size)
        self.permits = threading.BoundedSemaphore(most)
        self._of_more = threading.BoundedSemaphore(max(most // 2, 1))

    @cached_property
    def sending_once(self) -> S3Client:
        """Build it when the first conditional write wants it: most programs have none."""
        return self._built(sends_once=True)

    @cached_property
    def credentials(self) -> Any:
        return credentials_of(self._session, self._settings)

    def authorities_path(self) -> str | None:
        return authorities_path(self._core, self._settings)

    def captured(self, operation: str, parameters: Mapping[str, Any]) -> Any:
        call = getattr(self.repeating, xform_name(operation))
        return self._capture.request_of(lambda: call(**parameters))

    def read_again(self, operation: str, parameters: Mapping[str, Any], body: bytes) -> Any:
        # The one that repeats would read the same again after a pause.
        call = getattr(self.sending_once, xform_name(operation))
        with self.errors_of_botocores():
            return self._capture.read_again(lambda: call(**parameters), body)

    def take_more(self, wanted: int) -> int:
        """Take permits that nobody waits for, and tell how many."""
        for taken in range(wanted):
            if not self._of_more.acquire(blocking=False):
                return taken
            if not self.permits.acquire(blocking=False):
                self._of_more.release()
                return taken
        return max(wanted, 0)

    def give_back(self, taken: int) -> None:
        for _ in range(taken):
            self.permits.release()
            self._of_more.release()

    def close(self) -> None:
        self.repeating.close()
        if "sending_once" in self.__dict__:
            self.sending_once.close()

    def _built(self, *, sends_once: bool = False) -> S3Client:
        client = build_client(self._session, self._settings, sends_once=sends_once)
        hook: Any = self._before_send  # The stubs know of no hook that answers.
        client.meta.events.register("before-send.s3", hook)
        # Written like these, they come before botocore's own, of which one signs and one parses.
        client.meta.events.register_first("request-created.s3", self._note_attempt)
        client.meta.events.register_first("before-parse.s3", self._note_answer)
        client.meta.events.register(PAGE_ARRIVED, put_objects_aside)
        return client

    def _before_send(self, event_name: str, request: Any, **_: object) -> AWSResponse | None:
        """Keep a request that is not meant to be sent; tell of any other."""
        answer = self._capture.answer(request)
        if answer is None:
            self._before_attempt(event_name)
        return answer

    def _note_attempt(self, **_: object) -> None:
        self._of_this_thread.has_answer = False

    def _note_answer(self, **_: object) -> None:
        self._of_this_thread.has_answer = True

    @contextmanager
    def errors_of_botocores(self) -> Iterator[None]:
        """Make errors of botocore's of what it lets pass while it signs, and while it parses.

        A program that prints no JSON, credentials that have expired when they are new; a date that
        is none: these come as they are.
        """
        self._of_this_thread.has_answer = False
        try:
            yield
        except (RuntimeError, ValueError, KeyError, ResponseParserError) as error:
            if isinstance(error, Error):
                raise
            what = f"{type(error).__name__}: {error}"
            if self._of_this_thread.has_answer:
                raise UnreadableAnswerError(error=what) from error
            raise CredentialRetrievalError(provider="the configuration", error_msg=what) from error
