"""One request at a time: a send and a receive in the caller's thread."""

from __future__ import annotations

import base64
import hashlib
import re
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

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
from cshelve.providers.aws_s3.direct.signing import Credentials
from cshelve.providers.aws_s3.direct.templates import (
    Data,
    NoTemplateError,
    Request,
    Template,
)

__all__ = ["TROUBLE", "Engine", "LateError", "Source", "code_and_message"]

# An answer that brings less than this within the time for one is as good as none.
LEAST_BYTES = 4096
# A body this small is sent together with its head.
SMALL_BYTES = 64 * 1024
ONE_SEND_BYTES = 256 * 1024

CODE = re.compile(rb"<Code>([^<]*)</Code>")
MESSAGE = re.compile(rb"<Message>([^<]*)</Message>")
# What only S3, and what speaks like it, puts into an answer.
OF_S3 = ("x-amz-request-id", "x-amz-id-2")
SUCCESS = {"GetObject": {200, 206}, "DeleteObject": {200, 204}, "AbortMultipartUpload": {200, 204}}
WITH_ETAG = frozenset({"HeadObject", "PutObject", "UploadPart"})
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
CHECKSUMS: dict[str, Callable[[bytes], bytes]] = {
    "x-amz-checksum-crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "x-amz-checksum-sha1": lambda data: hashlib.sha1(data).digest(),
    "x-amz-checksum-sha256": lambda data: hashlib.sha256(data).digest(),
}


class LateError(OSError):
    """An answer that did not come in time, or too slowly."""


# What may happen to a request on its way, beside what a signal handler of the program raises.
TROUBLE = (NotPlainError, NotSentError, NoTemplateError, OSError, UnicodeError)


class Source(Protocol):
    """What the engine has to know: by our own rules, or as boto3 tells."""

    def endpoint(self) -> Endpoint: ...
    def template(self, operation: str) -> Template: ...
    def credentials(self) -> Credentials | None: ...


class Begun(NamedTuple):
    """A large answer, of which the head has arrived; its connection is the caller's to close."""

    reader: Reader
    connection: Connection


class Sent(NamedTuple):
    """A request that was sent, and the connection that its answer will come by."""

    request: Request
    connection: Connection


class Engine:
    """Makes requests, sends them and judges what comes back. Safe in many threads.

    Every method raises what may happen on the way: `NotSentError`, `NotPlainError`, `OSError`.
    """

    def __init__(
        self, source: Source, count: Callable[[str], None], patience_seconds: float
    ) -> None:
        self.source = source
        self.patience_seconds = patience_seconds
        self.count = count
        """Told the operation of each request that is sent."""
        self._of_processes = PerProcess(lambda: pool_of(source.endpoint()))
        self._has_answered_like_s3 = False

    @property
    def pool(self) -> Pool:
        """The connections of this process."""
        return self._of_processes.get()

    def close(self) -> None:
        """Leave the pool; the last shelf that uses it closes its connections."""
        pool = self._of_processes.drop()
        if pool is not None:
            leave(pool)

    def request(
        self,
        operation: str,
        key: str | None,
        parameters: Mapping[str, object] | None = None,
        body: Data | None = None,
    ) -> Request:
        """Make a request, signed as of now."""
        # None before the first one is sent, which goes wherever requests go then.
        pool = self._of_processes.made()
        template = self.source.template(operation)
        credentials = self.source.credentials() if template.region is not None else None
        head = template.request(key, credentials, parameters, body)
        return Request(operation, head, body, pool)

    def send(self, request: Request, *, may_repeat: bool = True) -> Answer:
        """Send a request and return the whole answer, whatever it says."""
        reader, connection = self._begin(request, may_repeat=may_repeat, most_bytes=None)
        self._end(reader, connection)
        return reader.answer()

    def begin(self, request: Request, most_bytes: int) -> Answer | Begun:
        """Send a request, and return without the body of an answer that is longer than this."""
        reader, connection = self._begin(request, may_repeat=True, most_bytes=most_bytes)
        if not reader.is_done:
            return Begun(reader, connection)
        self._end(reader, connection)
        return reader.answer()

    def rest_of(self, begun: Begun) -> bytes:
        """Return the body of an answer whose head has arrived."""
        try:
            self._receive(begun.connection, begun.reader, None)
        except BaseException:
            begun.connection.close()
            raise
        self._end(begun.reader, begun.connection)
        return begun.reader.answer().body

    def post(self, request: Request) -> Sent:
        """Send a request without waiting for its answer, which `finish` does."""
        pool = self._pool_for(request)
        connection = pool.take() or pool.open()
        try:
            self.count(request.operation)
            self._put(connection, request)
        except BaseException:
            connection.close()
            raise
        return Sent(request, connection)

    def finish(self, sent: Sent) -> Answer:
        """Return the answer to a request that was sent before."""
        reader = Reader(sent.request.method)
        try:
            self._receive(sent.connection, reader, None)
        except BaseException:
            sent.connection.close()
            raise
        self._end(reader, sent.connection)
        return reader.answer()

    def judge(self, operation: str, answer: Answer) -> Answer:
        """Return an answer that plainly says that something was done, or that a key is not there.

        Raises `NotPlainError` for any other.
        """
        status, headers = answer.status, answer.headers
        if status == 404:
            self._judge_absence(operation, answer)
            return answer
        if status not in SUCCESS.get(operation, {200}):
            raise NotPlainError(f"status {status}", status, code_of(answer))
        is_like_s3 = "etag" in headers or any(name in headers for name in OF_S3)
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
        is_like_s3 = any(name in answer.headers for name in OF_S3)
        if operation == "HeadObject":  # Whose answer has no code.
            if not (is_like_s3 or self._has_answered_like_s3):
                raise NotPlainError("a 404 that may be any server's")
        elif operation not in {"GetObject", "DeleteObject"} or code_of(answer) != "NoSuchKey":
            raise NotPlainError("a 404 about something else than a key")
        if is_like_s3:
            self._has_answered_like_s3 = True

    def _begin(
        self, request: Request, *, may_repeat: bool, most_bytes: int | None
    ) -> tuple[Reader, Connection]:
        pool = self._pool_for(request)
        connection = pool.take()
        while True:
            is_reused = connection is not None
            if connection is None:
                connection = pool.open()
            reader = Reader(request.method)
            try:
                self.count(request.operation)
                self._put(connection, request)
                self._receive(connection, reader, most_bytes)
            except LateError:
                connection.close()
                raise
            except OSError as error:
                connection.close()
                if is_from_signal_handler(error):
                    raise
                # The server closed it while the request was on its way, so that it was not read.
                if not (is_reused and may_repeat and not reader.received):
                    raise
                connection = None
            except BaseException:
                connection.close()
                raise
            else:
                return reader, connection

    def _pool_for(self, request: Request) -> Pool:
        """Return the pool that a request was made for; it may have been left after a redirect."""
        pool = self.pool
        if request.pool is not None and request.pool is not pool:
            raise NotSentError("requests go elsewhere now")
        return pool

    def _end(self, reader: Reader, connection: Connection) -> None:
        pool = connection.pool
        if reader.closes:
            connection.close()
            return
        if not connection.is_reused:
            pool.note_session(connection)
        pool.keep(connection)

    def _put(self, connection: Connection, request: Request) -> None:
        connection.socket.settimeout(self.patience_seconds)
        head, body = request.head, request.body
        if body is None or len(body) <= SMALL_BYTES:
            data = head if body is None else head + body
            sent = connection.socket.send(data)
            if sent < len(data):
                self._put_all(connection, memoryview(data)[sent:])
        else:
            self._put_all(connection, memoryview(head))
            self._put_all(connection, memoryview(body).cast("B"))

    def _put_all(self, connection: Connection, data: memoryview) -> None:
        pace = Pace(self.patience_seconds)
        while data:
            try:
                sent = connection.socket.send(data[:ONE_SEND_BYTES])
            except TimeoutError as error:
                if is_from_signal_handler(error):
                    raise
                raise LateError("the server did not take the request in time") from error
            data = data[sent:]
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
    """Whether bytes come fast enough: some thousands within the time that an answer may take."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._moved = 0

    def note(self, count: int) -> None:
        """Take note of bytes that have moved; raises `LateError` if they are too few."""
        self._moved += count
        now = time.monotonic()
        if now > self._until:
            if self._moved < LEAST_BYTES:
                raise LateError("too slow")
            self._moved = 0
            self._until = now + self._seconds


def receive(connection: Connection, reader: Reader) -> None:
    """Hand what has arrived to a reader; raises `ConnectionError` for an end."""
    place = reader.place
    if place is not None:
        count = connection.socket.recv_into(place)
        if not count:
            raise ConnectionResetError("closed before the end")
        reader.filled(count)
        return
    data = connection.socket.recv(reader.wanted_bytes)
    if not data:
        raise ConnectionResetError("closed before the end")
    reader.feed(data)


def check(headers: Mapping[str, str], body: bytes) -> None:
    """Compare a body with the checksums that the server gives for the whole of it."""
    for name, of in CHECKSUMS.items():
        given = headers.get(name)
        # One with a dash is made of those of the parts.
        if given is None or "-" in given:
            continue
        if base64.b64encode(of(body)).decode() != given:
            raise NotPlainError("a body that was damaged on its way")


def code_of(answer: Answer) -> str:
    """Return the code in the answer of a refusal."""
    return code_and_message(answer)[0]


def code_and_message(answer: Answer) -> tuple[str, str]:
    """Return what S3 says in an answer that refuses."""
    found: list[Any] = [pattern.search(answer.body) for pattern in (CODE, MESSAGE)]
    code, message = (each[1].decode("utf-8", "replace") if each else "" for each in found)
    return code, message


__all__ += ["Begun", "NotPlainError", "NotSentError", "Sent", "check", "code_of", "receive"]
