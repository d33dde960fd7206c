"""Many requests at once, sent and received by the caller's thread; what is odd goes to threads.

Results come in the order of the items. What has been sent and what has arrived is all in one frame:
Ctrl-C finds it there, closes what flies, and there is nothing to join but threads of boto3's.
"""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from cshelve._concurrency.parallel import StoppedError, Workers, refuse_if_stopped
from cshelve._concurrency.permits import Permits
from cshelve._concurrency.signals import is_from_signal_handler
from cshelve.exceptions import StorageError
from cshelve.providers.aws_s3.direct.answers import NotPlainError, Reader
from cshelve.providers.aws_s3.direct.connections import Connection, NotSentError
from cshelve.providers.aws_s3.direct.engine import (
    LEAST_BYTES,
    ONE_SEND_BYTES,
    SMALL_BYTES,
    TROUBLE,
    Begun,
    Engine,
    receive,
)
from cshelve.providers.aws_s3.direct.task import Task
from cshelve.providers.aws_s3.direct.templates import Request

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["all_at_once"]

# What a server answers that has too much to do, and did nothing.
BUSY = frozenset({429, 503})

T = TypeVar("T")
R = TypeVar("R")


class Job(Generic[T, R]):
    """An item on its way to its result."""

    __slots__ = (
        *("__weakref__", "error", "has_result", "is_repeated", "is_second", "item", "request"),
        *("result", "thread"),
    )

    def __init__(self, item: T) -> None:
        self.item = item
        self.request: Request | None = None
        self.thread: Future[R] | None = None
        self.is_second = False
        """Whether its request is sent for the second time, as the first connection was stale."""
        self.is_repeated = False
        """Whether its request was sent again, as the server was busy."""
        self.has_result = False
        self.result: Any = None
        self.error: BaseException | None = None


class _Line:
    """A connection, and the request that is on its way there."""

    __slots__ = (
        *("connection", "events", "is_open", "job", "mark", "out", "reader", "sent", "until"),
    )

    def __init__(self, connection: Connection, *, is_open: bool) -> None:
        self.connection = connection
        self.is_open = is_open
        self.events = selectors.EVENT_READ if is_open else selectors.EVENT_WRITE
        """What the selector waits for."""
        self.job: Job[Any, Any] | None = None
        self.reader: Reader | None = None
        self.out: list[memoryview] = []
        """What has yet to be sent."""
        self.sent = 0
        self.until = 0.0
        self.mark = 0


def all_at_once(
    engine: Engine,
    permits: Permits,
    task: Task[T, R],
    items: Iterable[T],
    most: int,
    key_of: Callable[[T], object] | None = None,
    begun: tuple[T, Begun] | None = None,
) -> Generator[tuple[T, R]]:
    """Yield each item with its result, in order, with at most so many requests in flight.

    `begun` is an item before the others, whose request was sent already. Items with equal keys
    never fly at the same time. While the caller has a result, or thinks about the next item, no
    time-out runs, and others may take our permits: see `Permits`.
    """
    loop = _Loop(engine, permits, task, most, key_of)
    source = iter(items)
    is_over = False
    waiting: Job[T, R] | None = None
    try:
        if begun is not None:
            loop.adopt(Job(begun[0]), begun[1])
        while True:
            while not (is_over or loop.is_over) and loop.has_room():
                if waiting is None:
                    with loop.paused():
                        item = next(source, loop)  # Which is no item of anybody's.
                    if item is loop:
                        is_over = True
                        break
                    waiting = Job(item)  # type: ignore[arg-type]  # it is none of the loop
                if not loop.begin(waiting):
                    break
                waiting = None
            if not loop.order:
                if is_over or loop.is_over:
                    return
                continue
            if not loop.order[0].has_result:
                loop.turn()
                continue
            job = loop.order.popleft()
            if job.error is not None:
                if not isinstance(job.error, StoppedError):
                    raise job.error
                # It was never begun by the thread that should have.
                given_up = task.given_up(job.item)
                if given_up is None:
                    continue
                job.result = given_up
            with loop.paused():
                yield job.item, job.result
    finally:
        loop.end(waiting)


class _Loop(Generic[T, R]):
    def __init__(
        self,
        engine: Engine,
        permits: Permits,
        task: Task[T, R],
        most: int,
        key_of: Callable[[T], object] | None,
    ) -> None:
        self.order: deque[Job[T, R]] = deque()
        """What has begun, in the order of the items, until its result is given."""
        self.is_over = False
        """Whether nothing more is to be begun, after a result that was the last one."""
        self._engine = engine
        self._pool = engine.pool
        self._permits = permits
        self._task = task
        self._most = most
        self._key_of = key_of
        self._busy: set[object] = set()
        self._active = 0
        self._free: list[_Line] = []
        self._in_flight: dict[_Line, None] = {}
        """In the order in which they will be late."""
        self._touched: _Line | None = None
        """The one that is being dealt with now."""
        self._selector = selectors.DefaultSelector()
        self._workers: Workers[tuple[Callable[[T], R], T], R] | None = None
        self._threaded: set[Job[T, R]] = set()
        self._wake: tuple[socket.socket, socket.socket] | None = None
        self._is_ending = False
        self._process = os.getpid()
        self._shift = 0.0
        """How long we were paused, by which our clock is behind."""

    def has_room(self) -> bool:
        """Return whether another item may begin, and not too far ahead of the first one.

        While boto3 does one again, which takes long, the others go on twice as far.
        """
        ahead = 2 * self._most if self._threaded else self._most
        return self._active < self._most and len(self.order) < ahead

    def paused(self) -> _Pause:
        """While the caller does something of its own, nothing here is late."""
        return _Pause(self)

    def pause(self) -> float:
        self._permits.pause(self)
        return time.monotonic()

    def resume(self, since: float, *, is_going_on: bool) -> None:
        self._permits.resume(self)
        self._shift += time.monotonic() - since
        if is_going_on and os.getpid() != self._process:
            raise StorageError(
                "this iteration began before a fork, and its requests fly in the parent process: "
                "begin another one here"
            )

    def begin(self, job: Job[T, R]) -> bool:
        """Begin with an item; False if it has to wait for what flies."""
        refuse_if_stopped()
        key = self._key_of(job.item) if self._key_of is not None else None
        if key is not None and key in self._busy:
            return False
        if job.request is None:
            job.request = self._request_of(job)
        if job.request is not None and not self._permits.try_acquire(job, self):
            if self._active:
                return False
            self._permits.acquire(job, self)
        self.order.append(job)
        self._active += 1
        if key is not None:
            self._busy.add(key)
        if job.request is None:
            self._to_thread(job)
        else:
            self._fly(job)
        return True

    def adopt(self, job: Job[T, R], begun: Begun) -> None:
        """Go on with an answer whose head has arrived; its connection is of no use behind it."""
        self.order.append(job)
        self._active += 1
        begun.connection.socket.settimeout(0)
        line = _Line(begun.connection, is_open=True)
        line.job, line.reader = job, begun.reader
        line.until = time.monotonic() + self._engine.patience_seconds
        self._selector.register(begun.connection.socket, line.events, line)
        self._in_flight[line] = None
        self._permits.acquire(job, self)
        if (place := self._task.place(job.item, begun.reader)) is not None:
            begun.reader.receive_into(place)
        if begun.reader.is_done:
            self._landed(line, job, begun.reader)

    def turn(self) -> None:
        """Wait until something arrives, or is late, and deal with it."""
        first = next(iter(self._in_flight), None)
        now = time.monotonic() - self._shift
        seconds = None if first is None else max(0.0, first.until - now)
        for key, events in self._selector.select(seconds):
            line = key.data
            if line is None:
                self._hear_threads()
            elif line.job is None:
                if not line.connection.has_nothing_to_say():
                    self._drop(line)
            else:
                self._touched = line
                self._move(line, line.job, events)
                self._touched = None
        if first is not None:
            self._give_up_late()

    def end(self, waiting: Job[T, R] | None) -> None:
        """Begin nothing more; wait for what is worth it, close the rest, and leave no thread."""
        self._is_ending = True
        if self._touched is not None:
            # Interrupted there, so that nobody knows how far it has come.
            self._in_flight.pop(self._touched, None)
            self._free = [line for line in self._free if line is not self._touched]
            self._touched.connection.close()
        try:
            if os.getpid() == self._process and self._task.is_worth_an_end:
                until = time.monotonic() + self._engine.patience_seconds
                while self._in_flight and time.monotonic() < until:
                    self.turn()
        finally:
            try:
                self._let_go()
                if self._workers is not None:
                    self._workers.stop()
            finally:
                if self._wake is not None:
                    for end in self._wake:
                        end.close()
                for job in (*self.order, waiting):
                    self._permits.release(job)
                self._permits.resume(self)

    def _let_go(self) -> None:
        if os.getpid() != self._process:
            # The parent's: whatever is done to the selector would be done to the parent's.
            for line in (*self._free, *self._in_flight):
                line.connection.close()
            self._selector.close()
            return
        for line in self._in_flight:
            line.connection.close()
        self._selector.close()
        for line in self._free:
            self._pool.keep(line.connection)

    def _request_of(self, job: Job[T, R]) -> Request | None:
        try:
            if self._engine.pool is not self._pool:
                return None  # A redirect came in between: requests go elsewhere now.
            return self._task.request(job.item)
        except TROUBLE as error:
            # boto3 meets it when it does the request, and has the words for it.
            if is_from_signal_handler(error):
                raise
            return None

    def _fly(self, job: Job[T, R]) -> None:
        """Send the request of a job, by a connection that is free or a new one."""
        try:
            line = self._free_line(job) or self._new_line(job)
        except (NotSentError, OSError) as error:
            if is_from_signal_handler(error):
                raise
            self._to_boto3(job)
            return
        request = job.request
        assert request is not None
        line.job = job
        line.reader = Reader(request.method)
        line.mark = line.sent = 0
        line.until = time.monotonic() - self._shift + self._engine.patience_seconds
        self._in_flight[line] = None
        self._touched = line
        self._engine.count(request.operation)
        head, body = request.head, request.body
        if body is None or len(body) <= SMALL_BYTES:
            data = head if body is None else head + body
            line.out = [memoryview(data)]
        else:
            line.out = [memoryview(head), memoryview(body).cast("B")]
        if line.is_open:
            self._push(line, job)
        self._touched = None

    def _free_line(self, job: Job[T, R]) -> _Line | None:
        """Return a connection of ours that is free, and fit for another request."""
        while self._free and not job.is_second:
            line = self._free.pop()
            if line.connection.is_fit():
                return line
            self._drop(line)
        return None

    def _new_line(self, job: Job[T, R]) -> _Line:
        connection = None if job.is_second else self._pool.take()
        is_open = connection is not None
        if connection is None:
            connection = self._pool.begin_to_open()
        if connection is None:
            connection, is_open = self._pool.open(), True
        if is_open:
            connection.socket.settimeout(0)
        line = _Line(connection, is_open=is_open)
        self._selector.register(connection.socket, line.events, line)
        return line

    def _move(self, line: _Line, job: Job[T, R], events: int) -> None:
        """Send or receive what can be sent or received now."""
        try:
            if not line.is_open:
                self._greet(line)  # Or raise what says that it takes longer.
            was_sent = not line.out
            if not was_sent:
                self._push(line, job)
            if line.job is job and events & selectors.EVENT_READ and (was_sent or line.out):
                self._pull(line, job)
        except line.connection.would_block:
            return
        except (OSError, NotPlainError) as error:
            self._failed(line, job, error)

    def _greet(self, line: _Line) -> None:
        """Go on with opening a connection."""
        connection = line.connection
        problem = connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            raise OSError(problem, os.strerror(problem))
        if not connection.is_secure:
            # TLS has a socket of its own, with the same descriptor.
            self._selector.unregister(connection.socket)
            try:
                self._pool.secure(connection)
            finally:
                self._selector.register(connection.socket, line.events, line)
        if connection.is_secure:
            try:
                connection.socket.do_handshake()
            except connection.would_block as error:
                wants_to_read = "Read" in type(error).__name__
                self._watch(line, selectors.EVENT_READ if wants_to_read else selectors.EVENT_WRITE)
                raise
        line.is_open = True

    def _push(self, line: _Line, job: Job[T, R]) -> None:
        """Send as much of the request as there is room for."""
        try:
            while line.out:
                data = line.out[0]
                sent = line.connection.socket.send(data[:ONE_SEND_BYTES])
                line.sent += sent
                if sent == len(data):
                    line.out.pop(0)
                else:
                    line.out[0] = data[sent:]
        except line.connection.would_block:
            self._watch(line, selectors.EVENT_READ | selectors.EVENT_WRITE)
            return
        except OSError as error:
            self._failed(line, job, error)
            return
        self._watch(line, selectors.EVENT_READ)

    def _pull(self, line: _Line, job: Job[T, R]) -> None:
        """Receive what has arrived."""
        reader = line.reader
        assert reader is not None
        while True:
            had_head = reader.length is not None
            receive(line.connection, reader)
            if line.out:
                raise NotPlainError("an answer before the request was whole")
            if reader.is_done:
                self._landed(line, job, reader)
                return
            if not had_head and reader.length and (place := self._task.place(job.item, reader)):
                reader.receive_into(place)
            if not (line.connection.is_secure and line.connection.socket.pending()):
                return

    def _landed(self, line: _Line, job: Job[T, R], reader: Reader) -> None:
        """Take the answer, and have the connection for another request."""
        del self._in_flight[line]
        line.job = line.reader = None
        if reader.closes:
            self._drop(line)
        else:
            if not line.connection.is_reused:
                self._pool.note_session(line.connection)
                line.connection.is_reused = True
            line.connection.idle_since = time.monotonic()
            self._free.append(line)
        try:
            result = self._task.result(job.item, reader.answer())
        except NotPlainError as error:
            if error.status in BUSY and not job.is_repeated and not self._is_ending:
                # Of many requests a busy server refuses some. boto3 would ask again at once as
                # well, but takes ten times as long for it, and the others would wait.
                job.is_repeated = True
                self._fly(job)
            else:
                self._to_boto3(job)
        else:
            self._done(job, result)

    def _done(self, job: Job[T, R], result: R | None, error: BaseException | None = None) -> None:
        job.result, job.error, job.has_result = result, error, True
        if error is not None or self._task.is_last(job.result):
            self.is_over = True
        job.request = None
        self._active -= 1
        self._permits.release(job)
        if self._key_of is not None:
            self._busy.discard(self._key_of(job.item))

    def _failed(self, line: _Line, job: Job[T, R], error: Exception) -> None:
        """Send a request again that a stale connection swallowed; else leave it to boto3."""
        if is_from_signal_handler(error):
            raise error
        if isinstance(error, NotPlainError):
            self._task.odd(error)
        if not line.is_open:
            self._pool.forget_address()
        is_stale = line.connection.is_reused and isinstance(error, ConnectionError)
        has_answer = line.reader is not None and line.reader.received
        del self._in_flight[line]
        line.job = line.reader = None
        line.out = []
        self._drop(line)
        if is_stale and not has_answer and not job.is_second and not self._is_ending:
            job.is_second = True
            self._fly(job)
        else:
            self._to_boto3(job)

    def _give_up_late(self) -> None:
        """Leave to boto3 what has not moved in time."""
        now = time.monotonic() - self._shift
        while (line := next(iter(self._in_flight), None)) is not None and line.until <= now:
            moved = line.sent + (line.reader.received if line.reader else 0)
            if moved - line.mark >= LEAST_BYTES:
                line.mark = moved
                line.until = now + self._engine.patience_seconds
                self._in_flight[line] = self._in_flight.pop(line)
            elif line.job is not None:
                self._failed(line, line.job, TimeoutError("late"))

    def _to_boto3(self, job: Job[T, R]) -> None:
        self._in_thread(job, self._task.by_boto3)

    def _to_thread(self, job: Job[T, R]) -> None:
        self._in_thread(job, self._task.apart)

    def _in_thread(self, job: Job[T, R], act: Callable[[T], R]) -> None:
        if self._is_ending:
            self._done(job, None, StoppedError())
            return
        if self._workers is None:
            ours, theirs = self._wake = socket.socketpair()
            ours.setblocking(False)
            theirs.setblocking(False)
            self._selector.register(ours, selectors.EVENT_READ, None)
            self._workers = Workers(_done_to, self._most, self._task.is_last)
        self._threaded.add(job)
        with self.paused():  # Where there can be no thread, it is done here and now.
            job.thread = self._workers.start((act, job.item))
        job.thread.add_done_callback(self._wake_up)

    def _wake_up(self, _: object) -> None:
        # Full means that it will wake up anyway; closed, that nobody waits any more.
        if self._wake is not None:
            with suppress(OSError):
                self._wake[1].send(b"\0")

    def _hear_threads(self) -> None:
        if self._wake is not None:
            with suppress(BlockingIOError):
                self._wake[0].recv(4096)
        for job in [job for job in self._threaded if job.thread is not None and job.thread.done()]:
            self._threaded.discard(job)
            assert job.thread is not None
            if job.thread.cancelled():
                self._done(job, None, StoppedError())
                continue
            error = job.thread.exception()
            self._done(job, job.thread.result() if error is None else None, error)

    def _watch(self, line: _Line, events: int) -> None:
        if line.events != events:
            line.events = events
            self._selector.modify(line.connection.socket, events, line)

    def _drop(self, line: _Line) -> None:
        self._selector.unregister(line.connection.socket)
        line.connection.close()
        if line in self._free:
            self._free.remove(line)


def _done_to(what: tuple[Callable[[T], R], T]) -> R:
    act, item = what
    return act(item)


class _Pause:
    """A block in which the caller does something of its own."""

    __slots__ = ("_loop", "_since")

    def __init__(self, loop: _Loop[Any, Any]) -> None:
        self._loop = loop
        self._since = 0.0

    def __enter__(self) -> None:
        self._since = self._loop.pause()

    def __exit__(self, kind: object, *_: object) -> None:
        self._loop.resume(self._since, is_going_on=kind is None)
