"""Send one request at a time, and receive the response, in the caller's thread."""

from __future__ import annotations

import base64
import hashlib
import re
import time
import zlib
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Protocol

from cshelve._concurrency.per_process import PerProcess
from cshelve._concurrency.signals import is_from_signal_handler
from cshelve.providers.aws_s3.direct.answers import Answer, NotPlainError, Reader
from cshelve.providers.aws_s3.direct.connections import (
    Connection,
    Endpoint,
    NotSentError,
    Pool,
    leave,
    pool_of,
)
from cshelve.providers.aws_s3.direct.templates import (
    Credentials,
    Data,
    NoTemplateError,
    Request,
    Template,
)

__all__ = [
    *("LEAST_BYTES", "ONE_SEND_BYTES", "SMALL_BYTES", "TROUBLE", "Begun", "Engine", "LateError"),
    *("Report", "Source", "check", "code_and_message", "receive", "sent_in_vain"),
]

# A response that brings fewer bytes than this within the time limit counts as late.
LEAST_BYTES = 4096
# A body this small is sent together with its head.
SMALL_BYTES = 64 * 1024
ONE_SEND_BYTES = 256 * 1024

CODE = re.compile(rb"<Code>([^<]*)</Code>")
MESSAGE = re.compile(rb"<Message>([^<]*)</Message>")
# Response headers that only S3, and servers that speak its protocol, send.
OF_S3 = ("x-amz-request-id", "x-amz-id-2")
SUCCESS = {"GetObject": {200, 206}, "DeleteObject": {200, 204}, "AbortMultipartUpload": {200, 204}}
ONLY_200 = frozenset({200})
WITH_ETAG = frozenset({"HeadObject", "PutObject", "UploadPart"})
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
CHECKSUMS: dict[str, Callable[[bytes], bytes]] = {
    "x-amz-checksum-crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "x-amz-checksum-sha1": lambda data: hashlib.sha1(data).digest(),
    "x-amz-checksum-sha256": lambda data: hashlib.sha256(data).digest(),
}


# The operation and key of a request that boto3 is about to repeat in this thread or greenlet, and
# how many attempts there were: boto3's are counted from there on.
sent_in_vain: ContextVar[tuple[str, str | None, int]] = ContextVar(
    "sent_in_vain", default=("", None, 0)
)


class LateError(OSError):
    """Raised if a response does not come in time, or comes too slowly."""


# What may be raised while a request is sent. (A signal handler of the program may raise more.)
TROUBLE = (NotPlainError, NotSentError, NoTemplateError, OSError, UnicodeError)


class Source(Protocol):
    """The source of requests: our own rules, or boto3, which is used only when needed."""

    @property
    def endpoint(self) -> Endpoint: ...
    @property
    def templates(self) -> Mapping[str, Template]: ...
    @property
    def credentials(self) -> Credentials | None: ...


class Report(Protocol):
    """A function that is called when an attempt of a request has ended, as `Stats.count`."""

    def __call__(
        self,
        operation: str,
        *,
        key: str | None,
        status: int,
        sent: int,
        received: int,
        seconds: float,
        attempt: int,
        error: BaseException | None,
    ) -> None: ...


class Begun:
    """A request that was sent, and what has arrived of the response.

    `Engine.finish` waits for the rest.
    """

    __slots__ = ("connection", "engine", "is_over", "reader", "request", "seconds")

    def __init__(
        self,
        engine: Engine,
        request: Request,
        reader: Reader,
        connection: Connection,
        seconds: float,
    ) -> None:
        self.engine = engine
        self.request = request
        self.reader = reader
        self.connection = connection
        self.seconds = seconds
        """The duration so far, without the time in which nobody waited."""
        self.is_over = False
        """Whether the attempt has been reported, or will be by somebody else."""

    def give_up(self) -> None:
        """Close the connection, unless the response has ended."""
        if not self.is_over:
            self.is_over = True
            self.connection.close()
            self.engine.report(self.request, self.reader, self.seconds)


class Engine:
    """Make requests, send them and judge the responses. Safe in many threads.

    Every method may raise `NotSentError`, `NotPlainError` or `OSError`.
    """

    def __init__(self, source: Source, report: Report, patience_seconds: float) -> None:
        """`report` is called after each attempt of a request."""
        self.source = source
        self.patience_seconds = patience_seconds
        self.content_type: str | None = None
        """Of every object, unless its template has one already."""
        self._report = report
        self._pools = PerProcess(lambda: pool_of(self.source.endpoint))
        self._has_answered_like_s3 = False

    @property
    def pool(self) -> Pool:
        """The connections of this process."""
        return self._pools.get()

    def close(self) -> None:
        """Leave the pool; the last shelf that uses it closes its connections."""
        pool = self._pools.drop()
        if pool is not None:
            leave(pool)

    def request(
        self,
        operation: str,
        key: str | None,
        parameters: Mapping[str, object] | None = None,
        body: Data | None = None,
    ) -> Request:
        """Return a request, signed with the current time."""
        # First, so that sending detects a redirect that happens in between.
        pool, source = self._pools.made(), self.source
        template = source.templates[operation]
        credentials = source.credentials if template.region is not None else None
        if self.content_type is not None and template.may_say_content_type(operation):
            parameters = {"ContentType": self.content_type, **(parameters or {})}
        head = template.request(key, credentials, parameters, body)
        return Request(operation, key, template.method, head, body, pool)

    def send(self, request: Request, *, may_repeat: bool = True) -> Answer:
        """Send a request and return the complete response, whatever its status."""
        return self._ended(self._begun(request, may_repeat=may_repeat, most_bytes=None))

    def begin(self, request: Request, most_bytes: int) -> Answer | Begun:
        """Send a request and return the response; leave a body of more than `most_bytes` unread."""
        begun = self._begun(request, may_repeat=True, most_bytes=most_bytes)
        return self._ended(begun) if begun.reader.is_done else begun

    def post(self, request: Request) -> Begun:
        """Send a request without waiting for the response."""
        pool = self._pool_for(request)
        connection = pool.take() or pool.open()
        reader = Reader(request.method)
        began = time.monotonic()
        try:
            self._put(connection, request)
        except BaseException as error:
            connection.close()
            self.report(request, reader, time.monotonic() - began, error)
            raise
        return Begun(self, request, reader, connection, time.monotonic() - began)

    def finish(self, begun: Begun) -> Answer:
        """Receive the rest of an answer, and return it."""
        began = time.monotonic() - begun.seconds
        begun.is_over = True
        try:
            self._receive(begun.connection, begun.reader, None)
        except BaseException as error:
            begun.connection.close()
            self.report(begun.request, begun.reader, time.monotonic() - began, error)
            raise
        begun.seconds = time.monotonic() - began
        return self._ended(begun)

    def report(
        self, request: Request, reader: Reader, seconds: float, error: BaseException | None = None
    ) -> None:
        """Report an attempt that has ended, by a response or an error, or was given up."""
        request.attempts += 1
        sent = request.sent - len(request.head)
        self._report(
            request.operation,
            key=request.key,
            status=reader.status,
            sent=sent if sent > 0 else 0,
            received=reader.body_bytes,
            seconds=seconds,
            attempt=request.attempts,
            error=error,
        )

    def judge(self, operation: str, answer: Answer) -> Answer:
        """Return a response that reports success or an absent key, in an unambiguous form.

        Raises `NotPlainError` for any other response.
        """
        status, headers = answer.status, answer.headers
        if status == 404:
            self._judge_absence(operation, answer)
            return answer
        if status not in SUCCESS.get(operation, ONLY_200):
            raise NotPlainError(f"status {status}", status, code_and_message(answer)[0])
        is_like_s3 = "etag" in headers or OF_S3[0] in headers or OF_S3[1] in headers
        if operation in WITH_ETAG and "etag" not in headers:
            raise NotPlainError("no ETag")
        if operation == "DeleteObject" and not (is_like_s3 or self._has_answered_like_s3):
            raise NotPlainError("nothing in the answer is S3's")
        if operation in {"DeleteObject", "PutObject"} and answer.body:
            raise NotPlainError("a body where there is none")
        if operation == "GetObject" and status == 200:
            check(headers, answer.body)
        if is_like_s3:
            self._has_answered_like_s3 = True
        return answer

    def _judge_absence(self, operation: str, answer: Answer) -> None:
        is_like_s3 = OF_S3[0] in answer.headers or OF_S3[1] in answer.headers
        if operation == "HeadObject":  # The response has no code.
            if not (is_like_s3 or self._has_answered_like_s3):
                raise NotPlainError("a 404 that may be any server's")
        elif (
            operation not in {"GetObject", "DeleteObject"}
            or code_and_message(answer)[0] != "NoSuchKey"
        ):
            raise NotPlainError("a 404 about something else than a key")
        if is_like_s3:
            self._has_answered_like_s3 = True

    def _begun(self, request: Request, *, may_repeat: bool, most_bytes: int | None) -> Begun:
        """Send a request and receive the response, or its head if the body is too long."""
        pool = self._pool_for(request)
        connection = pool.take()
        while True:
            is_reused = connection is not None
            if connection is None:
                connection = pool.open()
            reader = Reader(request.method)
            began = time.monotonic()
            try:
                self._put(connection, request)
                self._receive(connection, reader, most_bytes)
            except BaseException as error:
                connection.close()
                self.report(request, reader, time.monotonic() - began, error)
                is_broken = isinstance(error, OSError) and not isinstance(error, LateError)
                if not is_broken or is_from_signal_handler(error):
                    raise
                # The server closed the connection before it read the request.
                if not (is_reused and may_repeat and not reader.received):
                    raise
                connection = None
            else:
                return Begun(self, request, reader, connection, time.monotonic() - began)

    def _pool_for(self, request: Request) -> Pool:
        """Return the pool of a request; raise `NotSentError` if a redirect has replaced it."""
        pool = self._pools.get()
        if request.pool is not None and request.pool is not pool:
            raise NotSentError("requests go elsewhere now")
        return pool

    def _ended(self, begun: Begun) -> Answer:
        """Return a response that has arrived, after returning its connection to the pool."""
        reader, connection = begun.reader, begun.connection
        begun.is_over = True
        if reader.closes:
            connection.close()
        else:
            if not connection.is_reused:
                connection.pool.note_session(connection)
            connection.pool.keep(connection)
        self.report(begun.request, reader, begun.seconds)
        return reader.answer()

    def _put(self, connection: Connection, request: Request) -> None:
        connection.socket.settimeout(self.patience_seconds)
        head, body = request.head, request.body
        if body is None or len(body) <= SMALL_BYTES:
            data = head if body is None else head + body
            request.sent = sent = connection.socket.send(data)
            if sent < len(data):
                self._put_all(connection, request, memoryview(data)[sent:])
        else:
            request.sent = 0
            self._put_all(connection, request, memoryview(head))
            self._put_all(connection, request, memoryview(body).cast("B"))

    def _put_all(self, connection: Connection, request: Request, data: memoryview) -> None:
        pace = Pace(self.patience_seconds)
        while data:
            try:
                sent = connection.socket.send(data[:ONE_SEND_BYTES])
            except TimeoutError as error:
                if is_from_signal_handler(error):
                    raise
                raise LateError("the server did not take the request in time") from error
            data = data[sent:]
            request.sent += sent
            pace.note(sent)

    def _receive(self, connection: Connection, reader: Reader, most_bytes: int | None) -> None:
        pace: Pace | None = None
        while not reader.is_done:
            before = reader.received
            try:
                receive(connection, reader)
            except TimeoutError as error:
                if is_from_signal_handler(error):
                    raise
                raise LateError("no answer in time") from error
            is_large = most_bytes is not None and (reader.length or 0) > most_bytes
            if is_large and reader.status == 200:
                return
            if not reader.is_done:
                pace = pace or Pace(self.patience_seconds)
                pace.note(reader.received - before)


class Pace:
    """Checks that bytes move fast enough: at least `LEAST_BYTES` within each time limit."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._moved = 0

    def note(self, count: int) -> None:
        """Count bytes that have moved; raise `LateError` if they are too few for the time."""
        self._moved += count
        now = time.monotonic()
        if now > self._until:
            if self._moved < LEAST_BYTES:
                raise LateError("too slow")
            self._moved = 0
            self._until = now + self._seconds


def receive(connection: Connection, reader: Reader) -> None:
    """Pass bytes that have arrived to a reader; raise `ConnectionError` at the end."""
    if reader.place is not None:
        count = connection.socket.recv_into(reader.place)
        if not count:
            raise ConnectionResetError("closed before the end")
        reader.filled(count)
        return
    data = connection.socket.recv(reader.wanted_bytes)
    if not data:
        raise ConnectionResetError("closed before the end")
    reader.feed(data)


def check(headers: Mapping[str, str], body: bytes) -> None:
    """Compare a body with the server's checksums of it; raise `NotPlainError` if they differ."""
    for name, of in CHECKSUMS.items():
        given = headers.get(name)
        # A checksum with a dash was computed from the checksums of the parts.
        if given is None or "-" in given:
            continue
        if base64.b64encode(of(body)).decode() != given:
            raise NotPlainError("a body that was damaged on its way")


def code_and_message(answer: Answer) -> tuple[str, str]:
    """Return the code and the message in S3's refusal; empty texts if there are none."""
    code, message = CODE.search(answer.body), MESSAGE.search(answer.body)
    return (
        code[1].decode("utf-8", "replace") if code else "",
        message[1].decode("utf-8", "replace") if message else "",
    )
