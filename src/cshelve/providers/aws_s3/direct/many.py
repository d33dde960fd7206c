"""Send many requests at the same time from the caller's thread; boto3's requests use threads.

Results come in the order of the items. All requests in flight belong to one loop, so Ctrl-C can
close them, and only boto3's threads have to be joined.
"""

from __future__ import annotations

import os
import selectors
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from cshelve._concurrency.parallel import StoppedError, refuse_if_stopped
from cshelve._concurrency.signals import is_from_signal_handler
from cshelve.exceptions import StorageError
from cshelve.providers.aws_s3.direct.answers import NotPlainError, Reader
from cshelve.providers.aws_s3.direct.connections import NotSentError
from cshelve.providers.aws_s3.direct.engine import (
    LEAST_BYTES,
    TROUBLE,
    Begun,
    Engine,
    sent_in_vain,
)
from cshelve.providers.aws_s3.direct.exchange import Exchange
from cshelve.providers.aws_s3.direct.threads import Threads

if TYPE_CHECKING:
    from cshelve._concurrency.permits import Permits
    from cshelve.providers.aws_s3.direct.task import Task
    from cshelve.providers.aws_s3.direct.templates import Request

__all__ = ["Job", "Loop", "all_at_once"]

# The server is overloaded, and did nothing.
BUSY = frozenset({429, 503})

T = TypeVar("T")
R = TypeVar("R")


def all_at_once(
    engine: Engine,
    permits: Permits,
    task: Task[T, R],
    items: Iterable[T],
    most: int,
    key_of: Callable[[T], object] | None = None,
    begun: tuple[T, Begun] | None = None,
) -> Generator[tuple[T, R]]:
    """Yield each item with its result, in order, with at most `most` requests in flight.

    `begun` is an item before the others, whose request was sent already. Items with equal keys are
    never in flight at the same time. While the caller uses a result, or computes the next item, no
    time-out runs, and others may take our permits: see `Permits`.
    """
    loop = Loop(engine, permits, task, most, key_of)
    source = iter(items)
    try:
        if begun is not None:
            loop.adopt(Job(begun[0]), begun[1])
        while True:
            loop.fill(source)
            if not loop.order:
                if loop.is_over:
                    return
            elif not loop.order[0].has_result:
                loop.process_events()
            else:
                job = loop.order.popleft()
                if isinstance(job.error, StoppedError):
                    # The loop ended before a thread began this item.
                    job.result = task.given_up(job.item)
                    if job.result is None:
                        continue
                elif job.error is not None:
                    raise job.error
                with loop.paused():
                    yield job.item, job.result
    finally:
        loop.end()


class Job(Generic[T, R]):
    """An item, its request and its result; the holder of the request's permit (see `Permits`)."""

    __slots__ = (
        *("__weakref__", "error", "has_result", "is_repeated", "is_second", "item", "request"),
        "result",
    )

    def __init__(self, item: T) -> None:
        self.item = item
        self.request: Request | None = None
        self.is_second = False
        """Whether the request was sent again because the first connection was stale."""
        self.is_repeated = False
        """Whether the request was sent again because the server was busy."""
        self.has_result = False
        self.result: Any = None
        self.error: BaseException | None = None


class Loop(Generic[T, R]):
    """Send the requests for many items, and receive their responses."""

    def __init__(
        self,
        engine: Engine,
        permits: Permits,
        task: Task[T, R],
        most: int,
        key_of: Callable[[T], object] | None,
    ) -> None:
        self.order: deque[Job[T, R]] = deque()
        """The jobs that have begun, in the order of the items, until their results are yielded."""
        self.is_over = False
        """Whether no further item begins, as none is left or `is_last` was true for a result."""
        self._paused_since = 0.0
        self._shift = 0.0
        """The total time in seconds of all pauses; it does not count towards time-outs."""
        self._permits = permits
        self._process = os.getpid()
        self._engine = engine
        self._pool = engine.pool
        self._task = task
        self._most = most
        self._key_of = key_of
        self._busy_keys: set[object] = set()
        self._active = 0
        self._waiting: Job[T, R] | None = None
        """The next job, if it has to wait for a permit or for a job with the same key."""
        self._selector = selectors.DefaultSelector()
        self._free: list[Exchange] = []
        self._in_flight: dict[Exchange, None] = {}
        """The exchanges with requests in flight, in the order of their time limits."""
        self._touched: Exchange | None = None
        """The exchange that is being processed: an interruption leaves it in an unknown state."""
        self._threads: Threads[T, R] | None = None
        self._is_ending = False

    def paused(self) -> Self:
        """Return a context manager for the caller's code, during which nothing becomes late."""
        return self  # Not an object of its own, which would make a cycle with the loop.

    def __enter__(self) -> None:
        self._permits.pause(self)
        self._paused_since = time.monotonic()

    def __exit__(self, kind: object, *_: object) -> None:
        self._permits.resume(self)
        self._shift += time.monotonic() - self._paused_since
        if kind is None and os.getpid() != self._process:
            raise StorageError(
                "this iteration began before a fork, and the parent process has its requests: "
                "begin another one here"
            )

    def fill(self, source: Iterator[T]) -> None:
        """Begin as many items as may be in flight."""
        while not self.is_over and self._active < self._most:
            # While boto3 repeats a request, which takes long, others may get twice as far ahead.
            ahead = 2 if self._threads is not None and self._threads.busy else 1
            if len(self.order) >= ahead * self._most:
                return
            if self._waiting is None:
                with self.paused():
                    item: Any = next(source, self)  # The loop itself marks the end.
                if item is self:
                    self.is_over = True
                    return
                self._waiting = Job(item)
            if not self._begin(self._waiting):
                return
            self._waiting = None

    def adopt(self, job: Job[T, R], begun: Begun) -> None:
        """Receive the rest of a response whose head has arrived, for a job."""
        self.order.append(job)
        self._active += 1
        exchange = Exchange(begun.connection, self._selector, is_open=True)
        exchange.job, exchange.reader = job, begun.reader
        job.request, exchange.sent = begun.request, begun.request.sent
        begun.is_over = True  # It ends here.
        exchange.began = time.monotonic() - begun.seconds
        exchange.until = time.monotonic() + self._engine.patience_seconds
        self._in_flight[exchange] = None
        self._permits.acquire(job, self)
        if (place := self._task.body_buffer(job.item, begun.reader)) is not None:
            begun.reader.receive_into(place)
        if begun.reader.is_done:
            self._completed(exchange, job, begun.reader)

    def process_events(self, *, waits: bool = True) -> None:
        """Wait until a socket is ready, a thread has finished or a request is late; process it.

        Without `waits`, process only what has happened already.
        """
        first = next(iter(self._in_flight), None)
        now = time.monotonic() - self._shift
        seconds = None if first is None else max(0.0, first.until - now)
        if not waits:
            seconds = 0
        for key, events in self._selector.select(seconds):
            exchange = key.data
            if exchange is None:
                self._collect_from_threads()
            elif exchange.job is None:
                if not exchange.connection.has_nothing_to_say():
                    self._drop(exchange)
            else:
                self._touched = exchange
                self._move(exchange, events)
                self._touched = None
        if first is not None:
            self._give_up_late()

    def end(self) -> None:
        """Begin nothing more, wait for writes in flight, and close all connections and threads."""
        self._is_ending = True
        if (touched := self._touched) is not None:
            self._in_flight.pop(touched, None)
            self._free = [each for each in self._free if each is not touched]
            touched.connection.close()
            self._report(touched)
        try:
            if os.getpid() == self._process and self._task.is_worth_an_end:
                until = time.monotonic() + self._engine.patience_seconds
                while self._in_flight and time.monotonic() < until:
                    self.process_events()
        finally:
            try:
                self._close_connections()
                if self._threads is not None:
                    self._threads.stop()
            finally:
                if self._threads is not None:
                    self._threads.close()
                for job in (*self.order, self._waiting):
                    self._permits.release(job)
                self._permits.resume(self)

    def _close_connections(self) -> None:
        is_child = os.getpid() != self._process
        if is_child:
            # Unregistering them would change the selector of the parent process.
            for exchange in self._free:
                exchange.connection.close()
        for exchange in self._in_flight:
            exchange.connection.close()
            if not is_child:
                self._report(exchange)
        self._selector.close()
        if not is_child:
            for exchange in self._free:
                self._pool.keep(exchange.connection)

    def _begin(self, job: Job[T, R]) -> bool:
        """Begin an item; return False if it has to wait for requests in flight."""
        refuse_if_stopped()
        key = None if self._key_of is None else self._key_of(job.item)
        if self._key_of is not None and key in self._busy_keys:
            return False
        if job.request is None:
            job.request = self._request_of(job)
        if job.request is not None and not self._permits.try_acquire(job, self):
            if self._active:
                return False
            self._permits.acquire(job, self)
        self.order.append(job)
        self._active += 1
        if self._key_of is not None:
            self._busy_keys.add(key)
        if job.request is None:
            self._in_thread(job, self._task.without_engine)
        else:
            self._send(job)
        return True

    def _request_of(self, job: Job[T, R]) -> Request | None:
        try:
            if self._engine.pool is not self._pool:
                return None  # After a redirect, requests go elsewhere.
            return self._task.request(job.item)
        except TROUBLE as error:
            # boto3 will meet the same problem, and explain it.
            if is_from_signal_handler(error):
                raise
            return None

    def _send(self, job: Job[T, R]) -> None:
        """Send the request of a job over a free connection, or a new one."""
        try:
            exchange = self._free_exchange(job) or self._new_exchange(job)
        except (NotSentError, OSError) as error:
            if is_from_signal_handler(error):
                raise
            self._in_thread(job, self._task.by_boto3)
            return
        request = job.request
        assert request is not None
        exchange.begin(job, request)
        exchange.began = time.monotonic() - self._shift
        exchange.until = exchange.began + self._engine.patience_seconds
        self._in_flight[exchange] = None
        self._touched = exchange
        if exchange.is_open:
            try:
                exchange.push()
            except OSError as error:
                self._failed(exchange, error)
        self._touched = None

    def _free_exchange(self, job: Job[T, R]) -> Exchange | None:
        """Return a free exchange whose connection can be reused; None if there is none."""
        while self._free and not job.is_second:
            exchange = self._free.pop()
            if exchange.connection.is_fit():
                return exchange
            self._drop(exchange)
        return None

    def _new_exchange(self, job: Job[T, R]) -> Exchange:
        connection = None if job.is_second else self._pool.take()
        is_open = connection is not None
        if connection is None:
            connection = self._pool.begin_to_open()
        if connection is None:
            connection, is_open = self._pool.open(), True
        return Exchange(connection, self._selector, is_open=is_open)

    def _move(self, exchange: Exchange, events: int) -> None:
        job: Job[T, R] = exchange.job
        try:
            is_done = exchange.move(events, lambda reader: self._task.body_buffer(job.item, reader))
        except (OSError, NotPlainError) as error:
            self._failed(exchange, error)
            return
        if is_done:
            assert exchange.reader is not None
            self._completed(exchange, job, exchange.reader)

    def _completed(self, exchange: Exchange, job: Job[T, R], reader: Reader) -> None:
        """Store the result of a response, and free the connection for another request."""
        del self._in_flight[exchange]
        self._report(exchange)
        exchange.end()
        connection = exchange.connection
        if reader.closes:
            self._drop(exchange)
        else:
            if not connection.is_reused:
                self._pool.note_session(connection)
                connection.is_reused = True
            connection.idle_since = time.monotonic()
            self._free.append(exchange)
        try:
            result = self._task.result(job.item, reader.answer())
        except NotPlainError as error:
            if error.status in BUSY and not job.is_repeated and not self._is_ending:
                # A busy server refuses some of many requests. boto3 would repeat them at once, too,
                # but takes ten times as long, and the other requests would wait.
                job.is_repeated = True
                self._send(job)
            else:
                self._in_thread(job, self._task.by_boto3)
        else:
            self._done(job, result)

    def _failed(self, exchange: Exchange, error: Exception) -> None:
        """Send a request again if a stale connection lost it; otherwise leave it to boto3."""
        if is_from_signal_handler(error):
            raise error
        if isinstance(error, NotPlainError):
            self._task.note_unusable(error)
        if not exchange.is_open:
            self._pool.forget_address()
        job: Job[T, R] = exchange.job
        has_answer = exchange.reader is not None and exchange.reader.received
        is_stale = exchange.connection.is_reused and isinstance(error, ConnectionError)
        del self._in_flight[exchange]
        self._report(exchange, error)
        exchange.end()
        self._drop(exchange)
        if is_stale and not has_answer and not job.is_second and not self._is_ending:
            job.is_second = True
            self._send(job)
        else:
            self._in_thread(job, self._task.by_boto3)

    def _report(self, exchange: Exchange, error: BaseException | None = None) -> None:
        """Report an attempt, if its connection was open: otherwise nothing was sent."""
        request = None if exchange.job is None else exchange.job.request
        if request is not None and exchange.reader is not None and exchange.is_open:
            request.sent = exchange.sent
            seconds = time.monotonic() - self._shift - exchange.began
            self._engine.report(request, exchange.reader, seconds, error)

    def _give_up_late(self) -> None:
        """Leave requests to boto3 that have made no progress in time."""
        now = time.monotonic() - self._shift
        while (exchange := next(iter(self._in_flight), None)) and exchange.until <= now:
            if exchange.moved - exchange.mark >= LEAST_BYTES:
                exchange.mark = exchange.moved
                exchange.until = now + self._engine.patience_seconds
                self._in_flight[exchange] = self._in_flight.pop(exchange)
            else:
                self._failed(exchange, TimeoutError("late"))

    def _in_thread(self, job: Job[T, R], act: Callable[[T], R]) -> None:
        if self._is_ending:
            self._done(job, None, StoppedError())
            return
        if self._threads is None:
            self._threads = Threads(self._selector, self._most, self._task.is_last)
        if (request := job.request) is not None and request.attempts:
            sent_in_vain.set((request.operation, request.key, request.attempts))
        with self.paused():  # If no thread can be started, this thread does it now.
            self._threads.start(job, act, job.item)

    def _collect_from_threads(self) -> None:
        assert self._threads is not None
        for owner, future in self._threads.collect():
            job: Any = owner
            if future.cancelled():
                self._done(job, None, StoppedError())
            elif (error := future.exception()) is not None:
                self._done(job, None, error)
            else:
                self._done(job, future.result())

    def _done(self, job: Job[T, R], result: R | None, error: BaseException | None = None) -> None:
        job.result, job.error, job.has_result = result, error, True
        if error is not None or self._task.is_last(job.result):
            self.is_over = True
        job.request = None
        self._active -= 1
        self._permits.release(job)
        if self._key_of is not None:
            self._busy_keys.discard(self._key_of(job.item))

    def _drop(self, exchange: Exchange) -> None:
        exchange.close()
        if exchange in self._free:
            self._free.remove(exchange)
