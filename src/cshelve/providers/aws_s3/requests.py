"""Requests of one bucket: by the direct engine where that can, and by boto3 otherwise.

Whoever makes a request holds one of the shelf's permits, whichever engine sends it. What the direct
engine has not plainly done, boto3 does again within the same permit.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from html import unescape
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from cshelve._concurrency.parallel import map_in_order, refuse_if_stopped
from cshelve._concurrency.per_process import PerProcess
from cshelve._concurrency.permits import Holder, Permits
from cshelve._concurrency.signals import is_from_signal_handler
from cshelve.providers.aws_s3.direct.answers import Answer, NotPlainError
from cshelve.providers.aws_s3.direct.connections import NotSentError
from cshelve.providers.aws_s3.direct.engine import (
    TROUBLE,
    Begun,
    Engine,
    LateError,
    Sent,
    code_and_message,
)
from cshelve.providers.aws_s3.engine import Choice, captured_source, choose
from cshelve.providers.aws_s3.errors import WRONG_REGION, AnswerLostError, RefusalError
from cshelve.providers.aws_s3.intercepted import interception

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from cshelve.providers.aws_s3.bucket import Bucket
    from cshelve.providers.aws_s3.clients import Clients
    from cshelve.providers.aws_s3.direct.task import Task
    from cshelve.providers.aws_s3.options import ClientConfig, S3Settings
    from cshelve.providers.base import Stats

__all__ = ["Requests"]

T = TypeVar("T")
R = TypeVar("R")

# After so many answers in a row that the engine could not take, and boto3 then could, boto3 does
# all: each of them was a request in vain.
MOST_IN_VAIN = 3
# boto3 may learn from these where the bucket is.
REDIRECTS = frozenset({301, 302, 307, 308})
XML_TEXT = r"<{}>([^<]*)</{}>"
META = "x-amz-meta-"


class Requests:
    """Sends requests of a bucket. Safe in many threads; a forked child gets connections of its own.

    `send` and `send_once` return boto3's form of an answer, as far as anybody here needs it, and
    raise what `errors.failures` tells.
    """

    def __init__(
        self, settings: S3Settings, bucket: Bucket, stats: Stats, logger: logging.Logger
    ) -> None:
        self.bucket = bucket
        self._settings = settings
        self._stats = stats
        self._logger = logger
        self._clients: Clients | None = None
        self._building = PerProcess(threading.Lock)
        choice = choose(settings, self._built_clients, bucket)
        self.config: ClientConfig = choice.config
        self.engine = choice.engine
        """Which engine is chosen: `direct`, with boto3 beside it, or `boto3`."""
        self.reason = choice.reason
        """Why it was chosen."""
        self._engine = self._engine_of(choice)
        self._permits = PerProcess(lambda: Permits(self.config.concurrency))
        self._all_at_once: Callable[..., Any] | None = None
        self._in_vain = 0
        self._is_intercepted = False

    @property
    def permits(self) -> Permits:
        """This process's permits."""
        return self._permits.get()

    @property
    def most_of_one(self) -> int:
        """How many requests of one large value may fly at once.

        One and half of the others: else whoever wants a permit would wait for the end of that.
        """
        return min(1 + self.config.concurrency // 2, self.config.concurrency)

    @property
    def clients(self) -> Clients:
        """boto3's clients, built when they are first needed."""
        return self._clients or self._built_clients()

    def close(self) -> None:
        """Close the connections of this process."""
        if self._engine is not None:
            self._engine.close()
        if self._clients is not None:
            self._clients.close()

    def direct(self) -> Engine | None:
        """Return the direct engine, if it may send the next request."""
        engine = self._engine
        if engine is None:
            return None
        reason = interception()
        if reason is None:
            return engine
        if not self._is_intercepted:
            self._is_intercepted = True
            level = logging.WARNING if self._settings.engine == "direct" else logging.INFO
            self._logger.log(
                level, "%s: engine boto3 for as long as %s", self.bucket.location, reason
            )
        return None

    @contextmanager
    def permit(self) -> Iterator[None]:
        """Hold one of the permits."""
        permits = self.permits
        holder = Holder()
        try:
            permits.acquire(holder)
            yield
        finally:
            permits.release(holder)

    def answer(
        self,
        operation: str,
        name: str | None,
        parameters: Mapping[str, object] | None = None,
        body: bytes | memoryview | None = None,
    ) -> Answer | None:
        """Return the direct engine's answer, if it is plain; the caller holds a permit.

        None if boto3 has to do it.
        """
        engine = self.direct()
        if engine is None:
            return None
        refuse_if_stopped()
        try:
            key = None if name is None else self.bucket.key(name)
            request = engine.request(operation, key, parameters, body)
            answer = engine.judge(operation, engine.send(request))
        except TROUBLE as error:
            self.note_failure(error)
            return None
        self._in_vain = 0
        return answer

    def begin(self, name: str, most_bytes: int) -> Answer | Begun | None:
        """Send a GET as `answer` does, and return as soon as it shows that it is a large one."""
        engine = self.direct()
        if engine is None:
            return None
        refuse_if_stopped()
        try:
            request = engine.request("GetObject", self.bucket.key(name))
            answer = engine.begin(request, most_bytes)
            if isinstance(answer, Answer):
                engine.judge("GetObject", answer)
        except TROUBLE as error:
            self.note_failure(error)
            return None
        self._in_vain = 0
        return answer

    def sent(self, operation: str, parameters: Mapping[str, object]) -> Sent | None:
        """Send a request that `finish` gets the answer of; None if boto3 has to do it."""
        engine = self.direct()
        if engine is None:
            return None
        try:
            return engine.post(engine.request(operation, None, parameters))
        except TROUBLE as error:
            self.note_failure(error)
            return None

    def finish(self, sent: Sent) -> Answer | None:
        """Return the answer to what was sent, if it is plain; the caller holds a permit."""
        engine = self._engine
        if engine is None:
            sent.connection.close()
            return None
        try:
            answer = engine.judge(sent.request.operation, engine.finish(sent))
        except TROUBLE as error:
            self.note_failure(error)
            return None
        self._in_vain = 0
        return answer

    def rest_of(self, begun: Begun) -> bytes:
        """Return the body of an answer whose head has arrived; the caller holds a permit."""
        engine = self._engine
        if engine is None:
            begun.connection.close()
            raise AnswerLostError("the engine is closed")
        return engine.rest_of(begun)

    def judged(self, operation: str, answer: Answer) -> Answer:
        """Return an answer of many; have it noted, and raise, if it is not plain."""
        engine = self._engine
        try:
            if engine is None:
                raise NotPlainError("the engine is closed")
            engine.judge(operation, answer)
        except NotPlainError as error:
            self.note_failure(error)
            raise
        self._in_vain = 0
        return answer

    def add_bytes(self, *, sent: int = 0, received: int = 0) -> None:
        """Count bytes of values."""
        self._stats.add_bytes(sent=sent, received=received)

    def warn(self, what: str) -> None:
        """Say what makes the shelf slower than it could be."""
        self._logger.warning("%s: %s", self.bucket.location, what)

    def note_odd(self, what: str) -> None:
        """Hear that an answer is plain, and what is in it is not."""
        self.note_failure(NotPlainError(what))

    def send(
        self,
        operation: str,
        name: str,
        parameters: Mapping[str, Any] | None = None,
        body: bytes | memoryview | None = None,
    ) -> Mapping[str, Any]:
        """Send a request, by boto3 if need be, and return boto3's form of the answer."""
        with self.permit():
            answer = self.answer(operation, name, parameters, body)
            if answer is not None:
                if answer.status == 404:
                    raise RefusalError.of(operation, answer, *code_and_message(answer))
                try:
                    return in_boto3s_form(operation, answer)
                except NotPlainError as error:
                    self.note_failure(error)
            return self.by_boto3(operation, name, parameters, body)

    def by_boto3(
        self,
        operation: str,
        name: str,
        parameters: Mapping[str, Any] | None = None,
        body: bytes | memoryview | None = None,
        *,
        once: bool = False,
    ) -> Mapping[str, Any]:
        """Have boto3 send a request; the caller holds a permit."""
        request = {**self.bucket.request(operation, name), **(parameters or {})}
        if "Metadata" in request:
            given = self.bucket.parameters.get(operation, {}).get("Metadata", {})
            request["Metadata"] = {**given, **request["Metadata"]}
        if body is not None and operation != "CompleteMultipartUpload":
            request["Body"] = bytes(body) if isinstance(body, memoryview) else body
        clients = self.clients
        with clients.client_that_sends_once() if once else clients.client() as client:
            done: Mapping[str, Any] = _call_of(client, operation)(**request)
        self.note_done_by_boto3()
        return done

    def send_once(
        self,
        operation: str,
        name: str,
        parameters: Mapping[str, Any],
        body: bytes | memoryview | None = None,
        *,
        by_boto3: bool,
    ) -> Mapping[str, Any]:
        """Send a request, and never again: it has a condition, which our own first try may break.

        Raises `AnswerLostError` where what became of it is not known. With `by_boto3` the direct
        engine is not asked.
        """
        with self.permit():
            engine = None if by_boto3 else self.direct()
            request = None
            if engine is not None:
                refuse_if_stopped()
                try:
                    request = engine.request(operation, self.bucket.key(name), parameters, body)
                except TROUBLE as error:
                    self.note_failure(error)  # Nothing was sent.
            if engine is not None and request is not None:
                try:
                    answer = engine.send(request, may_repeat=False)
                    if not _is_redirect(operation, answer):
                        return in_boto3s_form(operation, engine.judge(operation, answer))
                    self._ask_boto3_where()
                except NotSentError as error:
                    self.note_failure(error)
                except (NotPlainError, OSError) as error:
                    self.note_failure(error)
                    raise AnswerLostError(f"{operation}: {error}") from error
            return self.by_boto3(operation, name, parameters, body, once=True)

    def together(
        self,
        task: Task[T, R],
        items: Iterable[T],
        most: int,
        key_of: Callable[[T], object] | None = None,
        begun: tuple[T, Begun] | None = None,
    ) -> Generator[tuple[T, R]]:
        """Do a task to each item, many at once, and yield each with its result, in order.

        Items with equal keys never fly at the same time. `begun` is the first of the items, whose
        request was sent before.
        """
        engine = self.direct()
        if engine is not None:
            if self._all_at_once is None:
                # Not needed before the first operation on many keys. Kept, as at the interpreter's
                # end nothing can be imported any more.
                from cshelve.providers.aws_s3.direct.many import all_at_once

                self._all_at_once = all_at_once
            done: Generator[tuple[T, R]] = self._all_at_once(
                engine, self.permits, task, items, most, key_of, begun
            )
            return done
        if begun is not None:
            # Its answer is the engine's, which is not to be asked any more: it begins anew.
            begun[1].connection.close()
            items = chain((begun[0],), items)
        return map_in_order(task.apart, items, most, apart=key_of, is_last=task.is_last)

    def note_failure(self, error: BaseException) -> None:
        """Hear that boto3 has to do what the engine could not.

        What a signal handler of the program has raised goes on to the program.
        """
        if is_from_signal_handler(error):
            raise error
        self._logger.debug("%s: left to boto3: %r", self.bucket.location, error)
        if isinstance(error, NotPlainError | LateError):
            self._in_vain += 1
            status = getattr(error, "status", 0)
            if status >= 500 or status == 429:
                self._in_vain = 0  # A busy server's answer, to boto3 as well.
            if status in REDIRECTS or getattr(error, "code", "") in WRONG_REGION:
                self._in_vain = 0
                self._ask_boto3_where()
        elif isinstance(error, NotSentError | OSError):
            self._in_vain = 0  # The server, or the way to it, has stopped working for anybody.
        else:
            # boto3 has no credentials, or sends what nobody else can: it has the words for it.
            self._in_vain += 1

    def note_done_by_boto3(self) -> None:
        """Hear that boto3 has done it: what the engine was not able to take, boto3 was."""
        if self._in_vain >= MOST_IN_VAIN and self._engine is not None:
            engine, self._engine = self._engine, None
            if engine is not None:  # Another thread may have been faster.
                engine.close()
            self.engine, self.reason = "boto3", "the server's answers are not plain"
            self._logger.warning(
                "%s: engine boto3 from now on, which is slower: the server's answers are not what "
                "the direct engine understands, although boto3 does. With debug logging, the "
                "logger says what they are.",
                self.bucket.location,
            )

    def _ask_boto3_where(self) -> None:
        """Send requests to where boto3 will, after a redirect."""
        engine = self._engine
        if engine is None:
            return
        engine.close()
        engine.source = captured_source(self.clients, self.bucket)

    def _engine_of(self, choice: Choice) -> Engine | None:
        if choice.source is None:
            return None
        patience = _patience(choice.config.read_timeout, choice.config.attempts)
        return Engine(choice.source, self._stats.count, patience)

    def _built_clients(self) -> Clients:
        # boto3 is imported only here, and only when something wants it.
        with self._building.get():
            if self._clients is None:
                from cshelve.providers.aws_s3.clients import Clients
                from cshelve.providers.aws_s3.session import checked_parameters

                clients = Clients(self._settings, self._before_attempt)
                self.bucket.parameters = checked_parameters(self._settings, clients)
                self._clients = clients
            return self._clients

    def _before_attempt(self, event_name: str) -> None:
        """Count what boto3 is about to send, unless nobody waits for it any more."""
        refuse_if_stopped()
        self._stats.count(event_name.rpartition(".")[2])


def _is_redirect(operation: str, answer: Answer) -> bool:
    """Return whether the server has done nothing but say that the bucket is elsewhere.

    Raises `RefusalError` for any other error that it tells of.
    """
    code, message = code_and_message(answer)
    if 300 <= answer.status < 400 or code in WRONG_REGION:
        return True
    if answer.status >= 400:
        raise RefusalError.of(operation, answer, code, message)
    return False


def in_boto3s_form(operation: str, answer: Answer) -> Mapping[str, Any]:
    """Return what boto3 would make of a plain answer, as far as anybody here needs it."""
    headers = answer.headers
    form: dict[str, Any] = {
        "Metadata": {
            name.removeprefix(META): value
            for name, value in headers.items()
            if name.startswith(META)
        }
    }
    for name, header in (("ETag", "etag"), ("ChecksumCRC32", "x-amz-checksum-crc32")):
        if header in headers:
            form[name] = headers[header]
    if operation == "CreateMultipartUpload":
        form["UploadId"] = _text_in(answer, "InitiateMultipartUploadResult", "UploadId")
    if operation == "CompleteMultipartUpload":
        # S3 may say in the body of a 200 that it has failed after all.
        form["ETag"] = _text_in(answer, "CompleteMultipartUploadResult", "ETag")
    return form


def _text_in(answer: Answer, root: str, name: str) -> str:
    body = answer.body.decode("utf-8", "replace")
    found = re.search(XML_TEXT.format(name, name), body)
    if f"<{root}" not in body or found is None or not found[1]:
        raise NotPlainError(f"no {name} in the answer")
    return unescape(found[1])


def _call_of(client: S3Client, operation: str) -> Callable[..., Any]:
    name = re.sub("(?<!^)(?=[A-Z])", "_", operation).lower()
    call: Callable[..., Any] = getattr(client, name)
    return call


# What a wait in vain may add to the time that boto3 alone takes.
MOST_ADDED = 0.25


def _patience(read_seconds: float, attempts: int) -> float:
    """Return how long to wait for an answer: as boto3 does, or less where it tries only seldom."""
    return min(read_seconds, MOST_ADDED * attempts * read_seconds)
